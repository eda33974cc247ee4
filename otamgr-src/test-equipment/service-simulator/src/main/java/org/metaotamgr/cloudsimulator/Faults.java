// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** The faults that are still to come. Calls are counted for each fault, from when it was added. */
final class Faults {

    private static final class Pending {
        private final Fault fault;
        private int calls;

        private Pending(Fault fault) {
            this.fault = fault;
        }
    }

    private final List<Pending> pending = new ArrayList<>();

    synchronized void add(Fault fault) {
        pending.add(new Pending(fault));
    }

    synchronized void clear() {
        pending.clear();
    }

    synchronized List<String> texts() {
        return pending.stream().map(entry -> entry.fault.text()).toList();
    }

    /** Counts a call and returns what shall go wrong with it. */
    synchronized List<Fault> next(Route route) {
        List<Fault> due = new ArrayList<>();
        for (Iterator<Pending> entries = pending.iterator(); entries.hasNext(); ) {
            Pending entry = entries.next();
            if (entry.fault.concerns(route)) {
                entry.calls++;
                if (entry.calls >= entry.fault.first()) {
                    due.add(entry.fault);
                }
                if (entry.calls >= entry.fault.last()) {
                    entries.remove();
                }
            }
        }
        return due;
    }
}
