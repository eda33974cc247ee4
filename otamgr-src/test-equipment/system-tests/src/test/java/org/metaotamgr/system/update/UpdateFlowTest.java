// SPDX-License-Identifier: MIT
package org.metaotamgr.system.update;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.simulator.Attrd;
import org.metaotamgr.simulator.Attribute;
import org.metaotamgr.simulator.SimulatedClient;

/** The daemon as a process, over a real socket, with programs as processes. */
@Timeout(180)
class UpdateFlowTest {
    @TempDir
    private Path folder;

    private Board board;

    @BeforeEach
    void makeBoard() throws IOException {
        board = new Board(folder.toRealPath());
    }

    @AfterEach
    void closeBoard() throws Exception {
        board.close();
    }

    private Daemon connectedDaemon(String more) throws Exception {
        Daemon daemon = board.startDaemon(more);
        daemon.awaitLog("attribute_client:connected to attrd");
        return daemon;
    }

    @Test
    void anUpdateIsWrittenWithExactlyTheseArgumentsAndRebootedInto() throws Exception {
        Attrd attrd = board.startAttrd();
        SimulatedClient hubby = board.startHubby(1);
        Daemon daemon = connectedDaemon(",\"pushLogs\":[\"" + board.folder() + "/logpush\"]");
        assertArrayEquals(
                (board.downloads() + "\0").getBytes(StandardCharsets.UTF_8),
                hubby.get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX));

        Path update = board.download("ota_type_5", "header");
        board.offer(update);
        Board.Run run = board.awaitRun(1);
        List<String> arguments = run.arguments();
        String txn = arguments.get(2);
        assertTrue(txn.matches("\\d{8}T\\d{6}Z-[0-9a-f]{8}-[0-9a-f]{4}"), txn);
        assertEquals(List.of("--no-reboot", "--txn", txn, "--header", update + ".hdr", update + ".img"), arguments);
        assertEquals("/dev/stdout", run.progressDevice());
        daemon.awaitLog("ota_progress:phase=check,percent=100");
        daemon.awaitLog("sysupgrade: writing slot b");
        assertFalse(Files.exists(board.folder().resolve("reboot_reason")));

