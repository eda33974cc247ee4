// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What comes from outside is read strictly, in bounded time and memory. */
class ReadersTest {
    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static Stream<Arguments> canonicalForms() {
        return Stream.of(
                Arguments.of("{\"b\": 1, \"a\": [true, null, \"x\"]}", "{\"a\":[true,null,\"x\"],\"b\":1}"),
                Arguments.of("{ }", "{}"),
                Arguments.of("{\"a\": []}", "{\"a\":[]}"),
                Arguments.of("{\"a\": \"q\\\"b\\\\n\\n\"}", "{\"a\":\"q\\\"b\\\\n\n\"}"),
                Arguments.of("{\"\ud83d\ude00\": 1, \"\uffff\": 2}", "{\"\uffff\":2,\"\ud83d\ude00\":1}"),
                Arguments.of("{\"a\": 9223372036854775807}", "{\"a\":9223372036854775807}"),
                Arguments.of("{\"a\": -1}", "{\"a\":-1}"));
    }

    @ParameterizedTest
    @MethodSource("canonicalForms")
    void theCanonicalFormIsThatOfOlpc(String text, String canonical) throws Exception {
        assertEquals(
                canonical,
                new String(CanonicalJson.encode(StrictJson.object("x", utf8(text))), StandardCharsets.UTF_8));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "[]",
                "{",
                "{}{}",
                "{\"a\": 1, \"a\": 2}",
                "{\"a\": 1.5}",
                "{\"a\": 1e3}",
                "{\"a\": NaN}",
                "{\"a\": tru}",
                "\u0000",
                "{\"a\": 123456789012345678901234567890}"
            })
    void whatIsNoStrictJsonIsRefused(String text) {
        assertThrows(TufException.class, () -> StrictJson.object("x", utf8(text)));
    }

    @Test
    void aSmallTextCannotAskForMuchMemory() {
        for (String part : List.of("[],", "{},", "0,", "[[[[[[[[]]]]]]]],")) {
            byte[] text = utf8("{\"a\":[" + part.repeat((1 << 20) / part.length()) + "0]}");
            assertThrows(TufException.class, () -> StrictJson.object("x", text));
        }
        assertThrows(TufException.class, () -> StrictJson.object("x", utf8("{\"a\":".repeat(100_000))));
    }

    @ParameterizedTest
    @CsvSource({
        "*,a,true",
        "*,a/b,false",
        "a/*,a/b,true",
        "a/*,a/b/c,false",
        "a?c,abc,true",
        "a?c,a/c,false",
        "*.zip,x.zip,true",
        "*.zip,x.zipp,false",
        "a*b*c,axxbyyc,true",
        "a*b*c,axxbyy,false",
        "releases/*/*,releases/x/y,true",
        "'','',true",
        "*,'',true",
        "README,readme,false",
        "a*/b*,ax/by,true",
        "a*/b*,a/x/b,false"
    })
    void patternsMatchWithinASegment(String pattern, String path, boolean matches) {
        assertEquals(matches, PathPattern.matches(pattern, path));
    }

    @Test
    void noPatternTakesLong() {
        assertTimeoutPreemptively(
                Duration.ofSeconds(5), () -> PathPattern.matches("*a".repeat(2000) + "b", "a".repeat(4000)));
    }

    @Test
    void hashBinsAreThoseOfTheSpecification() {
        // python-tuf: SuccinctRoles({}, 1, 8, "bin").get_role_for_target("abc") and so on
        assertEquals(Optional.of("bin-ba"), new Delegation.Bins("bin", 8).roleFor("abc"));
        assertEquals(Optional.of("bin-1"), new Delegation.Bins("bin", 1).roleFor("abc"));
        assertEquals(Optional.of("bin-2e9"), new Delegation.Bins("bin", 10).roleFor("abc"));
        assertEquals(List.of("bin-0", "bin-1", "bin-2", "bin-3"), new Delegation.Bins("bin", 2).roles());
    }

    @Test
    void namesOfRolesAreSafeAsNamesOfFiles() {
        assertEquals("..%2F%3F%23%00%C3%A4", Text.encoded("../?#\0ä"));
    }
}
