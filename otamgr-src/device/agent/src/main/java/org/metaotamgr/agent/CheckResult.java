// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** What a source says when it is asked. */
public sealed interface CheckResult {
    /**
     * When the server wants to be asked again, if it says so; the agent's configuration has limits for it.
     *
     * @return more than zero, or empty
     */
    Optional<Duration> askAgain();

    /**
     * Nothing is offered.
     *
     * @param askAgain see {@link CheckResult#askAgain()}
     */
    record Nothing(Optional<Duration> askAgain) implements CheckResult {}

    /**
     * These are offered. One that is installed already may be among them.
     *
     * @param targets at least one
     * @param askAgain see {@link CheckResult#askAgain()}
     */
    record Offers(List<Target> targets, Optional<Duration> askAgain) implements CheckResult {
        /**
         * Copies the list.
         *
         * @throws IllegalArgumentException if it is empty
         */
        public Offers {
            targets = List.copyOf(targets);
            if (targets.isEmpty()) {
                throw new IllegalArgumentException("expected at least one target, found none");
            }
        }
    }

    /**
     * Something is prepared for this device, and somebody else has to act first, for example confirm it on the server.
     *
     * @param reason what is waited for, printable, in one line
     * @param askAgain see {@link CheckResult#askAgain()}
     */
    record Waiting(String reason, Optional<Duration> askAgain) implements CheckResult {}
}
