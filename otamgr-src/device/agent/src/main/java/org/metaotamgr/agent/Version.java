// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Comparator;
import org.metaotamgr.device.Printable;

/**
 * A version as bundles have it: 1 to 8 numbers of at most 9 digits with dots between them, and perhaps a suffix that begins
 * with a hyphen, as in {@code 2.10.1-rc2}. Numbers are compared one by one, and a missing one counts as 0; the suffix does
 * not count. {@code sysupgrade}, its floor and the host's tools have the same idea of it.
 *
 * <p>Only where one of several is to be picked, {@link #OLDEST_FIRST} looks at the suffix as well: a release is newer than its
 * candidates.
 *
 * @param text the version; what is none compares like 0
 */
public record Version(String text) implements Comparable<Version> {
    /** By the numbers; where they are the same what has a suffix comes before what has none, and rc9 before rc10. */
    public static final Comparator<Version> OLDEST_FIRST =
            Comparator.<Version>naturalOrder().thenComparing(Version::suffix, Version::compareSuffixes);

    private static final int MAX_NUMBERS = 8;
    private static final int MAX_DIGITS = 9;
    private static final int MAX_SUFFIX = 32;
    private static final String SUFFIX_MARKS = "._+-";

    /**
     * Whether a text is a version.
     *
     * @param text anything
     * @return whether it is
     */
    public static boolean isVersion(String text) {
        int hyphen = text.indexOf('-');
        String numbers = hyphen < 0 ? text : text.substring(0, hyphen);
        String suffix = hyphen < 0 ? "x" : text.substring(hyphen + 1);
        int count = 1;
        int digits = 0;
        for (int at = 0; at < numbers.length(); at++) {
            char one = numbers.charAt(at);
            if (one >= '0' && one <= '9') {
                digits++;
            } else if (one == '.' && digits > 0) {
                count++;
                digits = 0;
            } else {
                return false;
            }
            if (digits > MAX_DIGITS || count > MAX_NUMBERS) {
                return false;
            }
        }
        return digits > 0
                && !suffix.isEmpty()
                && suffix.length() <= MAX_SUFFIX
                && suffix.chars()
                        .allMatch(one -> one >= '0' && one <= '9'
                                || one >= 'a' && one <= 'z'
                                || one >= 'A' && one <= 'Z'
                                || SUFFIX_MARKS.indexOf(one) >= 0);
    }

    /**
     * Why a text is no version.
     *
     * @param text what is none
     * @return a sentence
     */
    public static String problem(String text) {
        return Printable.of(text) + " is no version: expected numbers of at most " + MAX_DIGITS
                + " digits with dots between them, "
                + "and perhaps a suffix that begins with a hyphen, such as 2.10.1-rc2";
    }

    /**
     * Whether two versions are the same: the same numbers, where a missing one counts as 0, and the same suffix.
     *
     * @param other another one
     * @return whether nothing tells them apart
     */
    public boolean isSame(Version other) {
        return compareTo(other) == 0 && suffix().equals(other.suffix());
    }

    private String suffix() {
        int hyphen = text.indexOf('-');
        return isVersion(text) ? hyphen < 0 ? "" : text.substring(hyphen) : text;
    }

    @Override
    public int compareTo(Version other) {
        int[] mine = numbers(text);
        int[] others = numbers(other.text);
        for (int at = 0; at < MAX_NUMBERS; at++) {
            if (mine[at] != others[at]) {
                return Integer.compare(mine[at], others[at]);
            }
        }
        return 0;
    }

    private static int compareSuffixes(String one, String other) {
        if (one.isEmpty() || other.isEmpty()) {
            return Boolean.compare(one.isEmpty(), other.isEmpty());
        }
        int at = 0;
        int there = 0;
        while (at < one.length() && there < other.length()) {
            int end = runEnd(one, at);
            int otherEnd = runEnd(other, there);
            int compared = compareRuns(one.substring(at, end), other.substring(there, otherEnd));
            if (compared != 0) {
                return compared;
            }
            at = end;
            there = otherEnd;
        }
        return Integer.compare(one.length() - at, other.length() - there);
    }

    /** Where the number or the word ends that begins here. */
    private static int runEnd(String text, int from) {
        int end = from + 1;
        while (end < text.length() && isDigit(text.charAt(end)) == isDigit(text.charAt(from))) {
            end++;
        }
        return end;
    }

    private static int compareRuns(String one, String other) {
        boolean isNumber = isDigit(one.charAt(0));
        if (isNumber != isDigit(other.charAt(0))) {
            return isNumber ? -1 : 1;
        }
        String mine = isNumber ? withoutZeros(one) : one;
        String others = isNumber ? withoutZeros(other) : other;
        return isNumber && mine.length() != others.length()
                ? Integer.compare(mine.length(), others.length())
                : mine.compareTo(others);
    }

    private static String withoutZeros(String digits) {
        int from = 0;
        while (from < digits.length() - 1 && digits.charAt(from) == '0') {
            from++;
        }
        return digits.substring(from);
    }

    private static boolean isDigit(char one) {
        return one >= '0' && one <= '9';
    }

    private static int[] numbers(String text) {
        int[] numbers = new int[MAX_NUMBERS];
        if (isVersion(text)) {
            int count = 0;
            for (int at = 0; at < text.length() && text.charAt(at) != '-'; at++) {
                if (text.charAt(at) == '.') {
                    count++;
                } else {
                    numbers[count] = numbers[count] * 10 + text.charAt(at) - '0';
                }
            }
        }
        return numbers;
    }
}
