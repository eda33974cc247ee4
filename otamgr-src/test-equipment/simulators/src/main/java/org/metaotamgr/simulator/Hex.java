// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

/** Bytes as people and logs write them. */
final class Hex {
    private static final String DIGITS = "0123456789abcdef";

    private Hex() {}

    static String of(byte[] bytes) {
        return of(bytes, bytes.length);
    }

    /** The first bytes only. */
    static String of(byte[] bytes, int limit) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < Math.min(bytes.length, limit); i++) {
            out.append(DIGITS.charAt(bytes[i] >> 4 & 15)).append(DIGITS.charAt(bytes[i] & 15));
        }
        return out.toString();
    }

    /**
     * Reads what {@link #of} writes.
     *
     * @throws IllegalArgumentException if the text is something else
     */
    static byte[] parse(String text) {
        byte[] bytes = new byte[text.length() / 2];
        for (int i = 0; i < bytes.length * 2; i++) {
            int digit = DIGITS.indexOf(Character.toLowerCase(text.charAt(i)));
            if (digit < 0) {
                throw new IllegalArgumentException(
                        "\"" + text + "\" is not hexadecimal, expected pairs of 0-9 and a-f");
            }
            bytes[i / 2] = (byte) (bytes[i / 2] << 4 | digit);
        }
        if (text.length() % 2 != 0) {
            throw new IllegalArgumentException("\"" + text + "\" has an odd number of digits, expected pairs");
        }
        return bytes;
    }
}
