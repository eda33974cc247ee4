// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import org.metaotamgr.device.SlotStatus;

/**
 * What has become of an update that was started, as the boot state tells it. This is the only judge of it: what the
 * source, the product's handler and the memory of failures get follows from here. The table is in
 * {@code docs/health-and-retries.md}.
 */
public enum UpdateOutcome {
    /** sysupgrade never armed it: a power cut came first, it failed and nobody was left to notice, or it still writes. */
    NEVER_ARMED,
    /** It is armed: the next reboot starts its trial. */
    ARMED,
    /** It runs on trial. */
    ON_TRIAL,
    /** It runs and is committed. */
    COMMITTED,
    /** Its trial has ended without a commit, and the old system runs. */
    ROLLED_BACK,
    /** Nothing can be concluded; the next look may tell. */
    UNKNOWN;

    /**
     * Judges.
     *
     * @param txn the id of the update
     * @param fromSlot the slot that ran when it was started, or empty if that was unknown
     * @param status the boot state
     * @return what has become of it
     */
    public static UpdateOutcome of(String txn, String fromSlot, SlotStatus status) {
        if (status.state() == SlotStatus.State.UNKNOWN) {
            return UNKNOWN;
        }
        if (status.failed().equals(txn)) {
            // The boot loader's own word, whatever has been armed since.
            return ROLLED_BACK;
        }
        if (!status.txn().equals(txn)) {
            return NEVER_ARMED;
        }
        return switch (status.state()) {
            case ARMED -> ARMED;
            case TRIAL -> ON_TRIAL;
                // The boot loader could not run it, and has not been able to say so.
            case INTERRUPTED -> ROLLED_BACK;
                // The old slot without a word of the boot loader: somebody cancelled the trial.
            case COMMITTED -> fromSlot.isEmpty()
                    ? UNKNOWN
                    : status.running().equals(fromSlot) ? ROLLED_BACK : COMMITTED;
                // Neither the committed slot runs nor the one on trial: whoever repairs that decides.
            case MISMATCH, UNKNOWN -> UNKNOWN;
        };
    }

    /**
     * Why an update was rolled back, as far as the boot state tells.
     *
     * @param txn the id of the update
     * @param status the boot state
     * @return one line
     */
    public static String reason(String txn, SlotStatus status) {
        return !status.failed().equals(txn)
                ? "the trial was cancelled or interrupted"
                : "rolled back" + (status.failedWhy().isEmpty() ? "" : " (" + status.failedWhy() + ")");
    }

    /**
     * Whether nothing follows.
     *
     * @return whether this is an end
     */
    public boolean isEnd() {
        return this == COMMITTED || this == ROLLED_BACK;
    }
}
