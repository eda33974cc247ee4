// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** What the daemon says of generated versions; tests/content/versions.c has the form. */
final class Versions {
    private Versions() {}

    public static void main(String[] arguments) throws IOException {
        // A carriage return ends no line here.
        String[] lines = new String(System.in.readAllBytes(), StandardCharsets.ISO_8859_1).split("\n", -1);
        StringBuilder out = new StringBuilder();
        for (int at = 0; at + 1 < lines.length; at += 2) {
            String one = lines[at];
            String other = lines[at + 1];
            boolean isOne = Version.isVersion(one);
            boolean isOther = Version.isVersion(other);
            String compared = new Version(one).compareTo(new Version(other)) < 0 ? "older" : "not";
            out.append(isOne ? "yes" : "no")
                    .append(isOther ? " yes " : " no ")
                    .append(isOne && isOther ? compared : "-")
                    .append('\n');
        }
        System.out.print(out);
    }
}
