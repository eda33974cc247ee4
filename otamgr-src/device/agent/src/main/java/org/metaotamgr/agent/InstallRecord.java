// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;

/** What is remembered of an install, from before anything is written, so that whatever ends this process, the next one knows. */
final class InstallRecord {
    private final TransactionIds ids;
    private final AgentStore store;
    private final FailedUpdates failures;
    private final Finalisation finalisation;

    InstallRecord(TransactionIds ids, AgentStore store, FailedUpdates failures, Finalisation finalisation) {
        this.ids = ids;
        this.store = store;
        this.failures = failures;
        this.finalisation = finalisation;
    }

    /**
     * An install that has begun.
     *
     * @param txn its id
     * @param earlier what was pending before
     */
    record Begun(String txn, Optional<AgentState.Pending> earlier) {}

    Begun begin(Target target, String fromSlot, String source) {
        Begun begun = new Begun(ids.next(target.id()), store.state().pending());
        failures.starting(begun.txn(), target.id(), fromSlot);
        finalisation.started(target, begun.txn(), fromSlot, source);
        return begun;
    }

    /** It came to nothing, and that is no fault of the update. */
    void notArmed(String txn) {
        failures.notArmed(txn);
        finalisation.notArmed(txn);
    }

    /** Somebody else writes; that may be what an agent began that has ended since. */
    void busy(Begun begun) {
        finalisation.notArmed(begun.txn());
        store.change(state -> state.withPending(begun.earlier()));
        failures.notArmed(begun.txn());
    }

    /** It came to nothing, and counts as a failure of the update. */
    void refused(String txn, String reason) {
        failures.refused(txn, reason);
        finalisation.notArmed(txn);
    }
}
