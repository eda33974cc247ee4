// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.util.Optional;

/**
 * Which bytes of the file an answer holds.
 *
 * @param first the first one, from 0
 * @param last the last one
 */
record ContentRange(long first, long last) {
    private static final int MAX_DIGITS = 18;

    long length() {
        return last - first + 1;
    }

    /** What Content-Range says; empty if it is not a part of a file of this length. */
    static Optional<ContentRange> of(String text, long total) {
        int dash = text.indexOf('-');
        int slash = text.indexOf('/');
        if (!text.regionMatches(true, 0, "bytes ", 0, 6) || dash < 6 || slash < dash) {
            return Optional.empty();
        }
        long first = number(text.substring(6, dash).strip());
        long last = number(text.substring(dash + 1, slash).strip());
        String whole = text.substring(slash + 1).strip();
        boolean isOfFile = whole.equals("*") || number(whole) == total;
        return isOfFile && first >= 0 && first <= last && last < total
                ? Optional.of(new ContentRange(first, last))
                : Optional.empty();
    }

    private static long number(String digits) {
        boolean isNumber = !digits.isEmpty()
                && digits.length() <= MAX_DIGITS
                && digits.chars().allMatch(one -> one >= '0' && one <= '9');
        return isNumber ? Long.parseLong(digits) : -1;
    }
}
