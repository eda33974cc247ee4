// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.FailureMemory;
import org.metaotamgr.device.SysupgradeExit;

class RetryTest {
    @TempDir
    private Path folder;

    private Device device;
    private int boots = 1;

    @BeforeEach
    void makeDevice() throws IOException {
        device = new Device(folder.toRealPath()).has("a", "header a").has("b", "header b");
    }

    private Path file() {
        return device.config.retry().directory().resolve("failed-updates.json");
    }

    private String txn() {
        List<FakePrograms.Start> all = device.programs.all(Device.SYSUPGRADE);
        return all.get(all.size() - 1).command.get(3);
    }

    /** The update that is being written gets armed, and the device reboots into its trial. */
    private String rebootsIntoTrial() {
        String txn = txn();
        device.sysupgrade().ends(0);
        return txn;
    }

    private void comesUp(String... slot) {
        boots++;
        device = device.rebooted("boot-" + boots);
        device.starts();
        answers(slot);
    }

    private void answers(String... slot) {
        FakePrograms.Start status = device.programs.running(Device.OTA_SLOT, "status");
        for (String line : slot) {
            status.prints(line);
        }
        status.ends(0);
    }

    private void comesUpRolledBack(String txn) {
        comesUp(
                "running=a",
                "committed=a",
                "trial=",
                "txn=" + txn,
                "failed=" + txn,
                "failed_why=tries-used-up",
                "state=committed");
    }

    private void isRolledBack() {
        comesUpRolledBack(rebootsIntoTrial());
    }

    private FailureMemory memory() throws IOException {
        return FailureMemory.ofJson(Files.readAllBytes(file()));
    }

    @Nested
    class Rollbacks {
        @Test
        void anUpdateThatWasRolledBackWaitsLongerEachTimeAndIsThenRefused() {
            device.started("committed").offers("a");
            isRolledBack();
            device.offers("a");
            assertEquals(List.of(), device.images());
            assertEquals(
                    1,
                    device.log.count(
                            "ota_queued:path=" + device.path("a")
                                    + ",reason=this update failed 1 time, last: rolled back (tries-used-up); it is tried again in 600 s"));
            device.pass(600);
            assertEquals(List.of(), device.images());
            device.pass(1);
            assertEquals(List.of("a.img"), device.images());
            isRolledBack();
            device.offers("a");
            device.pass(1200);
            assertEquals(List.of(), device.images());
            device.pass(1);
            isRolledBack();
            device.offers("a");
            device.pass(10 * 24 * 3600);
            device.offers("a");
            assertEquals(List.of(), device.images());
            assertEquals(
                    2,
                    device.log.count("ota_refused:path=" + device.path("a")
                            + ",reason=this update failed 3 times, last: rolled back (tries-used-up)"));
        }

        @Test
        void anotherUpdateIsTakenAtOnce() {
            device.started("committed").offers("a");
            isRolledBack();
            device.offers("a");
            device.offers("b");
            assertEquals(List.of("b.img"), device.images());
            assertEquals(1, device.log.count("ota_dropped:path=" + device.path("a")));
        }

        @Test
        void theSamePathWithAnotherHeaderIsAnotherUpdate() {
            device.started("committed").offers("a");
            isRolledBack();
            device.has("a", "a corrected header").offers("a");
            assertEquals(List.of("a.img"), device.images());
        }

        @Test
        void theSlotThatRunsIsKnownAlsoWhenOtaSlotHangsLater() throws IOException {
            device.started("committed");
            device.pass(60);
            device.offers("a");
            assertEquals("a", memory().started().get(0).fromSlot());
        }

        @Test
        void nothingThatHappensMeanwhileAnnouncesAWaitAgain() {
            device.started("committed").offers("a");
            String txn = rebootsIntoTrial();
            comesUpRolledBack(txn);
            device.offers("a");
            device.pass(100);
            device.connects();
            device.pass(100);
            assertEquals(1, device.log.count("ota_queued:"));
            assertEquals(List.of(), device.images());
        }

        @Test
        void withoutKnowingTheOldSlotNothingIsTakenForACommit() throws IOException {
            device.started("unknown").offers("a");
            String txn = rebootsIntoTrial();
            comesUp("running=a", "committed=a", "txn=" + txn, "failed=", "state=committed");
            assertEquals(1, memory().started().size());
        }

        @Test
        void aRollbackIsCountedOnceHoweverOftenTheDeviceStarts() throws IOException {
            device.started("committed").offers("a");
            String txn = rebootsIntoTrial();
            for (int i = 0; i < 5; i++) {
                comesUpRolledBack(txn);
            }
            assertEquals(1, memory().failed().get(0).failures());
        }

        @Test
        void aRollbackIsAlsoSeenIfTheSlotsCouldNotBeReadAtFirst() throws IOException {
            device.started("committed").offers("a");
            String txn = rebootsIntoTrial();
            comesUp("state=unknown");
            device.pass(15);
            answers("running=a", "committed=a", "txn=" + txn, "failed=" + txn, "state=committed");
            assertEquals("rolled back", memory().failed().get(0).reason());
        }

