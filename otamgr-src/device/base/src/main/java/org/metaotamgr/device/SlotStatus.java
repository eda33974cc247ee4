// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * What {@code ota-slot status} says.
 *
 * @param state how the running system and the boot state relate
 * @param running the slot of the running system, or empty
 * @param committed the slot that is known to be good, or empty
 * @param trial the slot on trial, or empty
 * @param txn the update that set the trial, or empty
 * @param failed the last update whose trial the boot loader gave up, or empty
 * @param failedWhy the word of the boot loader for why, or empty
 * @param floor the lowest version that may be installed, or empty
 */
public record SlotStatus(
        State state,
        String running,
        String committed,
        String trial,
        String txn,
        String failed,
        String failedWhy,
        Optional<String> floor) {
    /** How the running system and the boot state relate. */
    public enum State {
        /** The committed slot runs, and nothing is on trial. */
        COMMITTED,
        /** The slot on trial runs, and is not committed yet. */
        TRIAL,
        /** The committed slot runs; an update was armed since it booted and waits for a reboot. */
        ARMED,
        /** The committed slot runs although another one is on trial: the boot loader could not run that one. */
        INTERRUPTED,
        /** Neither the committed slot runs nor the one on trial. */
        MISMATCH,
        /** The boot state could not be found out. */
        UNKNOWN;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** What is known if {@code ota-slot} does not tell. */
    public static SlotStatus unknown() {
        return new SlotStatus(State.UNKNOWN, "", "", "", "", "", "", Optional.empty());
    }

    /** Reads the output: {@code key=value} lines. Keys that otamgr does not need are ignored. */
    public static SlotStatus parse(List<String> lines) {
        Map<String, String> values = KeyValueLines.read(lines);
        for (Map.Entry<String, String> one : values.entrySet()) {
            one.setValue(Printable.of(one.getValue().strip()));
        }
        return new SlotStatus(
                stateOf(values.getOrDefault("state", "")),
                values.getOrDefault("running", ""),
                values.getOrDefault("committed", ""),
                values.getOrDefault("trial", ""),
                values.getOrDefault("txn", ""),
                values.getOrDefault("failed", ""),
                values.getOrDefault("failed_why", ""),
                Optional.ofNullable(values.get("floor")).filter(floor -> !floor.isEmpty()));
    }

    private static State stateOf(String word) {
        for (State state : State.values()) {
            if (state.toString().equals(word)) {
                return state;
            }
        }
        return State.UNKNOWN;
    }

    /** What is known after the trial was committed. */
    public SlotStatus afterCommit() {
        return new SlotStatus(State.COMMITTED, running, trial, "", txn, failed, failedWhy, floor);
    }

    @Override
    public String toString() {
        return "state=" + state + ",running=" + running + ",committed=" + committed + ",trial=" + trial + ",txn=" + txn
                + (failed.isEmpty() ? "" : ",failed=" + failed + ",failed_why=" + failedWhy);
    }
}
