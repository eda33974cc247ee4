// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import org.metaotamgr.agent.Agent.Attempt;
import org.metaotamgr.agent.Callbacks.Message;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.ProgressLine;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.SysupgradeExit;

/** Writes a target that was pulled into the inactive slot, and arms it. The only place where sysupgrade is run. */
final class InstallStep {
    private final UpdateSource source;
    private final AgentDevice device;
    private final TargetPolicy policy;
    private final Reports reports;
    private final PullStep pulled;

    InstallStep(UpdateSource source, AgentDevice device, TargetPolicy policy, Reports reports, PullStep pulled) {
        this.source = source;
        this.device = device;
        this.policy = policy;
        this.reports = reports;
        this.pulled = pulled;
    }

    Attempt run(Target target, Optional<SlotStatus> known, Consumer<ProgressLine> progress, PullProgress fetching)
            throws InterruptedException {
        Optional<Path> file = pulled.fileOf(target);
        if (file.isEmpty()) {
            return new Attempt(new Result(ExitCode.NOT_PULLED, target.name() + " has to be pulled first"));
        }
        SlotStatus status = known.isPresent() ? known.get() : device.slots().status();
        Optional<Result> obstacle = obstacle(target, status);
        if (obstacle.isPresent()) {
            return new Attempt(obstacle.get());
        }
        Optional<StreamFeed> feed = Optional.empty();
        if (PullStep.isStreamed(file.get())) {
            try {
                feed = Optional.of(new StreamFeed(
                        source.original(target),
                        source.watched(
                                target, source.isRemote() ? device.fetching().limited(fetching) : fetching)));
            } catch (SourceException e) {
                return new Attempt(Result.of(e));
            }
        }
        if (!device.callbacks().call(Message.INSTALL_PRE, Optional.of(target.name()), Optional.empty())) {
            return new Attempt(Result.putOff());
        }
        reports.report(target, new UpdateEvent.Installing());
        String txn = device.ids().next(target.id());
        Optional<AgentState.Pending> earlier = device.store().state().pending();
        // Before anything is written: should this process end now, the next one knows what was armed.
        device.failures().starting(txn, target.id(), status.running());
        device.finalisation().started(target, txn, status.running(), source.name());
        device.log().info("install_started:target=" + target.name() + ",txn=" + txn + ",id=" + target.id());
        Installer.Outcome outcome = written(target, file.get(), txn, progress, feed);
        Optional<SlotStatus> seen = Optional.empty();
        if (!outcome.isArmed()) {
            // After a kill, or a failure at the very end, it may be armed nevertheless.
            SlotStatus after =
                    outcome.exitStatus() < 0 ? status : device.slots().status();
            seen = outcome.exitStatus() < 0 ? Optional.empty() : Optional.of(after);
            if (UpdateOutcome.of(txn, status.running(), after) != UpdateOutcome.ARMED) {
                return new Attempt(
                        notArmed(target, txn, outcome, earlier, after, feed),
                        txn,
                        outcome.exitStatus(),
                        outcome.reason(),
                        seen);
            }
        }
        device.log().info("install_armed:target=" + target.name() + ",txn=" + txn);
        device.callbacks()
                .call(
                        Message.INSTALL_POST,
                        Optional.of(target.name()),
                        Optional.of(new Callbacks.Result.NeedsCompletion()));
        reports.report(target, new UpdateEvent.NeedsReboot());
        return new Attempt(
                new Result(ExitCode.NEEDS_REBOOT, target.name() + " is armed, and starts with the next reboot"),
                txn,
                outcome.exitStatus(),
                "",
                seen);
    }

    private Installer.Outcome written(
            Target target, Path file, String txn, Consumer<ProgressLine> progress, Optional<StreamFeed> feed)
            throws InterruptedException {
        if (feed.isEmpty()) {
            return device.installer().install(file, source.header(target), txn, progress);
        }
        try (StreamFeed frames = feed.get()) {
            Installer.Outcome outcome = device.installer().stream(file, source.header(target), txn, progress, frames);
            device.log()
                    .info("streamed:target=" + target.name() + ",bytes=" + target.bytes() + ",fetched="
                            + frames.fetched());
            return outcome;
        }
    }

