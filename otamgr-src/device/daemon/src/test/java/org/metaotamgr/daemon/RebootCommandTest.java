// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RebootCommandTest {
    private static final String LOGPUSH = "/usr/bin/logpush";

    @TempDir
    private Path folder;

    private Device device;

    @BeforeEach
    void makeDevice() throws IOException {
        device = new Device(folder.toRealPath()).has("a", "header a").has("b", "header b");
    }

    @Test
    void theDeviceRebootsAfterTheDelayWithTheReasonOnTheStorage() {
        device.started("committed").commands(1);
        device.events.clear();
        device.pass(4);
        assertEquals(List.of(), device.events);
        device.pass(1);
        assertEquals(
                List.of(
                        "create reboot_reason.tmp",
                        "sync reboot_reason.tmp",
                        "rename reboot_reason",
                        "syncFolder " + device.folder.getFileName(),
                        "exec /sbin/reboot"),
                device.events);
        assertEquals(Optional.of("reboot_command"), device.rebootReason());
    }

    @Test
    void aSecondCommandChangesNothing() {
        device.started("committed").commands(1);
        device.pass(3);
        device.commands(1);
        device.pass(2);
        device.commands(1);
        device.pass(10);
        assertEquals(1, device.reboots());
        assertEquals(2, device.log.count("reboot_ignored:"));
    }

    @Test
    void whileAnUpdateIsWrittenTheCommandWaits() {
        device.started("committed").offers("a");
        device.commands(1);
        device.pass(600);
        assertEquals(0, device.reboots());
        assertTrue(device.sysupgrade().isRunning());
        assertEquals(Optional.empty(), device.rebootReason());
        assertEquals(1, device.log.count("reboot_deferred:"));
    }

    @Test
    void afterAFailedUpdateTheCommandIsCarriedOutBeforeTheNextUpdate() {
        device.started("committed").offers("a");
        device.commands(1);
        device.offers("b");
        device.sysupgradeFails(13);
        device.pass(5);
        assertEquals(1, device.reboots());
        assertEquals(Optional.of("reboot_command"), device.rebootReason());
        assertEquals(List.of("a.img"), device.images());
        assertEquals(1, device.log.count("ota_dropped:path=" + device.path("b")));
    }

    @Test
    void afterAnUpdateTheRebootIntoItIsEnough() {
        device.started("committed").offers("a");
        device.commands(1);
        device.sysupgrade().ends(0);
        device.pass(60);
        assertEquals(1, device.reboots());
        assertEquals(Optional.of("full_ota"), device.rebootReason());
    }

    @Test
    void beforeTheSlotsAreKnownTheCommandWaits() {
        device.starts();
        device.commands(1);
        device.pass(10);
        assertEquals(0, device.reboots());
        device.status("committed");
        device.pass(5);
        assertEquals(1, device.reboots());
        assertEquals(Optional.of("reboot_command"), device.rebootReason());
    }

    @Test
    void whileAnotherSysupgradeRunsTheCommandWaits() {
        device.started("committed").offers("a");
        device.sysupgrade().ends(12);
        device.status("committed");
        device.commands(1);
        device.pass(4);
        assertEquals(0, device.reboots());
        device.pass(1);
        device.status("armed");
        device.pass(5);
        assertEquals(1, device.reboots());
        assertEquals(Optional.of("full_ota"), device.rebootReason());
    }

    @Test
    void anUpdateIsRefusedWhileTheRebootIsNear() {
        device.started("committed").commands(1);
        device.offers("a");
        device.pass(5);
        assertEquals(List.of(), device.images());
        assertEquals(1, device.log.count("ota_refused:path=" + device.path("a")));
    }

    @Test
    void anUncommittedTrialCanBeRebooted() {
        device.started("trial").commands(1);
        device.pass(5);
        assertEquals(1, device.reboots());
    }

    @Test
    void aRebootThatFailsIsTriedAgain() {
        device.started("committed").commands(1);
        device.pass(5);
        device.programs.running(Device.REBOOT).ends(1);
        assertEquals(1, device.log.count("reboot_failed:exit=1"));
        device.pass(119);
        assertEquals(1, device.reboots());
        device.pass(1);
        assertEquals(2, device.reboots());
    }

    @Test
    void aRebootWithoutEffectIsTriedAgain() {
        device.started("committed").commands(1);
        device.pass(5);
        device.programs.running(Device.REBOOT).ends(0);
        device.pass(120);
        assertEquals(2, device.reboots());
        assertEquals(1, device.log.count("reboot_overdue:"));
    }

    @Test
    void aMissingRebootProgramIsTriedAgain() {
        device.programs.isMissing(Device.REBOOT);
        device.started("committed").commands(1);
        device.pass(5);
        assertEquals(1, device.log.count("reboot_failed:error=cannot be started: "));
        device.programs.isBack(Device.REBOOT);
        device.pass(120);
        assertEquals(1, device.reboots());
    }

    private Device withLogs() throws IOException {
        return new Device(folder.toRealPath(), true, List.of(), List.of(LOGPUSH, "now")).has("a", "header a");
    }

    @Test
    void logsArePushedBetweenTheReasonAndTheReboot() throws IOException {
        device = withLogs().started("committed");
        device.offers("a");
        device.sysupgrade().ends(0);
        assertEquals(Optional.of("full_ota"), device.rebootReason());
        device.pass(20);
        assertEquals(0, device.reboots());
        device.programs.running(LOGPUSH, "now").ends(0);
        device.pass(5);
        assertEquals(1, device.reboots());
    }

    @Test
    void logsArePushedBeforeACommandedReboot() throws IOException {
        device = withLogs().started("committed");
        device.commands(1);
        device.pass(5);
        assertEquals(Optional.of("reboot_command"), device.rebootReason());
        assertEquals(0, device.reboots());
        device.programs.running(LOGPUSH, "now").ends(1);
        assertEquals(1, device.reboots());
        assertTrue(device.log.has("otamgr_logpush:exit=1,rebooting without it"));
    }

    @Test
    void logsThatHangDoNotStopTheReboot() throws IOException {
        device = withLogs().started("committed");
        device.offers("a");
        device.sysupgrade().ends(0);
        FakePrograms.Start logpush = device.programs.running(LOGPUSH, "now");
        device.pass(30);
        assertTrue(logpush.wasKilled());
        assertTrue(device.log.has("otamgr_logpush:error=did not end within 30 s,rebooting without it"));
        device.pass(5);
        assertEquals(1, device.reboots());
        assertFalse(device.programs.isRunning(LOGPUSH));
    }
}
