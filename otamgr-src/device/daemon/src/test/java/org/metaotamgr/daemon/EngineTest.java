// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.Installer;
import org.metaotamgr.agent.RootHelper;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SysupgradeExit;
import org.metaotamgr.device.Timeouts;

class EngineTest {
    private static final RootHelper ASKED = new RootHelper(List.of("/bin/ask"), Path.of("/run/h"));

    @TempDir
    private Path folder;

    private Device device;

    @BeforeEach
    void makeDevice() throws IOException {
        device = new Device(folder.toRealPath())
                .has("a", "header a")
                .has("b", "header b")
                .has("c", "header c");
    }

    @Nested
    class OneUpdate {
        @Test
        void sysupgradeGetsExactlyThePathsAndAnId() {
            device.started("committed").offers("a");
            FakePrograms.Start sysupgrade = device.sysupgrade();
            assertEquals(6, sysupgrade.command.indexOf(device.path("a") + ".img"));
            String txn = sysupgrade.command.get(3);
            assertTrue(txn.matches("20260131T235959Z-[0-9a-f]{8}-5e6f"), txn);
            assertEquals(
                    List.of(
                            "/sbin/sysupgrade",
                            "--no-reboot",
                            "--txn",
                            txn,
                            "--header",
                            device.path("a") + ".hdr",
                            device.path("a") + ".img"),
                    sysupgrade.command);
            assertEquals(Map.of("SYSUPGRADE_PROGRESS", "/dev/stdout"), sysupgrade.environment);
        }

        @Test
        void pathsThatAShellWouldMindReachSysupgradeUnchanged() {
            String name = "x'; $(reboot) \"`halt`";
            device.has(name, "header").started("committed").offers(name);
            assertEquals(device.path(name) + ".img", device.sysupgrade().command.get(6));
        }

        @Test
        void theTraceOfTheOriginalStillMatches() {
            device.started("committed").offers("a");
            List<String> lines = device.log.lines();
            int notification = lines.indexOf("ota_notification:path=" + device.path("a"));
            int image = lines.indexOf("otamgr_image_src:path=" + device.path("a") + ".img");
            int header = lines.indexOf("otamgr_header_src:path=" + device.path("a") + ".hdr");
            assertTrue(0 <= notification && notification < image && image < header, () -> lines.toString());
        }

        @Test
        void progressIsLogged() {
            device.started("committed").offers("a");
            device.sysupgrade().prints("write 40 slot b");
            device.sysupgrade().complains("sysupgrade: slot b is 96 MiB");
            device.sysupgrade().complains("a line of dd");
            assertTrue(device.log.has("ota_progress:phase=write,percent=40"));
            assertTrue(device.log.has("sysupgrade: slot b is 96 MiB"));
            assertTrue(device.log.has("sysupgrade: a line of dd"));
        }

        @Test
        void aFailureLeavesTheDeviceAsItWasAndSaysWhy() {
            device.started("committed").offers("a");
            device.sysupgrade().prints("failed 13 No space left on device");
            String txn = device.sysupgrade().command.get(3);
            device.sysupgradeFails(13);
            assertTrue(
                    device.log.has("ota_upgrade_failed:path=" + device.path("a") + ",txn=" + txn
                            + ",exit=13,name=write-failed,reason=No space left on device"),
                    device.log.lines().toString());
            device.pass(3600);
            assertEquals(0, device.reboots());
            assertEquals(Optional.empty(), device.rebootReason());
            assertEquals(Orders.Phase.READY, device.orders.phase());
        }

