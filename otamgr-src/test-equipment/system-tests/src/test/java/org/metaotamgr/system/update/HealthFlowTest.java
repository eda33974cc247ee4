// SPDX-License-Identifier: MIT
package org.metaotamgr.system.update;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.simulator.SimulatedClient;

/** Trials with health checks, as processes. */
@Timeout(180)
class HealthFlowTest {
    @TempDir
    private Path folder;

    private Board board;

    @BeforeEach
    void makeBoard() throws IOException {
        board = new Board(folder.toRealPath());
        board.slot("trial");
        board.startAttrd();
        board.startHubby(1);
    }

    @AfterEach
    void closeBoard() throws Exception {
        board.close();
    }

    @Test
    void checksRunInOrderWithSlotAndUpdateBeforeTheCommit() throws Exception {
        board.healthCheck("20-second", "echo \"second $OTA_SLOT $OTA_TXN $#\" >>checks\n");
        board.healthCheck("10-first", "echo \"first $OTA_SLOT $OTA_TXN $#\" >>checks; echo fine; test ! -e commits\n");
        board.healthCheck("30-backup.bak", "echo backup >>checks; exit 1\n");
        Daemon daemon = board.startDaemon();
        daemon.awaitLog("slot_committed:slot=b,txn=T1");
        assertEquals(List.of("first b T1 0", "second b T1 0"), board.linesOf("checks"));
        List<String> log = daemon.log();
        assertTrue(
                log.containsAll(List.of(
                        "10-first: fine", "health_check_passed:check=10-first", "health_check_passed:check=20-second")),
                log.toString());
        assertEquals(1, daemon.count("health_check_skipped:check=30-backup.bak"));
    }

    @Test
    void aCheckThatFailsAtFirstIsRunAgainAndTheTrialCommitted() throws Exception {
        board.healthCheck("50-net", "echo >>tries; echo 'no route' >&2; test -e route\n");
        Daemon daemon = board.startDaemon();
        daemon.awaitLog("health_check_failed:check=50-net,again_in_seconds=5,reason=exit status 1: no route");
        assertEquals(List.of(), board.linesOf("commits"));
        Files.writeString(board.folder().resolve("route"), "");
        daemon.awaitLog("slot_committed:slot=b,txn=T1");
        assertEquals(List.of("commit"), board.linesOf("commits"));
        assertEquals(List.of(), board.linesOf("reboots"));
    }

    @Test
    void aCheckThatHangsIsEndedWithItsChildren() throws Exception {
        board.checkTimeout(1);
        board.healthCheck("check", "sh -c 'echo $$ >>pids; sleep 1000; :' & echo $$ >>pids; wait\n");
        Daemon daemon = board.startDaemon();
        daemon.awaitLog("health_check_failed:check=check,again_in_seconds=5,reason=did not end within 1 s");
        Board.await(
                () -> board.linesOf("pids").subList(0, 2).stream()
                        .noneMatch(pid -> ProcessHandle.of(Long.parseLong(pid))
                                .map(ProcessHandle::isAlive)
                                .orElse(false)),
                "the end of the check and its child");
        assertEquals(List.of(), board.linesOf("commits"));
    }

    @Test
    void atTheDeadlineTheFailingCheckIsJournalledAndTheDeviceReboots() throws Exception {
        board.healthCheck("10-fine", "exit 0\n");
        board.healthCheck("50-net", "echo 'no \"route\"'; exit 3\n");
        board.deadlineIn(12);
        Daemon daemon = board.startDaemon();
        daemon.awaitLog("health_check_failed:check=50-net");
        board.awaitLines("reboots", 1);
        assertEquals(List.of("reason=ota_health_failed"), board.linesOf("reboots"));
        assertEquals(
                List.of("health-failed txn=T1 slot=b check=50-net why=exit status 3: no \"route\""),
                board.linesOf("notes"));
        assertEquals(List.of(), board.linesOf("commits"));
        daemon.awaitLog("slot_health_failed:slot=b,txn=T1,check=50-net,reason=exit status 3: no \"route\"");
    }

    @Test
    void aHubbyThatDiedWhileACheckRanIsNotTakenForConnected() throws Exception {
        board.close();
        board = new Board(Files.createDirectory(folder.toRealPath().resolve("other")));
        board.slot("trial");
        board.startAttrd();
        SimulatedClient hubby = board.startHubby(1);
        board.healthCheck("slow", "echo >>tries; while [ ! -e on ]; do sleep 0.05; done\n");
        Daemon daemon = board.startDaemon();
        board.awaitLines("tries", 1);
        hubby.close();
        Files.writeString(board.folder().resolve("on"), "");
        daemon.awaitLog("get_hubby_state:error=");
        assertEquals(List.of(), board.linesOf("commits"));
        board.startHubby(1);
        board.hubbyState(1);
        daemon.awaitLog("slot_committed:slot=b,txn=T1");
    }

    @Test
    void aHubbyThatLivesASecondAgainAndAgainIsNeverEnough() throws Exception {
        board.close();
        board = new Board(Files.createDirectory(folder.toRealPath().resolve("other")));
        board.hubbyStable(4);
        board.slot("trial");
        board.startAttrd();
        Daemon daemon = board.startDaemon();
        daemon.awaitLog("attribute_client:connected to attrd");
        for (int i = 0; i < 8; i++) {
            SimulatedClient hubby = board.startHubby(1);
            board.hubbyState(1);
            Thread.sleep(1000);
            hubby.close();
        }
        assertEquals(List.of(), board.linesOf("commits"));
        board.startHubby(1);
        board.hubbyState(1);
        daemon.awaitLog("slot_committed:slot=b,txn=T1");
    }
}
