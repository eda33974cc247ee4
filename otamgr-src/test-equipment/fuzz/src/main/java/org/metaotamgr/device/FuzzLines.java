// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.util.List;
import java.util.Map;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.agent.Window;
import org.metaotamgr.fuzz.Input;

/** Lines of programs and settings of people: read or refused, and printable where they are logged. */
public final class FuzzLines {
    private FuzzLines() {}

    public static void fuzzerTestOneInput(byte[] data) {
        Input input = new Input(data);
        int port = input.next16();
        String text = input.restAsText();
        List<String> lines = text.lines().toList();
        SlotStatus.parse(lines);
        Manifest.of(lines);
        lines.forEach(ProgressLine::parse);
        Window.parse(text);
        String printable = Printable.of(text);
        Input.require(
                printable.codePoints().allMatch(Printable::isPlain) && printable.length() <= Printable.MAX_LENGTH + 20,
                "a printable text");
        try {
            Proxies proxies = Proxies.ofEnvironment(Map.of("https_proxy", text, "no_proxy", text));
            proxies.forServer(true, text, port);
            Proxies.of(text, lines).forServer(true, "10.1.2.3", port);
        } catch (ConfigException e) {
            Input.require(e.getMessage().contains("expected") && e.getMessage().length() < 400, "a reason");
        }
    }
}
