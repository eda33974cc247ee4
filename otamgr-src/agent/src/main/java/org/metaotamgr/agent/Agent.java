// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

import org.metaotamgr.agent.Callbacks.Message;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.ProgressLine;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.SysupgradeExit;

/**
 * Takes updates from a source to the other slot, step by step: check in, pick a target, pull, install, and after the
 * reboot finalise. When to do which step is up to the caller; see {@code docs/agent-api.md} for a whole agent.
 *
 * <p>Methods block, may be called from any thread, and refuse to run beside each other with
 * {@link ExitCode#IN_PROGRESS}. Each step can be repeated after a power cut at any time.
 */
public final class Agent implements AutoCloseable {
    private static final long REPORT_NANOS = TimeUnit.SECONDS.toNanos(5);
    /** What the file system needs beside the update. */
    private static final long SPARE_BYTES = 1 << 20;
    /** How often a pull may bring something else than the update before its source hears that it failed: some two hours. */
    private static final int MAX_TRIES = 8;

    private final UpdateSource source;
    private final AgentDevice device;
    private final LongSupplier nanoTime;
    private final EventLog log;

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
        this.nanoTime = nanoTime;
        this.log = device.log();
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
    public CheckIn checkIn() throws InterruptedException {
        return exclusively(() -> without(Result.of(ExitCode.IN_PROGRESS)), this::checkInNow);
    }

    private static CheckIn without(Result result) {
        return new CheckIn(result, List.of(), Optional.empty(), Optional.empty());
    }

    private CheckIn checkInNow() throws InterruptedException {
        deliver();
        if (!source.isPushing() && !device.callbacks().call(Message.CHECK_FOR_UPDATE_PRE, Optional.empty(), Optional.empty())) {
            return without(putOff());
        }
        CheckIn found;
        try {
            InstalledSystem installed = installed();
            found = judge(source.check(installed), installed);
        } catch (SourceException e) {
            log.warning("check_failed:source=" + source.name() + ",reason=" + e.reason() + ",error=" + e.getMessage());
            device.callbacks().call(Message.CHECK_FOR_UPDATE_POST, Optional.empty(),
                    Optional.of(new Callbacks.Result.Failed(e.getMessage())));
            return without(Result.of(e));
        }
        log.info("check:source=" + source.name() + ",offers=" + found.offers().size() + ",code="
                + found.result().code().status() + ",meaning=" + found.result().message());
        device.callbacks().call(Message.CHECK_FOR_UPDATE_POST, found.selected().map(Target::name),
                Optional.of(found.result().isSuccess() ? new Callbacks.Result.Ok()
                        : new Callbacks.Result.Failed(found.result().message())));
        return found;
    }

    private static Result putOff() {
        return new Result(ExitCode.DEFERRED, "a callback put it off");
    }

    private InstalledSystem installed() throws InterruptedException {
        InstalledSystem known = device.installed();
        if (source.isPushing()) {
            // Whoever pushes does not ask what runs, and no rule of ours is about it.
            return known;
        }
        SlotStatus status = device.slots().status();
        device.noteRollback(status);
        return new InstalledSystem(known.name(), known.version(), known.compatible(), status.floor());
    }

    private CheckIn judge(CheckResult answer, InstalledSystem installed) throws InterruptedException {
        if (answer instanceof CheckResult.Nothing nothing) {
            return new CheckIn(new Result(ExitCode.OK, "up to date"), List.of(), Optional.empty(), nothing.askAgain());
        } else if (answer instanceof CheckResult.Waiting waiting) {
            return new CheckIn(new Result(ExitCode.OK, "waiting: " + Printable.of(waiting.reason())), List.of(),
                    Optional.empty(), waiting.askAgain());
        } else if (answer instanceof CheckResult.Offers offers) {
            return judge(offers, installed);
        }
        throw new IllegalArgumentException(answer.toString());
    }

