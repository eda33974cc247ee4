// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.metaotamgr.fuzz.Input;

/** A path that is accepted is absolute, normalised, printable, and says the same when it is read again. */
public final class FuzzUpdatePath {
    private FuzzUpdatePath() {}

    public static void fuzzerTestOneInput(byte[] data) {
        UpdatePath path;
        try {
            path = UpdatePath.parse(data);
        } catch (UpdateRefusedException e) {
            Input.require(
                    e.getMessage() != null && e.getMessage().startsWith("expected"), "a reason: " + e.getMessage());
            return;
        }
        String text = path.text();
        Input.require(
                text.startsWith("/")
                        && !text.endsWith("/")
                        && !(text + "/").contains("/../")
                        && !(text + "/").contains("/./")
                        && !text.contains("//"),
                "a normalised path: " + text);
        byte[] again = text.getBytes(StandardCharsets.UTF_8);
        Input.require(
                again.length <= UpdatePath.MAX_BYTES && Arrays.equals(again, UpdatePath.untilNul(data)),
                "the same bytes");
        Input.require(
                java.nio.file.Path.of(text).normalize().toString().equals(text), "what Java thinks is normalised");
    }
}