        run.end(0);
        board.awaitLines("reboots", 1);
        assertEquals(List.of("reason=full_ota"), board.linesOf("reboots"));
        assertEquals(List.of("reason=full_ota"), board.linesOf("logpushes"));
        daemon.awaitLog("ota_progress:phase=done,percent=100");
        daemon.awaitLog("ota_upgrade_armed:txn=" + txn);
        List<String> log = daemon.log();
        int notification = log.indexOf("ota_notification:path=" + update);
        assertTrue(
                notification >= 0 && notification < log.indexOf("otamgr_image_src:path=" + update + ".img"),
                () -> String.join("\n", log));
        assertEquals(0, daemon.stop());
        assertEquals(0, attrd.writesIntoClosedSockets());
    }

    @Test
    void aFailedUpdateIsReportedAndTheNextOneIsTaken() throws Exception {
        board.startAttrd();
        board.startHubby(1);
        Daemon daemon = connectedDaemon("");
        Path update = board.download("ota_type_5", "header");
        board.offer(update);
        board.awaitRun(1).end(14);
        daemon.awaitLog("ota_upgrade_failed:path=" + update);
        assertTrue(
                daemon.log().stream()
                        .anyMatch(line -> line.startsWith("ota_upgrade_failed:path=" + update + ",txn=")
                                && line.endsWith(",exit=14,name=read-back-differs,reason=the test wants it")),
                daemon.log().toString());
        // The slot was touched, so the same one has to wait; another one has not.
        board.offer(update);
        Path next = board.download("next", "another header");
        board.offer(next);
        Board.Run run = board.awaitRun(2);
        assertEquals(next + ".img", run.image());
        run.end(0);
        board.awaitLines("reboots", 1);
        assertEquals(List.of("reason=full_ota"), board.linesOf("reboots"));
    }

    @Test
    void aSecondUpdateWaitsAndTheSameOneIsIgnored() throws Exception {
        board.startAttrd();
        board.startHubby(1);
        Daemon daemon = connectedDaemon("");
        Path first = board.download("first", "header 1");
        Path second = board.download("second", "header 2");
        board.offer(first);
        Board.Run run = board.awaitRun(1);
        board.offer(first);
        daemon.awaitLog("ota_ignored:path=" + first);
        board.offer(second);
        daemon.awaitLog("ota_queued:path=" + second);
        assertEquals(1, board.runs().size());
        run.end(5);
        assertEquals(second + ".img", board.awaitRun(2).image());
        // The lock of sysupgrade was never met.
        assertEquals(0, daemon.count("ota_busy:"));
    }

    @Test
    void thePrefixIsAnsweredAtOnceWhileSysupgradeRuns() throws Exception {
        board.startAttrd();
        SimulatedClient hubby = board.startHubby(1);
        connectedDaemon("");
        board.offer(board.download("ota_type_5", "header"));
        Board.Run run = board.awaitRun(1);
        for (int i = 0; i < 20; i++) {
            long start = System.nanoTime();
            assertArrayEquals(
                    (board.downloads() + "\0").getBytes(StandardCharsets.UTF_8),
                    hubby.get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX));
            long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
            assertTrue(millis < 1000, "answered after " + millis + " ms");
        }
        assertTrue(run.isRunning());
    }

    @Test
    void anOfferThatWasMadeWhileTheConnectionWasDownIsTaken() throws Exception {
        Attrd attrd = board.startAttrd();
        board.startHubby(1);
        Daemon daemon = connectedDaemon("");
        attrd.close();
        daemon.awaitLog("attribute_client:disconnected from attrd");
        Path offered = board.download("ota_type_5", "header");
        board.startAttrd();
        board.hasOffered(offered);
        board.startHubby(1);
        assertEquals(offered + ".img", board.awaitRun(1).image());
    }

    @Test
    void aLogThatNobodyReadsAndManyLargeValuesStopNothing() throws Exception {
        board.startAttrd();
        SimulatedClient hubby = board.startHubby(1);
        Process daemon = board.startDaemonUnread();
        Board.await(
                () -> {
                    try {
                        return hubby.get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX).length > 0;
                    } catch (IOException e) {
                        return false;
                    }
                },
                "an answer");
        byte[] large = new byte[65_534];
        Arrays.fill(large, (byte) 'x');
        for (int i = 0; i < 432; i++) {
            board.hubbySets(i % 2 == 0 ? Attribute.HUBBY_OTA_UPGRADE_PATH : Attribute.HUBBY_STATE, large);
        }
        assertArrayEquals(
                (board.downloads() + "\0").getBytes(StandardCharsets.UTF_8),
                hubby.get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX));
        board.offer(board.download("ota_type_5", "header"));
        board.awaitRun(1).end(5);
        daemon.toHandle().destroy();
        assertTrue(daemon.waitFor(20, TimeUnit.SECONDS), "SIGTERM has no effect");
        assertEquals(0, daemon.exitValue());
    }

    @Test
    void anUpdateSurvivesARestartOfAttrd() throws Exception {
        Attrd attrd = board.startAttrd();
        board.startHubby(1);
        Daemon daemon = connectedDaemon("");
        board.offer(board.download("ota_type_5", "header"));
        Board.Run run = board.awaitRun(1);
        attrd.close();
        daemon.awaitLog("attribute_client:disconnected from attrd");
        board.startAttrd();
        SimulatedClient hubby = board.startHubby(1);
        daemon.awaitLog("attribute_client:connected to attrd", 2);
        assertArrayEquals(
                (board.downloads() + "\0").getBytes(StandardCharsets.UTF_8),
                hubby.get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX));
        assertTrue(run.isRunning());
        run.end(0);
        board.awaitLines("reboots", 1);
        assertEquals(1, board.runs().size());
    }

    @Test
    void aDaemonThatWasThrownOutComesBack() throws Exception {
        board.startAttrd();
        board.startHubby(1);
        Daemon daemon = connectedDaemon("");
        SimulatedClient rival = board.client(Attribute.OTAMGR);
        daemon.awaitLog("attribute_client:disconnected from attrd");
        rival.close();
        daemon.awaitLog("attribute_client:connected to attrd", 2);
        board.offer(board.download("ota_type_5", "header"));
        board.awaitRun(1);
    }

    @Test
    void aDaemonStartedBeforeAttrdConnectsLater() throws Exception {
        Daemon daemon = board.startDaemon("");
        daemon.awaitLog("attribute_client:cannot connect to " + board.socket());
        board.startAttrd();
        daemon.awaitLog("attribute_client:connected to attrd");
        board.startHubby(1);
        board.offer(board.download("ota_type_5", "header"));
        board.awaitRun(1);
    }

    @Test
    void whenTheDaemonIsKilledItsUpdateGoesOnAndTheNextDaemonRebootsIntoIt() throws Exception {
        board.startAttrd();
        board.startHubby(1);
        Daemon killed = connectedDaemon("");
        Path update = board.download("ota_type_5", "header");
        board.offer(update);
        Board.Run run = board.awaitRun(1);
        killed.kill();
        assertTrue(run.isRunning());

        Daemon daemon = connectedDaemon("");
        board.offer(update);
        daemon.awaitLog("ota_busy:path=" + update);
        assertEquals(List.of(), board.linesOf("reboots"));
        run.end(0);
        board.awaitLines("reboots", 1);
        assertEquals(List.of("reason=full_ota"), board.linesOf("reboots"));
        assertEquals(1, board.runs().size());
    }

    @Test
    void aStoppedDaemonLeavesItsUpdateRunningAndDisconnectsProperly() throws Exception {
        Attrd attrd = board.startAttrd();
        SimulatedClient hubby = board.startHubby(1);
        Daemon daemon = connectedDaemon("");
        board.offer(board.download("ota_type_5", "header"));
        Board.Run run = board.awaitRun(1);
        assertEquals(0, daemon.stop());
        assertTrue(run.isRunning());
        // A daemon that writes to a socket closed too early would show here.
        assertTrue(hubby.isConnected());
        assertEquals(0, attrd.writesIntoClosedSockets());
        run.end(0);
        Board.await(() -> !run.isRunning(), "the end of sysupgrade");
        assertTrue(board.linesOf("slot").contains("state=armed"));

        // The daemon that starts then finds the armed update.
        board.startDaemon("");
        board.awaitLines("reboots", 1);
        assertEquals(List.of("reason=full_ota"), board.linesOf("reboots"));
    }

    @Test
    void aTrialIsCommittedWhenHubbyGetsConnected() throws Exception {
        board.slot("trial");
        board.startAttrd();
        board.startHubby(2);
        Daemon daemon = connectedDaemon("");
        daemon.awaitLog("hubby_state:value=2");
        daemon.awaitLog("slot_trial:slot=b,txn=T1,commit_waits_for=hubby");
        assertEquals(List.of(), board.linesOf("commits"));
        board.hubbyState(1);
        daemon.awaitLog("slot_committed:slot=b,txn=T1");
        assertEquals(List.of("commit"), board.linesOf("commits"));
    }

    @Test
    void aTrialIsCommittedIfHubbyWasConnectedBefore() throws Exception {
        board.slot("trial");
        board.startAttrd();
        board.startHubby(1);
        Daemon daemon = board.startDaemon("");
        daemon.awaitLog("slot_committed:slot=b,txn=T1");
        assertEquals(List.of("commit"), board.linesOf("commits"));
    }

    @Test
    void aRebootCommandWaitsForTheEndOfAnUpdate() throws Exception {
        board.startAttrd();
        board.startHubby(1);
        Daemon daemon = connectedDaemon("");
        board.offer(board.download("ota_type_5", "header"));
        Board.Run run = board.awaitRun(1);
        SimulatedClient attrc = board.client(Attribute.ATTRC);
        attrc.set(Attribute.HUBBY_COMMAND, new byte[] {1, 0, 0, 0});
        daemon.awaitLog("reboot_deferred:");
        assertEquals(List.of(), board.linesOf("reboots"));
        run.end(13);
        board.awaitLines("reboots", 1);
        assertEquals(List.of("reason=reboot_command"), board.linesOf("reboots"));
    }

    @Test
    void aPathCannotRunAnything() throws Exception {
        board.startAttrd();
        board.startHubby(1);
        Daemon daemon = connectedDaemon("");
        String name = "x;touch pwned;$(touch pwned)`touch pwned` '\"&";
        Path update = board.download(name, "header");
        board.offer(update);
        assertEquals(update + ".img", board.awaitRun(1).image());
        board.runs().get(0).end(4);
        daemon.awaitLog("ota_upgrade_failed:");
        assertFalse(Files.exists(board.folder().resolve("pwned")));

        board.offer(Path.of("/etc/passwd"));
        daemon.awaitLog("ota_refused:path=/etc/passwd,reason=expected a path inside");
        board.offer(Path.of(board.downloads() + "/../x"));
        daemon.awaitLog("ota_refused:", 2);
        assertEquals(1, board.runs().size());
    }
}