        @ParameterizedTest
        @ValueSource(strings = {"committed", "interrupted"})
        void aTrialThatEndedWithoutAWordOfTheBootLoaderCounts(String state) throws IOException {
            device.started("committed").offers("a");
            String txn = rebootsIntoTrial();
            comesUp("running=a", "committed=a", "txn=" + txn, "failed=", "state=" + state);
            assertEquals(
                    "the trial was cancelled or interrupted",
                    memory().failed().get(0).reason());
        }

        @Test
        void aPowerCutWhileTheSlotIsWrittenDoesNotCount() {
            device.started("committed").offers("a");
            comesUp("running=a", "committed=a", "txn=an-older-one", "failed=", "state=committed");
            device.offers("a");
            assertEquals(List.of("a.img"), device.images());
        }

        @Test
        void aRollbackOfAnUpdateThatSomebodyElseInstalledIsNobodys() throws IOException {
            device.started("committed").offers("a");
            comesUpRolledBack("by-hand");
            assertEquals(List.of(), memory().failed());
        }

        @Test
        void whatTheTrialLackedIsPartOfTheReason() {
            device.started("committed").offers("a");
            String txn = rebootsIntoTrial();
            comesUp("running=b", "committed=a", "trial=b", "txn=" + txn, "state=trial");
            device.pass(240);
            answers("running=b", "committed=a", "trial=b", "txn=" + txn, "state=trial");
            device.programs.running(Device.OTA_SLOT, "note").ends(0);
            comesUpRolledBack(txn);
            assertTrue(
                    device.log.lines().stream()
                            .anyMatch(line -> line.startsWith("ota_trial_failed:txn=" + txn)
                                    && line.endsWith(
                                            ",failures=1,reason=rolled back (tries-used-up), health check attrd: the attribute "
                                                    + "daemon has not accepted otamgr")),
                    device.log.lines().toString());
        }

        @Test
        void aCommitClearsTheMemoryOfThatUpdateOnly() throws IOException {
            device.started("committed").offers("b");
            isRolledBack();
            device.offers("a");
            isRolledBack();
            device.offers("a");
            device.pass(601);
            assertEquals(2, memory().failed().size());
            String txn = rebootsIntoTrial();
            comesUp("running=b", "committed=a", "trial=b", "txn=" + txn, "state=trial");
            device.connects();
            device.hubbyState(1);
            assertEquals(2, memory().failed().size());
            device.programs.running(Device.OTA_SLOT, "commit").ends(0);
            assertEquals(
                    List.of(new FailureMemory.Failed(
                            headerOf("b"),
                            1,
                            "rolled back (tries-used-up)",
                            "2026-01-31T23:59:59Z",
                            "boot-2",
                            Duration.ZERO)),
                    memory().failed());
            assertEquals(List.of(), memory().started());
        }

        @Test
        void aCommitThatSomebodyElseMadeCountsAsWell() throws IOException {
            device.started("committed").offers("a");
            String txn = rebootsIntoTrial();
            comesUp("running=b", "committed=b", "trial=", "txn=" + txn, "failed=", "state=committed");
            assertEquals(FailureMemory.EMPTY, memory());
        }

        private String headerOf(String name) {
            try {
                return UpdateCandidate.examine(
                                UpdatePath.parse(device.path(name).getBytes(StandardCharsets.UTF_8)),
                                device.config.allowedPrefixes())
                        .headerSha256();
            } catch (UpdateRefusedException e) {
                throw new AssertionError(e);
            }
        }
    }

    @Nested
    class Refusals {
        @ParameterizedTest
        @ValueSource(ints = {4, 5, 6, 7, 8, 18, 19, 20})
        void whatSysupgradeSaysAboutTheImageCounts(int status) throws IOException {
            device.started("committed").offers("a");
            device.sysupgrade().prints("failed " + status + " it is no good");
            device.sysupgradeFails(status);
            assertEquals(
                    "sysupgrade refused it (" + SysupgradeExit.label(status) + "): it is no good",
                    memory().failed().get(0).reason());
            device.offers("a");
            assertEquals(List.of("a.img"), device.images());
            device.pass(601);
            device.sysupgradeFails(status);
            device.offers("a");
            device.pass(1201);
            device.sysupgradeFails(status);
            device.offers("a");
            device.pass(24 * 3600);
            assertEquals(List.of("a.img", "a.img", "a.img"), device.images());
            assertEquals(
                    1, device.log.count("ota_refused:path=" + device.path("a") + ",reason=this update failed 3 times"));
        }

