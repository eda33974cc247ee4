// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class HubbyStateTest {
    @Test
    void hubbyStatesThatAreNotDefinedCountAsUnknown() {
        assertEquals(HubbyState.UNKNOWN, HubbyState.of((byte) 0));
        assertEquals(HubbyState.CONNECTED, HubbyState.of((byte) 1));
        assertEquals(HubbyState.UNREACHABLE, HubbyState.of((byte) 2));
        assertEquals(HubbyState.UNKNOWN, HubbyState.of((byte) 3));
        assertEquals(HubbyState.UNKNOWN, HubbyState.of((byte) -1));
    }
}
