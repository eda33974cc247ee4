// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

/** What became of an update, for whoever offered it. Reasons are printable, in one line. */
public sealed interface UpdateEvent {
    /**
     * Whether this is the last event of an update.
     *
     * @return whether nothing comes after it
     */
    default boolean isFinal() {
        return true;
    }

    /**
     * It is being pulled. Comes at the begin, and then at most every 5 s.
     *
     * @param bytes how many bytes are there
     * @param total how many there will be
     */
    record Pulling(long bytes, long total) implements UpdateEvent {
        @Override
        public boolean isFinal() {
            return false;
        }
    }

    /** The complete update is on the device, and may wait there for its time. */
    record Pulled() implements UpdateEvent {
        @Override
        public boolean isFinal() {
            return false;
        }
    }

    /** It is being written into the inactive slot. */
    record Installing() implements UpdateEvent {
        @Override
        public boolean isFinal() {
            return false;
        }
    }

    /** It is armed: the next reboot starts it on trial. */
    record NeedsReboot() implements UpdateEvent {
        @Override
        public boolean isFinal() {
            return false;
        }
    }

    /** It runs and is committed. */
    record Done() implements UpdateEvent {}

    /**
     * It could not be pulled or installed, or was rolled back; the device runs what it ran before.
     *
     * @param reason why
     */
    record Failed(String reason) implements UpdateEvent {}

    /**
     * The device does not take it: for another board, too old, failed too often, vetoed.
     *
     * @param reason why
     */
    record Rejected(String reason) implements UpdateEvent {}

    /**
     * Whoever offered it withdrew it, and the device has stopped in time; see {@link UpdateSource#isStillOffered}, and
     * {@link SourceException.Reason#WITHDRAWN} during a pull.
     */
    record Cancelled() implements UpdateEvent {}
}
