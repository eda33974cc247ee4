// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.time.Duration;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.util.Optional;
import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.Callbacks;
import org.metaotamgr.agent.CheckInResult;
import org.metaotamgr.agent.ExitCode;
import org.metaotamgr.agent.PollingLoop;
import org.metaotamgr.agent.Result;
import org.metaotamgr.agent.Slots;
import org.metaotamgr.agent.SystemHistory;
import org.metaotamgr.agent.Target;
import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.SysupgradeExit;
import org.metaotamgr.device.Timeouts;
import org.metaotamgr.device.Waiting;

/**
 * What the daemon does, one thing after the other, on one thread: it looks where the device stands, brings a trial to its
 * end, takes updates from their sources into the inactive slot, and reboots. Whatever the source is, the steps are those of the
 * {@link Agent}. What others want meanwhile is kept in {@link Orders}.
 *
 * <p>A sysupgrade that runs when the daemon ends is left alone. The next daemon finds what it has armed by looking at the
 * slots, or because sysupgrade refuses to run a second time.
 */
final class Engine implements PollingLoop.Time, PollingLoop.Listener {
    /** How often to look whether a sysupgrade of an earlier daemon has armed its update. */
    static final Duration ORPHAN_LOOK = Duration.ofSeconds(20);

    private static final Duration LONG = Duration.ofDays(1);

    private final AgentDevice device;
    private final Agent hubbyAgent;
    private final HubbySource hubby;
    private final Orders orders;
    private final Links links;
    private final Trial trial;
    private final OtaAttributes attributes;
    private final Rebooter rebooter;
    private final BootClock clock;
    private final Waiting waiting;
    private final EventLog log;

    private final Backoff lookWait = new Backoff(Duration.ofSeconds(15), Duration.ofSeconds(60));
    private final Backoff busyWait = new Backoff(Duration.ofSeconds(5), Duration.ofSeconds(60));
    private Optional<SlotStatus> last = Optional.empty();
    private Optional<Duration> lookAt = Optional.empty();
    private Optional<Duration> orphanLookAt = Optional.empty();
    private Duration orphanUntil = Duration.ZERO;
    private String runningSlot = "";
    private long seenLinks;
    private boolean isReported;
    private volatile boolean isAwake;
    private volatile boolean isStopped;

    /** What the engine consists of. */
    record Parts(
            AgentDevice device,
            HubbySource hubby,
            Orders orders,
            Links links,
            Trial trial,
            OtaAttributes attributes,
            Rebooter rebooter,
            BootClock clock,
            Waiting waiting,
            EventLog log) {}

    Engine(Parts parts) {
        this.device = parts.device();
        this.hubby = parts.hubby();
        this.hubbyAgent = new Agent(parts.hubby(), parts.device());
        this.orders = parts.orders();
        this.links = parts.links();
        this.trial = parts.trial();
        this.attributes = parts.attributes();
        this.rebooter = parts.rebooter();
        this.clock = parts.clock();
        this.waiting = parts.waiting();
        this.log = parts.log();
    }

    /** Ends when the thread waits next. */
    void stop() {
        isStopped = true;
        waiting.changed();
    }

    /** Where the device stands, as far as it was looked at. */
    Optional<SlotStatus> last() {
        return last;
    }

    // ---- the loop ----

    /**
     * Runs for ever.
     *
     * @param polling asks the source, and comes back here between its rounds; empty if there is none to ask
     * @throws InterruptedException if the engine was stopped
     */
    void run(Optional<PollingLoop> polling) throws InterruptedException {
        look();
        orphanUntil = clock.uptime().plus(Timeouts.SYSUPGRADE);
        if (device.finalisation().pending().isPresent()) {
            // An earlier daemon has begun an update of which no end is known: its sysupgrade may still run.
            orphanLookAt = Optional.of(clock.uptime().plus(ORPHAN_LOOK));
        }
        if (orders.phase() == Orders.Phase.STARTING) {
            orders.is(Orders.Phase.READY);
        }
        armedSeen();
        if (polling.isPresent()) {
            polling.get().run();
        }
        while (true) {
            pause(LONG);
        }
    }

    @Override
    public LocalDateTime now() {
        return LocalDateTime.now(ZoneId.systemDefault());
    }

    @Override
    public void wake() {
        isAwake = true;
        waiting.changed();
    }

