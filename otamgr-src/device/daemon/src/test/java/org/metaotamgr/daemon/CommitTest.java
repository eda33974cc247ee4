// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CommitTest {
    @TempDir
    private Path folder;

    private Device device;

    @BeforeEach
    void makeDevice() throws IOException {
        device = new Device(folder.toRealPath());
    }

    private int commits() {
        return device.programs.all(Device.OTA_SLOT, "commit").size();
    }

    private FakePrograms.Start commit() {
        return device.programs.running(Device.OTA_SLOT, "commit");
    }

    @Test
    void aTrialIsCommittedOnceHubbyIsConnected() {
        device.started("trial");
        assertEquals(0, commits());
        device.connects();
        assertEquals(0, commits());
        device.hubbyState(0);
        device.hubbyState(2);
        assertEquals(0, commits());
        device.hubbyState(1);
        assertEquals(List.of("/sbin/ota-slot", "commit"), commit().command);
        commit().ends(0);
        assertTrue(device.log.has("slot_committed:slot=b,txn=T1"));
    }

    @Test
    void itIsCommittedOnce() {
        device.started("trial");
        device.connects();
        device.hubbyState(1);
        device.hubbyState(1);
        commit().ends(0);
        device.hubbyState(2);
        device.hubbyState(1);
        device.disconnects();
        device.connects();
        device.hubbyState(1);
        device.pass(3600);
        assertEquals(1, commits());
    }

    @Test
    void theAnswerToTheGetCountsAsWell() {
        device.started("trial");
        device.connects();
        device.gets.remove().complete(new byte[] {1});
        device.loop.settle();
        assertEquals(0, commits());
        // It is asked again right before the commit.
        device.gets.remove().complete(new byte[] {1});
        device.loop.settle();
        assertEquals(1, commits());
    }

    @Nested
    class AHubbyThatDoesNotStay {
        private static final Duration STABLE = Duration.ofSeconds(20);

        @BeforeEach
        void makeDevice() throws IOException {
            device = new Device(folder.toRealPath(), STABLE);
        }

        @Test
        void itHasToBeConnectedForAWhile() {
            device.started("trial");
            device.connects();
            device.hubbyState(1);
            device.pass(19);
            assertEquals(0, commits());
            device.pass(1);
            assertEquals(1, commits());
        }

        @Test
        void oneThatDiedWithoutAWordIsFoundOutRightBeforeTheCommit() {
            String check = device.hasCheck("six-seconds");
            device.started("trial");
            device.connects();
            device.hubbyState(1);
            device.hubbyDies();
            device.pass(26);
            device.programs.running(check).ends(0);
            assertEquals(0, commits());
            CompletableFuture<byte[]> asked = device.gets.removeLast();
            asked.completeExceptionally(new IllegalStateException("OWNER_NOT_AVAILABLE"));
            device.loop.settle();
            assertEquals(0, commits());
            // It comes back, and has to stay as long as if it were new.
            device.pass(30);
            assertEquals(0, commits());
            device.hubbyState(1);
            device.pass(19);
            assertFalse(device.programs.all(check).size() > 1);
            device.pass(1);
            device.programs.running(check).ends(0);
            assertEquals(1, commits());
        }

        @Test
        void oneThatLivesASecondAgainAndAgainIsNeverEnough() {
            device.started("trial");
            device.connects();
            for (int i = 0; i < 60; i++) {
                // Nobody tells of its end, only of the next begin.
                device.hubbyState(1);
                device.pass(2);
            }
            assertEquals(0, commits());
            device.pass(20);
            assertEquals(1, commits());
        }

        @Test
        void whatWasMissingAtTheDeadlineIsSaid() {
            device.started("trial");
            device.connects();
            for (int i = 0; i < 24; i++) {
                device.hubbyState(1);
                device.pass(10);
            }
            device.status("trial");
            assertTrue(
                    device.log.has("slot_health_failed:slot=b,txn=T1,check=hubby,reason=hubby has been connected for "
                            + "only 10 s, expected 20 s"),
                    device.log.lines().toString());
        }
    }

    @Test
    void healthThatCameBeforeTheSlotsWereKnownCounts() {
        device.starts();
        device.connects();
        device.hubbyState(1);
        device.status("trial");
        assertEquals(1, commits());
    }

    @Test
    void withoutHubbyInTheConfigurationTheAttributeDaemonIsEnough() throws IOException {
        device = new Device(folder.toRealPath(), false, List.of(), List.of());
        device.started("trial");
        assertEquals(0, commits());
        device.connects();
        assertEquals(1, commits());
    }

    @Test
    void aLostConnectionIsNotHealthy() {
        device.starts();
        device.connects();
        device.hubbyState(1);
        device.disconnects();
        device.status("trial");
        assertEquals(0, commits());
        // What hubby said before the disconnect is not known to be true now.
        device.connects();
        assertEquals(0, commits());
        device.hubbyState(1);
        assertEquals(1, commits());
    }

    @ParameterizedTest
    @ValueSource(strings = {"committed", "interrupted", "mismatch", "unknown"})
    void onlyATrialIsCommitted(String state) {
        device.started(state);
        device.connects();
        device.hubbyState(1);
        device.pass(10);
        assertEquals(0, commits());
        assertEquals(1, device.log.count("slot_status:state=" + state));
    }

    @Test
    void aCommitThatFailsIsTriedAgainAfterATime() {
        device.started("trial");
        device.connects();
        device.hubbyState(1);
        commit().ends(17);
        assertEquals(
                1,
                device.log.count(
                        "slot_commit_failed:slot=b,txn=T1,exit=17,meaning=the boot state could not " + "be written"));
        device.pass(14);
        assertEquals(1, commits());
        device.pass(1);
        device.status("trial");
        assertEquals(2, commits());
        commit().ends(17);
        device.pass(30);
        device.status("trial");
        commit().ends(0);
        assertTrue(device.log.has("slot_committed:slot=b,txn=T1"));
        assertEquals(3, commits());
    }

    @Test
    void aCommitThatFailsIsTriedAgainWhenTheHealthComesBack() {
        device.started("trial");
        device.connects();
        device.hubbyState(1);
        commit().ends(17);
        device.hubbyState(1);
        assertEquals(1, commits());
        device.hubbyState(2);
        device.hubbyState(1);
        assertEquals(2, commits());
    }

    @Test
    void aHealthThatFlapsDoesNotMultiplyTheTries() {
        device.started("trial");
        device.connects();
        for (int i = 0; i < 20; i++) {
            device.hubbyState(1);
            commit().ends(17);
            device.hubbyState(2);
        }
        assertEquals(20, commits());
        device.hubbyState(1);
        commit().ends(17);
        device.pass(15);
        device.status("trial");
        commit().ends(17);
        device.pass(29);
        assertEquals(22, commits());
        assertFalse(device.programs.isRunning(Device.OTA_SLOT));
    }

    @Test
    void aCommitWithoutEffectDoesNotLoop() {
        device.started("trial");
        device.connects();
        device.hubbyState(1);
        commit().ends(3);
        assertEquals(1, commits());
        device.pass(15);
        device.status("trial");
        commit().ends(3);
        device.pass(29);
        assertEquals(2, commits());
    }

    @Test
    void aCommitThatHangsIsKilledAndTriedAgain() {
        device.started("trial");
        device.connects();
        device.hubbyState(1);
        FakePrograms.Start hanging = commit();
        device.pass(30);
        assertTrue(hanging.wasKilled());
        device.pass(15);
        device.status("trial");
        assertEquals(2, commits());
    }

    @Test
    void aTrialThatSomebodyElseCommittedIsLeftAlone() {
        device.started("trial");
        device.connects();
        device.hubbyState(1);
        commit().ends(3);
        device.pass(15);
        device.status("committed");
        device.pass(3600);
        assertEquals(1, commits());
    }

    @Test
    void aBootStateThatCouldNotBeReadIsReadAgain() {
        device.started("unknown");
        device.connects();
        device.status("unknown");
        device.hubbyState(1);
        device.status("trial");
        assertEquals(1, commits());
    }

    @Test
    void aBootStateThatCouldNotBeReadIsReadAgainAfterATime() {
        device.connects();
        device.hubbyState(1);
        device.started("unknown");
        device.pass(15);
        device.status("unknown");
        device.pass(29);
        assertFalse(device.programs.isRunning(Device.OTA_SLOT));
        device.pass(1);
        device.status("trial");
        assertEquals(1, commits());
        // The same state again is not worth another line.
        assertEquals(1, device.log.count("slot_status:state=unknown"));
    }

    @Test
    void aMissingOtaSlotIsLoudAndHarmless() {
        device.programs.isMissing(Device.OTA_SLOT);
        device.starts();
        device.loop.settle();
        assertEquals(
                1,
                device.log.count(
                        "slot_status:state=unknown,running=,committed=,trial=,txn=,error=cannot be " + "started: "));
        device.has("a", "header").offers("a");
        assertEquals(List.of("a.img"), device.images());
    }

    @Test
    void whatACommitWaitsForIsLogged() {
        device.started("trial");
        device.connects();
        device.hubbyState(2);
        device.hubbyState(0);
        assertEquals(1, device.log.count("slot_trial:slot=b,txn=T1,commit_waits_for=attrd"));
        assertEquals(1, device.log.count("slot_trial:slot=b,txn=T1,commit_waits_for=hubby"));
    }
}
