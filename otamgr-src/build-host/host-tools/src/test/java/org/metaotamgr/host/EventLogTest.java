// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Clock;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Logs of devices")
class EventLogTest {

    private static final long SEED = 20261128;
    private static final int MUTATIONS = 10_000;

    @TempDir
    Path temporary;

    /** Written by ota-why of the layer's own scripts, with a line that a power cut tore. */
    private static byte[] fromDevice() throws Exception {
        try (var in = EventLogTest.class.getResourceAsStream("device.log")) {
            return in.readAllBytes();
        }
    }

    private static String sha256(byte[] bytes) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    /** An export of this log, as somebody would make it who knows the form. */
    private static byte[] export(String log, String environment) throws Exception {
        String text = "otamgr-log 1 2026-11-28T10:00:00Z bytes=" + log.length() + "\n" + log
                + "\notamgr-log-end environment=" + environment + "\n";
        return bytes(text + "sha256=" + sha256(bytes(text)) + "\n");
    }

    /** A log as a device writes it. */
    private static final class Writer {
        private final StringBuilder log = new StringBuilder();
        private String known = "0:" + "0".repeat(64);
        private int covered;

        void line(String content) throws Exception {
            write(content, log.substring(covered));
        }

        private void write(String content, String between) throws Exception {
            int number = Integer.parseInt(known.substring(0, known.indexOf(':'))) + 1;
            known = number + ":" + sha256(bytes(known + "\n" + between + content));
            log.append(content).append(" link=").append(known).append('\n');
            covered = log.length();
        }

        void torn(String text) {
            log.append(text).append('\n');
        }
    }

    private static Writer written(int lines, Random random) throws Exception {
        Writer writer = new Writer();
        for (int i = 0; i < lines; i++) {
            if (random.nextInt(20) == 0) {
                writer.torn("2026-11-28T09:00:00Z armed txn=T sl\u0000\u00e9 link=3:ab");
            }
            writer.line("2026-11-28T09:%02d:%02dZ %s txn=T%d why=\"a b\""
                    .formatted(
                            i / 60 % 60,
                            i % 60,
                            List.of("armed", "committed", "trial-boot").get(i % 3),
                            i / 3));
        }
        return writer;
    }

    @Test
    @DisplayName("the log that the scripts of the device wrote is whole, and its environment confirms it")
    void ofDevice() throws Exception {
        EventLog log = EventLog.of(fromDevice(), Optional.empty());
        assertEquals(List.of(), log.findings());
        assertEquals(5, log.lines());
        assertTrue(log.bound());
        assertTrue(log.environment().startsWith("2:"));
    }

    @Test
    @DisplayName("10,000 random changes of an export: every one is found")
    void everyChange() throws Exception {
        Random random = new Random(SEED);
        byte[] original = export(written(60, random).log.toString(), "none");
        assertTrue(EventLog.of(original, Optional.empty()).isWhole());
        byte[] device = fromDevice();
        for (int i = 0; i < MUTATIONS; i++) {
            byte[] from = i % 2 == 0 ? original : device;
            byte[] changed = changed(from, random);
            if (!Arrays.equals(from, changed)) {
                assertFalse(EventLog.of(changed, Optional.empty()).isWhole(), "change " + i + " of seed " + SEED);
            }
        }
    }

    private static byte[] changed(byte[] from, Random random) {
        int at = random.nextInt(from.length);
        int size = 1 + random.nextInt(Math.min(200, from.length - at));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        switch (random.nextInt(5)) {
            case 0 -> {
                byte[] one = from.clone();
                one[at] ^= (byte) (1 << random.nextInt(8));
                out.writeBytes(one);
            }
            case 1 -> out.write(from, 0, at);
            case 2 -> {
                out.write(from, 0, at);
                out.write(from, at + size, from.length - at - size);
            }
            case 3 -> {
                out.write(from, 0, at + size);
                out.write(from, at, from.length - at);
            }
            default -> {
                out.writeBytes(from);
                out.write(from, at, size);
            }
        }
        return out.toByteArray();
    }

    @Test
    @DisplayName("10,000 random changes of lines by somebody who makes a new export around them: every one is found")
    void everyLine() throws Exception {
        Random random = new Random(SEED);
        Writer writer = written(60, random);
        Optional<EventLog.Link> last = EventLog.Link.of(writer.known);
        List<String> lines = List.of(writer.log.toString().split("(?<=\n)"));
        int made = 0;
        while (made < MUTATIONS) {
            List<String> changed = new ArrayList<>(lines);
            int one = random.nextInt(lines.size());
            int other = random.nextInt(lines.size());
            switch (random.nextInt(6)) {
                case 0 -> changed.remove(one);
                case 1 -> Collections.swap(changed, one, other);
                case 2 -> changed.add(one, lines.get(other));
                case 3 -> changed.subList(one, lines.size()).clear();
                case 4 -> changed.subList(0, one).clear();
                default -> {
                    StringBuilder line = new StringBuilder(lines.get(one));
                    int at = random.nextInt(line.length());
                    line.setCharAt(at, (char) (line.charAt(at) ^ 1 << random.nextInt(8)));
                    changed.set(one, line.toString());
                }
            }
            if (changed.equals(lines)) {
                continue;
            }
            made++;
            // Half of them are bound by the environment, half by a link that was noted.
            EventLog found = made % 2 == 0
                    ? EventLog.of(export(String.join("", changed), writer.known), Optional.empty())
                    : EventLog.of(export(String.join("", changed), "none"), last);
            assertFalse(found.isWhole(), "change " + made + " of seed " + SEED);
        }
    }

