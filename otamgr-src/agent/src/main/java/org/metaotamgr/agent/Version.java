// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.math.BigInteger;

/**
 * A version as bundles have it: dotted numbers and an optional suffix, as in {@code 2.10.1-rc2}. Numbers are compared one
 * by one, and a missing one counts as 0; the suffix does not count, as it does not for {@code sysupgrade} and its floor.
 * Where a number is expected and none is found, the rest does not count either.
 *
 * @param text the version
 */
public record Version(String text) implements Comparable<Version> {
    @Override
    public int compareTo(Version other) {
        String[] mine = numbers(text);
        String[] others = numbers(other.text);
        for (int i = 0; i < Math.max(mine.length, others.length); i++) {
            int compared = number(mine, i).compareTo(number(others, i));
            if (compared != 0) {
                return compared;
            }
        }
        return 0;
    }

    private static String[] numbers(String text) {
        int end = 0;
        while (end < text.length() && (Character.digit(text.charAt(end), 10) >= 0 || text.charAt(end) == '.')) {
            end++;
        }
        return text.substring(0, end).split("\\.");
    }

    private static BigInteger number(String[] numbers, int index) {
        return index < numbers.length && !numbers[index].isEmpty() ? new BigInteger(numbers[index]) : BigInteger.ZERO;
    }
}
