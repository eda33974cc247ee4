// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.SlotStatus;

/**
 * Follows an update from its install across the reboot to its end, and tells the product's handler and the source about
 * it. The update may have come from any source, hubby included. May be used from any thread; calls wait for the handler.
 */
public final class Finalisation {
    private final AgentStore store;
    private final Callbacks callbacks;
    private final String bootId;
    private final EventLog log;
    private String announced = "";
    private volatile Runnable listener = () -> {};

    Finalisation(AgentStore store, Callbacks callbacks, String bootId, EventLog log) {
        this.store = store;
        this.callbacks = callbacks;
        this.bootId = bootId;
        this.log = log;
    }

    /**
     * Sets who gets a report that an update of an agent has come to its end, so that its source need not wait for the next check.
     *
     * @param told called on the thread that notices; cheap
     */
    public void onEnd(Runnable told) {
        listener = told;
    }

    /**
     * An update is about to be written.
     *
     * @param target what
     * @param txn its id
     * @param fromSlot the slot that runs, or empty if unknown
     * @param source the name of the source it came from
     */
    public void started(Target target, String txn, String fromSlot, String source) {
        store.change(
                state -> state.withPending(Optional.of(new AgentState.Pending(target, txn, fromSlot, source, bootId))));
    }

    /**
     * It was not armed.
     *
     * @param txn its id
     */
    public void notArmed(String txn) {
        store.change(state ->
                state.pending().filter(update -> update.txn().equals(txn)).isPresent()
                        ? state.withPending(Optional.empty())
                        : state);
    }

    /**
     * Tells the handler that an update is about to be finalised, once for each update and process.
     *
     * @param status the boot state
     * @throws InterruptedException if the thread was interrupted
     */
    public synchronized void announce(SlotStatus status) throws InterruptedException {
        Optional<AgentState.Pending> pending = store.state().pending();
        if (pending.isEmpty() || announced.equals(pending.get().txn())) {
            return;
        }
        switch (outcome(pending.get(), status)) {
            case ON_TRIAL, COMMITTED, ROLLED_BACK -> {
                announced = pending.get().txn();
                callbacks.call(
                        Callbacks.Message.INSTALL_FINAL_PRE,
                        Optional.of(pending.get().target().name()),
                        Optional.empty());
            }
            case NEVER_ARMED, ARMED, UNKNOWN -> {
                return;
            }
        }
    }

    /**
     * Ends the pending update if the boot state says that it has ended.
     *
     * @param status the boot state
     * @return whether it did; {@link #last()} says how
     * @throws InterruptedException if the thread was interrupted
     */
    public synchronized boolean settle(SlotStatus status) throws InterruptedException {
        Optional<AgentState.Pending> pending = store.state().pending();
        if (pending.isEmpty()) {
            return false;
        }
        AgentState.Pending update = pending.get();
        switch (outcome(update, status)) {
            case COMMITTED -> {
                announce(status);
                store.writeCurrentTarget(update.target());
                end(update, new AgentState.Last(update.target(), false, "", bootId), new UpdateEvent.Done());
                log.info("ota_finalised:txn=" + update.txn() + ",target="
                        + update.target().name());
                callbacks.call(
                        Callbacks.Message.INSTALL_POST,
                        Optional.of(update.target().name()),
                        Optional.of(new Callbacks.Result.Ok()));
                return true;
            }
            case ROLLED_BACK -> {
                announce(status);
                String reason = UpdateOutcome.reason(update.txn(), status);
                end(update, new AgentState.Last(update.target(), true, reason, bootId), new UpdateEvent.Failed(reason));
                log.warning("ota_rolled_back:txn=" + update.txn() + ",target="
                        + update.target().name() + ",reason=" + reason);
                callbacks.call(
                        Callbacks.Message.INSTALL_POST,
                        Optional.of(update.target().name()),
                        Optional.of(new Callbacks.Result.Failed(reason)));
                return true;
            }
            case NEVER_ARMED -> {
                if (update.bootId().equals(bootId)) {
                    // sysupgrade may still be writing; it outlives a daemon, but no reboot.
                    return false;
                }
                // A power cut while the slot was written: what was pulled is still there, and installed again.
                log.warning("ota_interrupted:txn=" + update.txn() + ",target="
                        + update.target().name() + ",meaning=it was not written to its end; it may be installed again");
                store.change(state -> state.withPending(Optional.empty()));
                return true;
            }
            case ARMED, ON_TRIAL, UNKNOWN -> {
                return false;
            }
        }
        throw new IllegalStateException("every outcome was looked at");
    }

    private static UpdateOutcome outcome(AgentState.Pending update, SlotStatus status) {
        return UpdateOutcome.of(update.txn(), update.fromSlot(), status);
    }

    private void end(AgentState.Pending update, AgentState.Last last, UpdateEvent event) {
        store.remove(update.target());
        store.change(state -> {
            AgentState finished = state.finished(last);
            return update.source().equals(AgentConfig.HUBBY)
                    ? finished
                    : finished.withUnreported(new AgentState.Unreported(update.source(), update.target(), event));
        });
        listener.run();
    }

    /**
     * The update that has not come to its end.
     *
     * @return its target, or empty
     */
    public Optional<Target> pending() {
        return store.state().pending().map(AgentState.Pending::target);
    }

    /**
     * Whether an update is pending that an agent has taken from a source, other than hubby's.
     *
     * @param txn the id of an update
     * @return whether it has this id
     */
    public boolean isOfAgent(String txn) {
        return store.state()
                .pending()
                .filter(update -> update.txn().equals(txn) && !update.source().equals(AgentConfig.HUBBY))
                .isPresent();
    }

    /**
     * How the last update ended, whenever that was.
     *
     * @return a sentence, or empty if there was none
     */
    public Optional<String> lastEnd() {
        return store.state()
                .last()
                .map(end -> end.target().name()
                        + (end.rolledBack() ? " was rolled back: " + end.reason() : " was installed and committed"));
    }

    /**
     * How the update ended whose end was noticed since this boot.
     *
     * @return {@link ExitCode#OK} or {@link ExitCode#ROLLED_BACK}; {@link ExitCode#NOTHING_PENDING} if there was none
     */
    public Result last() {
        Optional<AgentState.Last> last =
                store.state().last().filter(one -> one.bootId().equals(bootId));
        if (last.isEmpty()) {
            return Result.of(ExitCode.NOTHING_PENDING);
        }
        AgentState.Last end = last.get();
        return end.rolledBack()
                ? new Result(ExitCode.ROLLED_BACK, end.target().name() + ": " + end.reason())
                : new Result(ExitCode.OK, end.target().name() + " is installed");
    }
}
