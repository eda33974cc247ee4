// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RebootReasonTest {
    @TempDir
    private Path folder;

    private Path file;
    private final List<String> events = new ArrayList<>();
    private final RecordingFiles files = new RecordingFiles(events);
    private RebootReason reason;

    @BeforeEach
    void make() {
        file = folder.resolve("reboot_reason");
        reason = new RebootReason(file, files);
    }

    @Test
    void itIsOnTheStorageBeforeItGetsItsName() throws IOException {
        reason.write("full_ota");
        assertEquals(
                List.of(
                        "create reboot_reason.tmp",
                        "sync reboot_reason.tmp",
                        "rename reboot_reason",
                        "syncFolder " + folder.getFileName()),
                events);
    }

    @Test
    void itHoldsTheWordAloneAndIsReadable() throws IOException {
        reason.write("full_ota");
        assertEquals("full_ota", Files.readString(file));
        assertEquals("rw-r--r--", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    }

    @Test
    void itReplacesAFileThatMayNotBeWritten() throws IOException {
        Files.writeString(file, "something longer than the new reason");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("r--r-----"));
        reason.write("full_ota");
        assertEquals("full_ota", Files.readString(file));
        assertEquals("rw-r--r--", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    }

    @Test
    void whatAPowerCutLeftBehindDoesNotMatter() throws IOException {
        Files.writeString(folder.resolve("reboot_reason.tmp"), "left behind");
        reason.write("full_ota");
        assertEquals("full_ota", Files.readString(file));
    }

    @Test
    void aLinkInPlaceOfTheTemporaryFileIsNotFollowed() throws IOException {
        Path victim = Files.writeString(folder.resolve("victim"), "untouched");
        Files.createSymbolicLink(folder.resolve("reboot_reason.tmp"), victim);
        reason.write("full_ota");
        assertEquals("untouched", Files.readString(victim));
    }

    @ParameterizedTest
    @ValueSource(strings = {"create", "sync", "rename"})
    void aFailureKeepsTheOldReason(String operation) throws IOException {
        Files.writeString(file, "reboot_command");
        files.fails(operation);
        assertThrows(IOException.class, () -> reason.write("full_ota"));
        assertEquals("reboot_command", Files.readString(file));
        assertFalse(Files.exists(folder.resolve("reboot_reason.tmp")));
    }
}