    private CheckIn judge(CheckResult.Offers answer, InstalledSystem installed) throws InterruptedException {
        List<CheckIn.Offer> offers = new ArrayList<>();
        answer.targets().stream()
                .sorted(Comparator.comparing((Target target) -> new Version(target.version()), Version.OLDEST_FIRST).reversed())
                .forEach(target -> offers.add(new CheckIn.Offer(target, refusal(target, installed))));
        Optional<Target> selected = offers.stream().filter(offer -> offer.refusal().isEmpty())
                .map(CheckIn.Offer::target).findFirst();
        Result result;
        if (selected.isPresent()) {
            result = new Result(ExitCode.NEW_VERSION, selected.get().name() + " is available");
        } else if (offers.stream().anyMatch(offer -> code(offer) == ExitCode.ALREADY_INSTALLED)) {
            result = new Result(ExitCode.OK, "up to date");
        } else {
            // The newest one says best why there is nothing.
            result = offers.get(0).refusal().orElseThrow();
        }
        if (source.isAssigning() && !result.isSuccess() && !isWorthWaiting(result)) {
            report(offers.get(0).target(), new UpdateEvent.Rejected(result.message()));
        } else if (source.isAssigning() && selected.isEmpty() && result.code() == ExitCode.OK) {
            // Assigned once more, or the word that it is done got lost.
            report(offers.get(0).target(), new UpdateEvent.Done());
        }
        return new CheckIn(result, offers, selected, answer.askAgain());
    }

    private static ExitCode code(CheckIn.Offer offer) {
        return offer.refusal().map(Result::code).orElse(ExitCode.NEW_VERSION);
    }

    private static boolean isWorthWaiting(Result refusal) {
        return refusal.code() == ExitCode.DEFERRED;
    }

    /** Why this device does not take a target, if it does not. */
    private Optional<Result> refusal(Target target, InstalledSystem installed) {
        if (source.isPushing()) {
            return leftByHand(target).or(() -> knownBad(target));
        }
        if (target.compatible().isPresent() && installed.compatible().isPresent()
                && !target.compatible().equals(installed.compatible())) {
            return Optional.of(new Result(ExitCode.NO_MATCHING_TARGET, target.name() + ": expected an update for "
                    + installed.compatible().get() + ", found one for " + target.compatible().get()));
        }
        Version version = new Version(target.version());
        if (installed.floor().isPresent() && version.compareTo(new Version(installed.floor().get())) < 0) {
            return Optional.of(new Result(ExitCode.DOWNGRADE_REFUSED, target.name() + ": expected at least version "
                    + installed.floor().get() + ", found " + target.version()));
        }
        Optional<String> known = device.store().state().installed().map(AgentState.Installed::target)
                .filter(one -> installed.name().equals(Optional.of(one.name()))).map(Target::id);
        boolean isSameVersion = installed.version().filter(one -> new Version(one).isSame(version)).isPresent();
        // What a server assigns may be another build of the same version; that it runs is only said of one that was pulled.
        if (known.filter(target.id()::equals).isPresent() || isSameVersion && !source.isAssigning()) {
            return Optional.of(new Result(ExitCode.ALREADY_INSTALLED, target.name() + " is installed already"));
        }
        if (!source.isAssigning() && installed.version().isPresent()) {
            Version running = new Version(installed.version().get());
            if (version.compareTo(running) < 0) {
                return Optional.of(new Result(ExitCode.DOWNGRADE_REFUSED, target.name() + " is older than version "
                        + running.text() + ", which runs"));
            }
            if (Version.OLDEST_FIRST.compare(version, running) <= 0) {
                // Else a release and its candidate would replace each other for ever.
                return Optional.of(new Result(ExitCode.ALREADY_INSTALLED, target.name() + " is not newer than version "
                        + running.text() + ", which runs"));
            }
        }
        Optional<Result> left = source.isAssigning() ? Optional.empty() : leftByHand(target);
        return left.or(() -> knownBad(target));
    }

    private Optional<Result> leftByHand(Target target) {
        return !wasLeft(target) ? Optional.empty() : Optional.of(new Result(ExitCode.LEFT_BY_HAND, target.name()
                + ": the device was rolled back from " + device.left().orElseThrow().version()
                + " by hand; name this target in a command to install it"));
    }

