// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import org.metaotamgr.agent.Agent.Attempt;
import org.metaotamgr.agent.Callbacks.Message;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.ProgressLine;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.SysupgradeExit;

/** Writes a target that was pulled into the inactive slot, and arms it. The only place where sysupgrade is run. */
final class InstallStep {
    private final UpdateSource source;
    private final PullStep pulled;
    private final InstallConditions conditions;
    private final InstallRecord record;
    private final Slots slots;
    private final Installer installer;
    private final Callbacks callbacks;
    private final Reports reports;
    private final EventLog log;

    InstallStep(
            UpdateSource source,
            PullStep pulled,
            InstallConditions conditions,
            InstallRecord record,
            Slots slots,
            Installer installer,
            Callbacks callbacks,
            Reports reports,
            EventLog log) {
        this.source = source;
        this.pulled = pulled;
        this.conditions = conditions;
        this.record = record;
        this.slots = slots;
        this.installer = installer;
        this.callbacks = callbacks;
        this.reports = reports;
        this.log = log;
    }

    Attempt run(Target target, Optional<SlotStatus> known, Consumer<ProgressLine> progress, PullProgress fetching)
            throws InterruptedException {
        Optional<Path> file = pulled.fileOf(target);
        if (file.isEmpty()) {
            return new Attempt(new Result(ExitCode.NOT_PULLED, target.name() + " has to be pulled first"));
        }
        SlotStatus status = known.isPresent() ? known.get() : slots.status();
        Optional<Result> obstacle = conditions.obstacle(target, status);
        if (obstacle.isPresent()) {
            return new Attempt(obstacle.get());
        }
        Optional<StreamFeed> feed = Optional.empty();
        if (PullStep.isStreamed(file.get())) {
            try {
                feed = Optional.of(pulled.frames(target, fetching));
            } catch (SourceException e) {
                return new Attempt(Result.of(e));
            }
        }
        if (!callbacks.call(Message.INSTALL_PRE, Optional.of(target.name()), Optional.empty())) {
            return new Attempt(Result.putOff());
        }
        reports.report(target, new UpdateEvent.Installing());
        // Before anything is written: should this process end now, the next one knows what was armed.
        InstallRecord.Begun begun = record.begin(target, status.running(), source.name());
        String txn = begun.txn();
        log.info("install_started:target=" + target.name() + ",txn=" + txn + ",id=" + target.id());
        Installer.Outcome outcome = written(target, file.get(), txn, callbacks.watched(target.name(), progress), feed);
        Optional<SlotStatus> seen = Optional.empty();
        if (!outcome.isArmed()) {
            // After a kill, or a failure at the very end, it may be armed nevertheless.
            SlotStatus after = outcome.exitStatus() < 0 ? status : slots.status();
            seen = outcome.exitStatus() < 0 ? Optional.empty() : Optional.of(after);
            if (UpdateOutcome.of(txn, status.running(), after) != UpdateOutcome.ARMED) {
                return new Attempt(
                        notArmed(target, begun, outcome, after, feed),
                        txn,
                        outcome.exitStatus(),
                        outcome.reason(),
                        seen);
            }
        }
        log.info("install_armed:target=" + target.name() + ",txn=" + txn);
        callbacks.call(
                Message.INSTALL_POST, Optional.of(target.name()), Optional.of(new Callbacks.Result.NeedsCompletion()));
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
            return installer.install(file, source.header(target), txn, progress);
        }
        try (StreamFeed frames = feed.get()) {
            Installer.Outcome outcome = installer.stream(file, source.header(target), txn, progress, frames);
            log.info("streamed:target=" + target.name() + ",bytes=" + target.bytes() + ",fetched=" + frames.fetched());
            return outcome;
        }
    }

    private Result notArmed(
            Target target,
            InstallRecord.Begun begun,
            Installer.Outcome outcome,
            SlotStatus after,
            Optional<StreamFeed> feed)
            throws InterruptedException {
        if (outcome.exitStatus() == SysupgradeExit.BUSY.status()) {
            record.busy(begun);
            return new Result(ExitCode.IN_PROGRESS, outcome.reason());
        }
        String txn = begun.txn();
        Optional<Result> broken = feed.isEmpty() ? Optional.empty() : broken(target, txn, outcome, feed.get());
        if (broken.isPresent()) {
            return broken.get();
        }
        if (outcome.exitStatus() == SysupgradeExit.NEEDS_MORE.status() && !source.isPushing()) {
            return lacking(target, txn, outcome);
        }
        if (SysupgradeExit.isOfImage(outcome.exitStatus())) {
            record.refused(
                    txn,
                    "sysupgrade refused it (" + SysupgradeExit.label(outcome.exitStatus()) + "): " + outcome.reason());
            pulled.remove(target);
        } else if (SysupgradeExit.isOfWriting(outcome.exitStatus()) && after.state() != SlotStatus.State.UNKNOWN) {
            // What was pulled stays: it may be the medium's fault, or the moment's.
            record.refused(
                    txn,
                    "sysupgrade could not install it (" + SysupgradeExit.label(outcome.exitStatus()) + "): "
                            + outcome.reason());
        } else if (after.state() != SlotStatus.State.UNKNOWN || outcome.exitStatus() < 0) {
            // Otherwise it may be armed nevertheless, and its end matters.
            record.notArmed(txn);
        }
        log.error("install_failed:target=" + target.name() + ",txn=" + txn + ",exit=" + outcome.exitStatus() + ",name="
                + SysupgradeExit.label(outcome.exitStatus()) + ",reason=" + outcome.reason());
        callbacks.call(
                Message.INSTALL_POST,
                Optional.of(target.name()),
                Optional.of(new Callbacks.Result.Failed(outcome.reason())));
        reports.report(target, new UpdateEvent.Failed(outcome.reason()));
        return new Result(code(outcome.exitStatus()), outcome.reason());
    }

    /** The slots have changed since it was pulled. Nothing has failed: the rest is pulled, and then it is installed. */
    private Result lacking(Target target, String txn, Installer.Outcome outcome) throws InterruptedException {
        record.notArmed(txn);
        pulled.lacks(target);
        log.info("install_lacks:target=" + target.name() + ",txn=" + txn + ",reason=" + outcome.reason());
        callbacks.call(
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
            pulled.cannotStream(target);
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
        record.notArmed(txn);
        log.info("stream_ended:target=" + target.name() + ",txn=" + txn + ",exit=" + outcome.exitStatus() + ",reason="
                + result.message());
        callbacks.call(
                Message.INSTALL_POST,
                Optional.of(target.name()),
                Optional.of(new Callbacks.Result.Failed(result.message())));
        return Optional.of(result);
    }

    /** Whoever offered it took it back while it was streamed. What came is in a slot that cannot be started. */
    private Result withdrawn(Target target, String txn, SourceException problem) throws InterruptedException {
        record.notArmed(txn);
        pulled.remove(target);
        log.info("stream_withdrawn:target=" + target.name() + ",txn=" + txn);
        callbacks.call(
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
                    case INCOMPATIBLE, WRONG_BOARD, NO_KEY, NO_TARGET -> ExitCode.NO_MATCHING_TARGET;
                    case TOO_OLD -> ExitCode.DOWNGRADE_REFUSED;
                    case TOO_LARGE, OVER_BUDGET -> ExitCode.NO_SPACE;
                    case TRIAL_PENDING -> ExitCode.IN_PROGRESS;
                    default -> ExitCode.INSTALL_FAILED;
                })
                .orElse(ExitCode.INSTALL_FAILED);
    }
}