    /** Does everything but polling until a time has passed. */
    @Override
    public void pause(Duration time) throws InterruptedException {
        Duration until = clock.uptime().plus(time);
        if (orders.phase() == Orders.Phase.BUSY) {
            orders.is(Orders.Phase.READY);
        }
        while (true) {
            Duration wait = guardedStep();
            Duration left = until.minus(clock.uptime());
            if (left.isNegative() || left.isZero() || isAwake) {
                isAwake = false;
                // From here on somebody else is at work on this thread.
                orders.is(orders.phase() == Orders.Phase.READY ? Orders.Phase.BUSY : orders.phase());
                return;
            }
            waiting.await(this::hasSomethingToDo, wait.compareTo(left) < 0 ? wait : left);
            if (isStopped) {
                throw new InterruptedException("the daemon ends");
            }
        }
    }

    private boolean hasSomethingToDo() {
        return isStopped || isAwake || orders.isWaiting(clock.uptime()) || links.version() != seenLinks;
    }

    private Duration guardedStep() throws InterruptedException {
        try {
            Duration wait = step();
            while (wait.isZero() || wait.isNegative()) {
                wait = step();
            }
            return wait;
        } catch (RuntimeException e) {
            log.internalError(e);
            return lookWait.next();
        }
    }

    /** One thing, the most urgent one; returns how long there is nothing else. */
    private Duration step() throws InterruptedException {
        seenLinks = links.version();
        Optional<String> refused = orders.takeUnusable();
        if (refused.isPresent()) {
            device.callbacks()
                    .call(
                            Callbacks.Message.CHECK_FOR_UPDATE_POST,
                            Optional.empty(),
                            Optional.of(new Callbacks.Result.Failed(refused.get())));
            return Duration.ZERO;
        }
        Duration now = clock.uptime();
        Duration wait = attributes.askAgain(now).orElse(LONG);
        if (orders.rebootWaits()) {
            return reboot();
        }
        if (is(SlotStatus.State.TRIAL)) {
            Trial.Next next = trial.step(last.get());
            if (next instanceof Trial.Next.Wait pause) {
                return shorter(wait, pause.time());
            }
            if (next instanceof Trial.Next.Committed committed) {
                seen(committed.status());
                wake();
            } else {
                return lookAndAct();
            }
            return Duration.ZERO;
        }
        if (links.takeBetter()
                && last.filter(status -> isWorthAnotherLook(status.state())).isPresent()) {
            return lookAndAct();
        }
        Optional<UpdateCandidate> due = orders.takeDue(now);
        if (due.isPresent()) {
            take(due.get());
            return Duration.ZERO;
        }
        if (lookAt.filter(at -> at.compareTo(now) <= 0).isPresent()) {
            lookAt = Optional.empty();
            if (is(SlotStatus.State.UNKNOWN)) {
                return lookAndAct();
            }
            return Duration.ZERO;
        }
        if (orphanLookAt.filter(at -> at.compareTo(now) <= 0).isPresent()) {
            orphanLookAt = now.plus(ORPHAN_LOOK).compareTo(orphanUntil) > 0
                    ? Optional.empty()
                    : Optional.of(orphanLookAt.get().plus(ORPHAN_LOOK));
            if (is(SlotStatus.State.COMMITTED) && orders.phase() == Orders.Phase.READY) {
                return lookAndAct();
            }
            return Duration.ZERO;
        }
        return shorter(
                wait,
                shorter(orders.untilNext(now).orElse(LONG), shorter(until(lookAt, now), until(orphanLookAt, now))));
    }

    private static Duration until(Optional<Duration> at, Duration now) {
        return at.map(time -> time.minus(now)).orElse(LONG);
    }

    private static Duration shorter(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }

    // ---- where the device stands ----

    private boolean is(SlotStatus.State state) {
        return last.filter(status -> status.state() == state).isPresent();
    }

    private static boolean isWorthAnotherLook(SlotStatus.State state) {
        return switch (state) {
            case INTERRUPTED, MISMATCH, UNKNOWN -> true;
            case COMMITTED, TRIAL, ARMED -> false;
        };
    }

    /** Somebody else may have committed a trial meanwhile: a committed slot is not rebooted. */
    private Duration lookAndAct() throws InterruptedException {
        boolean wasOverdue = trial.isOverdue();
        look();
        armedSeen();
        if (wasOverdue && is(SlotStatus.State.TRIAL)) {
            trial.giveUp(last.get());
            orders.dropNext("the trial has failed");
            orders.is(Orders.Phase.ENDING);
            rebooter.inPlace(RebootReason.HEALTH_FAILED);
        }
        return Duration.ZERO;
    }

