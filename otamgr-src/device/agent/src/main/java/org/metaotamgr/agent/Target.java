// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.metaotamgr.device.Printable;

/**
 * An update that a source offers. It is written to the device's storage and read by other versions of the agent, so it is
 * plain data.
 *
 * @param name a name for people and for callbacks: 1 to 128 letters, digits and {@code . _ + ~ : -}, not beginning with
 *     a dot or hyphen
 * @param version 1 to 128 such characters. What a source offers has a {@link Version}; an update of hubby's has none, and the
 *     begin of its hash here
 * @param compatible the board it is for, as in the manifest of a bundle; empty if the source does not know, and the
 *     install finds out
 * @param bytes the length of the file to pull; at least 1
 * @param id identifies the content, 64 lower case hex digits: two targets with the same id are the same update, and one
 *     that failed is recognised by it. The SHA-256 of the file if the source knows it, else of something that is signed
 *     and determines the file, such as the manifest of a bundle
 * @param sha256 the SHA-256 of the file, 64 lower case hex digits, if the source knows it before the pull
 * @param details what the source needs to know again later, such as a URL or the number of an action; at most 32 entries,
 *     at most 4096 characters each
 */
public record Target(
        String name,
        String version,
        Optional<String> compatible,
        long bytes,
        String id,
        Optional<String> sha256,
        Map<String, String> details) {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_+~:][A-Za-z0-9._+~:-]{0,127}");
    private static final Pattern NOT_OF_NAME = Pattern.compile("[^A-Za-z0-9._+~:-]|^[.-]");
    private static final int MAX_NAME = 128;
    private static final Pattern BOARD = Pattern.compile("[!-~]{1,64}");
    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");
    private static final int MAX_DETAILS = 32;
    private static final int MAX_DETAIL_LENGTH = 4096;

    /**
     * Checks and copies.
     *
     * @throws IllegalArgumentException if a value is not as described; a source that reads values from outside checks
     *     them with {@link #isName} and its likes first, or passes this message on
     */
    public Target {
        require(isName(name), "a name of 1 to 128 letters, digits and . _ + ~ : -", name);
        require(isName(version), "a version of 1 to 128 letters, digits and . _ + ~ : -", version);
        compatible.ifPresent(board -> require(isBoard(board), "a board's name as in /etc/otamgr/compatible", board));
        require(bytes >= 1, "a length of at least 1 byte", Long.toString(bytes));
        require(isSha256(id), "an id of 64 lower case hex digits", id);
        sha256.ifPresent(hash -> require(isSha256(hash), "a hash of 64 lower case hex digits", hash));
        details = Map.copyOf(details);
        require(details.size() <= MAX_DETAILS, "at most " + MAX_DETAILS + " details", Integer.toString(details.size()));
        new TreeMap<>(details)
                .forEach((key, value) -> require(
                        key.length() + value.length() <= MAX_DETAIL_LENGTH,
                        "details of at most " + MAX_DETAIL_LENGTH + " characters",
                        key));
    }

    private static void require(boolean holds, String expected, String found) {
        if (!holds) {
            throw new IllegalArgumentException("expected " + expected + ", found " + Printable.of(found));
        }
    }

    /**
     * Whether a text may be a target's name.
     *
     * @param text anything
     * @return whether it may
     */
    public static boolean isName(String text) {
        return NAME.matcher(text).matches();
    }

    /**
     * Whether a text may be the name of a board, such as {@code acme,board-7}.
     *
     * @param text anything
     * @return whether it may
     */
    public static boolean isBoard(String text) {
        return BOARD.matcher(text).matches();
    }

    /**
     * The name of a version for a board, where nobody gave it one.
     *
     * @param board the board, if it is known
     * @param version the version
     * @return a name, in which {@code _} stands for what a name may not have
     */
    public static String nameOf(Optional<String> board, String version) {
        String name = NOT_OF_NAME
                .matcher(board.map(text -> text + "-").orElse("") + version)
                .replaceAll("_");
        return name.substring(0, Math.min(name.length(), MAX_NAME));
    }

    /**
     * Whether a text may be the version of what a source offers.
     *
     * @param text anything
     * @return whether it may
     */
    public static boolean isVersion(String text) {
        return Version.isVersion(text);
    }

    /**
     * Whether a text is a SHA-256 as it is written here.
     *
     * @param text anything
     * @return whether it consists of 64 lower case hex digits
     */
    public static boolean isSha256(String text) {
        return SHA256.matcher(text).matches();
    }
}