        @ParameterizedTest
        @ValueSource(ints = {13, 14, 15, 16, 137})
        void anInstallThatDestroyedTheOtherSlotForNothingIsNotTriedAtOnceAgain(int status) throws IOException {
            device.started("committed").offers("a");
            device.sysupgrade().prints("failed " + status + " nobody knows why");
            device.sysupgradeFails(status);
            assertEquals(
                    "sysupgrade could not install it (" + SysupgradeExit.label(status) + "): nobody knows why",
                    memory().failed().get(0).reason());
            device.offers("a");
            assertEquals(List.of("a.img"), device.images());
            device.pass(601);
            device.sysupgradeFails(status);
            device.offers("a");
            device.pass(1201);
            device.sysupgradeFails(status);
            device.offers("a");
            device.pass(24 * 3600);
            assertEquals(List.of("a.img", "a.img", "a.img"), device.images());
        }

        @ParameterizedTest
        @ValueSource(ints = {1, 2, 3, 9, 10, 11, 17, 21, 22, 77})
        void whatItSaysAboutTheDeviceOrTheMomentDoesNot(int status) throws IOException {
            device.started("committed").offers("a");
            for (int i = 0; i < 5; i++) {
                device.sysupgradeFails(status);
                device.offers("a");
            }
            assertEquals(6, device.images().size());
            assertEquals(List.of(), memory().failed());
            assertEquals(1, memory().started().size());
        }

        @Test
        void aBusySysupgradeLeavesTheMemoryOfTheOneThatRuns() throws IOException {
            device.started("committed").offers("a");
            String running = txn();
            device = device.rebooted("boot-1").started("committed");
            device.offers("a");
            for (int wait : new int[] {5, 10, 20, 40, 60, 60, 60, 60, 60, 60}) {
                device.sysupgrade().ends(12);
                device.status("committed");
                device.pass(wait);
                device.status("committed");
            }
            assertTrue(memory().startedAs(running).isPresent());
            assertEquals(List.of(), memory().failed());
        }

        @Test
        void anUpdateThatWaitedBehindAnotherOneIsRefusedToo() {
            device.started("committed").offers("a");
            device.sysupgradeFails(5);
            device.pass(601);
            device.offers("a");
            device.sysupgradeFails(5);
            device.offers("a");
            device.pass(1201);
            device.offers("b");
            device.offers("a");
            device.sysupgradeFails(5);
            device.sysupgradeFails(13);
            device.pass(24 * 3600);
            assertEquals(List.of("a.img", "a.img", "a.img", "b.img"), device.images());
        }

        @Test
        void aRebootCommandDoesNotWaitForADelayedUpdate() {
            device.started("committed").offers("a");
            device.sysupgradeFails(5);
            device.offers("a");
            device.commands(1);
            device.pass(5);
            assertEquals(1, device.reboots());
            device.pass(3600);
            assertEquals(List.of("a.img"), device.images());
        }

        @Test
        void anUpdateThatWasRefusedWhileBusyLeavesTheDaemonReady() throws IOException {
            device.started("committed").offers("a");
            device.sysupgradeFails(5);
            device.offers("b");
            device.sysupgrade().ends(12);
            device.status("committed");
            device.offers("a");
            device.pass(5);
            device.status("committed");
            assertEquals(Orders.Phase.READY, device.orders.phase());
            device.pass(600);
            assertEquals(List.of("a.img", "b.img", "a.img"), device.images());
        }

        @Test
        void theWaitIsAnnouncedOnce() {
            device.started("committed").offers("a");
            device.sysupgradeFails(5);
            device.offers("a");
            device.offers("a");
            device.pass(300);
            device.offers("a");
            assertEquals(1, device.log.count("ota_queued:"));
            device.pass(301);
            assertEquals(List.of("a.img", "a.img"), device.images());
        }
    }

    @Nested
    class Memory {
        @Test
        void itIsOnTheStorageBeforeSysupgradeStarts() {
            device.started("committed");
            device.events.clear();
            device.offers("a");
            assertEquals(
                    List.of(
                            "create failed-updates.json.tmp",
                            "sync failed-updates.json.tmp",
                            "rename failed-updates.json",
                            "syncFolder memory",
                            "create agent.json.tmp",
                            "sync agent.json.tmp",
                            "rename agent.json",
                            "syncFolder agent"),
                    device.events.subList(0, 8));
            assertTrue(device.events.get(8).startsWith("exec /sbin/sysupgrade "));
        }

        @Test
        void removingTheFileIsEnoughToForget() throws IOException {
            device.started("committed").offers("a");
            device.sysupgradeFails(5);
            device.offers("a");
            Files.delete(file());
            device.offers("a");
            assertEquals(List.of("a.img", "a.img"), device.images());
            assertEquals(0, device.log.count("ota_dropped:"));
            device.sysupgradeFails(5);
            assertEquals(1, memory().failed().get(0).failures());
        }

        @Test
        void itIsLoggedAtTheStart() {
            device.started("committed").offers("a");
            isRolledBack();
            assertEquals(
                    1,
                    device.log.lines().stream()
                            .filter(
                                    line -> line.matches(
                                            "ota_failed_before:header_sha256="
                                                    + "[0-9a-f]{64},failures=1,next=it may be tried again in 600 s,last=rolled back \\(tries-used-up\\)"))
                            .count(),
                    device.log.lines().toString());
        }
    }
}
