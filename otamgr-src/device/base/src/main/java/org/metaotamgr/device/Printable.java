// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.nio.charset.StandardCharsets;

/** Makes text from outside fit for a log line: an event stays one line, and cannot pass for another one. */
public final class Printable {
    /** Longest text that is logged, in characters; an update path always fits. */
    public static final int MAX_LENGTH = 512;

    private Printable() {}

    /**
     * Replaces control characters, line separators and unpaired surrogates, and bounds the length.
     *
     * @param text anything
     * @return {@code text} with those characters written as {@code \\uXXXX}; cut, with an ellipsis, if it is very long
     */
    public static String of(String text) {
        StringBuilder printable = new StringBuilder(Math.min(text.length(), MAX_LENGTH) + 16);
        for (int at = 0; at < text.length(); ) {
            if (printable.length() >= MAX_LENGTH) {
                return printable.append("...").toString();
            }
            int codePoint = text.codePointAt(at);
            if (isPlain(codePoint)) {
                printable.appendCodePoint(codePoint);
            } else {
                printable.append(String.format("\\u%04x", codePoint));
            }
            at += Character.charCount(codePoint);
        }
        return printable.toString();
    }

    /**
     * The same for bytes which should be UTF-8; what is not becomes U+FFFD.
     *
     * @param bytes anything
     * @return printable text
     */
    public static String of(byte[] bytes) {
        return of(new String(bytes, StandardCharsets.UTF_8));
    }

    /** Whether a character can neither move the cursor, nor end a line, nor hide the text around it. */
    public static boolean isPlain(int codePoint) {
        switch (Character.getType(codePoint)) {
            case Character.CONTROL:
            case Character.FORMAT:
            case Character.SURROGATE:
            case Character.LINE_SEPARATOR:
            case Character.PARAGRAPH_SEPARATOR:
                return false;
            default:
                return true;
        }
    }
}
