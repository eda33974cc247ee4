// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import org.metaotamgr.device.SlotStatus;

/** What has become of an update that was started, as the boot state tells it. */
enum Fate {
    /** sysupgrade never armed it: a power cut came first, or it failed and nobody was left to notice. */
    NEVER_ARMED,
    /** It is armed: the next reboot starts its trial. */
    ARMED,
    /** It runs on trial. */
    ON_TRIAL,
    /** It runs and is committed. */
    COMMITTED,
    /** Its trial has ended without a commit, and the old system runs. */
    ROLLED_BACK,
    /** The boot state cannot be found out, or is in a state of which nothing can be concluded. */
    UNKNOWN;

    static Fate of(AgentState.Pending update, SlotStatus status) {
        boolean isSet = status.txn().equals(update.txn());
        return switch (status.state()) {
            case UNKNOWN -> UNKNOWN;
            case ARMED -> isSet ? ARMED : afterAnother(update, status);
            case TRIAL -> isSet ? ON_TRIAL : afterAnother(update, status);
            case INTERRUPTED -> isSet ? ROLLED_BACK : afterAnother(update, status);
            case COMMITTED, MISMATCH -> {
                if (status.failed().equals(update.txn())) {
                    yield ROLLED_BACK;
                }
                if (!isSet) {
                    yield NEVER_ARMED;
                }
                yield status.running().equals(update.fromSlot()) ? ROLLED_BACK : COMMITTED;
            }
        };
    }

    private static Fate afterAnother(AgentState.Pending update, SlotStatus status) {
        return status.failed().equals(update.txn()) ? ROLLED_BACK : NEVER_ARMED;
    }

    /** Why it was rolled back, as far as the boot state tells. */
    static String reason(AgentState.Pending update, SlotStatus status) {
        return !status.failed().equals(update.txn()) ? "the trial was cancelled or interrupted"
                : "rolled back" + (status.failedWhy().isEmpty() ? "" : " (" + status.failedWhy() + ")");
    }
}
