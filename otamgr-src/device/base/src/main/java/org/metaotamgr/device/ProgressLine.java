// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One line of sysupgrade's progress.
 *
 * @param phase what it does: check, invalidate, write, verify, header, keep, arm, reboot, done, or failed
 * @param number how much of the phase is done, in percent; for {@code failed}, the exit status that follows
 * @param message the rest of the line, for people
 */
public record ProgressLine(String phase, int number, String message) {
    private static final Pattern LINE = Pattern.compile("([a-z][a-z-]{0,31}) (\\d{1,3})(?: (.*))?");

    /** Reads a line; empty if it is none of the form {@code <phase> <number> <message>}. */
    public static Optional<ProgressLine> parse(String line) {
        Matcher matcher = LINE.matcher(line);
        if (!matcher.matches()) {
            return Optional.empty();
        }
        String message =
                matcher.group(3) == null ? "" : Printable.of(matcher.group(3).strip());
        return Optional.of(new ProgressLine(matcher.group(1), Integer.parseInt(matcher.group(2)), message));
    }

    /** Whether sysupgrade says here why it fails. */
    public boolean isFailure() {
        return phase.equals("failed");
    }
}
