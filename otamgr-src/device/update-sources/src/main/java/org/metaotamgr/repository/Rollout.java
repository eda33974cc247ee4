// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDateTime;
import java.util.List;
import org.metaotamgr.agent.Window;

/**
 * Who gets a target when. Each device draws its place from a hash of its name and the target, so nobody keeps a list, and the
 * devices that are first differ from target to target.
 *
 * @param start when the first phase begins
 * @param phases one after the other; the last one has no end
 * @param state whether it goes on
 * @param windows when devices may begin with it, in their local time; none means always
 */
record Rollout(Instant start, List<Phase> phases, State state, List<Window> windows) {
    Rollout {
        windows = List.copyOf(windows);
        phases = List.copyOf(phases);
    }

    /** Whether a roll-out goes on. */
    enum State {
        /** It does. */
        RUNNING,
        /** No further device begins with it, for now. */
        HALTED,
        /** No device begins with it any more. */
        RECALLED
    }

    /**
     * A part of a roll-out.
     *
     * @param share the share of the devices that may have it, 0 to 1
     * @param length how long the phase lasts; nothing for the last one
     */
    record Phase(double share, Duration length) {}

    /**
     * The place of a device among all devices, for one target.
     *
     * @param device the name of the device
     * @param target the SHA-256 of the target
     * @return a number from 0 up to, but not including, 1
     */
    static double place(String device, String target) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256")
                    .digest((target + "\n" + device).getBytes(StandardCharsets.UTF_8));
            return (ByteBuffer.wrap(hash).getLong() >>> 11) * 0x1p-53;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    /**
     * Which share of the devices may begin with it.
     *
     * @param now the time
     * @return 0 to 1
     */
    double share(Instant now) {
        if (state != State.RUNNING || now.isBefore(start)) {
            return 0;
        }
        Instant end = start;
        for (Phase phase : phases) {
            end = end.plus(phase.length());
            if (now.isBefore(end)) {
                return phase.share();
            }
        }
        return phases.get(phases.size() - 1).share();
    }

    /**
     * Whether it is a device's turn.
     *
     * @param isReached whether a phase has reached the device, see {@link #share} and {@link #place}
     * @param local the local time by the device's own clock
     * @return whether it may begin
     */
    Turn turn(boolean isReached, LocalDateTime local) {
        return switch (state) {
            case HALTED -> Turn.HALTED;
            case RECALLED -> Turn.RECALLED;
            case RUNNING -> {
                if (!isReached) {
                    yield Turn.LATER;
                }
                yield Window.isOpen(windows, local) ? Turn.NOW : Turn.CLOSED;
            }
        };
    }
}