    /** What keeps a target from being installed now, before anything is done. */
    private Optional<Result> obstacle(Target target, SlotStatus status) throws InterruptedException {
        if (status.state() == SlotStatus.State.TRIAL) {
            return Optional.of(new Result(ExitCode.IN_PROGRESS, "a trial goes on, and has to end first"));
        }
        if (status.state() == SlotStatus.State.ARMED) {
            return Optional.of(
                    new Result(ExitCode.NEEDS_REBOOT, "an update is armed, and starts with the next reboot"));
        }
        InstalledSystem known = device.installed();
        Optional<Result> refusal = policy.refusal(
                target, new InstalledSystem(known.name(), known.version(), known.compatible(), status.floor()));
        if (refusal.isPresent()) {
            return refusal;
        }
        try {
            if (!source.isStillOffered(target)) {
                device.store().remove(target);
                reports.report(target, new UpdateEvent.Cancelled());
                return Optional.of(new Result(ExitCode.CANCELLED, target.name() + " was withdrawn"));
            }
        } catch (SourceException e) {
            // A server that says "not now" was asked, other than one that cannot be reached.
            if (!e.reason().isTransient() || e.reason() == SourceException.Reason.DEFERRED) {
                return Optional.of(Result.of(e));
            }
            device.log().info("install_without_source:source=" + source.name() + ",error=" + e.getMessage());
        }
        return Optional.empty();
    }

    private Result notArmed(
            Target target,
            String txn,
            Installer.Outcome outcome,
            Optional<AgentState.Pending> earlier,
            SlotStatus after,
            Optional<StreamFeed> feed)
            throws InterruptedException {
        if (outcome.exitStatus() == SysupgradeExit.BUSY.status()) {
            // What is being written may be what an agent began that has ended since.
            device.finalisation().notArmed(txn);
            device.store().change(state -> state.withPending(earlier));
            device.failures().notArmed(txn);
            return new Result(ExitCode.IN_PROGRESS, outcome.reason());
        }
        Optional<Result> broken = feed.isEmpty() ? Optional.empty() : broken(target, txn, outcome, feed.get());
        if (broken.isPresent()) {
            return broken.get();
        }
        if (outcome.exitStatus() == SysupgradeExit.NEEDS_MORE.status() && !source.isPushing()) {
            return lacking(target, txn, outcome);
        }
        if (SysupgradeExit.isOfImage(outcome.exitStatus())) {
            device.failures()
                    .refused(
                            txn,
                            "sysupgrade refused it (" + SysupgradeExit.label(outcome.exitStatus()) + "): "
                                    + outcome.reason());
            device.store().remove(target);
            device.finalisation().notArmed(txn);
        } else if (SysupgradeExit.isOfWriting(outcome.exitStatus()) && after.state() != SlotStatus.State.UNKNOWN) {
            // What was pulled stays: it may be the medium's fault, or the moment's.
            device.failures()
                    .refused(
                            txn,
                            "sysupgrade could not install it (" + SysupgradeExit.label(outcome.exitStatus()) + "): "
                                    + outcome.reason());
            device.finalisation().notArmed(txn);
        } else if (after.state() != SlotStatus.State.UNKNOWN || outcome.exitStatus() < 0) {
            // Otherwise it may be armed nevertheless, and its end matters.
            device.failures().notArmed(txn);
            device.finalisation().notArmed(txn);
        }
        device.log()
                .error("install_failed:target=" + target.name() + ",txn=" + txn + ",exit=" + outcome.exitStatus()
                        + ",name=" + SysupgradeExit.label(outcome.exitStatus()) + ",reason=" + outcome.reason());
        device.callbacks()
                .call(
                        Message.INSTALL_POST,
                        Optional.of(target.name()),
                        Optional.of(new Callbacks.Result.Failed(outcome.reason())));
        reports.report(target, new UpdateEvent.Failed(outcome.reason()));
        return new Result(code(outcome.exitStatus()), outcome.reason());
    }

