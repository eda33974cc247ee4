// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.util.Arrays;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

/** The exit statuses of sysupgrade. */
public enum SysupgradeExit {
    /** The update is written, and armed as trial. */
    ARMED(0, "armed", "the update is written and armed"),
    /** 1. */
    UNEXPECTED(1, "unexpected", "an unexpected error"),
    /** 2. */
    USAGE(2, "usage", "sysupgrade does not take these arguments"),
    /** 3. */
    IMAGE_MISSING(3, "image-missing", "the image is missing, empty or unreadable"),
    /** 4. */
    IMAGE_UNKNOWN(4, "image-unknown", "the format of the image is unknown"),
    /** 5. */
    IMAGE_CORRUPT(5, "image-corrupt", "the image does not decompress, or is not what it says"),
    /** 6. */
    SIGNATURE(6, "signature", "the signature is missing, wrong or not by a trusted key"),
    /** 7. */
    INCOMPATIBLE(7, "incompatible", "the image is not a system for this board"),
    /** 8. */
    TOO_LARGE(8, "too-large", "the image does not fit"),
    /** 9. */
    TRIAL_PENDING(9, "trial-pending", "a trial is pending, and has to be committed or cancelled first"),
    /** 10. */
    BOOT_STATE(10, "boot-state", "the boot state is unusable"),
    /** 11. */
    SLOT_IN_USE(11, "slot-in-use", "the target slot is in use"),
    /** 12. */
    BUSY(12, "busy", "another sysupgrade runs"),
    /** 13. */
    WRITE_FAILED(13, "write-failed", "writing the slot failed"),
    /** 14. */
    READ_BACK_DIFFERS(14, "read-back-differs", "the slot reads back differently"),
    /** 15. */
    NOT_MOUNTABLE(15, "not-mountable", "the new system does not mount, or its header could not be placed"),
    /** 16. */
    KEEP_FAILED(16, "keep-failed", "files to keep could not be copied"),
    /** 17. */
    ENV_FAILED(17, "env-failed", "the boot state could not be written"),
    /** 18. */
    HEADER_MISSING(18, "header-missing", "the header is missing, empty or unreadable"),
    /** 19. */
    WRONG_BOARD(19, "wrong-board", "the bundle is for another board"),
    /** 20. */
    TOO_OLD(20, "too-old", "the bundle is older than the floor of this device"),
    /** 21. */
    OVER_BUDGET(21, "over-budget", "memory, or room for working or kept files, does not suffice"),
    /** 22. */
    NEEDS_MORE(22, "needs-more", "the bundle was fetched in parts, and more of it is needed"),
    /** 23. */
    NO_KEY(23, "no-key", "the bundle is encrypted, and not for a key of this device"),
    /** 24. */
    NO_TARGET(24, "no-target", "an image of the bundle has no target on this device, or a target lacks its image"),
    /** 25. */
    HANDLER_FAILED(25, "handler-failed", "the program that takes an image of the bundle failed");

    /** What another run on the same device would say as well. */
    private static final Set<SysupgradeExit> OF_IMAGE = EnumSet.of(
            IMAGE_UNKNOWN,
            IMAGE_CORRUPT,
            SIGNATURE,
            INCOMPATIBLE,
            TOO_LARGE,
            HEADER_MISSING,
            WRONG_BOARD,
            TOO_OLD,
            NO_KEY,
            NO_TARGET);

    /** When the other slot is destroyed already; another try would destroy it again, and most likely end the same way. */
    private static final Set<SysupgradeExit> OF_WRITING =
            EnumSet.of(WRITE_FAILED, READ_BACK_DIFFERS, NOT_MOUNTABLE, KEEP_FAILED, HANDLER_FAILED);

    private final int status;
    private final String label;
    private final String meaning;

    SysupgradeExit(int status, String label, String meaning) {
        this.status = status;
        this.label = label;
        this.meaning = meaning;
    }

    /** The exit status. */
    public int status() {
        return status;
    }

    /** Whether a status is about the update itself, not about the device or the moment. */
    public static boolean isOfImage(int status) {
        return of(status).filter(OF_IMAGE::contains).isPresent();
    }

    /** Whether the other slot was destroyed for nothing: sysupgrade had begun to write, and did not get to the end. */
    public static boolean isOfWriting(int status) {
        return status > 128 || of(status).filter(OF_WRITING::contains).isPresent();
    }

    /** Which one a status is, or empty if sysupgrade does not define it. */
    public static Optional<SysupgradeExit> of(int status) {
        return Arrays.stream(values()).filter(exit -> exit.status == status).findFirst();
    }

    /** A short word for a status, for log lines. */
    public static String label(int status) {
        return of(status).map(exit -> exit.label).orElse(status > 128 ? "killed" : "undefined");
    }

    /** What a status means, for people. */
    public static String meaning(int status) {
        return of(status)
                .map(exit -> exit.meaning)
                .orElse(
                        status > 128
                                ? "sysupgrade was killed by signal " + (status - 128)
                                : "sysupgrade does not define this exit status");
    }
}
