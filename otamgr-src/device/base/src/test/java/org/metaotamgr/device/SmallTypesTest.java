// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SmallTypesTest {
    @Test
    void aProgressLineHasPhaseNumberAndMessage() {
        assertEquals(Optional.of(new ProgressLine("write", 40, "slot b")), ProgressLine.parse("write 40 slot b"));
        assertEquals(Optional.of(new ProgressLine("done", 100, "")), ProgressLine.parse("done 100"));
        ProgressLine failed =
                ProgressLine.parse("failed 13 No space left on device").orElseThrow();
        assertTrue(failed.isFailure());
        assertEquals("No space left on device", failed.message());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "write", "write x", "write -1 x", "Write 40 x", "write 4000 x", "write40 x"})
    void otherLinesAreNotProgress(String line) {
        assertEquals(Optional.empty(), ProgressLine.parse(line));
    }

    @Test
    void everyExitStatusOfSysupgradeHasANameAndAMeaning() {
        for (int status = 0; status <= 25; status++) {
            assertEquals(status, SysupgradeExit.of(status).orElseThrow().status());
        }
        assertEquals("write-failed", SysupgradeExit.label(13));
        assertEquals("a trial is pending, and has to be committed or cancelled first", SysupgradeExit.meaning(9));
        assertEquals("undefined", SysupgradeExit.label(26));
        assertEquals("killed", SysupgradeExit.label(137));
        assertEquals("sysupgrade was killed by signal 9", SysupgradeExit.meaning(137));
    }

    @Test
    void aSlotStatusIsReadFromItsLines() {
        assertEquals(
                new SlotStatus(SlotStatus.State.TRIAL, "b", "a", "b", "T1", "T0", "load-failed", Optional.empty()),
                SlotStatus.parse(List.of(
                        "running=b",
                        "committed=a",
                        "trial=b",
                        "tries=2",
                        "txn=T1",
                        "failed=T0",
                        "failed_why=load-failed",
                        "state=trial",
                        "nonsense",
                        "=x")));
        assertEquals(SlotStatus.unknown(), SlotStatus.parse(List.of()));
        assertEquals(SlotStatus.unknown(), SlotStatus.parse(List.of("state=splendid")));
    }

    @Test
    void whatIsLoggedStaysOneLine() {
        assertEquals("/tmp/a\\u000aota_notification\\u001b[2J", Printable.of("/tmp/a\nota_notification\u001b[2J"));
        assertEquals("\u00fc\u732b", Printable.of("\u00fc\u732b"));
        assertEquals(Printable.MAX_LENGTH + 3, Printable.of("x".repeat(70000)).length());
        assertEquals("/tmp/\ufffd", Printable.of(new byte[] {'/', 't', 'm', 'p', '/', (byte) 0xff}));
    }

    @Test
    void linesAreCutNotCollected() throws IOException {
        List<String> lines = new ArrayList<>();
        String text = "first\r\nsecond\r" + "x".repeat(5000) + "\n\nlast";
        BoundedLines.read(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)), lines::add);
        assertEquals(List.of("first", "second", "x".repeat(1024), "last"), lines);
    }
}