    @Test
    @DisplayName("findings name the line and what happened to it")
    void findings() throws Exception {
        Writer writer = new Writer();
        for (int i = 1; i <= 4; i++) {
            writer.line("2026-11-28T09:00:0" + i + "Z note number=" + i);
        }
        List<String> lines = List.of(writer.log.toString().split("(?<=\n)"));
        assertFinding(
                "line 2: link 2 does not fit",
                lines.get(0) + lines.get(1).replace("=2 ", "=9 ") + lines.get(2),
                "none");
        assertFinding("line 2: expected link 2, found link 3", lines.get(0) + lines.get(2), "none");
        assertFinding("line 1: expected link 1, found link 2", lines.get(1) + lines.get(2), "none");
        assertFinding(
                "knows link " + writer.known + ", the log ends with link 3: lines at the end",
                lines.get(0) + lines.get(1) + lines.get(2),
                writer.known);
        assertFinding("the log has none: lines at the end", "", writer.known);
        assertFinding("it was replaced", lines.get(0) + lines.get(1), "1:" + "a".repeat(64));
        assertFinding("bytes at the end have no link", lines.get(0) + "2026-11-28T09:00:0", "none");
        assertFinding("link is unreadable", lines.get(0), "unreadable");
        Writer missed = new Writer();
        missed.line("2026-11-28T09:00:00Z log-gap expected=7:" + "b".repeat(64));
        assertFinding("the device itself missed link 7", missed.log.toString(), "none");
    }

    private static void assertFinding(String words, String log, String environment) throws Exception {
        List<String> found =
                EventLog.of(export(log, environment), Optional.empty()).findings();
        assertTrue(found.stream().anyMatch(one -> one.contains(words)), "expected \"" + words + "\", found " + found);
    }

    @Test
    @DisplayName("a log whose beginning is forgotten is whole, and so is a link in the environment from before")
    void forgotten() throws Exception {
        Writer writer = written(5, new Random(1));
        String fifth = writer.known;
        writer.log.setLength(0);
        writer.covered = 0;
        writer.line("2026-11-28T09:00:00Z log-continued after=" + fifth);
        writer.line("2026-11-28T09:00:00Z committed txn=T");
        for (String environment : List.of("none", fifth, "2:" + "c".repeat(64), writer.known)) {
            EventLog log = EventLog.of(export(writer.log.toString(), environment), Optional.empty());
            assertEquals(List.of(), log.findings(), environment);
            assertEquals(environment.equals(fifth) || environment.equals(writer.known), log.bound(), environment);
        }
    }

    @Test
    @DisplayName(
            "ota log verify: 0 for a whole log, 10 for an altered one, 2 and 8 for what is no log; standard input; JSON")
    void command() throws Exception {
        byte[] log = fromDevice();
        Files.write(temporary.resolve("board.log"), log);
        assertEquals(
                "0 5 lines, nothing was changed, removed or moved; the boot environment confirms it",
                first(log, "board.log"));
        assertEquals(
                "0 5 lines, nothing was changed, removed or moved; the boot environment confirms it", first(log, "-"));
        byte[] cut = Arrays.copyOf(log, log.length - 100);
        assertTrue(first(cut, "-").startsWith("10 altered: the file does not end as an export"), first(cut, "-"));
        assertTrue(first(bytes("hello"), "-").startsWith("10 altered: the file does not begin as an export"));
        assertTrue(first(log, "nowhere.log").startsWith("8 "));
        assertTrue(first(log, "-", "--link", "x").startsWith("2 "));
        assertTrue(
                first(log, "-", "--link", "7:" + "0".repeat(64)).startsWith("10 altered: who verifies knows link 7"));
        assertTrue(first(log, "-", "--json").startsWith("0 {"));
    }

    private String first(byte[] in, String... arguments) {
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        PrintStream out = new PrintStream(said, true, StandardCharsets.UTF_8);
        List<String> all = new ArrayList<>(List.of("log", "verify"));
        all.addAll(List.of(arguments));
        int exit = Ota.run(
                new ProcessContext(
                        Map.of(),
                        temporary,
                        new ByteArrayInputStream(in),
                        out,
                        out,
                        false,
                        80,
                        Clock.systemUTC(),
                        duration -> {},
                        Optional.empty()),
                all.toArray(String[]::new));
        return exit + " "
                + said.toString(StandardCharsets.UTF_8).lines().findFirst().orElse("");
    }
}
