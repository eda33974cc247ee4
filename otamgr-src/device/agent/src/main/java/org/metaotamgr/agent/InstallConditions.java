// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.SlotStatus;

/** What has to be so for a target to be installed now. */
final class InstallConditions {
    private final UpdateSource source;
    private final TargetPolicy policy;
    private final Reports reports;
    private final AgentStore store;
    private final SystemHistory history;
    private final EventLog log;

    InstallConditions(
            UpdateSource source,
            TargetPolicy policy,
            Reports reports,
            AgentStore store,
            SystemHistory history,
            EventLog log) {
        this.source = source;
        this.policy = policy;
        this.reports = reports;
        this.store = store;
        this.history = history;
        this.log = log;
    }

    /** What keeps a target from being installed now, before anything is done. */
    Optional<Result> obstacle(Target target, SlotStatus status) throws InterruptedException {
        if (status.state() == SlotStatus.State.TRIAL) {
            return Optional.of(new Result(ExitCode.IN_PROGRESS, "a trial goes on, and has to end first"));
        }
        if (status.state() == SlotStatus.State.ARMED) {
            return Optional.of(
                    new Result(ExitCode.NEEDS_REBOOT, "an update is armed, and starts with the next reboot"));
        }
        InstalledSystem known = history.installed();
        Optional<Result> refusal = policy.refusal(
                target, new InstalledSystem(known.name(), known.version(), known.compatible(), status.floor()));
        if (refusal.isPresent()) {
            return refusal;
        }
        try {
            if (!source.isStillOffered(target)) {
                store.remove(target);
                reports.report(target, new UpdateEvent.Cancelled());
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
}
