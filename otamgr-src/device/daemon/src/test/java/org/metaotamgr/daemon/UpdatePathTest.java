// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class UpdatePathTest {
    private static String parse(String value) throws UpdateRefusedException {
        return UpdatePath.parse(value.getBytes(StandardCharsets.UTF_8)).text();
    }

    private static String refusal(byte[] value) {
        return assertThrows(UpdateRefusedException.class, () -> UpdatePath.parse(value))
                .getMessage();
    }

    private static String refusal(String value) {
        return refusal(value.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void theValueOfThePublishedTraceIsUnderstood() throws UpdateRefusedException {
        byte[] value = HexFormat.of().parseHex("2f746d702f6f74615f747970655f3500");
        UpdatePath path = UpdatePath.parse(value);
        assertEquals("/tmp/ota_type_5", path.text());
        assertEquals("/tmp/ota_type_5.img", path.image());
        assertEquals("/tmp/ota_type_5.hdr", path.header());
    }

    @Test
    void aNulAtTheEndIsNotNeeded() throws UpdateRefusedException {
        assertEquals("/tmp/ota_type_5", parse("/tmp/ota_type_5"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/tmp/a\0b", "/tmp/a\0\0", "/tmp/a\0\0\0\0", "/tmp/a\0b\0", "/tmp/a\0/../\n"})
    void itEndsAtTheFirstNulAsForTheOriginal(String value) throws UpdateRefusedException {
        assertEquals("/tmp/a", parse(value));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\0", "\0/tmp/a"})
    void nothingIsRefused(String value) {
        assertEquals("expected a path, found nothing", refusal(value));
    }

    @ParameterizedTest
    @ValueSource(strings = {"tmp/a", "./a", "~/a", " /tmp/a", "-n"})
    void aRelativePathIsRefused(String value) {
        assertEquals("expected an absolute path, found a relative one", refusal(value));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/tmp/../etc/a", "/tmp/..", "/tmp/./a", "/tmp//a", "//tmp/a", "/tmp/a/", "/", "/.."})
    void aPathThatIsNotNormalisedIsRefused(String value) {
        assertTrue(refusal(value).startsWith("expected a normalised path"), refusal(value));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/tmp/a\n",
                "/tmp/a\nb",
                "/tmp/\u001b[2J",
                "/tmp/\u007f",
                "/tmp/\u0085",
                "/tmp/\u202ea",
                "/tmp/\u2028a",
                "/tmp/\ta"
            })
    void controlCharactersAreRefused(String value) {
        assertEquals("expected printable characters, found control characters", refusal(value));
    }

    @ParameterizedTest
    @ValueSource(strings = {"c328", "ff", "c0af", "eda080", "2f746d702f80"})
    void whatIsNotUtf8IsRefused(String hex) {
        assertEquals("expected UTF-8, found other bytes", refusal(HexFormat.of().parseHex(hex)));
    }

    @Test
    void aPathMayBeAsLongAsItsFilesHaveShortEnoughNames() throws UpdateRefusedException {
        String longest = "/tmp/" + "x".repeat(246);
        assertEquals(longest, parse(longest + "\0"));
        assertEquals(
                255,
                UpdatePath.parse(longest.getBytes(StandardCharsets.UTF_8))
                        .image()
                        .length());
        assertEquals("expected at most 251 bytes, found 252", refusal(longest + "x\0"));
    }

    @Test
    void theLengthIsCountedInBytes() throws UpdateRefusedException {
        String longest = "/tmp/" + "\u00fc".repeat(123);
        assertEquals(longest, parse(longest));
        assertEquals("expected at most 251 bytes, found 252", refusal(longest + "x"));
    }

    @Test
    void aHugeValueIsRefused() {
        assertEquals("expected at most 251 bytes, found 65534", refusal("/" + "x".repeat(65533)));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/tmp/a b",
                "/tmp/$(reboot)",
                "/tmp/`reboot`",
                "/tmp/'\"",
                "/tmp/a;reboot",
                "/tmp/-rf",
                "/tmp/...",
                "/tmp/*",
                "/tmp/\u00fc\u732b",
                "/tmp/a\\n"
            })
    void whatOnlyAShellWouldMindIsTakenLiterally(String value) throws UpdateRefusedException {
        assertEquals(value, parse(value));
    }
}
