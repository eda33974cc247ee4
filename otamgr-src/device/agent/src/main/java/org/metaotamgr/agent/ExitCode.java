// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

/**
 * How a command ended. Codes are those of aktualizr-lite (its {@code cli.h} and {@code cli.cc}) where the meaning is the
 * same; what it does not have uses numbers that it does not use.
 */
public enum ExitCode {
    /** Done, or up to date. */
    OK(0, "done"),
    /** Something that should not happen; the message says what. */
    UNKNOWN(1, "unexpected error"),
    /** The command line cannot be understood. */
    USAGE(2, "wrong usage"),
    /** The source could not be asked, or did not understand. */
    CHECK_IN_FAILED(4, "check-in failed"),
    /** All that is offered is for another board. */
    NO_MATCHING_TARGET(6, "no target for this board"),
    /** There is no bundle where bundles are looked for. */
    NO_CONTENT(8, "no bundle found"),
    /** The list of updates cannot be trusted. */
    SECURITY_ERROR(11, "the list of updates cannot be trusted"),
    /** The list of updates is past its date. */
    EXPIRED(12, "the list of updates has expired"),
    /** The source did not answer. */
    FETCH_FAILED(13, "the source did not answer"),
    /** The source answers, but has no list of updates. */
    NOT_FOUND(14, "no list of updates found"),
    /** The bundle is damaged, or not signed by a key of the device. */
    BAD_BUNDLE(15, "the bundle is damaged or not signed by a key of this device"),
    /** An update is there to be taken. */
    NEW_VERSION(16, "a new version is available"),
    /** The name does not belong to any target that is offered. */
    TARGET_NOT_FOUND(20, "no such target"),
    /** The inactive slot holds no complete system. */
    NO_ROLLBACK_TARGET(21, "the inactive slot holds no complete system"),
    /** Another command or update is under way. */
    IN_PROGRESS(30, "another update is under way"),
    /** Nothing waits to be finalised. */
    NOTHING_PENDING(40, "no update waits to be finalised"),
    /** The target could not be pulled to its end. */
    DOWNLOAD_FAILED(50, "the pull failed"),
    /** The target was withdrawn by whoever offered it. */
    CANCELLED(51, "the update was withdrawn"),
    /** Not now: window, metered link, or a callback's veto. */
    DEFERRED(52, "deferred"),
    /** There is no room for the target. */
    NO_SPACE(60, "not enough room"),
    /** What was pulled is not what was offered. */
    VERIFICATION_FAILED(70, "what was pulled is not what was offered"),
    /** The target runs already. */
    ALREADY_INSTALLED(75, "already installed"),
    /** The target has to be pulled first. */
    NOT_PULLED(80, "not pulled"),
    /** The update is armed, or the trial goes on: a reboot, or some time, is needed. */
    NEEDS_REBOOT(100, "reboot needed"),
    /** The target failed too often on this device, or a moment ago. */
    KNOWN_BAD(101, "the update failed before"),
    /** The target is older than the device allows. */
    DOWNGRADE_REFUSED(102, "older than this device allows"),
    /** The install failed; the running system is as before. */
    INSTALL_FAILED(103, "the install failed"),
    /** Somebody rolled back from the target by hand; it is only installed when a command names it. */
    LEFT_BY_HAND(104, "rolled back from by hand"),
    /** The update was rolled back: its trial failed. */
    ROLLED_BACK(110, "the update was rolled back"),
    /** The previous system is armed: a reboot is needed. */
    ROLLBACK_NEEDS_REBOOT(120, "rollback armed, reboot needed"),
    /** The previous system could not be armed. */
    ROLLBACK_FAILED(130, "the rollback failed");

    private final int status;
    private final String meaning;

    ExitCode(int status, String meaning) {
        this.status = status;
        this.meaning = meaning;
    }

    /**
     * The number.
     *
     * @return the exit status
     */
    public int status() {
        return status;
    }

    /**
     * What it means, for people.
     *
     * @return a few words
     */
    public String meaning() {
        return meaning;
    }
}