    private void look() throws InterruptedException {
        // What became better before this look is no reason for another one.
        links.takeBetter();
        Slots.Look look = device.slots().look();
        if (!last.equals(Optional.of(look.status()))) {
            report(look);
        }
        seen(look.status());
    }

    private void report(Slots.Look look) {
        String line = "slot_status:" + look.status();
        switch (look.status().state()) {
            case COMMITTED, TRIAL, ARMED -> log.info(line);
            case INTERRUPTED -> log.warning(line + ",meaning=the boot loader could not run the slot on trial; the "
                    + "trial guard cancels the trial");
            case MISMATCH -> log.error(line + ",meaning=the running slot is neither committed nor on trial; "
                    + "sysupgrade refuses updates until the boot state is repaired");
            case UNKNOWN -> log.error(line + "," + look.outcome() + ",meaning=ota-slot does not know the boot state; "
                    + "sysupgrade refuses updates until it is repaired, and a trial cannot be committed");
        }
    }

    /** The boot state is known anew: updates may have come to their end. */
    private void seen(SlotStatus status) throws InterruptedException {
        last = Optional.of(status);
        if (!status.running().isEmpty()) {
            runningSlot = status.running();
        }
        orders.isTrial(status.state() == SlotStatus.State.TRIAL);
        if (status.state() == SlotStatus.State.UNKNOWN) {
            if (lookAt.isEmpty()) {
                lookAt = Optional.of(clock.uptime().plus(lookWait.next()));
            }
        } else {
            lookWait.reset();
            lookAt = Optional.empty();
        }
        device.failures().settle(status);
        device.history().noteRollback(status);
        device.finalisation().settle(status);
        if (!isReported && status.state() != SlotStatus.State.UNKNOWN) {
            isReported = true;
            device.failures().report();
        }
    }

    // ---- updates ----

    /** An update of hubby, from its offer to the reboot, or to its failure. */
    private void take(UpdateCandidate offered) throws InterruptedException {
        log.info("otamgr_image_src:path=" + offered.path().image());
        log.info("otamgr_header_src:path=" + offered.path().header());
        orders.isBusyWith(offered);
        Optional<UpdateCandidate> next = Optional.of(offered);
        boolean isNew = true;
        while (next.isPresent() && orders.phase() == Orders.Phase.BUSY) {
            orders.isBusyWith(next.get());
            next = isNew && !isAccepted(next.get()) ? Optional.empty() : install(next.get());
            isNew = false;
        }
        if (orders.phase() == Orders.Phase.BUSY) {
            orders.is(Orders.Phase.READY);
        }
    }

    private boolean isAccepted(UpdateCandidate candidate) throws InterruptedException {
        hubby.offer(candidate);
        CheckInResult found = hubbyAgent.checkIn();
        if (found.result().code() == ExitCode.IN_PROGRESS) {
            putOff(candidate, found.result().message(), busyWait.next());
            return false;
        }
        if (found.selected().isEmpty()) {
            log.error("ota_refused:path=" + candidate.path().text() + ",reason="
                    + found.result().message());
            return false;
        }
        return hubbyAgent.pull(found.selected().get(), bytes -> {}).isSuccess();
    }

    private void putOff(UpdateCandidate candidate, String reason, Duration wait) {
        orders.is(Orders.Phase.READY);
        orders.putOff(candidate, reason, wait, clock.uptime());
    }

