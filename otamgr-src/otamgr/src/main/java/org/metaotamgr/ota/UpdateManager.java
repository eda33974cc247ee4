// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

import org.metaotamgr.agent.FailedUpdates;
import org.metaotamgr.agent.TransactionIds;
import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.ProcessRunner;
import org.metaotamgr.device.ProgressLine;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.SysupgradeExit;

/**
 * Decides what happens to the updates that hubby offers, and runs sysupgrade for them, never two at a time.
 *
 * <p>An update that is offered while another one is written waits, unless it is the same one (same path, same header),
 * which is ignored. One update can wait; a newer one takes its place. It is looked at when the current one has failed,
 * and dropped when the current one succeeds, as the device reboots then. Updates also wait while a trial is not
 * committed. What is offered while the device is about to reboot is refused. Nothing is lost by that: a header that is
 * missing after the reboot makes the cloud push again.
 *
 * <p>An update that failed before may have to wait, or is refused: that is up to {@link FailedUpdates}. Another one is
 * taken at once.
 *
 * <p>A reboot command that comes while sysupgrade runs waits until it has ended: then either the update reboots the
 * device anyway, or it failed and the command is carried out, before any update that waits.
 *
 * <p>If the daemon ends while sysupgrade runs, sysupgrade goes on. A new daemon finds out by looking at the slots for
 * {@link #ORPHAN_WATCH}, or because sysupgrade refuses to run a second time.
 */
final class UpdateManager {
    /** Longer than any image takes to be written. */
    static final Duration ORPHAN_WATCH = Duration.ofMinutes(30);
    /** How often to look whether a sysupgrade of an earlier daemon has armed its update. */
    static final Duration ORPHAN_LOOK = Duration.ofSeconds(20);
    private static final Duration BUSY_FIRST_WAIT = Duration.ofSeconds(5);
    private static final Duration BUSY_LONGEST_WAIT = Duration.ofSeconds(60);
    private static final Map<String, String> ENVIRONMENT = Map.of("SYSUPGRADE_PROGRESS", "/dev/stdout");

    private final EventLoop loop;
    private final ProcessRunner runner;
    private final OtamgrConfig config;
    private final Rebooter rebooter;
    private final TransactionIds ids;
    private final FailedUpdates failures;
    private final HandlerCalls handler;
    private final EventLog log;
    private final SlotKeeper slots;
    private final Backoff busyWait = new Backoff(BUSY_FIRST_WAIT, BUSY_LONGEST_WAIT);

    private UpdateState state = new UpdateState.Starting();
    private Optional<UpdateCandidate> next = Optional.empty();
    /** The update that waits because it failed before, and for which a timer runs. */
    private Optional<UpdateCandidate> delayed = Optional.empty();
    /** The last update that hubby has offered to this daemon. */
    private Optional<UpdateCandidate> heard = Optional.empty();
    private boolean reported;
    private boolean rebootWaits;
    private boolean orphanPossible = true;
    private Duration watched = Duration.ZERO;

    UpdateManager(EventLoop loop, ProcessRunner runner, Commands commands, OtamgrConfig config, Rebooter rebooter,
            TransactionIds ids, FailedUpdates failures, TrialHealth health, HandlerCalls handler, EventLog log) {
        this.loop = loop;
        this.runner = runner;
        this.config = config;
        this.rebooter = rebooter;
        this.ids = ids;
        this.log = log;
        this.failures = failures;
        this.handler = handler;
        this.slots = new SlotKeeper(loop, commands, config, health, log, new SlotKeeper.Listener() {
            @Override
            public void settled(SlotStatus status) {
                slotSettled(status);
            }

            @Override
            public void beforeCommit(SlotStatus trial, Runnable then) {
                handler.beforeCommit(trial, then);
            }

            @Override
            public void givenUp(String txn, HealthChecks.Failure failure) {
                trialGivenUp(txn, failure);
            }
        });
    }