    /** The slots have changed since it was pulled. Nothing has failed: the rest is pulled, and then it is installed. */
    private Result lacking(Target target, String txn, Installer.Outcome outcome) throws InterruptedException {
        device.failures().notArmed(txn);
        device.finalisation().notArmed(txn);
        try {
            device.store().lacks(target);
        } catch (IOException e) {
            device.log().warning("agent_updates:target=" + target.name() + ",error=" + Printable.of(e.toString()));
            device.store().remove(target);
        }
        device.log().info("install_lacks:target=" + target.name() + ",txn=" + txn + ",reason=" + outcome.reason());
        device.callbacks()
                .call(
                        Message.INSTALL_POST,
                        Optional.of(target.name()),
                        Optional.of(new Callbacks.Result.Failed(outcome.reason())));
        return new Result(
                ExitCode.NOT_PULLED,
                target.name() + " has to be pulled again, as more of it is needed than before: " + outcome.reason());
    }

    /** A stream that ended too soon, or brought something else. What came is in the slot; empty if it is not worth another try. */
    private Optional<Result> broken(Target target, String txn, Installer.Outcome outcome, StreamFeed feed)
            throws InterruptedException {
        Result result;
        if (outcome.exitStatus() == SysupgradeExit.IMAGE_CORRUPT.status()) {
            // A bit that was changed on the way looks like a bundle that was never right.
            result = Result.of(new SourceException(SourceException.Reason.VERIFICATION_FAILED, outcome.reason()));
        } else if (outcome.exitStatus() != SysupgradeExit.NEEDS_MORE.status()) {
            return Optional.empty();
        } else if (feed.onlyWhole().isPresent()) {
            try {
                device.store().cannotStream(target);
            } catch (IOException e) {
                device.log().warning("agent_updates:target=" + target.name() + ",error=" + Printable.of(e.toString()));
                device.store().remove(target);
            }
            result = new Result(
                    ExitCode.NOT_PULLED,
                    target.name() + " cannot be streamed, and has to be pulled: "
                            + feed.onlyWhole().get());
        } else if (feed.problem()
                .filter(problem -> problem.reason() == SourceException.Reason.WITHDRAWN)
                .isPresent()) {
            return Optional.of(withdrawn(target, txn, feed.problem().get()));
        } else {
            result = Result.of(feed.problem()
                    .orElseGet(() -> new SourceException(SourceException.Reason.DOWNLOAD_FAILED, outcome.reason())));
        }
        if (result.code() != ExitCode.NOT_PULLED && pulled.isOver(target, result)) {
            return Optional.empty();
        }
        device.failures().notArmed(txn);
        device.finalisation().notArmed(txn);
        device.log()
                .info("stream_ended:target=" + target.name() + ",txn=" + txn + ",exit=" + outcome.exitStatus()
                        + ",reason=" + result.message());
        device.callbacks()
                .call(
                        Message.INSTALL_POST,
                        Optional.of(target.name()),
                        Optional.of(new Callbacks.Result.Failed(result.message())));
        return Optional.of(result);
    }

    /** Whoever offered it took it back while it was streamed. What came is in a slot that cannot be started. */
    private Result withdrawn(Target target, String txn, SourceException problem) throws InterruptedException {
        device.failures().notArmed(txn);
        device.finalisation().notArmed(txn);
        device.store().remove(target);
        device.log().info("stream_withdrawn:target=" + target.name() + ",txn=" + txn);
        device.callbacks()
                .call(
                        Message.INSTALL_POST,
                        Optional.of(target.name()),
                        Optional.of(new Callbacks.Result.Failed(problem.getMessage())));
        reports.report(target, new UpdateEvent.Cancelled());
        return Result.of(problem);
    }

    private static ExitCode code(int exitStatus) {
        return SysupgradeExit.of(exitStatus)
                .map(exit -> switch (exit) {
                    case SIGNATURE, IMAGE_CORRUPT, IMAGE_UNKNOWN -> ExitCode.VERIFICATION_FAILED;
                    case INCOMPATIBLE, WRONG_BOARD, NO_KEY -> ExitCode.NO_MATCHING_TARGET;
                    case TOO_OLD -> ExitCode.DOWNGRADE_REFUSED;
                    case TOO_LARGE, OVER_BUDGET -> ExitCode.NO_SPACE;
                    case TRIAL_PENDING -> ExitCode.IN_PROGRESS;
                    default -> ExitCode.INSTALL_FAILED;
                })
                .orElse(ExitCode.INSTALL_FAILED);
    }
}
