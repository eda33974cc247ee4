// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.nio.charset.StandardCharsets;

/** Texts from outside, made fit for messages and names of files. */
final class Text {
    private static final int LONGEST = 120;

    private Text() {}

    /** At most {@value #LONGEST} printable characters of a text. */
    static String printable(String text) {
        String cut = text.length() > LONGEST ? text.substring(0, LONGEST) + "…" : text;
        StringBuilder out = new StringBuilder(cut.length());
        cut.codePoints()
                .map(c -> Character.isISOControl(c) || Character.getType(c) == Character.FORMAT ? '?' : c)
                .forEach(out::appendCodePoint);
        return out.toString();
    }

    /** A role's name as part of a file's name: all but letters, digits and {@code _ . - ~} percent-encoded. */
    static String encoded(String name) {
        StringBuilder out = new StringBuilder(name.length());
        for (byte each : name.getBytes(StandardCharsets.UTF_8)) {
            if (each >= '0' && each <= '9'
                    || each >= 'A' && each <= 'Z'
                    || each >= 'a' && each <= 'z'
                    || each == '_'
                    || each == '.'
                    || each == '-'
                    || each == '~') {
                out.append((char) each);
            } else {
                out.append('%').append(String.format("%02X", each));
            }
        }
        return out.toString();
    }
}
