// SPDX-License-Identifier: MIT
package org.metaotamgr.control;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.List;
import org.metaotamgr.fuzz.Input;

/** A request on the control socket is a list of words, or is refused. */
public final class FuzzControl {
    private FuzzControl() {}

    public static void fuzzerTestOneInput(byte[] data) {
        try {
            List<String> words = ControlServer.arguments(new ByteArrayInputStream(data));
            words.forEach(word -> Input.require(word != null, "words"));
        } catch (IOException e) {
            Input.require(e.getMessage() != null, "a reason");
        }
    }
}
