// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.time.Duration;
import org.metaotamgr.agent.HealthDirectory;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.Waiting;

/**
 * What the running system can reach: a slot that could not receive the next update must not be kept. As far as the
 * configuration asks for it, the attribute daemon has accepted otamgr, hubby has been connected to the cloud for a while
 * without a break, and the source of updates has answered. Told from any thread.
 */
final class Links {
    private final OtamgrConfig.Commit config;
    private final BootClock clock;
    private final Waiting waiting;

    private boolean attrdOpen;
    private boolean sourceAnswered;
    private Duration sourceAnsweredAt = Duration.ZERO;
    private HubbyState hubby = HubbyState.UNKNOWN;
    /** Since when hubby is as it is, in time since power-on. */
    private Duration hubbySince = Duration.ZERO;

    private boolean better;
    private long breaks;
    private long version;

    Links(OtamgrConfig.Commit config, BootClock clock, Waiting waiting) {
        this.config = config;
        this.clock = clock;
        this.waiting = waiting;
    }

    /**
     * What is known about the attribute daemon and hubby.
     *
     * @param open whether the attribute daemon has accepted otamgr
     * @param state what hubby says
     * @param isNews whether hubby tells it by itself; if it repeats what it said before, it may be a new hubby
     */
    void update(boolean open, HubbyState state, boolean isNews) {
        Duration now = clock.uptime();
        synchronized (this) {
            boolean wasConnected = isConnected();
            boolean wasOpen = attrdOpen;
            if (state != hubby || isNews || open != attrdOpen) {
                hubbySince = now;
            }
            attrdOpen = open;
            hubby = state;
            if (!isConnected() || unstableFor(now).compareTo(Duration.ZERO) > 0) {
                breaks++;
            }
            better |= !wasConnected && isConnected() || !wasOpen && open;
            version++;
        }
        waiting.changed();
    }

    /** The source of updates, if it is one that is asked, has answered. */
    void sourceAnswered() {
        Duration now = clock.uptime();
        synchronized (this) {
            boolean wasConnected = isConnected();
            sourceAnswered = true;
            sourceAnsweredAt = now;
            better |= !wasConnected && isConnected();
            version++;
        }
        waiting.changed();
    }

    /** The source of updates was asked again, and has not answered. */
    synchronized void sourceLost() {
        sourceAnswered = false;
        breaks++;
        version++;
    }

    /** How long ago the source has answered. */
    synchronized Duration sinceSourceAnswered(Duration now) {
        return now.minus(sourceAnsweredAt);
    }

    /** Changes whenever anything of this does. */
    synchronized long version() {
        return version;
    }

    /** Whether something can be reached that could not be reached before, since the last call. */
    synchronized boolean takeBetter() {
        boolean was = better;
        better = false;
        return was;
    }

    /** Whether {@link #takeBetter} would say yes. */
    synchronized boolean isBetter() {
        return better;
    }

    /** Counts the times at which something was lost, or may have been. */
    synchronized long breaks() {
        return breaks;
    }

    /** Whether everything can be reached now. */
    synchronized boolean isConnected() {
        return missing().isEmpty();
    }

    /** What cannot be reached: {@code attrd}, {@code hubby} or {@code source}; empty if all can. */
    synchronized String missing() {
        if (config.requireAttributes() && !attrdOpen) {
            return "attrd";
        }
        if (config.requireHubbyConnected() && hubby != HubbyState.CONNECTED) {
            return "hubby";
        }
        return config.requireSource() && !sourceAnswered ? "source" : "";
    }

    /** How long hubby still has to stay connected; zero or less if it did so long enough. */
    synchronized Duration unstableFor(Duration now) {
        return config.requireHubbyConnected() ? config.hubbyStable().minus(now.minus(hubbySince)) : Duration.ZERO;
    }

    /** Why the trial cannot be committed, if it is for something that cannot be reached. */
    synchronized HealthDirectory.Failure failure(Duration now) {
        return switch (missing()) {
            case "attrd" -> new HealthDirectory.Failure("attrd", "the attribute daemon has not accepted otamgr");
            case "hubby" -> new HealthDirectory.Failure(
                    "hubby", "hubby is not connected to the cloud, its state is " + hubby);
            case "source" -> new HealthDirectory.Failure("source", "the source of updates has not answered");
            default -> new HealthDirectory.Failure(
                    "hubby",
                    "hubby has been connected for only " + now.minus(hubbySince).toSeconds() + " s, expected "
                            + config.hubbyStable().toSeconds() + " s");
        };
    }
}
