// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;

/**
 * How a step ended.
 *
 * @param code the exit code for it
 * @param message what there is to say, printable, in one line
 * @param problem what the source said, if it is the cause
 */
public record Result(ExitCode code, String message, Optional<SourceException> problem) {
    /**
     * Makes one.
     *
     * @param code the exit code
     * @param message what there is to say
     */
    public Result(ExitCode code, String message) {
        this(code, message, Optional.empty());
    }

    static Result of(ExitCode code) {
        return new Result(code, code.meaning());
    }

    static Result putOff() {
        return new Result(ExitCode.DEFERRED, "a callback put it off");
    }

    static Result of(SourceException problem) {
        return new Result(problem.reason().exitCode(), problem.getMessage(), Optional.of(problem));
    }

    /**
     * Whether the step was done.
     *
     * @return whether the code is one of those of a step that was done
     */
    public boolean isSuccess() {
        return switch (code) {
            case OK, NEW_VERSION, NEEDS_REBOOT, ROLLBACK_NEEDS_REBOOT -> true;
            default -> false;
        };
    }
}