    /** Writes an update; returns the one to write next, if sysupgrade was busy. */
    private Optional<UpdateCandidate> install(UpdateCandidate candidate) throws InterruptedException {
        Target target = HubbySource.target(candidate);
        Agent.Attempt attempt = hubbyAgent.attempt(target, Optional.of(known()), progress -> {});
        if (attempt.txn().isEmpty()) {
            notBegun(candidate, attempt.result());
            return Optional.empty();
        }
        String path = candidate.path().text();
        boolean isBusy = attempt.exitStatus() == SysupgradeExit.BUSY.status();
        if (!isBusy) {
            // Had an earlier one still been running, this one would not have got so far.
            orphanLookAt = Optional.empty();
            busyWait.reset();
        }
        if (attempt.result().code() == ExitCode.NEEDS_REBOOT) {
            armed(attempt.txn());
        }
        if (isBusy) {
            log.warning("ota_busy:path=" + path + ",txn=" + attempt.txn() + ",reason="
                    + SysupgradeExit.meaning(attempt.exitStatus()));
        } else {
            orders.isWritten();
            log.error("ota_upgrade_failed:path=" + path + ","
                    + (attempt.exitStatus() < 0
                            ? attempt.reason()
                            : "txn=" + attempt.txn() + ",exit=" + attempt.exitStatus() + ",name="
                                    + SysupgradeExit.label(attempt.exitStatus()) + ",reason=" + attempt.reason()));
        }
        if (attempt.seen().isPresent()) {
            seen(attempt.seen().get());
            armedSeen();
        }
        return isBusy ? afterBusy(candidate) : Optional.empty();
    }

    /** The slot that runs stays the same until the next reboot, whatever ota-slot is able to find out. */
    private SlotStatus known() {
        SlotStatus status = last.orElse(SlotStatus.unknown());
        return new SlotStatus(
                status.state(),
                runningSlot,
                status.committed(),
                status.trial(),
                status.txn(),
                status.failed(),
                status.failedWhy(),
                status.floor());
    }

    private void notBegun(UpdateCandidate candidate, Result result) {
        switch (result.code()) {
            case DEFERRED -> putOff(
                    candidate, result.message(), device.callbacks().vetoWait());
            case IN_PROGRESS -> putOff(candidate, result.message(), busyWait.next());
            default -> log.error("ota_refused:path=" + candidate.path().text() + ",reason=" + result.message());
        }
    }

    /**
     * Another sysupgrade runs. The update that arms itself meanwhile wins; only if there is none, the offered one is tried
     * again, or a newer one in its place: nothing of this daemon was written for it.
     */
    private Optional<UpdateCandidate> afterBusy(UpdateCandidate candidate) throws InterruptedException {
        waiting.await(() -> isStopped, busyWait.next());
        if (isStopped) {
            throw new InterruptedException("the daemon ends");
        }
        look();
        armedSeen();
        return orders.takeInstead(candidate, clock.uptime());
    }

    // ---- reboots ----

    private Duration reboot() throws InterruptedException {
        boolean intoUpdate = orders.phase() == Orders.Phase.ARMED_BY_COMMAND;
        orders.rebootTaken();
        orders.dropNext("the device was told to reboot");
        orders.is(Orders.Phase.ENDING);
        if (intoUpdate) {
            rebooter.intoUpdate();
        } else {
            rebooter.inPlace(RebootReason.REBOOT_COMMAND);
        }
        return LONG;
    }

    /** An update that an earlier daemon began, or somebody else, may be armed. */
    private void armedSeen() throws InterruptedException {
        if (!is(SlotStatus.State.ARMED) || orders.phase() == Orders.Phase.ARMED_BY_COMMAND) {
            return;
        }
        String txn = last.orElseThrow().txn();
        if (txn.startsWith(SystemHistory.ROLLBACK) || device.finalisation().isOfAgent(txn)) {
            // What a command has armed is rebooted into by whoever gave it.
            orders.armedByCommand();
            return;
        }
        device.callbacks()
                .call(
                        Callbacks.Message.INSTALL_POST,
                        device.finalisation().pending().map(Target::name),
                        Optional.of(new Callbacks.Result.NeedsCompletion()));
        armed(txn);
    }

    /** Does not come back. */
    private void armed(String txn) throws InterruptedException {
        log.info("ota_upgrade_armed:txn=" + txn);
        orders.dropNext("the device reboots into another update");
        if (orders.rebootWaits()) {
            orders.rebootTaken();
            log.info("reboot_ignored:reason=the device reboots into the update");
        }
        orders.is(Orders.Phase.ENDING);
        rebooter.intoUpdate();
    }

    // ---- what polling tells ----

    @Override
    public void answered() {
        links.sourceAnswered();
    }

    @Override
    public void armed(Result result) {
        orders.dropNext("another system is armed");
        orders.is(Orders.Phase.ARMED_BY_COMMAND);
        // Carried out at the next step: the loop has to come to its end first.
        orders.rebootRequested();
    }

    @Override
    public boolean mayTake() {
        return !is(SlotStatus.State.TRIAL) && !orders.rebootWaits() && orders.phase() != Orders.Phase.ENDING;
    }
}
