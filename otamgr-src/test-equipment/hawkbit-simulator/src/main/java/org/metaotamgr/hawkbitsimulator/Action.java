// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbitsimulator;

import java.util.ArrayList;
import java.util.List;

/** An update that is assigned to the device, in the server's words. Only used under the server's lock. */
final class Action {
    final long id;
    final long set;
    final Assignment assignment;
    private Status status;
    private boolean windowOpen;
    private final List<String> messages = new ArrayList<>();

    /** The states of an action of hawkBit that matter here. */
    public enum Status {
        /** Somebody has to confirm it. */
        WAIT_FOR_CONFIRMATION(true),
        /** It goes on. */
        RUNNING(true),
        /** The server wants it to stop. */
        CANCELING(true),
        /** It has stopped. */
        CANCELED(false),
        /** It is done. */
        FINISHED(false),
        /** It was only to be downloaded, and is. */
        DOWNLOADED(false),
        /** It failed. */
        ERROR(false);

        private final boolean isActive;

        Status(boolean isActive) {
            this.isActive = isActive;
        }

        boolean isActive() {
            return isActive;
        }

        /** Whether the device counts as one that has the set, or will have it. */
        boolean isAssigned() {
            return this != ERROR && this != CANCELED;
        }
    }

    Action(long id, long set, Assignment assignment) {
        this.id = id;
        this.set = set;
        this.assignment = assignment;
        this.status = assignment.needsConfirmation() ? Status.WAIT_FOR_CONFIRMATION : Status.RUNNING;
    }

    Status status() {
        return status;
    }

    void become(Status next, String message) {
        status = next;
        messages.add(message);
    }

    void note(String message) {
        messages.add(message);
    }

    List<String> messages() {
        return List.copyOf(messages);
    }

    boolean isWindowOpen() {
        return windowOpen;
    }

    void openWindow(boolean open) {
        windowOpen = open;
    }

    boolean isActive() {
        return status.isActive();
    }

    boolean isCancelingOrCanceled() {
        return status == Status.CANCELING || status == Status.CANCELED;
    }
}
