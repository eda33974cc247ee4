// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.util.Optional;

/** Where the daemon is with an update. At most one sysupgrade is started in any of these states. */
sealed interface UpdateState {
    /** What happens to an update that is offered now. */
    enum Offer {
        /** It is started. */
        START,
        /** It waits, in place of one that waits already. */
        WAIT,
        /** It is refused; whoever offered it has to do so again. */
        REFUSE
    }

    /** What happens to an update that is offered in this state. */
    Offer offer();

    /** The update that is dealt with in this state. */
    default Optional<UpdateCandidate> current() {
        return Optional.empty();
    }

    /** Just started: it is not known yet whether an update is armed already. */
    record Starting() implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.WAIT;
        }
    }

    /** No update has been tried, or none since the last one was dealt with. */
    record Idle() implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.START;
        }
    }

    /**
     * The last update failed; the device is as it was before.
     *
     * @param candidate the update
     * @param reason why, in one line
     */
    record Failed(UpdateCandidate candidate, String reason) implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.START;
        }
    }

    /**
     * An update is about to be written; the product's handler is told.
     *
     * @param candidate the update
     */
    record Announcing(UpdateCandidate candidate) implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.WAIT;
        }

        @Override
        public Optional<UpdateCandidate> current() {
            return Optional.of(candidate);
        }
    }

    /**
     * sysupgrade runs.
     *
     * @param candidate the update
     * @param txn its id
     */
    record Updating(UpdateCandidate candidate, String txn) implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.WAIT;
        }

        @Override
        public Optional<UpdateCandidate> current() {
            return Optional.of(candidate);
        }
    }

    /**
     * sysupgrade failed; whether an update is armed nevertheless is being looked at.
     *
     * @param candidate the update
     * @param reason why it failed, in one line
     */
    record Examining(UpdateCandidate candidate, String reason) implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.WAIT;
        }

        @Override
        public Optional<UpdateCandidate> current() {
            return Optional.of(candidate);
        }
    }

    /**
     * A sysupgrade runs that this daemon did not start, or that it started before it was restarted.
     *
     * @param candidate the update that sysupgrade refused for that reason; it is tried again
     */
    record Busy(UpdateCandidate candidate) implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.WAIT;
        }

        @Override
        public Optional<UpdateCandidate> current() {
            return Optional.of(candidate);
        }
    }

    /**
     * An update is armed, and the device is about to reboot into it.
     *
     * @param txn the id of the update
     */
    record Armed(String txn) implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.REFUSE;
        }
    }

    /** A command has armed a slot; the device reboots when it is told to, by whom ever. */
    record ArmedByCommand() implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.REFUSE;
        }
    }

    /** The device is about to reboot because it was told to. */
    record Rebooting() implements UpdateState {
        @Override
        public Offer offer() {
            return Offer.REFUSE;
        }
    }
}
