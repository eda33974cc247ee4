// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/** The latest requests, in the order in which they were answered. */
final class RequestLog {

    private static final int KEPT = 50_000;

    private final Deque<RecordedRequest> requests = new ArrayDeque<>();

    synchronized void add(RecordedRequest request) {
        if (requests.size() == KEPT) {
            requests.removeFirst();
        }
        requests.addLast(request);
    }

    synchronized List<RecordedRequest> all() {
        return List.copyOf(requests);
    }

    synchronized List<RecordedRequest> last(int count) {
        return requests.stream().skip(Math.max(0, requests.size() - count)).toList();
    }

    synchronized void clear() {
        requests.clear();
    }
}
