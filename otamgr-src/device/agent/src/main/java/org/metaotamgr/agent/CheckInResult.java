// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * What a check-in found out.
 *
 * @param result {@link ExitCode#NEW_VERSION} if there is something to pull, {@link ExitCode#OK} if not, or why the source
 *     could not be asked, or why nothing of what it offers is for this device
 * @param offers everything that is offered, newest first
 * @param selected what the agent would take
 * @param askAgain when the source wants to be asked again, if it says so
 */
public record CheckInResult(Result result, List<Offer> offers, Optional<Target> selected, Optional<Duration> askAgain) {
    /**
     * One offer.
     *
     * @param target the target
     * @param refusal why the device does not take it, or empty
     */
    public record Offer(Target target, Optional<Result> refusal) {}

    /** Copies the list. */
    public CheckInResult {
        offers = List.copyOf(offers);
    }

    /**
     * An offer by its name.
     *
     * @param name the name or the version of a target
     * @return the offer, or empty
     */
    public Optional<Offer> named(String name) {
        return offers.stream()
                .filter(offer -> offer.target().name().equals(name)
                        || offer.target().version().equals(name))
                .findFirst();
    }
}
