// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.charset.StandardCharsets;
import java.util.regex.Pattern;
import org.metaotamgr.fuzz.Input;

/** Versions are those of the shell's expression, and both orders are orders. */
public final class FuzzVersion {
    private static final Pattern OF_SHELL = Pattern.compile("[0-9]{1,9}(\\.[0-9]{1,9}){0,7}(-[A-Za-z0-9._+-]{1,32})?");

    private FuzzVersion() {}

    public static void fuzzerTestOneInput(byte[] data) {
        String[] texts = new String(data, StandardCharsets.UTF_8).split(" ", 4);
        for (String text : texts) {
            Input.require(
                    Version.isVersion(text) == OF_SHELL.matcher(text).matches(), "the same idea of a version: " + text);
        }
        Version one = new Version(texts[0]);
        Version two = new Version(texts.length > 1 ? texts[1] : "1.0");
        Version three = new Version(texts.length > 2 ? texts[2] : "1.0-rc1");
        Input.require(Integer.signum(one.compareTo(two)) == -Integer.signum(two.compareTo(one)), "an order");
        Input.require(compare(one, two) == -compare(two, one), "an order of all");
        if (compare(one, two) <= 0 && compare(two, three) <= 0) {
            Input.require(compare(one, three) <= 0, "an order that goes on: " + one + two + three);
        }
        Input.require(compare(one, one) == 0 && one.isSame(one), "that it is itself");
        Input.require(
                one.compareTo(two) == 0 || compare(one, two) == Integer.signum(one.compareTo(two)),
                "that numbers come first");
        Input.require(!one.isSame(two) || compare(one, two) == 0, "that the same is not newer");
    }

    private static int compare(Version one, Version other) {
        return Integer.signum(Version.OLDEST_FIRST.compare(one, other));
    }
}
