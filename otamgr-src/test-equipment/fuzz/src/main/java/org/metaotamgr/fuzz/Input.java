// SPDX-License-Identifier: MIT
package org.metaotamgr.fuzz;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Takes an input apart into numbers and pieces; when it is used up, numbers are 0 and pieces are empty. */
public final class Input {
    private final byte[] bytes;
    private int at;

    /**
     * Makes one.
     *
     * @param bytes the input
     */
    public Input(byte[] bytes) {
        this.bytes = bytes;
    }

    /** Whether nothing is left. */
    public boolean isOver() {
        return at >= bytes.length;
    }

    /**
     * The next byte.
     *
     * @return 0 to 255
     */
    public int next() {
        return isOver() ? 0 : bytes[at++] & 0xff;
    }

    /**
     * The next two bytes.
     *
     * @return 0 to 65535
     */
    public int next16() {
        return next() << 8 | next();
    }

    /**
     * A piece.
     *
     * @param most its largest length; as long as the next byte says
     * @return the bytes
     */
    public byte[] piece(int most) {
        int length = Math.min(Math.min(next(), most), bytes.length - at);
        at += length;
        return Arrays.copyOfRange(bytes, at - length, at);
    }

    /**
     * Whatever is left.
     *
     * @return the bytes
     */
    public byte[] rest() {
        int from = Math.min(at, bytes.length);
        at = bytes.length;
        return Arrays.copyOfRange(bytes, from, bytes.length);
    }

    /**
     * Whatever is left.
     *
     * @return as text, in ISO 8859-1 or UTF-8
     */
    public String restAsText() {
        boolean isUtf8 = (next() & 1) == 0;
        return new String(rest(), isUtf8 ? StandardCharsets.UTF_8 : StandardCharsets.ISO_8859_1);
    }

    /**
     * What has to hold.
     *
     * @param holds whether it does
     * @param what what it is
     * @throws IllegalStateException if it does not
     */
    public static void require(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException("expected " + what);
        }
    }
}