    private boolean wasLeft(Target target) {
        return device.left().filter(left -> left.id().equals(target.id())
                || !source.isPushing() && !left.version().isEmpty()
                && new Version(target.version()).compareTo(new Version(left.version())) <= 0).isPresent();
    }

    /**
     * A command names a target, so that it may be taken although somebody rolled back from it by hand.
     *
     * @param target what is named
     */
    public void named(Target target) {
        if (wasLeft(target)) {
            device.forgetLeft();
        }
    }

    private Optional<Result> knownBad(Target target) {
        FailedUpdates.Verdict verdict = device.failures().verdict(target.id());
        return switch (verdict.decision()) {
            case INSTALL -> Optional.empty();
            case REFUSE -> Optional.of(new Result(ExitCode.KNOWN_BAD, verdict.reason()));
            case WAIT -> Optional.of(new Result(ExitCode.DEFERRED, verdict.reason() + "; it may be tried again in "
                    + verdict.remaining().toSeconds() + " s"));
        };
    }

    /**
     * Brings a target to the device, completely and proven.
     *
     * @param target what the source offered
     * @param progress told how far it is; what it throws ends the pull, and the part is kept
     * @return {@link ExitCode#OK}, or why not
     * @throws InterruptedException if the thread was interrupted; the part is kept
     */
    public Result pull(Target target, PullProgress progress) throws InterruptedException {
        return exclusively(() -> Result.of(ExitCode.IN_PROGRESS), () -> pullNow(target, progress));
    }

    private Result pullNow(Target target, PullProgress progress) throws InterruptedException {
        if (device.store().fileOf(target).isPresent()) {
            return new Result(ExitCode.OK, target.name() + " was pulled already");
        }
        if (source.isPushing()) {
            return handOver(target, progress);
        }
        if (!device.callbacks().call(Message.DOWNLOAD_PRE, Optional.of(target.name()), Optional.empty())) {
            return putOff();
        }
        Result result;
        try {
            device.store().keepOnly(target);
            Path folder = device.store().folderFor(target);
            needRoom(target, folder);
            report(target, new UpdateEvent.Pulling(Math.min(source.there(target, folder), target.bytes()), target.bytes()));
            long[] reported = {nanoTime.getAsLong()};
            Path file = source.pull(target, folder, bytes -> {
                progress.pulled(bytes);
                if (nanoTime.getAsLong() - reported[0] >= REPORT_NANOS) {
                    reported[0] = nanoTime.getAsLong();
                    reportWhilePulling(target, bytes);
                }
            });
            device.store().pulled(target, file);
            result = new Result(ExitCode.OK, target.name() + " is pulled");
            log.info("pulled:target=" + target.name() + ",bytes=" + target.bytes());
        } catch (SourceException e) {
            result = Result.of(e);
        } catch (IOException e) {
            result = new Result(ExitCode.DOWNLOAD_FAILED, device.store().folder() + ": " + Printable.of(e.toString()));
        }
        boolean isPulled = result.code() == ExitCode.OK;
        if (!isPulled) {
            log.warning("pull_failed:target=" + target.name() + ",code=" + result.code().status() + ",error="
                    + result.message());
        }
        device.callbacks().call(Message.DOWNLOAD_POST, Optional.of(target.name()),
                Optional.of(isPulled ? new Callbacks.Result.Ok() : new Callbacks.Result.Failed(result.message())));
        if (isPulled) {
            report(target, new UpdateEvent.Pulled());
        } else if (result.code() == ExitCode.CANCELLED) {
            device.store().remove(target);
            report(target, new UpdateEvent.Cancelled());
        } else if (isOver(target, result)) {
            report(target, new UpdateEvent.Failed(result.message()));
        }
        return result;
    }