    /** Looks at the slots for the first time. Until that has ended, updates and reboot commands wait. */
    void start() {
        slots.look(status -> { });
        loop.schedule(ORPHAN_LOOK, this::watchForOrphan);
    }

    /** Where it is. */
    UpdateState state() {
        return state;
    }

    /** The keeper of the slots, to be told about the health. */
    SlotKeeper slots() {
        return slots;
    }

    /**
     * What hubby says it offered before this connection to attrd: an update that was offered while nobody listened is
     * taken, and what was heard of already is no new offer.
     */
    void offeredEarlier(byte[] value) {
        if (UpdatePath.untilNul(value).length == 0) {
            return;
        }
        try {
            UpdateCandidate candidate = UpdateCandidate.examine(UpdatePath.parse(value), config.allowedPrefixes());
            if (heard.equals(Optional.of(candidate)) || handler.isInstalled(candidate)) {
                return;
            }
        } catch (UpdateRefusedException e) {
            // Files that have gone since belong to an update that is over.
            log.info("ota_not_offered_any_more:path=" + Printable.of(UpdatePath.untilNul(value)) + ",reason="
                    + e.getMessage());
            return;
        }
        offered(value);
    }

    /** Hubby offers an update: the value of attribute 51612. */
    void offered(byte[] value) {
        String shown = Printable.of(UpdatePath.untilNul(value));
        log.info("ota_notification:path=" + shown);
        UpdateCandidate candidate;
        try {
            candidate = UpdateCandidate.examine(UpdatePath.parse(value), config.allowedPrefixes());
        } catch (UpdateRefusedException e) {
            log.error("ota_refused:path=" + shown + ",reason=" + e.getMessage());
            handler.refused(e.getMessage());
            return;
        }
        heard = Optional.of(candidate);
        if (handler.wasLeftByHand(candidate)) {
            log.warning("ota_refused:path=" + shown + ",reason=the device was rolled back from this update by hand");
            return;
        }
        FailedUpdates.Verdict verdict = failures.verdict(candidate.headerSha256());
        if (verdict.decision() == FailedUpdates.Decision.REFUSE) {
            refuse(candidate, verdict);
            return;
        }
        if (state.current().equals(Optional.of(candidate))) {
            log.info("ota_ignored:path=" + shown + ",reason=this update is being written already");
            return;
        }
        switch (state.offer()) {
            case START -> {
                if (slots.isTrial()) {
                    keepForLater(candidate, "the trial has to be committed first");
                } else if (verdict.decision() == FailedUpdates.Decision.WAIT) {
                    delay(candidate, verdict);
                } else {
                    takeNextOut(candidate);
                    begin(candidate);
                }
            }
            case WAIT -> keepForLater(candidate, "another one is being written or looked at");
            case REFUSE -> log.warning("ota_refused:path=" + shown + ",reason=the device is about to reboot");
        }
    }

    private void keepForLater(UpdateCandidate candidate, String reason) {
        if (next.equals(Optional.of(candidate))) {
            log.info("ota_ignored:path=" + candidate.path().text() + ",reason=this update waits already");
            return;
        }
        takeNextOut(candidate);
        next = Optional.of(candidate);
        log.info("ota_queued:path=" + candidate.path().text() + ",reason=" + reason);
    }

    private void refuse(UpdateCandidate candidate, FailedUpdates.Verdict verdict) {
        log.error("ota_refused:path=" + candidate.path().text() + ",reason=" + verdict.reason());
    }

    /** It waits as others do, until its time has come. Nobody else would offer it again in time. */
    private void delay(UpdateCandidate candidate, FailedUpdates.Verdict verdict) {
        delay(candidate, verdict.reason(), verdict.remaining());
    }

