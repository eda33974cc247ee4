// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Clock;
import java.time.ZoneId;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.IntSupplier;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.ProcessRunner;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.SystemProcessRunner;

/**
 * The device as an agent sees it.
 *
 * @param store its folder
 * @param slots the slots
 * @param installer writes updates
 * @param verifier checks signatures
 * @param callbacks the product's handler
 * @param failures remembers which updates failed
 * @param ids makes the ids of updates
 * @param facts what the running system says of itself
 * @param finalisation follows updates across the reboot
 * @param clock the time of day; it may be wrong
 * @param log where to tell about everything
 * @param fetching how updates come to it
 * @param busy held by the step that an agent does, one at a time, whatever source it has
 */
public record AgentDevice(
        AgentStore store,
        Slots slots,
        Installer installer,
        Verifier verifier,
        Callbacks callbacks,
        FailedUpdates failures,
        TransactionIds ids,
        SystemFacts facts,
        Finalisation finalisation,
        Clock clock,
        EventLog log,
        Fetching fetching,
        ReentrantLock busy) {
    /** What the ids of {@code ota-slot rollback} begin with. */
    public static final String ROLLBACK = "rollback-";

    /**
     * What ran before somebody rolled back by hand.
     *
     * @param version its version, or empty if that is unknown
     * @param id the id of its target, or empty if it came by no update that is remembered
     */
    public record LeftByHand(String version, String id) {}

    /**
     * A device made of exchangeable parts.
     *
     * @param config the programs and folders
     * @param facts what the running system says of itself
     * @param runner starts programs
     * @param files the steps of durable writes
     * @param clock the time of day
     * @param boot the time since power-on
     * @param random random numbers, for ids
     * @param log where to tell about everything
     * @return the device
     */
    public static AgentDevice of(
            AgentConfig config,
            SystemFacts facts,
            ProcessRunner runner,
            FileOperations files,
            Clock clock,
            BootClock boot,
            IntSupplier random,
            EventLog log) {
        return of(config, facts, new Programs(runner), files, clock, boot, random, log);
    }

    /**
     * A device made of exchangeable parts.
     *
     * @param config the programs and folders
     * @param facts what the running system says of itself
     * @param programs runs programs
     * @param files the steps of durable writes
     * @param clock the time of day
     * @param boot the time since power-on
     * @param random random numbers, for ids
     * @param log where to tell about everything
     * @return the device
     */
    public static AgentDevice of(
            AgentConfig config,
            SystemFacts facts,
            Programs programs,
            FileOperations files,
            Clock clock,
            BootClock boot,
            IntSupplier random,
            EventLog log) {
        AgentStore store = new AgentStore(config.storage(), files, log);
        Callbacks callbacks = new Callbacks(
                config.callbacks(),
                programs,
                store.currentTarget(),
                () -> installed(store, facts).name(),
                log);
        return new AgentDevice(
                store,
                new Slots(config.otaSlot(), programs, log),
                new Installer(config.sysupgrade(), programs, log),
                new OtaVerify(config.otaVerify(), programs),
                callbacks,
                new FailedUpdates(config.retry(), files, clock, boot, log),
                new TransactionIds(clock, random),
                facts,
                new Finalisation(store, callbacks, boot.bootId(), log),
                clock,
                log,
                config.fetching(),
                new ReentrantLock());
    }

    /**
     * The real device.
     *
     * @param config the programs and folders
     * @param random random numbers, for ids
     * @param log where to tell about everything
     * @return the device
     */
    public static AgentDevice real(AgentConfig config, IntSupplier random, EventLog log) {
        return of(
                config,
                SystemFacts.OF_DEVICE,
                new SystemProcessRunner(log),
                new FileOperations.Real(),
                Clock.system(ZoneId.systemDefault()),
                new BootClock.Kernel(),
                random,
                log);
    }

    /**
     * What runs on the device, as far as files tell.
     *
     * @return the installed system, without the floor
     */
    public InstalledSystem installed() {
        return installed(store, facts);
    }

    /**
     * Arms the system in the inactive slot, so that the next reboot starts it on trial.
     *
     * @return {@link ExitCode#ROLLBACK_NEEDS_REBOOT} if it is armed, or why not
     * @throws InterruptedException if the thread was interrupted
     */
    public Result rollback() throws InterruptedException {
        Slots.Answer answer = slots.rollback();
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

    private static InstalledSystem installed(AgentStore store, SystemFacts facts) {
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
}
