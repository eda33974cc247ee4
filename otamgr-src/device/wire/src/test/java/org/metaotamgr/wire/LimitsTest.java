// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteOrder;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("A limit of the protocol")
class LimitsTest {
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;

    private static byte[] encoded(int bodySize) {
        return new Frame(1, 0, new byte[bodySize]).encode(ORDER);
    }

    @Test
    @DisplayName("is the smallest and the largest message, and none beyond")
    void messages() {
        assertEquals(9, encoded(1).length);
        assertEquals(4096, encoded(4088).length);
        assertThrows(IllegalArgumentException.class, () -> encoded(0));
        assertThrows(IllegalArgumentException.class, () -> encoded(4089));
    }

    @Test
    @DisplayName("is the first and the last status; any other number is unspecified")
    void statuses() {
        assertEquals(AttributeStatus.OK, AttributeStatus.of(0));
        assertEquals(AttributeStatus.INT_NO_STATUS, AttributeStatus.of(17));
        assertEquals(AttributeStatus.UNSPECIFIED, AttributeStatus.of(18));
        assertEquals(AttributeStatus.UNSPECIFIED, AttributeStatus.of(-1));
    }

    @Test
    @DisplayName("is the first and the last opcode; values travel with three of them")
    void opcodes() {
        assertEquals(Opcode.OPEN, Opcode.of(0));
        assertEquals(Opcode.GET_REPLY, Opcode.of(5));
        assertNull(Opcode.of(6));
        assertNull(Opcode.of(-1));
        assertTrue(Opcode.NOTIFY.isTransaction());
        assertTrue(Opcode.SET.isTransaction());
        assertTrue(Opcode.GET_REPLY.isTransaction());
        assertFalse(Opcode.OPEN.isTransaction());
        assertFalse(Opcode.GET.isTransaction());
        assertFalse(Opcode.SET_REPLY.isTransaction());
    }

    @Test
    @DisplayName("belongs to a range of attributes, which are unsigned")
    void ranges() {
        ListenRange range = new ListenRange(10, -2);
        assertFalse(range.contains(9));
        assertTrue(range.contains(10));
        assertTrue(range.contains(Integer.MIN_VALUE));
        assertTrue(range.contains(-2));
        assertFalse(range.contains(-1));
    }

    @Test
    @DisplayName("is what an integer of each type holds")
    void integers() {
        Map<Parameter.IntType, long[]> holds = Map.of(
                Parameter.IntType.U8, new long[] {0, 255},
                Parameter.IntType.U16, new long[] {0, 65535},
                Parameter.IntType.U32, new long[] {0, 4294967295L},
                Parameter.IntType.S8, new long[] {-128, 127},
                Parameter.IntType.S16, new long[] {-32768, 32767},
                Parameter.IntType.S32, new long[] {-2147483648L, 2147483647L});
        assertEquals(Parameter.IntType.values().length, holds.size());
        holds.forEach((type, ends) -> {
            assertEquals(ends[0], new Parameter.Int(type, ends[0]).value());
            assertEquals(ends[1], new Parameter.Int(type, ends[1]).value());
            assertThrows(IllegalArgumentException.class, () -> new Parameter.Int(type, ends[0] - 1));
            assertThrows(IllegalArgumentException.class, () -> new Parameter.Int(type, ends[1] + 1));
        });
    }
}