    private void delay(UpdateCandidate candidate, String reason, Duration wait) {
        keepForLater(candidate, reason + "; it is tried again in " + wait.toSeconds() + " s");
        if (delayed.equals(next)) {
            return;
        }
        delayed = next;
        // Uptime is counted in seconds.
        loop.schedule(wait.plusSeconds(1), () -> {
            if (delayed.equals(Optional.of(candidate))) {
                delayed = Optional.empty();
                if (state.offer() == UpdateState.Offer.START) {
                    goOn();
                }
            }
        });
    }

    private void takeNextOut(UpdateCandidate newer) {
        if (next.equals(Optional.of(newer))) {
            next = Optional.empty();
        } else {
            dropNext("a newer one takes its place");
        }
    }

    private void dropNext(String reason) {
        next.ifPresent(waiting -> log.warning("ota_dropped:path=" + waiting.path().text() + ",reason=" + reason));
        next = Optional.empty();
    }

    /** The device was told to reboot. */
    void rebootRequested() {
        if (rebooter.isPending()) {
            log.info("reboot_ignored:reason=the device is about to reboot already");
            return;
        }
        if (state instanceof UpdateState.ArmedByCommand) {
            rebooter.rebootIntoUpdate();
            return;
        }
        switch (state.offer()) {
            case START -> rebootOnCommand();
            case WAIT -> {
                rebootWaits = true;
                log.info("reboot_deferred:reason=the device reboots when what runs now has ended");
            }
            case REFUSE -> log.info("reboot_ignored:reason=the device is about to reboot already");
        }
    }

    private void rebootOnCommand() {
        rebootWaits = false;
        dropNext("the device was told to reboot");
        state = new UpdateState.Rebooting();
        rebooter.rebootOnCommand();
    }

    private void begin(UpdateCandidate candidate) {
        log.info("otamgr_image_src:path=" + candidate.path().image());
        log.info("otamgr_header_src:path=" + candidate.path().header());
        UpdateState announcing = new UpdateState.Announcing(candidate);
        state = announcing;
        handler.beforeInstall(candidate, goOn -> {
            // An update that somebody else armed meanwhile wins.
            if (!state.equals(announcing)) {
                return;
            }
            if (goOn) {
                run(candidate);
            } else {
                state = new UpdateState.Idle();
                delay(candidate, "a callback put it off", handler.putOffFor());
            }
        });
    }

    private void run(UpdateCandidate candidate) {
        String txn = ids.next(candidate.headerSha256());
        failures.starting(txn, candidate.headerSha256(), slots.runningSlot());
        handler.started(candidate, txn, slots.runningSlot());
        List<String> command = new ArrayList<>(config.sysupgrade());
        command.addAll(List.of("--no-reboot", "--txn", txn, "--header", candidate.path().header(),
                candidate.path().image()));
        state = new UpdateState.Updating(candidate, txn);
        try {
            ProcessRunner.RunningProcess process = runner.start(command, ENVIRONMENT, new Sysupgrade(candidate, txn));
            log.info("ota_upgrade_started:txn=" + txn + ",pid=" + process.pid() + ",header_sha256="
                    + candidate.headerSha256());
        } catch (IOException e) {
            failures.notArmed(txn);
            handler.notArmed(txn);
            handler.failed(candidate, "sysupgrade cannot be started");
            failed(candidate, "sysupgrade cannot be started: " + Printable.of(e.getMessage()));
        }
    }

    /** Follows one run of sysupgrade. Lines come on other threads, one for each stream, and end before the end. */
    private final class Sysupgrade implements ProcessRunner.ProcessListener {
        private final UpdateCandidate candidate;
        private final String txn;
        private volatile String reason = "";

        Sysupgrade(UpdateCandidate candidate, String txn) {
            this.candidate = candidate;
            this.txn = txn;
        }

        @Override
        public void stdout(String line) {
            Optional<ProgressLine> progress = ProgressLine.parse(line);
            if (progress.isEmpty()) {
                log.info(Commands.messageOf("sysupgrade", line));
            } else if (progress.get().isFailure()) {
                reason = progress.get().message();
            } else {
                log.info("ota_progress:phase=" + progress.get().phase() + ",percent=" + progress.get().number());
            }
        }

