// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;
import org.metaotamgr.device.Printable;

/**
 * The path of a downloaded update without extension, as hubby tells it in attribute 51612 (attribute protocol,
 * section 9): {@code <path>.img} and {@code <path>.hdr} are its files.
 *
 * @param text absolute and normalised, at most {@value #MAX_BYTES} bytes of UTF-8
 */
record UpdatePath(String text) {
    static final String IMAGE = ".img";
    static final String HEADER = ".hdr";
    /** So that the path with its extension fits into 255 bytes, the limit that hubby is used to. */
    static final int MAX_BYTES = 251;

    UpdatePath {
        Optional<String> problem = problemOf(text);
        if (problem.isPresent()) {
            throw new IllegalArgumentException(problem.get());
        }
    }

    /**
     * Reads the value of attribute 51612.
     *
     * @param value UTF-8; it ends at its first NUL, as for the C programs that it is made for, or without one
     * @return the path
     * @throws UpdateRefusedException if it is not UTF-8, or for any {@link #problemOf}
     */
    static UpdatePath parse(byte[] value) throws UpdateRefusedException {
        byte[] bytes = untilNul(value);
        int length = bytes.length;
        if (length > MAX_BYTES) {
            throw new UpdateRefusedException(tooLong(length));
        }
        String text;
        try {
            // A new decoder reports what is not UTF-8, where String would replace it.
            text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new UpdateRefusedException("expected UTF-8, found other bytes");
        }
        Optional<String> problem = problemOf(text);
        if (problem.isPresent()) {
            throw new UpdateRefusedException(problem.get());
        }
        return new UpdatePath(text);
    }

    /** What comes before the first NUL. */
    static byte[] untilNul(byte[] value) {
        int length = 0;
        while (length < value.length && value[length] != 0) {
            length++;
        }
        return Arrays.copyOf(value, length);
    }

    /**
     * Which rule a path breaks, if any.
     *
     * @param text a path
     * @return what was expected and found, or empty if the path is absolute, normalised, not the root itself, free of
     *     characters that do not print, and not too long
     */
    static Optional<String> problemOf(String text) {
        if (text.isEmpty()) {
            return Optional.of("expected a path, found nothing");
        }
        if (!text.startsWith("/")) {
            return Optional.of("expected an absolute path, found a relative one");
        }
        int bytes = text.getBytes(StandardCharsets.UTF_8).length;
        if (bytes > MAX_BYTES) {
            return Optional.of(tooLong(bytes));
        }
        if (!text.codePoints().allMatch(Printable::isPlain)) {
            return Optional.of("expected printable characters, found control characters");
        }
        // With -1, split() keeps the empty parts at the end.
        for (String part : text.substring(1).split("/", -1)) {
            if (part.isEmpty() || part.equals(".") || part.equals("..")) {
                return Optional.of("expected a normalised path, found the part \"" + part + "\"");
            }
        }
        return Optional.empty();
    }

    private static String tooLong(int bytes) {
        return "expected at most " + MAX_BYTES + " bytes, found " + bytes;
    }

    /** The path of the image. */
    String image() {
        return text + IMAGE;
    }

    /** The path of the header. */
    String header() {
        return text + HEADER;
    }
}