    /** What was pushed lies on the device already, and stays where it is. */
    private Result handOver(Target target, PullProgress progress) throws InterruptedException {
        Result result;
        try {
            source.pull(target, device.store().folder(), progress);
            result = new Result(ExitCode.OK, target.name() + " is pulled");
        } catch (SourceException e) {
            result = Result.of(e);
        }
        device.callbacks().call(Message.DOWNLOAD_POST, Optional.of(target.name()), Optional.of(
                result.code() == ExitCode.OK ? new Callbacks.Result.Ok() : new Callbacks.Result.Failed(result.message())));
        return result;
    }

    private Optional<Path> fileOf(Target target) throws InterruptedException {
        if (!source.isPushing()) {
            return device.store().fileOf(target);
        }
        try {
            return Optional.of(source.pull(target, device.store().folder(), bytes -> { }));
        } catch (SourceException e) {
            log.warning("pull_failed:target=" + target.name() + ",error=" + e.getMessage());
            return Optional.empty();
        }
    }

    /** Whether a pull that failed is not worth another try. */
    private boolean isOver(Target target, Result failed) {
        if (failed.problem().isEmpty()) {
            return true;
        }
        SourceException.Reason reason = failed.problem().get().reason();
        if (!reason.isCounted()) {
            return !reason.isTransient();
        }
        int tries = device.store().failedAgain(target);
        log.info("pull_again:target=" + target.name() + ",tries=" + tries + ",most=" + MAX_TRIES + ",reason=" + reason);
        if (tries < MAX_TRIES) {
            return false;
        }
        // Should it be offered once more, it gets as many tries.
        device.store().forgetTries(target);
        return true;
    }

    private static void needRoom(Target target, Path folder) throws IOException, SourceException {
        long there = 0;
        try (var parts = Files.newDirectoryStream(folder)) {
            for (Path part : parts) {
                there += Files.size(part);
            }
        }
        long needed = target.bytes() - there + SPARE_BYTES;
        long free = Files.getFileStore(folder).getUsableSpace();
        if (needed > free) {
            throw new SourceException(SourceException.Reason.NO_SPACE, target.name() + ": expected " + needed
                    + " free bytes in " + folder + ", found " + free);
        }
    }

