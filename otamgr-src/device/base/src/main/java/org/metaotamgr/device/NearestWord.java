// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.util.List;

/** What a person may have meant who mistyped a word. */
public final class NearestWord {
    /** Longer words are no typos. */
    private static final int LONGEST = 64;

    private NearestWord() {}

    /**
     * A question to put behind a message.
     *
     * @param typed what was typed
     * @param known the words that there are
     * @return {@code "; did you mean X?"}, or empty if none is near
     */
    public static String question(String typed, List<String> known) {
        String nearest = "";
        int least = Math.max(1, typed.length() / 3) + 1;
        for (String word : typed.length() > LONGEST ? List.<String>of() : known) {
            int distance = distance(typed, word);
            if (distance < least) {
                least = distance;
                nearest = word;
            }
        }
        return nearest.isEmpty() ? "" : "; did you mean " + nearest + "?";
    }

    /** How many letters have to be put in, taken away, replaced, or exchanged with the next one. */
    private static int distance(String one, String other) {
        int[][] steps = new int[one.length() + 1][other.length() + 1];
        for (int i = 0; i <= one.length(); i++) {
            for (int j = 0; j <= other.length(); j++) {
                if (i == 0 || j == 0) {
                    steps[i][j] = i + j;
                    continue;
                }
                int same = one.charAt(i - 1) == other.charAt(j - 1) ? 0 : 1;
                steps[i][j] = Math.min(Math.min(steps[i - 1][j], steps[i][j - 1]) + 1, steps[i - 1][j - 1] + same);
                if (i > 1
                        && j > 1
                        && one.charAt(i - 1) == other.charAt(j - 2)
                        && one.charAt(i - 2) == other.charAt(j - 1)) {
                    steps[i][j] = Math.min(steps[i][j], steps[i - 2][j - 2] + 1);
                }
            }
        }
        return steps[one.length()][other.length()];
    }
}