        @Override
        public void stderr(String line) {
            log.info(Commands.messageOf("sysupgrade", line));
        }

        @Override
        public void ended(int exitStatus) {
            loop.execute(() -> sysupgradeEnded(candidate, txn, exitStatus, reason));
        }
    }

    private void sysupgradeEnded(UpdateCandidate candidate, String txn, int exitStatus, String reason) {
        boolean busy = exitStatus == SysupgradeExit.BUSY.status();
        if (!busy) {
            // Had an earlier one still been running, this one would not have got so far.
            orphanPossible = false;
            busyWait.reset();
        }
        if (exitStatus == SysupgradeExit.ARMED.status()) {
            armed(txn);
        } else if (busy) {
            failures.notArmed(txn);
            handler.notArmed(txn);
            state = new UpdateState.Busy(candidate);
            log.warning("ota_busy:path=" + candidate.path().text() + ",txn=" + txn + ",reason="
                    + SysupgradeExit.meaning(exitStatus));
            slots.look(this::lookedWhileBusy);
        } else {
            // After a kill, or a failure at the very end, the update may be armed nevertheless.
            String why = reason.isEmpty() ? SysupgradeExit.meaning(exitStatus) : reason;
            state = new UpdateState.Examining(candidate, "txn=" + txn + ",exit=" + exitStatus + ",name="
                    + SysupgradeExit.label(exitStatus) + ",reason=" + why);
            slots.look(status -> lookedAfterFailure(status, txn, exitStatus, why));
        }
    }

    private void lookedWhileBusy(SlotStatus status) {
        if (state instanceof UpdateState.Busy && status.state() != SlotStatus.State.ARMED) {
            loop.schedule(busyWait.next(), this::tryAgainAfterBusy);
        }
    }

    private void tryAgainAfterBusy() {
        if (!(state instanceof UpdateState.Busy busy)) {
            return;
        }
        // The update that armed itself meanwhile wins; only if there is none, the offered one is tried again.
        slots.look(status -> {
            if (state.equals(busy) && status.state() != SlotStatus.State.ARMED) {
                Optional<UpdateCandidate> newest = newestOf(busy.candidate());
                state = new UpdateState.Idle();
                newest.ifPresent(candidate -> beginInTime(candidate, this::run));
                if (state.offer() == UpdateState.Offer.START) {
                    goOn();
                }
            }
        });
    }

    /** Nothing of this daemon was written for the update that is busy, so a newer one may take its place at once. */
    private Optional<UpdateCandidate> newestOf(UpdateCandidate candidate) {
        UpdateCandidate newest = next.orElse(candidate);
        next = Optional.empty();
        return examineAgain(newest);
    }

    private void lookedAfterFailure(SlotStatus status, String txn, int exitStatus, String why) {
        if (state instanceof UpdateState.Examining examining && status.state() != SlotStatus.State.ARMED) {
            if (SysupgradeExit.isOfImage(exitStatus)) {
                failures.refused(txn, "sysupgrade refused it (" + SysupgradeExit.label(exitStatus) + "): " + why);
            } else if (status.state() != SlotStatus.State.UNKNOWN) {
                // Otherwise it may be armed nevertheless, and its end matters.
                failures.notArmed(txn);
            }
            if (status.state() != SlotStatus.State.UNKNOWN) {
                handler.notArmed(txn);
            }
            handler.failed(examining.candidate(), why);
            failed(examining.candidate(), examining.reason());
        }
    }

    private void failed(UpdateCandidate candidate, String reason) {
        log.error("ota_upgrade_failed:path=" + candidate.path().text() + "," + reason);
        state = new UpdateState.Failed(candidate, reason);
        goOn();
    }

    private void idle() {
        state = new UpdateState.Idle();
        goOn();
    }