    /** In the middle of a pull the source speaks to its server by itself, and a failed word is not worth a pull. */
    private void reportWhilePulling(Target target, long bytes) throws SourceException {
        try {
            report(target, new UpdateEvent.Pulling(bytes, target.bytes()));
        } catch (InterruptedException e) {
            // The source notices at its next step.
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Writes a target that was pulled to the other slot, and arms it. The device does not reboot by this.
     *
     * @param target a target that was pulled
     * @param progress told how far it is
     * @return {@link ExitCode#NEEDS_REBOOT} if it is armed, or why not
     * @throws InterruptedException if the thread was interrupted; sysupgrade goes on
     */
    public Result install(Target target, Consumer<ProgressLine> progress) throws InterruptedException {
        return attempt(target, Optional.empty(), progress).result();
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
        private Attempt(Result result) {
            this(result, "", -1, "", Optional.empty());
        }
    }

    /**
     * As {@link #install}, for whoever knows the boot state and wants to know it afterwards.
     *
     * @param target a target that was pulled
     * @param known the boot state, if it is known
     * @param progress told how far it is
     * @return how it went
     * @throws InterruptedException if the thread was interrupted; sysupgrade goes on
     */
    public Attempt attempt(Target target, Optional<SlotStatus> known, Consumer<ProgressLine> progress)
            throws InterruptedException {
        return exclusively(() -> new Attempt(Result.of(ExitCode.IN_PROGRESS)), () -> installNow(target, known, progress));
    }

    private Attempt installNow(Target target, Optional<SlotStatus> known, Consumer<ProgressLine> progress)
            throws InterruptedException {
        Optional<Path> file = fileOf(target);
        if (file.isEmpty()) {
            return new Attempt(new Result(ExitCode.NOT_PULLED, target.name() + " has to be pulled first"));
        }
        SlotStatus status = known.isPresent() ? known.get() : device.slots().status();
        Optional<Result> obstacle = obstacle(target, status);
        if (obstacle.isPresent()) {
            return new Attempt(obstacle.get());
        }
        if (!device.callbacks().call(Message.INSTALL_PRE, Optional.of(target.name()), Optional.empty())) {
            return new Attempt(putOff());
        }
        report(target, new UpdateEvent.Installing());
        String txn = device.ids().next(target.id());
        Optional<AgentState.Pending> earlier = device.store().state().pending();
        // Before anything is written: should this process end now, the next one knows what was armed.
        device.failures().starting(txn, target.id(), status.running());
        device.finalisation().started(target, txn, status.running(), source.name());
        log.info("install_started:target=" + target.name() + ",txn=" + txn + ",id=" + target.id());
        Installer.Outcome outcome = device.installer().install(file.get(), source.header(target), txn, progress);
        Optional<SlotStatus> seen = Optional.empty();
        if (!outcome.isArmed()) {
            // After a kill, or a failure at the very end, it may be armed nevertheless.
            SlotStatus after = outcome.exitStatus() < 0 ? status : device.slots().status();
            seen = outcome.exitStatus() < 0 ? Optional.empty() : Optional.of(after);
            if (UpdateOutcome.of(txn, status.running(), after) != UpdateOutcome.ARMED) {
                return new Attempt(notArmed(target, txn, outcome, earlier, after), txn, outcome.exitStatus(),
                        outcome.reason(), seen);
            }
        }
        log.info("install_armed:target=" + target.name() + ",txn=" + txn);
        device.callbacks().call(Message.INSTALL_POST, Optional.of(target.name()),
                Optional.of(new Callbacks.Result.NeedsCompletion()));
        report(target, new UpdateEvent.NeedsReboot());
        return new Attempt(new Result(ExitCode.NEEDS_REBOOT, target.name() + " is armed, and starts with the next reboot"),
                txn, outcome.exitStatus(), "", seen);
    }

    /** What keeps a target from being installed now, before anything is done. */
    private Optional<Result> obstacle(Target target, SlotStatus status) throws InterruptedException {
        if (status.state() == SlotStatus.State.TRIAL) {
            return Optional.of(new Result(ExitCode.IN_PROGRESS, "a trial goes on, and has to end first"));
        }
        if (status.state() == SlotStatus.State.ARMED) {
            return Optional.of(new Result(ExitCode.NEEDS_REBOOT, "an update is armed, and starts with the next reboot"));
        }
        InstalledSystem known = device.installed();
        Optional<Result> refusal = refusal(target,
                new InstalledSystem(known.name(), known.version(), known.compatible(), status.floor()));
        if (refusal.isPresent()) {
            return refusal;
        }
        try {
            if (!source.isStillOffered(target)) {
                device.store().remove(target);
                report(target, new UpdateEvent.Cancelled());
                return Optional.of(new Result(ExitCode.CANCELLED, target.name() + " was withdrawn"));
            }
        } catch (SourceException e) {
            // A server that says "not now" was asked, other than one that cannot be reached.
            if (!e.reason().isTransient() || e.reason() == SourceException.Reason.DEFERRED) {
                return Optional.of(Result.of(e));
            }
            log.info("install_without_source:source=" + source.name() + ",error=" + e.getMessage());
        }
        return Optional.empty();
    }

    private Result notArmed(Target target, String txn, Installer.Outcome outcome,
            Optional<AgentState.Pending> earlier, SlotStatus after) throws InterruptedException {
        if (outcome.exitStatus() == SysupgradeExit.BUSY.status()) {
            // What is being written may be what an agent began that has ended since.
            device.finalisation().notArmed(txn);
            device.store().change(state -> state.withPending(earlier));
            device.failures().notArmed(txn);
            return new Result(ExitCode.IN_PROGRESS, outcome.reason());
        }
        if (SysupgradeExit.isOfImage(outcome.exitStatus())) {
            device.failures().refused(txn, "sysupgrade refused it (" + SysupgradeExit.label(outcome.exitStatus()) + "): "
                    + outcome.reason());
            device.store().remove(target);
            device.finalisation().notArmed(txn);
        } else if (after.state() != SlotStatus.State.UNKNOWN || outcome.exitStatus() < 0) {
            // Otherwise it may be armed nevertheless, and its end matters.
            device.failures().notArmed(txn);
            device.finalisation().notArmed(txn);
        }
        log.error("install_failed:target=" + target.name() + ",txn=" + txn + ",exit=" + outcome.exitStatus() + ",name="
                + SysupgradeExit.label(outcome.exitStatus()) + ",reason=" + outcome.reason());
        device.callbacks().call(Message.INSTALL_POST, Optional.of(target.name()),
                Optional.of(new Callbacks.Result.Failed(outcome.reason())));
        report(target, new UpdateEvent.Failed(outcome.reason()));
        return new Result(code(outcome.exitStatus()), outcome.reason());
    }

    private static ExitCode code(int exitStatus) {
        return SysupgradeExit.of(exitStatus).map(exit -> switch (exit) {
            case SIGNATURE, IMAGE_CORRUPT, IMAGE_UNKNOWN -> ExitCode.VERIFICATION_FAILED;
            case INCOMPATIBLE, WRONG_BOARD -> ExitCode.NO_MATCHING_TARGET;
            case TOO_OLD -> ExitCode.DOWNGRADE_REFUSED;
            case TOO_LARGE, OVER_BUDGET -> ExitCode.NO_SPACE;
            case TRIAL_PENDING -> ExitCode.IN_PROGRESS;
            default -> ExitCode.INSTALL_FAILED;
        }).orElse(ExitCode.INSTALL_FAILED);
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
        return exclusively(() -> Result.of(ExitCode.IN_PROGRESS), () -> {
            SlotStatus status = device.slots().status();
            device.finalisation().announce(status);
            if (status.state() == SlotStatus.State.TRIAL) {
                Optional<String> problem = health.problem(status);
                if (problem.isPresent()) {
                    return new Result(ExitCode.IN_PROGRESS, "the trial goes on: " + Printable.of(problem.get()));
                }
                Slots.Answer answer = device.slots().commit();
                if (answer.exitStatus() != 0) {
                    return new Result(ExitCode.UNKNOWN, "the commit failed: " + answer.message());
                }
                status = device.slots().status();
            }
            device.failures().settle(status);
            device.finalisation().settle(status);
            deliver();
            return device.finalisation().pending().isPresent() ? Result.of(ExitCode.NEEDS_REBOOT)
                    : device.finalisation().last();
        });
    }

    /**
     * Arms the system in the other slot, so that the next reboot starts it on trial.
     *
     * @return {@link ExitCode#ROLLBACK_NEEDS_REBOOT} if it is armed, or why not
     * @throws InterruptedException if the thread was interrupted
     */
    public Result rollback() throws InterruptedException {
        return exclusively(() -> Result.of(ExitCode.IN_PROGRESS), device::rollback);
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
     * than {@link #finalise}. Done at each check-in, too. What cannot be told now stays to be told.
     *
     * @throws InterruptedException if the thread was interrupted
     */
    public void tellEnds() throws InterruptedException {
        exclusively(() -> false, () -> {
            deliver();
            return true;
        });
    }

    private void deliver() throws InterruptedException {
        for (AgentState.Unreported one : device.store().state().unreported()) {
            if (!one.source().equals(source.name())) {
                continue;
            }
            try {
                source.report(one.target(), one.event());
                device.store().change(state -> state.withoutUnreported(one));
            } catch (SourceException e) {
                log.info("report_waits:source=" + source.name() + ",target=" + one.target().name() + ",error="
                        + e.getMessage());
                return;
            }
        }
    }

    private void report(Target target, UpdateEvent event) throws InterruptedException {
        if (source.isPushing()) {
            return;
        }
        if (event.isFinal()) {
            device.store().change(state -> state.withUnreported(
                    new AgentState.Unreported(source.name(), target, event)));
            deliver();
            return;
        }
        try {
            source.report(target, event);
        } catch (SourceException e) {
            log.info("report_failed:source=" + source.name() + ",target=" + target.name() + ",error="
                    + e.getMessage());
        }
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
