// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import org.metaotamgr.device.EventLog;

/** Tells the source what became of its targets; ends are kept until they were heard. */
final class Reports {
    private final UpdateSource source;
    private final AgentStore store;
    private final EventLog log;

    Reports(UpdateSource source, AgentStore store, EventLog log) {
        this.source = source;
        this.store = store;
        this.log = log;
    }

    /** Tells about ends that the source does not know yet. */
    void deliver() throws InterruptedException {
        for (AgentState.Unreported one : store.state().unreported()) {
            if (!one.source().equals(source.name())) {
                continue;
            }
            try {
                source.report(one.target(), one.event());
                store.change(state -> state.withoutUnreported(one));
            } catch (SourceException e) {
                log.info("report_waits:source=" + source.name() + ",target="
                        + one.target().name() + ",error=" + e.getMessage());
                return;
            }
        }
    }

    /** Tells about an event; whoever pushes wants to know nothing. */
    void report(Target target, UpdateEvent event) throws InterruptedException {
        if (source.isPushing()) {
            return;
        }
        if (event.isFinal()) {
            store.change(state -> state.withUnreported(new AgentState.Unreported(source.name(), target, event)));
            deliver();
            return;
        }
        try {
            source.report(target, event);
        } catch (SourceException e) {
            log.info("report_failed:source=" + source.name() + ",target=" + target.name() + ",error=" + e.getMessage());
        }
    }
}
