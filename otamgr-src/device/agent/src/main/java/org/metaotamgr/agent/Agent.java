// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Duration;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.ProgressLine;
import org.metaotamgr.device.SlotStatus;

/**
 * Takes updates from a source into the inactive slot, step by step: check in, pick a target, pull, install, and after the
 * reboot finalise. When to do which step is up to the caller; see {@code docs/agent-api.md} for a whole agent.
 *
 * <p>Methods block, may be called from any thread, and refuse to run beside each other with
 * {@link ExitCode#IN_PROGRESS}. Each step can be repeated after a power cut at any time.
 */
public final class Agent implements AutoCloseable {
    private final UpdateSource source;
    private final AgentDevice device;
    private final TargetPolicy policy;
    private final Reports reports;
    private final CheckInStep checkIn;
    private final PullStep pull;
    private final InstallStep install;
    private final FinaliseStep finalise;
    private volatile Optional<LocalDateTime> nextCheck = Optional.empty();

    /** Whoever asks by itself says when it does again. */
    void checksAgainAt(LocalDateTime when) {
        nextCheck = Optional.of(when);
    }

    /**
     * When the source is asked again without a command.
     *
     * @return local time of the device; empty if only commands ask
     */
    public Optional<LocalDateTime> nextCheck() {
        return nextCheck;
    }

    /**
     * What people have to know about what the source said last.
     *
     * @return a sentence, if there is something
     */
    public Optional<String> remark() {
        return source.remark();
    }

    /**
     * Makes an agent.
     *
     * @param source where updates come from; closed together with the agent
     * @param device the device
     */
    public Agent(UpdateSource source, AgentDevice device) {
        this(source, device, System::nanoTime);
    }

    Agent(UpdateSource source, AgentDevice device, LongSupplier nanoTime) {
        this.source = source;
        this.device = device;
        AgentStore store = device.store();
        Callbacks callbacks = device.callbacks();
        SystemHistory history = device.history();
        EventLog log = device.log();
        this.policy = new TargetPolicy(source, store, history, device.failures());
        this.reports = new Reports(source, store, log);
        this.checkIn = new CheckInStep(source, policy, device.slots(), history, callbacks, reports, log);
        this.pull = new PullStep(source, store, device.fetching(), callbacks, reports, log, nanoTime);
        this.install = new InstallStep(
                source,
                pull,
                new InstallConditions(source, policy, reports, store, history, log),
                new InstallRecord(device.ids(), store, device.failures(), device.finalisation()),
                device.slots(),
                device.installer(),
                callbacks,
                reports,
                log);
        this.finalise = new FinaliseStep(
                device.slots(), device.trialDecision(), device.failures(), device.finalisation(), reports);
    }

    /** Judges whether a system on trial is good enough to be kept. */
    @FunctionalInterface
    public interface Health {
        /**
         * What is wrong with it.
         *
         * @param trial the slot on trial, and the update
         * @return why it is not healthy, in one line, or nothing if it is
         * @throws InterruptedException if the thread was interrupted
         */
        Optional<String> problem(SlotStatus trial) throws InterruptedException;
    }

    /** A step, which may wait for programs and servers. */
    private interface Step<T> {
        T run() throws InterruptedException;
    }

    private <T> T exclusively(Supplier<T> whenBusy, Step<T> step) throws InterruptedException {
        if (!device.busy().tryLock()) {
            return whenBusy.get();
        }
        try {
            return step.run();
        } finally {
            device.busy().unlock();
        }
    }

    /**
     * Asks the source what is offered, and picks what suits this device.
     *
     * @return what was found out
     * @throws InterruptedException if the thread was interrupted
     */
    public CheckInResult checkIn() throws InterruptedException {
        return exclusively(() -> CheckInStep.without(Result.of(ExitCode.IN_PROGRESS)), checkIn::run);
    }

    /**
     * A command names a target, so that it may be taken although somebody rolled back from it by hand.
     *
     * @param target what is named
     */
    public void named(Target target) {
        if (policy.wasLeft(target)) {
            device.history().forgetLeft();
        }
    }

    /**
     * Brings a target to the device, completely and verified.
     *
     * @param target what the source offered
     * @param progress receives the progress; what it throws ends the pull, and the part is kept
     * @return {@link ExitCode#OK}, or why not
     * @throws InterruptedException if the thread was interrupted; the part is kept
     */
    public Result pull(Target target, PullProgress progress) throws InterruptedException {
        return exclusively(
                () -> Result.of(ExitCode.IN_PROGRESS),
                () -> pull.run(target, device.callbacks().watched(target, progress)));
    }

    /**
     * Writes a target that was pulled into the inactive slot, and arms it. The device does not reboot by this.
     *
     * @param target a target that was pulled
     * @param progress receives the progress
     * @return {@link ExitCode#NEEDS_REBOOT} if it is armed, or why not
     * @throws InterruptedException if the thread was interrupted; sysupgrade goes on
     */
    public Result install(Target target, Consumer<ProgressLine> progress) throws InterruptedException {
        return install(target, progress, bytes -> {});
    }

