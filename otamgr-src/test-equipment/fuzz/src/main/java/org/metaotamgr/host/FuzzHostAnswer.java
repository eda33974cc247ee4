// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import org.metaotamgr.fuzz.Input;

/** Whatever the service answers to the host tools becomes one printable line. */
public final class FuzzHostAnswer {
    private FuzzHostAnswer() {}

    public static void fuzzerTestOneInput(byte[] data) {
        Input input = new Input(data);
        ServiceAnswer answer = new ServiceAnswer("GET", "/v1", 200 + input.next(), input.rest());
        Input.require(answer.message().indexOf('\n') < 0, "one line");
        Input.require(
                Output.plain(answer.message()).codePoints().allMatch(org.metaotamgr.device.Printable::isPlain),
                "a printable line");
        try {
            OtaRecord.of("a record", answer.json(), ExitStatus.SERVICE);
        } catch (OtaException e) {
            Input.require(e.getMessage() != null, "a reason");
        }
    }
}
