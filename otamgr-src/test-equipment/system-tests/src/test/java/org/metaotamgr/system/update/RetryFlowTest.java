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

/** A cloud that pushes an update again and again which does not work; the boots are restarts of the daemon. */
@Timeout(180)
class RetryFlowTest {
    @TempDir
    private Path folder;

    private Board board;

    @BeforeEach
    void makeBoard() throws IOException {
        board = new Board(folder.toRealPath());
        board.startAttrd();
        board.startHubby(1);
    }

    @AfterEach
    void closeBoard() throws Exception {
        board.close();
    }

    private Daemon connectedDaemon() throws Exception {
        Daemon daemon = board.startDaemon();
        daemon.awaitLog("attribute_client:connected to attrd");
        return daemon;
    }

    /** The update is written, and U-Boot gives it up. */
    private void isWrittenAndRolledBack(Daemon daemon, int run) throws Exception {
        board.awaitRun(run).end(0);
        board.awaitLines("reboots", run);
        daemon.kill();
        board.rollBack();
    }

    @Test
    void aDeviceToWhichHubbyOffersTheSameBadUpdateAfterEachRollbackEndsUpQuiet() throws Exception {
        board.backoff(1);
        Path update = board.download("ota_type_5", "the header of a bad build");
        for (int run = 1; run <= 3; run++) {
            Daemon daemon = connectedDaemon();
            board.offer(update);
            isWrittenAndRolledBack(daemon, run);
        }
        String refusal = "ota_refused:path=" + update + ",reason=this update failed 3 times, last: rolled back "
                + "(tries-used-up)";
        for (int boot = 0; boot < 2; boot++) {
            Daemon daemon = connectedDaemon();
            for (int offers = 1; offers <= 5; offers++) {
                board.offer(update);
                daemon.awaitLog(refusal, offers);
            }
            daemon.awaitLog("ota_failed_before:header_sha256=");
            assertTrue(
                    daemon.log().stream()
                            .anyMatch(line -> line.matches("ota_failed_before:header_sha256="
                                    + "[0-9a-f]{64},failures=3,next=it is refused,last=rolled back .*")),
                    daemon.log().toString());
            daemon.kill();
        }
        assertEquals(3, board.runs().size());
        assertEquals(3, board.linesOf("reboots").size());

        // The corrected build under the same path is taken at once.
        Daemon daemon = connectedDaemon();
        board.offer(board.download("ota_type_5", "the header of a good build"));
        board.awaitRun(4).end(0);
        board.awaitLines("reboots", 4);
        assertEquals(1, daemon.count("ota_upgrade_started:"));
    }

    @Test
    void anUpdateThatWasRolledBackIsTriedAgainByItselfAfterAWhile() throws Exception {
        board.backoff(3);
        Path update = board.download("ota_type_5", "header");
        Daemon first = connectedDaemon();
        board.offer(update);
        isWrittenAndRolledBack(first, 1);
        Daemon daemon = connectedDaemon();
        board.offer(update);
        daemon.awaitLog("ota_trial_failed:txn=");
        // Offered once; nobody offers it again.
        board.awaitRun(2).end(0);
        board.awaitLines("reboots", 2);
    }

    @Test
    void anImageThatSysupgradeRefusesIsRefusedInTheEndAndForgottenWithTheFile() throws Exception {
        board.backoff(0);
        Path update = board.download("ota_type_5", "header");
        Daemon daemon = connectedDaemon();
        for (int run = 1; run <= 3; run++) {
            board.offer(update);
            board.awaitRun(run).end(5);
            daemon.awaitLog("ota_upgrade_failed:path=" + update, run);
        }
        board.offer(update);
        daemon.awaitLog(
                "ota_refused:path=" + update + ",reason=this update failed 3 times, last: sysupgrade refused it "
                        + "(image-corrupt): the test wants it");
        assertEquals(3, board.runs().size());
        Files.delete(board.folder().resolve("memory/failed-updates.json"));
        board.offer(update);
        board.awaitRun(4);
    }

    @Test
    void aFileOfGarbageKeepsNoUpdateAway() throws Exception {
        Files.createDirectory(board.folder().resolve("memory"));
        Files.write(board.folder().resolve("memory/failed-updates.json"), new byte[] {0, -1, 7, '{'});
        Daemon daemon = connectedDaemon();
        daemon.awaitLog("ota_memory:file=");
        board.offer(board.download("ota_type_5", "header"));
        board.awaitRun(1).end(0);
        board.awaitLines("reboots", 1);
        List<String> memory = Files.readAllLines(board.folder().resolve("memory/failed-updates.json"));
        assertTrue(memory.stream().anyMatch(line -> line.contains("\"headerSha256\"")), memory.toString());
    }
}