    /**
     * As {@link #install(Target, Consumer)}, for whoever wants to know what is fetched for a target that is streamed.
     *
     * @param target a target that was pulled
     * @param progress receives the progress
     * @param fetching receives what is fetched meanwhile; what it throws ends the install, which can be tried again
     * @return {@link ExitCode#NEEDS_REBOOT} if it is armed, or why not
     * @throws InterruptedException if the thread was interrupted
     */
    public Result install(Target target, Consumer<ProgressLine> progress, PullProgress fetching)
            throws InterruptedException {
        return exclusively(
                        () -> new Attempt(Result.of(ExitCode.IN_PROGRESS)),
                        () -> install.run(target, Optional.empty(), progress, fetching))
                .result();
    }

    /**
     * How an install went.
     *
     * @param result as {@link Agent#install} tells it
     * @param txn the id of the update, or empty if nothing was begun
     * @param exitStatus the exit status of sysupgrade, if it was begun; -1 if it could not be started
     * @param reason why it failed, in one line, else empty
     * @param seen the boot state, if it was looked at after sysupgrade
     */
    public record Attempt(Result result, String txn, int exitStatus, String reason, Optional<SlotStatus> seen) {
        Attempt(Result result) {
            this(result, "", -1, "", Optional.empty());
        }
    }

    /**
     * As {@link #install}, for whoever knows the boot state and wants to know it afterwards.
     *
     * @param target a target that was pulled
     * @param known the boot state, if it is known
     * @param progress receives the progress
     * @return how it went
     * @throws InterruptedException if the thread was interrupted; sysupgrade goes on
     */
    public Attempt attempt(Target target, Optional<SlotStatus> known, Consumer<ProgressLine> progress)
            throws InterruptedException {
        return exclusively(
                () -> new Attempt(Result.of(ExitCode.IN_PROGRESS)),
                () -> install.run(target, known, progress, bytes -> {}));
    }

    /**
     * Finds out, after a reboot, what became of the update, and commits it if it runs and is healthy.
     *
     * @param health judges the system on trial; only asked during a trial
     * @return {@link ExitCode#OK} if the update is committed, {@link ExitCode#ROLLED_BACK}, {@link ExitCode#NEEDS_REBOOT}
     *     if it is armed, {@link ExitCode#IN_PROGRESS} if it is not healthy yet, {@link ExitCode#NOTHING_PENDING}
     * @throws InterruptedException if the thread was interrupted
     */
    public Result finalise(Health health) throws InterruptedException {
        return exclusively(() -> Result.of(ExitCode.IN_PROGRESS), () -> finalise.run(health));
    }

    /**
     * Arms the system in the inactive slot, so that the next reboot starts it on trial.
     *
     * @return {@link ExitCode#ROLLBACK_NEEDS_REBOOT} if it is armed, or why not
     * @throws InterruptedException if the thread was interrupted
     */
    public Result rollback() throws InterruptedException {
        return exclusively(() -> Result.of(ExitCode.IN_PROGRESS), device.history()::rollback);
    }

    /**
     * What was pulled completely and waits to be installed.
     *
     * @return the targets
     */
    public List<Target> pulled() {
        return device.store().pulled();
    }

    /**
     * Tells the source about updates whose end it does not know yet, for example because it was noticed by somebody else
     * than {@link #finalise}. Done at each check-in, too. What cannot be reported now stays to be reported.
     *
     * @throws InterruptedException if the thread was interrupted
     */
    public void tellEnds() throws InterruptedException {
        exclusively(() -> false, () -> {
            reports.deliver();
            return true;
        });
    }

    /**
     * How long an update that a callback put off waits.
     *
     * @return the time
     */
    Duration vetoWait() {
        return device.callbacks().vetoWait();
    }

    /**
     * Whether a system on trial should only be kept once the source has answered it.
     *
     * @return whether the source is somewhere else
     */
    public boolean isRemote() {
        return source.isRemote();
    }

    /**
     * Whether the source waits for a report how an update has ended, or is going on.
     *
     * @return whether it does
     */
    boolean isAwaited() {
        AgentState state = device.store().state();
        return state.pending().isPresent() || !state.unreported().isEmpty();
    }

    /**
     * Whether a pull may need less than the whole target, and says how much, see {@link UpdateSource#looksForRoom}.
     *
     * @return whether it does
     */
    boolean saysWhatIsNeeded() {
        return source.looksForRoom();
    }

    /**
     * The name of the source.
     *
     * @return its name
     */
    public String sourceName() {
        return source.name();
    }

    /** Lets go of the source. */
    @Override
    public void close() {
        source.close();
    }
}
