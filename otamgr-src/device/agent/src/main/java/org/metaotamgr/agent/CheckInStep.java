// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.metaotamgr.agent.Callbacks.Message;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.SlotStatus;

/** Asks the source what is offered, and picks what suits this device. */
final class CheckInStep {
    private final UpdateSource source;
    private final TargetPolicy policy;
    private final Slots slots;
    private final SystemHistory history;
    private final Callbacks callbacks;
    private final Reports reports;
    private final EventLog log;

    CheckInStep(
            UpdateSource source,
            TargetPolicy policy,
            Slots slots,
            SystemHistory history,
            Callbacks callbacks,
            Reports reports,
            EventLog log) {
        this.source = source;
        this.policy = policy;
        this.slots = slots;
        this.history = history;
        this.callbacks = callbacks;
        this.reports = reports;
        this.log = log;
    }

    static CheckInResult without(Result result) {
        return new CheckInResult(result, List.of(), Optional.empty(), Optional.empty());
    }

    CheckInResult run() throws InterruptedException {
        reports.deliver();
        if (!source.isPushing() && !callbacks.call(Message.CHECK_FOR_UPDATE_PRE, Optional.empty(), Optional.empty())) {
            return without(Result.putOff());
        }
        CheckInResult found;
        try {
            InstalledSystem installed = installed();
            found = judge(source.check(installed), installed);
        } catch (SourceException e) {
            log.warning("check_failed:source=" + source.name() + ",reason=" + e.reason() + ",error=" + e.getMessage());
            callbacks.call(
                    Message.CHECK_FOR_UPDATE_POST,
                    Optional.empty(),
                    Optional.of(new Callbacks.Result.Failed(e.getMessage())));
            return without(Result.of(e));
        }
        log.info("check:source=" + source.name() + ",offers="
                + found.offers().size() + ",code="
                + found.result().code().status() + ",meaning="
                + found.result().message());
        callbacks.call(
                Message.CHECK_FOR_UPDATE_POST,
                found.selected().map(Target::name),
                Optional.of(
                        found.result().isSuccess()
                                ? new Callbacks.Result.Ok()
                                : new Callbacks.Result.Failed(found.result().message())));
        return found;
    }

    private InstalledSystem installed() throws InterruptedException {
        InstalledSystem known = history.installed();
        if (source.isPushing()) {
            // Whoever pushes does not ask what runs, and no rule of ours is about it.
            return known;
        }
        SlotStatus status = slots.status();
        history.noteRollback(status);
        return new InstalledSystem(known.name(), known.version(), known.compatible(), status.floor());
    }

    private CheckInResult judge(CheckResult answer, InstalledSystem installed) throws InterruptedException {
        if (answer instanceof CheckResult.Nothing nothing) {
            return new CheckInResult(
                    new Result(ExitCode.OK, "up to date"), List.of(), Optional.empty(), nothing.askAgain());
        } else if (answer instanceof CheckResult.Waiting waiting) {
            return new CheckInResult(
                    new Result(ExitCode.OK, "waiting: " + Printable.of(waiting.reason())),
                    List.of(),
                    Optional.empty(),
                    waiting.askAgain());
        } else if (answer instanceof CheckResult.Offers offers) {
            return judge(offers, installed);
        }
        throw new IllegalArgumentException(answer.toString());
    }

    private CheckInResult judge(CheckResult.Offers answer, InstalledSystem installed) throws InterruptedException {
        List<CheckInResult.Offer> offers = new ArrayList<>();
        answer.targets().stream()
                .sorted(Comparator.comparing((Target target) -> new Version(target.version()), Version.OLDEST_FIRST)
                        .reversed())
                .forEach(target -> offers.add(new CheckInResult.Offer(target, policy.refusal(target, installed))));
        Optional<Target> selected = offers.stream()
                .filter(offer -> offer.refusal().isEmpty())
                .map(CheckInResult.Offer::target)
                .findFirst();
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
            reports.report(offers.get(0).target(), new UpdateEvent.Rejected(result.message()));
        } else if (source.isAssigning() && selected.isEmpty() && result.code() == ExitCode.OK) {
            // Assigned once more, or the word that it is done got lost.
            reports.report(offers.get(0).target(), new UpdateEvent.Done());
        }
        return new CheckInResult(result, offers, selected, answer.askAgain());
    }

    private static ExitCode code(CheckInResult.Offer offer) {
        return offer.refusal().map(Result::code).orElse(ExitCode.NEW_VERSION);
    }

    private static boolean isWorthWaiting(Result refusal) {
        return refusal.code() == ExitCode.DEFERRED;
    }
}
