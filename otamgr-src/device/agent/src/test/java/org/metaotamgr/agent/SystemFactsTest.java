// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The same files as in tests/shell/test_scripts.py, where sysupgrade reads them. */
class SystemFactsTest {
    private static final String BOARD = "acme,board-7";

    @TempDir
    private Path folder;

    private Optional<String> read(String text, Charset charset) throws IOException {
        Files.write(folder.resolve("compatible"), text.getBytes(charset));
        return new SystemFacts(folder).compatible();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                BOARD,
                BOARD + "\n",
                BOARD + "\r\n",
                BOARD + "\rother",
                "\n\n \t" + BOARD + " \t\n",
                "\ufeff" + BOARD + "\nother\n",
                "two words\n" + BOARD + "\n",
                "gr\u00f6\u00dfe\n" + BOARD + "\n"
            })
    void theFirstLineThatIsANameIsTheBoard(String text) throws IOException {
        assertEquals(Optional.of(BOARD), read(text, StandardCharsets.UTF_8));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\n", "two words\n", "acme\u0000board\n"})
    void nothingElseIs(String text) throws IOException {
        assertEquals(Optional.empty(), read(text, StandardCharsets.UTF_8));
    }

    @Test
    void aFileInUtf16SaysNothingOnALaterLineEither() throws IOException {
        assertEquals(Optional.empty(), read("\ufeffother\n" + BOARD + "\n", StandardCharsets.UTF_16LE));
    }

    @Test
    void anyBoardHasANameForItsVersions() {
        assertEquals("acme_board-7-2.0", Target.nameOf(Optional.of(BOARD), "2.0"));
        assertEquals("_x_-1", Target.nameOf(Optional.of(".x/"), "1"));
        assertEquals("2.0-rc1", Target.nameOf(Optional.empty(), "2.0-rc1"));
        assertTrue(Target.isName(Target.nameOf(Optional.of("!".repeat(64)), "1-" + "x".repeat(32))));
        assertTrue(Target.isName(
                Target.nameOf(Optional.of("b".repeat(64)), "123456789.".repeat(7) + "123456789-" + "x".repeat(32))));
    }
}
