// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.SlotStatus;

/** What runs on the device, what came before it, and what somebody rolled back from by hand. */
public final class SystemHistory {
    /** What the ids of {@code ota-slot rollback} begin with. */
    public static final String ROLLBACK = "rollback-";

    /**
     * What ran before somebody rolled back by hand.
     *
     * @param version its version, or empty if that is unknown
     * @param id the id of its target, or empty if it came by no update that is remembered
     */
    public record LeftByHand(String version, String id) {}

    private final AgentStore store;
    private final Slots slots;
    private final SystemFacts facts;
    private final EventLog log;

    SystemHistory(AgentStore store, Slots slots, SystemFacts facts, EventLog log) {
        this.store = store;
        this.slots = slots;
        this.facts = facts;
        this.log = log;
    }

    /**
     * What runs on the device, as far as files tell.
     *
     * @return the installed system, without the floor
     */
    public InstalledSystem installed() {
        Optional<String> version = facts.version();
        Optional<String> compatible = facts.compatible();
        // Somebody may have installed another one by hand since.
        Optional<Target> remembered = store.state()
                .installed()
                .map(AgentState.Installed::target)
                .filter(target ->
                        version.isEmpty() || new Version(version.get()).isSame(new Version(target.version())));
        Optional<String> name =
                remembered.map(Target::name).or(() -> version.map(text -> Target.nameOf(compatible, text)));
        return new InstalledSystem(
                name, version.or(() -> remembered.map(Target::version)), compatible, Optional.empty());
    }

    /**
     * Arms the system in the inactive slot, so that the next reboot starts it on trial.
     *
     * @return {@link ExitCode#ROLLBACK_NEEDS_REBOOT} if it is armed, or why not
     * @throws InterruptedException if the thread was interrupted
     */
    public Result rollback() throws InterruptedException {
        Slots.Report answer = slots.rollback();
        if (answer.exitStatus() == 0) {
            noteRollback(slots.status());
        }
        return new Result(
                switch (answer.exitStatus()) {
                    case 0 -> ExitCode.ROLLBACK_NEEDS_REBOOT;
                    case 4, 12 -> ExitCode.IN_PROGRESS;
                    case 5 -> ExitCode.NO_ROLLBACK_TARGET;
                    default -> ExitCode.ROLLBACK_FAILED;
                },
                answer.message());
    }

    /**
     * Remembers what somebody rolls back from by hand, with whatever program and also while no daemon ran: it is not to
     * be installed again by itself.
     *
     * @param status the boot state
     */
    public void noteRollback(SlotStatus status) {
        if (!status.txn().startsWith(ROLLBACK)
                || store.state()
                        .left()
                        .filter(left -> left.txn().equals(status.txn()))
                        .isPresent()) {
            return;
        }
        Optional<AgentState.Installed> remembered = store.state().installed();
        Optional<String> running = facts.version();
        String id = remembered.map(one -> one.target().id()).orElse("");
        String version = remembered.map(one -> one.target().version()).orElse("");
        switch (status.state()) {
            case ARMED -> {
                // What runs is about to be left.
                if (running.isPresent() && !running.get().equals(version)) {
                    id = "";
                    version = running.get();
                }
            }
            case COMMITTED -> {
                // Nobody saw it being armed: what was installed last, if that is not what runs.
                if (remembered.isEmpty() || running.isEmpty() || running.get().equals(version)) {
                    return;
                }
            }
            default -> {
                return;
            }
        }
        AgentState.Left left = new AgentState.Left(version, id, status.txn());
        store.change(state -> state.withLeft(Optional.of(left)));
        log.info("left_by_hand:version=" + version + ",txn=" + status.txn()
                + ",meaning=it is not installed again by itself");
    }

    /**
     * What somebody rolled back from by hand.
     *
     * @return it, or empty
     */
    public Optional<LeftByHand> left() {
        return store.state()
                .left()
                .filter(left -> !left.version().isEmpty() || !left.id().isEmpty())
                .map(left -> new LeftByHand(left.version(), left.id()));
    }

    /** A command names a target: what was left by hand may be installed again. */
    void forgetLeft() {
        // The rollback itself stays known: it is not to be noted once more.
        store.change(state -> state.withLeft(state.left().map(left -> new AgentState.Left("", "", left.txn()))));
    }

    /**
     * Whether the update that was committed last, and runs, has this id.
     *
     * @param id the id of a target
     * @return whether it has
     */
    public boolean isInstalled(String id) {
        AgentState state = store.state();
        return state.left().isEmpty()
                && state.installed().filter(one -> one.target().id().equals(id)).isPresent();
    }
}
