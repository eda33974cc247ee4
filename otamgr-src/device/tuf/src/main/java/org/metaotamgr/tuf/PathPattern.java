// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

/** Patterns of target paths: {@code *} and {@code ?} match within one segment, everything else itself. */
final class PathPattern {
    private PathPattern() {}

    /** In time of the product of both lengths, whatever the pattern. */
    static boolean matches(String pattern, String path) {
        int at = 0;
        int in = 0;
        int star = -1;
        int resume = 0;
        while (in < path.length()) {
            char next = at < pattern.length() ? pattern.charAt(at) : 0;
            if (at < pattern.length() && next == '*') {
                star = at++;
                resume = in;
            } else if (at < pattern.length() && (next == path.charAt(in) || next == '?' && path.charAt(in) != '/')) {
                at++;
                in++;
            } else if (star >= 0 && path.charAt(resume) != '/') {
                at = star + 1;
                in = ++resume;
            } else {
                return false;
            }
        }
        while (at < pattern.length() && pattern.charAt(at) == '*') {
            at++;
        }
        return at == pattern.length();
    }
}