        @ParameterizedTest
        @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 77, 137, 143})
        void noFailureReboots(int status) {
            device.started("committed").offers("a");
            device.sysupgradeFails(status);
            device.pass(3600);
            assertEquals(0, device.reboots());
            assertEquals(Optional.empty(), device.rebootReason());
            assertEquals(1, device.log.count("ota_upgrade_failed:"));
            assertTrue(device.log.lines().stream()
                    .anyMatch(line -> line.contains(",exit=" + status + ",name=" + SysupgradeExit.label(status)
                            + ",reason=" + SysupgradeExit.meaning(status))));
        }

        @Test
        void afterAFailureTheSameUpdateIsTakenAgain() {
            device.started("committed").offers("a");
            device.sysupgradeFails(10);
            device.offers("a");
            assertEquals(List.of("a.img", "a.img"), device.images());
        }

        @Test
        void aMissingSysupgradeIsAFailure() {
            device.programs.isMissing(Device.SYSUPGRADE);
            device.started("committed").offers("a");
            assertTrue(device.log.lines().stream()
                    .anyMatch(line -> line.startsWith("ota_upgrade_failed:path=" + device.path("a")
                            + ",sysupgrade cannot be started: Cannot run program")));
            device.programs.isBack(Device.SYSUPGRADE);
            device.offers("a");
            assertEquals(List.of("a.img"), device.images());
        }

        @Test
        void aSysupgradeThatWasKilledAfterArmingIsRebootedInto() {
            device.started("committed").offers("a");
            device.sysupgrade().ends(137);
            device.status("armed");
            device.pass(5);
            assertEquals(1, device.reboots());
            assertEquals(Optional.of("full_ota"), device.rebootReason());
        }

        @ParameterizedTest
        @ValueSource(strings = {"mismatch", "unknown", "interrupted"})
        void whereTheBootStateIsBadSysupgradeIsAskedToRefuse(String state) {
            device.started(state).offers("a");
            assertEquals(List.of("a.img"), device.images());
        }

        @Test
        void anOtaSlotThatHangsDoesNotKeepUpdatesAway() {
            device.starts();
            device.offers("a");
            device.pass(29);
            assertEquals(List.of(), device.images());
            device.pass(1);
            assertEquals(List.of("a.img"), device.images());
        }

        @ParameterizedTest
        @ValueSource(strings = {"", "relative", "/etc/ota_type_5", "/tmp/../etc/x"})
        void aBadPathStartsNothing(String path) {
            device.started("committed")
                    .notifies(Attributes.HUBBY_OTA_UPGRADE_PATH, path.getBytes(StandardCharsets.UTF_8));
            assertEquals(List.of(), device.images());
            assertEquals(1, device.log.count("ota_refused:path=" + path + ",reason="));
        }

        @Test
        void aPathWithALineFeedCannotForgeALogLine() {
            device.started("committed")
                    .notifies(
                            Attributes.HUBBY_OTA_UPGRADE_PATH,
                            "/tmp/x\nslot_committed:slot=b".getBytes(StandardCharsets.UTF_8));
            assertEquals(1, device.log.count("ota_refused:path=/tmp/x\\u000aslot_committed"));
            assertTrue(device.log.lines().stream().noneMatch(line -> line.contains("\n")));
        }

        @Test
        void missingFilesStartNothing() {
            device.started("committed").offers("missing");
            assertEquals(List.of(), device.images());
            assertEquals(1, device.log.count("ota_refused:"));
        }
    }

    @Nested
    class Success {
        @Test
        void theReasonIsOnTheStorageBeforeTheReboot() {
            device.started("committed").offers("a");
            device.events.clear();
            device.sysupgrade().ends(0);
            device.pass(5);
            assertEquals(
                    List.of(
                            "create reboot_reason.tmp",
                            "sync reboot_reason.tmp",
                            "rename reboot_reason",
                            "syncFolder " + device.folder.getFileName(),
                            "exec /sbin/reboot"),
                    device.events);
            assertEquals(Optional.of("full_ota"), device.rebootReason());
        }

        @Test
        void aDaemonThatIsNotRootHasTheReasonWritten() {
            Device asking = Device.asking(folder, ASKED);
            asking.started("committed").offers("a");
            asking.sysupgrade().ends(0);
            asking.programs.running("/bin/ask", "reason", "full_ota").ends(0);
            assertEquals(Optional.empty(), asking.rebootReason());
            asking.pass(5);
            assertEquals(1, asking.reboots());
            assertEquals(1, asking.log.count("reboot_reason:reason=full_ota"));
        }

        @Test
        void aReasonThatCannotBeWrittenStopsNoReboot() {
            Device asking = Device.asking(folder, ASKED);
            asking.started("committed").offers("a");
            asking.sysupgrade().ends(0);
            asking.programs.running("/bin/ask", "reason", "full_ota").ends(126);
            asking.pass(5);
            assertEquals(1, asking.reboots());
            assertEquals(1, asking.log.count("reboot_reason:reason=full_ota,exit=126,rebooting without it"));
        }

        @Test
        void theRebootWaitsForItsDelay() {
            device.started("committed").offers("a");
            device.sysupgrade().ends(0);
            device.pass(4);
            assertEquals(0, device.reboots());
            device.pass(1);
            assertEquals(1, device.reboots());
        }

        @Test
        void theReasonIsNotTouchedWhileSysupgradeRuns() {
            device.started("committed").offers("a");
            device.pass(600);
            assertEquals(Optional.empty(), device.rebootReason());
        }

        @Test
        void aReasonThatCannotBeWrittenDoesNotStopTheReboot() {
            device.files.fails("sync");
            device.started("committed").offers("a");
            device.sysupgrade().ends(0);
            device.pass(5);
            assertEquals(1, device.reboots());
            assertEquals(1, device.log.count("set_reboot_reason:error="));
        }

        @Test
        void updatesAreRefusedUntilTheReboot() {
            device.started("committed").offers("a");
            device.sysupgrade().ends(0);
            device.offers("a");
            device.offers("b");
            device.pass(5);
            device.offers("b");
            assertEquals(List.of("a.img"), device.images());
            assertEquals(3, device.log.count("ota_refused:"));
        }

        @Test
        void anUpdateThatWaitedIsDropped() {
            device.started("committed").offers("a");
            device.offers("b");
            device.sysupgrade().ends(0);
            device.pass(5);
            assertEquals(List.of("a.img"), device.images());
            assertEquals(1, device.log.count("ota_dropped:path=" + device.path("b")));
        }
    }

    @Nested
    class TwoUpdates {
        @Test
        void theSameUpdateIsIgnoredWhileItIsWritten() {
            device.started("committed").offers("a");
            device.offers("a");
            device.offers("a");
            assertEquals(2, device.log.count("ota_ignored:path=" + device.path("a")));
            device.sysupgradeFails(13);
            device.pass(3600);
            assertEquals(List.of("a.img"), device.images());
        }

        @Test
        void thereIsNeverASecondWriter() {
            device.started("committed").offers("a");
            for (int i = 0; i < 10; i++) {
                device.offers("b");
                device.offers("c");
            }
            assertEquals(List.of("a.img"), device.images());
        }

        @Test
        void anotherUpdateIsTakenWhenTheCurrentOneFailed() {
            device.started("committed").offers("a");
            device.offers("b");
            assertEquals(1, device.log.count("ota_queued:path=" + device.path("b")));
            device.sysupgradeFails(5);
            assertEquals(List.of("a.img", "b.img"), device.images());
        }

        @Test
        void onlyTheNewestWaits() {
            device.started("committed").offers("a");
            device.offers("b");
            device.offers("c");
            assertEquals(1, device.log.count("ota_dropped:path=" + device.path("b")));
            device.sysupgradeFails(5);
            device.sysupgradeFails(5);
            device.pass(3600);
            assertEquals(List.of("a.img", "c.img"), device.images());
        }

        @Test
        void theSamePathWithAnotherHeaderIsAnotherUpdate() {
            device.started("committed").offers("a");
            device.has("a", "another header").offers("a");
            assertEquals(1, device.log.count("ota_queued:path=" + device.path("a")));
            device.sysupgradeFails(5);
            assertEquals(List.of("a.img", "a.img"), device.images());
        }

        @Test
        void anUpdateThatWaitsTwiceWaitsOnce() {
            device.started("committed").offers("a");
            device.offers("b");
            device.offers("b");
            assertEquals(1, device.log.count("ota_queued:"));
            assertEquals(0, device.log.count("ota_dropped:"));
        }

        @Test
        void anUpdateWhoseFilesWentWhileItWaitedIsRefused() throws IOException {
            device.started("committed").offers("a");
            device.offers("b");
            Files.delete(Path.of(device.path("b") + ".img"));
            device.sysupgradeFails(5);
            assertEquals(List.of("a.img"), device.images());
            assertEquals(1, device.log.count("ota_refused:path=" + device.path("b")));
            device.offers("c");
            assertEquals(List.of("a.img", "c.img"), device.images());
        }

        @Test
        void aBadPathWhileUpdatingDoesNotReplaceTheOneThatWaits() {
            device.started("committed").offers("a");
            device.offers("b");
            device.offers("missing");
            device.sysupgradeFails(5);
            assertEquals(List.of("a.img", "b.img"), device.images());
        }

        @Test
        void anUpdateThatComesBeforeTheSlotsAreKnownWaits() {
            device.starts();
            device.offers("a");
            assertEquals(List.of(), device.images());
            device.status("committed");
            assertEquals(List.of("a.img"), device.images());
        }
    }

    @Nested
    class AfterARestart {
        @Test
        void anArmedUpdateIsRebootedInto() {
            device.started("armed");
            assertEquals(Optional.of("full_ota"), device.rebootReason());
            device.pass(5);
            assertEquals(1, device.reboots());
        }

        @Test
        void anUpdateThatWaitedForTheSlotsIsDroppedIfOneIsArmed() {
            device.starts();
            device.offers("a");
            device.status("armed");
            device.pass(5);
            assertEquals(List.of(), device.images());
            assertEquals(1, device.reboots());
        }

        @Test
        void theUpdateOfAnEarlierDaemonIsRebootedIntoWhenItArmedItself() {
            device.hasBegunAnUpdate().started("committed");
            device.pass(20);
            device.status("committed");
            device.pass(20);
            device.status("armed");
            device.pass(5);
            assertEquals(1, device.reboots());
            assertEquals(Optional.of("full_ota"), device.rebootReason());
        }

        @Test
        void itIsAlsoFoundIfTheSlotsCouldNotBeReadAtFirst() {
            device.hasBegunAnUpdate().started("unknown");
            device.pass(15);
            device.status("committed");
            device.pass(5);
            device.status("armed");
            device.pass(5);
            assertEquals(1, device.reboots());
        }

        @Test
        void lookingForAnEarlierUpdateEnds() {
            device.hasBegunAnUpdate().started("committed");
            for (int i = 0; i < Timeouts.SYSUPGRADE.dividedBy(Engine.ORPHAN_LOOK); i++) {
                device.pass(20);
                device.status("committed");
            }
            int looks = device.programs.all(Device.OTA_SLOT).size();
            device.pass(24 * 3600);
            assertEquals(looks, device.programs.all(Device.OTA_SLOT).size());
        }

        @Test
        void withoutAnEarlierUpdateNobodyLooks() {
            device.started("committed");
            device.pass(24 * 3600);
            assertEquals(1, device.programs.all(Device.OTA_SLOT).size());
        }

        @Test
        void anUpdateThatIsOfferedWhileTheSlotsAreLookedAtWaitsForThat() {
            device.hasBegunAnUpdate().started("committed");
            device.pass(20);
            device.offers("a");
            device.status("armed");
            device.pass(5);
            assertEquals(List.of(), device.images());
            assertEquals(1, device.reboots());
        }

        @Test
        void aBusySysupgradeIsWaitedForAndItsUpdateRebootedInto() {
            device.started("committed").offers("a");
            device.sysupgrade().ends(12);
            device.status("committed");
            assertEquals(Orders.Phase.BUSY, device.orders.phase());
            device.pass(5);
            device.status("armed");
            device.pass(5);
            assertEquals(List.of("a.img"), device.images());
            assertEquals(1, device.reboots());
        }

        @Test
        void whenTheBusyOneFailedTheOfferedUpdateIsWritten() {
            device.started("committed").offers("a");
            device.sysupgrade().ends(12);
            device.status("committed");
            device.pass(5);
            device.status("committed");
            device.sysupgrade().ends(12);
            device.status("committed");
            device.pass(9);
            assertEquals(2, device.images().size());
            device.pass(1);
            device.status("committed");
            device.sysupgrade().ends(0);
            device.pass(5);
            assertEquals(List.of("a.img", "a.img", "a.img"), device.images());
            assertEquals(1, device.reboots());
        }

        @Test
        void anArmedStateRightAfterBusyIsSeenAtOnce() {
            device.started("committed").offers("a");
            device.sysupgrade().ends(12);
            device.status("armed");
            device.pass(5);
            assertEquals(1, device.reboots());
        }

        @Test
        void whileBusyANewerUpdateTakesThePlace() {
            device.started("committed").offers("a");
            device.sysupgrade().ends(12);
            device.status("committed");
            device.offers("a");
            device.offers("b");
            device.pass(5);
            device.status("committed");
            assertEquals(List.of("a.img", "b.img"), device.images());
        }

        @Test
        void anUpdateThatWentWhileBusyLeavesTheDaemonReady() throws IOException {
            device.started("committed").offers("a");
            device.sysupgrade().ends(12);
            device.status("committed");
            Files.delete(Path.of(device.path("a") + ".img"));
            device.pass(5);
            device.status("committed");
            assertEquals(Orders.Phase.READY, device.orders.phase());
            device.offers("b");
            assertEquals(List.of("a.img", "b.img"), device.images());
        }
    }

    @Nested
    class DuringATrial {
        @Test
        void anUpdateWaitsForTheCommit() {
            device.started("trial").offers("a");
            assertEquals(List.of(), device.images());
            assertEquals(1, device.log.count("ota_queued:path=" + device.path("a")));
            device.connects();
            device.hubbyState(1);
            assertEquals(List.of(), device.images());
            device.programs.running(Device.OTA_SLOT, "commit").ends(0);
            assertEquals(List.of("a.img"), device.images());
        }

        @Test
        void anUpdateIsNotStartedWhenTheCommitFailed() {
            device.started("trial").offers("a");
            device.connects();
            device.hubbyState(1);
            device.programs.running(Device.OTA_SLOT, "commit").ends(17);
            assertEquals(List.of(), device.images());
        }
    }

    @Test
    void theProgramsOfTheConfigurationKeepTheirArguments() {
        ManualTime time = new ManualTime();
        FakePrograms programs = new FakePrograms(time, device.events);
        Installer installer = new Installer(List.of("/bin/su", "-v"), new Programs(programs, time), device.log);
        time.start(() -> installer.install(Path.of("/tmp/a.img"), Optional.empty(), "T", progress -> {}));
        assertEquals(
                List.of("/bin/su", "-v", "--no-reboot", "--txn", "T", "/tmp/a.img"),
                programs.running("/bin/su").command);
        assertFalse(programs.isRunning(Device.SYSUPGRADE));
    }
}
