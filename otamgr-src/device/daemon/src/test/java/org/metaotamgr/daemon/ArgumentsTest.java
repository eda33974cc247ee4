// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class ArgumentsTest {
    @Test
    void allOptionsAreOptional() throws Exception {
        assertEquals(new Arguments(Optional.empty(), false, false, false, List.of()), Arguments.parse(List.of()));
        assertEquals(
                new Arguments(Optional.of(Path.of("/etc/x.json")), true, false, false, List.of()),
                Arguments.parse(List.of("--syslog-prefix", "--config", "/etc/x.json")));
        assertEquals(
                new Arguments(Optional.empty(), false, true, true, List.of()),
                Arguments.parse(List.of("--help", "--version")));
    }

    @Test
    void aCommandKeepsWhatComesAfterIt() throws Exception {
        assertEquals(
                new Arguments(Optional.of(Path.of("/x")), false, false, false, List.of("pull", "a", "--json")),
                Arguments.parse(List.of("--config", "/x", "pull", "a", "--json")));
        assertEquals(Arguments.parse(List.of()), Arguments.parse(List.of("daemon")));
        assertEquals(
                "daemon: expected nothing more, found x",
                assertThrows(Arguments.UsageException.class, () -> Arguments.parse(List.of("daemon", "x")))
                        .getMessage());
    }

    @Test
    void whatIsNotAnOptionIsRefused() {
        assertEquals(
                "expected --config, --syslog-prefix, --help or --version, found --conf; did you mean --config?",
                assertThrows(Arguments.UsageException.class, () -> Arguments.parse(List.of("--conf")))
                        .getMessage());
        assertEquals(
                "--config: expected a file, found nothing",
                assertThrows(Arguments.UsageException.class, () -> Arguments.parse(List.of("--config")))
                        .getMessage());
    }

    private static String logged(boolean syslogPrefix) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        StandardErrorLog log =
                new StandardErrorLog(new PrintStream(bytes, false, StandardCharsets.UTF_8), syslogPrefix);
        log.info("one");
        log.warning("two");
        log.error("three \u00fc");
        log.flush(60_000);
        return bytes.toString(StandardCharsets.UTF_8);
    }

    /** A stream whose reader has stopped. */
    private static final class Stalled extends OutputStream {
        final CountDownLatch goesOn = new CountDownLatch(1);
        final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        @Override
        public void write(int one) throws IOException {
            try {
                goesOn.await();
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
            bytes.write(one);
        }
    }

    @Test
    void aLogThatNobodyReadsStopsNobodyAndSaysLaterWhatIsMissing() {
        Stalled stalled = new Stalled();
        StandardErrorLog log = new StandardErrorLog(new PrintStream(stalled, false, StandardCharsets.UTF_8), false);
        String line = "x".repeat(511);
        for (int i = 0; i < 100_000; i++) {
            log.info(line);
        }
        log.flush(10);
        stalled.goesOn.countDown();
        log.flush(60_000);
        log.info("the end");
        log.flush(60_000);
        List<String> lines =
                stalled.bytes.toString(StandardCharsets.UTF_8).lines().toList();
        // Lines that were lost are counted at each place where they are missing.
        Matcher dropped = Pattern.compile("log_dropped:lines=(\\d+),meaning=").matcher(String.join("\n", lines));
        int missing = dropped.results()
                .mapToInt(found -> Integer.parseInt(found.group(1)))
                .sum();
        long kept = lines.stream().filter(line::equals).count();
        assertTrue(kept * 512 <= StandardErrorLog.MAX_CHARACTERS + 4 * 512, kept + " lines were kept");
        assertEquals(100_000, kept + missing);
        assertEquals("the end", lines.get(lines.size() - 1));
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
