// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("JSON that a program wrote")
class JsonFieldsTest {
    private static JsonFields fields(String text) throws JsonFields.MalformedException {
        return JsonFields.of("the answer", text.getBytes(StandardCharsets.UTF_8));
    }

    private static void refused(String message, Executable read) {
        assertEquals(
                message, assertThrows(JsonFields.MalformedException.class, read).getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "[]", "1", "null", "{", "{} {}", "{\"a\":1,\"a\":2}"})
    @DisplayName("is one object and nothing else")
    void isOneObject(String text) {
        assertThrows(JsonFields.MalformedException.class, () -> fields(text));
    }

    @Test
    @DisplayName("is read strictly, and what is wrong is named with what was found")
    void isReadStrictly() throws Exception {
        JsonFields fields = fields("{\"s\":\"a\\u0007b\",\"n\":7,\"f\":7.5,\"o\":{\"x\":1},\"z\":null}");
        assertEquals("a\u0007b", fields.string("s"));
        assertEquals("a\\u0007b", fields.line("s"));
        refused("the answer: expected a string as n, found 7", () -> fields.string("n"));
        refused("the answer: expected a string as no, found nothing", () -> fields.line("no"));
        refused("the answer: expected a string as o, found something else", () -> fields.string("o"));
        refused(
                "the answer: expected what matches [a-z]+ as s, found a\\u0007b",
                () -> fields.word("s", Pattern.compile("[a-z]+")));
        assertEquals(Optional.empty(), fields.optionalLine("no"));
        refused("the answer: expected a string as z, found null", () -> fields.optionalLine("z"));
        assertEquals(7, fields.number("n", 7));
        assertEquals(7, fields.number("n", 7, 7));
        refused("the answer: expected a whole number of at least 8 as n, found 7", () -> fields.number("n", 8));
        refused("the answer: expected a whole number from 0 to 6 as n, found 7", () -> fields.number("n", 0, 6));
        refused("the answer: expected a whole number of at least 0 as f, found 7.5", () -> fields.number("f", 0));
        assertTrue(fields.has("o"));
        assertFalse(fields.has("z"));
        assertFalse(fields.flag("no"));
    }

    @Test
    @DisplayName("has objects inside that may be missing, but are nothing else")
    void objectsInside() throws Exception {
        JsonFields fields = fields("{\"o\":{\"x\":1},\"n\":7}");
        assertEquals(1, fields.object("o").number("x", 1));
        assertEquals(Optional.empty(), fields.optionalObject("no"));
        refused("the answer no: expected a string as x, found nothing", () -> fields.object("no")
                .string("x"));
        refused("the answer: expected an object as n, found 7", () -> fields.optionalObject("n"));
    }

    @Test
    @DisplayName("has lists that are needed or optional, of one kind and of a length")
    void lists() throws Exception {
        JsonFields fields = fields("{\"o\":[{\"x\":1},{\"x\":\"y\"}],\"s\":[\"a\",\"b\"],\"m\":[\"a\",{}],\"n\":7}");
        assertEquals(2, fields.objects("o").size());
        assertEquals(2, fields.objects("o", 2).size());
        refused(
                "the answer: expected a list of at most 1 objects as o, found something else",
                () -> fields.objects("o", 1));
        refused(
                "the answer o[1]: expected a whole number of at least 0 as x, found y",
                () -> fields.objects("o").get(1).number("x", 0));
        assertEquals(List.of("a", "b"), fields.strings("s"));
        assertEquals(List.of(), fields.strings("no", 2));
        assertEquals(List.of(), fields.objects("no", 2));
        refused("the answer: expected a list as no, found nothing", () -> fields.objects("no"));
        refused("the answer: expected a list as n, found 7", () -> fields.strings("n"));
        refused(
                "the answer: expected a list of at most 1 strings as s, found something else",
                () -> fields.strings("s", 1));
        refused("the answer: expected a list of strings as m, found something else", () -> fields.strings("m"));
        refused("the answer: expected a list of objects as m, found something else", () -> fields.objects("m"));
    }

    @Test
    @DisplayName("has no key that nobody reads, where that may be a restriction")
    void keysThatNobodyReads() throws Exception {
        fields("{\"a\":1,\"x-b\":2}").refuseOthersThan(Set.of("a", "c"));
        refused(
                "the answer: expected the keys [a, c] and such that begin with x-, found b; this device may be too old for it",
                () -> fields("{\"b\":1}").refuseOthersThan(Set.of("a", "c")));
    }
}
