// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import org.junit.jupiter.api.Test;

class TransactionIdsTest {
    @Test
    void anIdFitsWhatSysupgradeTakes() {
        TransactionIds ids =
                new TransactionIds(Clock.fixed(Instant.parse("2026-01-31T23:59:59Z"), ZoneOffset.UTC), () -> -2);
        String id = ids.next("ba7816bf8f01cfea");
        assertEquals("20260131T235959Z-ba7816bf-fffe", id);
        assertTrue(id.matches("[A-Za-z0-9._-]{1,40}"));
    }
}
