// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Clock;
import java.time.ZoneId;
import java.util.concurrent.locks.ReentrantLock;
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
 * @param history what runs, what ran, and what was left by hand
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
        SystemHistory history,
        Finalisation finalisation,
        Clock clock,
        EventLog log,
        Fetching fetching,
        ReentrantLock busy) {
    /**
     * Who decides whether a trial is committed.
     *
     * @return the one place for it
     */
    public TrialDecision trialDecision() {
        return new TrialDecision(slots, finalisation, log);
    }

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
        Slots slots = new Slots(config.otaSlot(), programs, log);
        SystemHistory history = new SystemHistory(store, slots, facts, log);
        Callbacks callbacks = new Callbacks(
                config.callbacks(),
                programs,
                store.currentTarget(),
                () -> history.installed().name(),
                log);
        return new AgentDevice(
                store,
                slots,
                new Installer(config.sysupgrade(), programs, log),
                new OtaVerify(config.otaVerify(), programs),
                callbacks,
                new FailedUpdates(config.retry(), files, clock, boot, log),
                new TransactionIds(clock, random),
                facts,
                history,
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
}