    /** What waited gets its turn, in a state in which an update may be started. */
    private void goOn() {
        if (rebootWaits) {
            rebootOnCommand();
        } else if (next.isPresent() && !next.equals(delayed) && !slots.isTrial()) {
            UpdateCandidate waiting = next.get();
            next = Optional.empty();
            examineAgain(waiting).ifPresent(candidate -> beginInTime(candidate, this::begin));
        }
    }

    private void beginInTime(UpdateCandidate candidate, Consumer<UpdateCandidate> start) {
        FailedUpdates.Verdict verdict = failures.verdict(candidate.headerSha256());
        switch (verdict.decision()) {
            case INSTALL -> start.accept(candidate);
            case WAIT -> delay(candidate, verdict);
            case REFUSE -> refuse(candidate, verdict);
        }
    }

    /** The files of an update that waited may have changed or gone. */
    private Optional<UpdateCandidate> examineAgain(UpdateCandidate waiting) {
        try {
            return Optional.of(UpdateCandidate.examine(waiting.path(), config.allowedPrefixes()));
        } catch (UpdateRefusedException e) {
            log.error("ota_refused:path=" + waiting.path().text() + ",reason=" + e.getMessage());
            return Optional.empty();
        }
    }

    private void armed(String txn) {
        log.info("ota_upgrade_armed:txn=" + txn);
        state = new UpdateState.Armed(txn);
        dropNext("the device reboots into another update");
        if (rebootWaits) {
            rebootWaits = false;
            log.info("reboot_ignored:reason=the device reboots into the update");
        }
        handler.armed(rebooter::rebootIntoUpdate);
    }

    /** What the agent has armed is rebooted into when the agent says so. */
    private void armedSeen(String txn) {
        if (handler.isOfAgent(txn)) {
            dropNext("another system is armed");
            state = new UpdateState.ArmedByCommand();
        } else {
            armed(txn);
        }
    }

    /**
     * The agent has armed a slot.
     *
     * @param reboots whether the device is to reboot into it now
     */
    void armedByAgent(boolean reboots) {
        if (rebooter.isPending()) {
            return;
        }
        dropNext("another system is armed");
        state = new UpdateState.ArmedByCommand();
        if (reboots || rebootWaits) {
            rebootWaits = false;
            rebooter.rebootIntoUpdate();
        }
    }

    private void trialGivenUp(String txn, HealthChecks.Failure failure) {
        failures.trialLacks(txn, "health check " + failure.check() + ": " + failure.reason());
        dropNext("the trial has failed");
        state = new UpdateState.Rebooting();
        rebooter.rebootFromTrial();
    }

    private void slotSettled(SlotStatus status) {
        failures.settle(status);
        handler.settled(status);
        if (!reported && status.state() != SlotStatus.State.UNKNOWN) {
            reported = true;
            failures.report();
        }
        boolean armed = status.state() == SlotStatus.State.ARMED;
        if (state instanceof UpdateState.Starting) {
            // While sysupgrade writes, the boot state is as before; or too slow to be read.
            orphanPossible = status.state() == SlotStatus.State.COMMITTED
                    || status.state() == SlotStatus.State.UNKNOWN;
            if (armed) {
                armedSeen(status.txn());
            } else {
                idle();
            }
        } else if (state instanceof UpdateState.Busy || state instanceof UpdateState.Examining) {
            if (armed) {
                armedSeen(status.txn());
            }
        } else if (state.offer() == UpdateState.Offer.START) {
            if (armed) {
                armedSeen(status.txn());
            } else {
                goOn();
            }
        }
    }

    private void watchForOrphan() {
        watched = watched.plus(ORPHAN_LOOK);
        if (!orphanPossible || watched.compareTo(ORPHAN_WATCH) > 0 || rebooter.isPending()) {
            return;
        }
        // An unknown state is looked at again by the keeper.
        if (state.offer() == UpdateState.Offer.START && slots.isCommitted()) {
            slots.look(status -> { });
        }
        loop.schedule(ORPHAN_LOOK, this::watchForOrphan);
    }
}
