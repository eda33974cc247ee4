// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

import org.junit.jupiter.api.Test;
import org.metaotamgr.device.EventLog;

class ArgumentsTest {
    @Test
    void allOptionsAreOptional() throws Exception {
        assertEquals(new Arguments(Optional.empty(), false, false, false, List.of()), Arguments.parse(List.of()));
        assertEquals(new Arguments(Optional.of(Path.of("/etc/x.json")), true, false, false, List.of()),
                Arguments.parse(List.of("--syslog-prefix", "--config", "/etc/x.json")));
        assertEquals(new Arguments(Optional.empty(), false, true, true, List.of()),
                Arguments.parse(List.of("--help", "--version")));
    }

    @Test
    void aCommandKeepsWhatComesAfterIt() throws Exception {
        assertEquals(new Arguments(Optional.of(Path.of("/x")), false, false, false, List.of("pull", "a", "--json")),
                Arguments.parse(List.of("--config", "/x", "pull", "a", "--json")));
        assertEquals(Arguments.parse(List.of()), Arguments.parse(List.of("daemon")));
        assertEquals("daemon: expected nothing more, found x",
                assertThrows(Arguments.UsageException.class, () -> Arguments.parse(List.of("daemon", "x"))).getMessage());
    }

    @Test
    void whatIsNotAnOptionIsRefused() {
        assertEquals("expected --config, --syslog-prefix, --help or --version, found --conf",
                assertThrows(Arguments.UsageException.class, () -> Arguments.parse(List.of("--conf"))).getMessage());
        assertEquals("--config: expected a file, found nothing",
                assertThrows(Arguments.UsageException.class, () -> Arguments.parse(List.of("--config"))).getMessage());
    }

    private static String logged(boolean syslogPrefix) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        EventLog log = new StandardErrorLog(new PrintStream(bytes, false, StandardCharsets.UTF_8), syslogPrefix);
        log.info("one");
        log.warning("two");
        log.error("three \u00fc");
        return bytes.toString(StandardCharsets.UTF_8);
    }

    @Test
    void theLogHasOneLineForEachEvent() {
        assertEquals("one\ntwo\nthree \u00fc\n", logged(false));
    }

    @Test
    void theSeverityComesFirstIfItIsWanted() {
        assertEquals("<6>one\n<4>two\n<3>three \u00fc\n", logged(true));
    }
}
