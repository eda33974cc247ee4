// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Clock;
import java.util.Optional;
import java.util.function.IntSupplier;

import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.ProcessRunner;
import org.metaotamgr.device.Programs;
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
 */
public record AgentDevice(AgentStore store, Slots slots, Installer installer, Verifier verifier, Callbacks callbacks,
        FailedUpdates failures, TransactionIds ids, SystemFacts facts, Finalisation finalisation, Clock clock,
        EventLog log) {
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
    public static AgentDevice of(AgentConfig config, SystemFacts facts, ProcessRunner runner, FileOperations files,
            Clock clock, BootClock boot, IntSupplier random, EventLog log) {
        Programs programs = new Programs(runner);
        AgentStore store = new AgentStore(config.storage(), files, log);
        Callbacks callbacks = new Callbacks(config.callbacks(), programs, store.currentTarget(),
                () -> installed(store, facts).name(), log);
        return new AgentDevice(store, new Slots(config.otaSlot(), programs, log),
                new Installer(config.sysupgrade(), programs, log), new OtaVerify(config.otaVerify(), programs), callbacks,
                new FailedUpdates(config.retry(), files, clock, boot, log), new TransactionIds(clock, random), facts,
                new Finalisation(store, callbacks, boot.bootId(), log), clock, log);
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
        return of(config, SystemFacts.OF_DEVICE, new SystemProcessRunner(log), new FileOperations.Real(),
                Clock.systemDefaultZone(), new BootClock.Kernel(), random, log);
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
     * Arms the system in the other slot, so that the next reboot starts it on trial.
     *
     * @return {@link ExitCode#ROLLBACK_NEEDS_REBOOT} if it is armed, or why not
     * @throws InterruptedException if the thread was interrupted
     */
    public Result rollback() throws InterruptedException {
        Slots.Answer answer = slots.rollback();
        return new Result(switch (answer.exitStatus()) {
            case 0 -> ExitCode.ROLLBACK_NEEDS_REBOOT;
            case 4, 12 -> ExitCode.IN_PROGRESS;
            case 5 -> ExitCode.NO_ROLLBACK_TARGET;
            default -> ExitCode.ROLLBACK_FAILED;
        }, answer.message());
    }

    private static InstalledSystem installed(AgentStore store, SystemFacts facts) {
        Optional<String> version = facts.version();
        Optional<String> compatible = facts.compatible();
        // Somebody may have installed another one by hand since.
        Optional<Target> remembered = store.state().installed().map(AgentState.Installed::target)
                .filter(target -> version.isEmpty() || version.get().equals(target.version()));
        Optional<String> name = remembered.map(Target::name)
                .or(() -> version.map(text -> compatible.map(board -> board + "-").orElse("") + text));
        return new InstalledSystem(name, version.or(() -> remembered.map(Target::version)), compatible,
                Optional.empty());
    }
}
