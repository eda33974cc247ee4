// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.RootHelper;

class HealthTest {
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

    /** A trial whose attribute daemon and hubby are as they should be. */
    private void connectedTrial() {
        device.started("trial");
        device.connects();
        device.hubbyState(1);
    }

    /** Answers the look at the deadline, and the note. */
    private void deadlineIsLookedAt() {
        device.status("trial");
        device.programs.running(Device.OTA_SLOT, "note").ends(0);
    }

    @Nested
    class Checks {
        @Test
        void aTrialIsCommittedOnlyWhenEveryCheckHasPassed() {
            String first = device.hasCheck("10-first");
            String second = device.hasCheck("20-second");
            connectedTrial();
            assertFalse(device.programs.isRunning(second));
            device.programs.running(first).ends(0);
            assertEquals(0, commits());
            device.programs.running(second).ends(0);
            assertEquals(1, commits());
        }

        @Test
        void theyRunInTheOrderOfTheirNames() {
            List<String> checks = List.of(
                    device.hasCheck("b"),
                    device.hasCheck("C"),
                    device.hasCheck("10"),
                    device.hasCheck("9"),
                    device.hasCheck("_x"));
            connectedTrial();
            for (int i : new int[] {2, 3, 1, 4, 0}) {
                device.programs.running(checks.get(i)).ends(0);
            }
            assertEquals(1, commits());
        }

        @Test
        void theyAreToldTheSlotAndTheUpdate() {
            String check = device.hasCheck("check");
            connectedTrial();
            assertEquals(Map.of("OTA_SLOT", "b", "OTA_TXN", "T1"), device.programs.running(check).environment);
            assertEquals(List.of(check), device.programs.running(check).command);
        }

        @Test
        void whereTheDaemonIsNotRootTheyAreAskedForByTheirNames() throws IOException {
            device = Device.asking(folder.toRealPath(), new RootHelper(List.of("/bin/ask"), Path.of("/run/h")));
            device.hasCheck("50-check");
            connectedTrial();
            FakePrograms.Start asked = device.programs.running("/bin/ask", "health", "50-check");
            assertEquals(Map.of("OTA_SLOT", "b", "OTA_TXN", "T1"), asked.environment);
            asked.ends(0);
            assertEquals(1, commits());
        }

        @Test
        void theyRunOnlyOnceHubbyIsConnected() {
            String check = device.hasCheck("check");
            device.started("trial");
            device.connects();
            device.hubbyState(2);
            assertFalse(device.programs.isRunning(check));
            device.hubbyState(1);
            assertTrue(device.programs.isRunning(check));
        }

        @ParameterizedTest
        @ValueSource(strings = {"committed", "interrupted", "mismatch", "unknown", "armed"})
        void theyRunOnlyInATrial(String state) {
            String check = device.hasCheck("check");
            device.started(state);
            device.connects();
            device.hubbyState(1);
            assertFalse(device.programs.isRunning(check));
        }

        @Test
        void oneThatFailsIsRunAgainAfterAWaitThatGrowsAndIsBounded() {
            String check = device.hasCheck("check");
            connectedTrial();
            for (int wait : new int[] {5, 10, 20, 30, 30}) {
                device.programs.running(check).complains("no route to host");
                device.programs.running(check).ends(1);
                assertTrue(
                        device.log.has("health_check_failed:check=check,again_in_seconds=" + wait
                                + ",reason=exit status 1: no route to host"),
                        device.log.lines().toString());
                device.pass(wait - 1);
                assertFalse(device.programs.isRunning(check));
                device.pass(1);
            }
            assertEquals(0, commits());
            device.programs.running(check).ends(0);
            assertEquals(1, commits());
        }

        @Test
        void allHavePassedInTheSameRound() {
            String first = device.hasCheck("10-first");
            String second = device.hasCheck("20-second");
            connectedTrial();
            device.programs.running(first).ends(0);
            device.programs.running(second).ends(1);
            device.pass(5);
            device.programs.running(first).ends(1);
            device.pass(10);
            assertEquals(1, device.programs.all(second).size());
            device.programs.running(first).ends(0);
            device.programs.running(second).ends(0);
            assertEquals(1, commits());
        }

        @Test
        void oneThatHangsIsEndedWithEverythingItStartedAndRunAgain() {
            String check = device.hasCheck("check");
            connectedTrial();
            FakePrograms.Start hanging = device.programs.running(check);
            hanging.prints("asking the modem");
            device.pass(59);
            assertFalse(hanging.wasTreeKilled());
            device.pass(1);
            assertTrue(hanging.wasTreeKilled());
            assertTrue(
                    device.log.has("health_check_failed:check=check,again_in_seconds=5,reason=did not end within "
                            + "60 s: asking the modem"),
                    device.log.lines().toString());
            device.pass(5);
            device.programs.running(check).ends(0);
            assertEquals(1, commits());
        }

        @Test
        void theTimeOutOfOneThatEndedDoesNotEndAnotherOne() {
            String first = device.hasCheck("10-first");
            String second = device.hasCheck("20-second");
            connectedTrial();
            device.pass(59);
            device.programs.running(first).ends(0);
            device.pass(59);
            assertFalse(device.programs.running(second).wasTreeKilled());
        }

        @Test
        void oneThatCannotBeStartedIsNotHealthy() {
            device.programs.isMissing(device.hasCheck("check"));
            connectedTrial();
            assertEquals(0, commits());
            assertEquals(
                    1,
                    device.log.count("health_check_failed:check=check,again_in_seconds=5,reason=cannot be "
                            + "started: Cannot run program"));
        }

        @Test
        void whatLostHubbyMeanwhileHasToProveItselfAgain() {
            String check = device.hasCheck("check");
            connectedTrial();
            device.hubbyState(2);
            device.programs.running(check).ends(0);
            assertEquals(0, commits());
            device.hubbyState(1);
            assertEquals(0, commits());
            device.programs.running(check).ends(0);
            assertEquals(1, commits());
        }

        @Test
        void aProofIsWorthNothingAfterALossOfHubby() {
            String check = device.hasCheck("check");
            connectedTrial();
            device.programs.running(check).ends(0);
            device.hubbyState(2);
            device.programs.running(Device.OTA_SLOT, "commit").ends(17);
            device.hubbyState(1);
            device.hubbyState(2);
            device.hubbyState(1);
            device.programs.running(check).ends(0);
            assertEquals(1, commits());
            device.programs.running(check).ends(0);
            assertEquals(2, commits());
        }

        @Test
        void aHubbyThatFlapsDoesNotMultiplyThem() {
            String check = device.hasCheck("check");
            connectedTrial();
            for (int i = 0; i < 10; i++) {
                device.hubbyState(2);
                device.hubbyState(1);
            }
            device.programs.running(check).ends(1);
            for (int i = 0; i < 10; i++) {
                device.hubbyState(2);
                device.hubbyState(1);
            }
            assertEquals(1, device.programs.all(check).size());
        }

        @Test
        void theyRunAgainBeforeACommitIsTriedAgain() {
            String check = device.hasCheck("check");
            connectedTrial();
            device.programs.running(check).ends(0);
            device.programs.running(Device.OTA_SLOT, "commit").ends(17);
            device.pass(15);
            device.status("trial");
            assertEquals(1, commits());
            device.programs.running(check).ends(0);
            assertEquals(2, commits());
        }

        @Test
        void theirOutputIsLoggedAndBounded() {
            String check = device.hasCheck("check");
            connectedTrial();
            for (int i = 1; i <= 100; i++) {
                device.programs.running(check).prints("line " + i + "\u001b[2J");
            }
            device.programs.running(check).prints("  ");
            device.programs.running(check).ends(4);
            assertTrue(device.log.has("check: line 20\\u001b[2J"));
            assertEquals(21, device.log.count("check: "));
            assertEquals(
                    1,
                    device.log.count("health_check_failed:check=check,again_in_seconds=5,reason=exit status 4: "
                            + "line 100\\u001b[2J"));
        }

        @ParameterizedTest
        @ValueSource(strings = {"check.sh", "check~", "check.dpkg-new", ".hidden", "#check#", "two words"})
        void aNameThatIsNoneIsSkippedAndLoggedOnce(String name) {
            device.programs.isMissing(device.hasCheck(name));
            connectedTrial();
            device.programs.running(Device.OTA_SLOT, "commit").ends(17);
            device.pass(15);
            device.status("trial");
            assertEquals(2, commits());
            assertEquals(1, device.log.count("health_check_skipped:check=" + name + ",reason=the name is"));
        }

        @Test
        void whatIsNotExecutableOrNotAFileIsSkipped() throws IOException {
            Files.setPosixFilePermissions(
                    Path.of(device.hasCheck("readme")), PosixFilePermissions.fromString("rw-r--r--"));
            Files.createDirectory(device.config.commit().healthDirectory().resolve("folder"));
            Files.createSymbolicLink(device.config.commit().healthDirectory().resolve("dangling"), Path.of("/nowhere"));
            connectedTrial();
            assertEquals(1, commits());
            assertTrue(device.log.has("health_check_skipped:check=readme,reason=it is not executable"));
            assertTrue(device.log.has("health_check_skipped:check=folder,reason=it is not a file"));
            assertTrue(device.log.has("health_check_skipped:check=dangling,reason=it is not a file"));
        }

        @Test
        void aLinkToAProgramIsACheck() throws IOException {
            device.hasCheck("check");
            Path link = Files.createSymbolicLink(
                    device.config.commit().healthDirectory().resolve("link"), Path.of("check"));
            connectedTrial();
            device.programs
                    .running(device.config
                            .commit()
                            .healthDirectory()
                            .resolve("check")
                            .toString())
                    .ends(0);
            assertTrue(device.programs.isRunning(link.toString()));
        }

        @Test
        void aRebootCommandDoesNotWaitForOneThatRuns() {
            String check = device.hasCheck("check");
            connectedTrial();
            FakePrograms.Start running = device.programs.running(check);
            device.commands(1);
            assertTrue(running.wasTreeKilled());
            device.pass(5);
            assertEquals(1, device.reboots());
            assertEquals(1, device.programs.all(check).size());
        }

        @Test
        void theReasonIsTheLastWordOnStandardErrorWhicheverStreamWasReadLast() {
            String check = device.hasCheck("check");
            connectedTrial();
            device.programs.running(check).prints("trying eth0");
            device.programs.running(check).complains("first complaint");
            device.programs.running(check).complains("no route to host");
            device.programs.running(check).prints("done");
            device.programs.running(check).ends(1);
            assertTrue(
                    device.log.has(
                            "health_check_failed:check=check,again_in_seconds=5,reason=exit status 1: no route to "
                                    + "host"),
                    device.log.lines().toString());
        }

        @Test
        void anEmptyFolderIsHealthy() throws IOException {
            Files.createDirectory(device.config.commit().healthDirectory());
            connectedTrial();
            assertEquals(1, commits());
        }

        @Test
        void aFolderThatCannotBeReadIsNotHealthy() throws IOException {
            Files.writeString(device.config.commit().healthDirectory(), "a file");
            connectedTrial();
            assertEquals(0, commits());
            assertEquals(
                    1,
                    device.log.count("health_check_failed:check="
                            + device.config.commit().healthDirectory()
                            + ",again_in_seconds=5,reason=cannot be read: "));
        }
    }

    @Nested
    class Deadline {
        @Test
        void aCheckThatStillFailsIsJournalledAndTheDeviceReboots() {
            String check = device.hasCheck("50-net");
            connectedTrial();
            device.programs.running(check).prints("no route");
            device.programs.running(check).ends(1);
            while (device.loop.now().toSeconds() < 239) {
                device.pass(1);
                if (device.programs.isRunning(check)) {
                    device.programs.running(check).complains("no route");
                    device.programs.running(check).ends(1);
                }
            }
            assertFalse(device.programs.isRunning(Device.OTA_SLOT));
            device.pass(1);
            device.status("trial");
            assertEquals(
                    List.of(
                            Device.OTA_SLOT,
                            "note",
                            "health-failed",
                            "txn=T1",
                            "slot=b",
                            "check=50-net",
                            "why=exit status 1: no route"),
                    device.programs.running(Device.OTA_SLOT, "note").command);
            device.programs.running(Device.OTA_SLOT, "note").ends(0);
            assertTrue(device.log.has("slot_health_failed:slot=b,txn=T1,check=50-net,reason=exit status 1: no route"));
            assertEquals(0, device.reboots());
            device.pass(5);
            assertEquals(1, device.reboots());
            assertEquals(Optional.of("ota_health_failed"), device.rebootReason());
            assertEquals(0, commits());
        }

        @ParameterizedTest
        @CsvSource({"0, attrd", "1, hubby", "2, check"})
        void itNamesWhatWasMissing(int steps, String check) {
            device.hasCheck("check");
            device.started("trial");
            if (steps > 0) {
                device.connects();
            }
            if (steps > 1) {
                device.hubbyState(1);
                device.pass(200);
            }
            device.pass(240 - device.loop.now().toSeconds());
            deadlineIsLookedAt();
            assertEquals(
                    1,
                    device.log.count("slot_health_failed:slot=b,txn=T1,check=" + check + ",reason="),
                    device.log.lines().toString());
        }

        @Test
        void aCommitThatNeverWorkedIsNamedToo() {
            connectedTrial();
            device.programs.running(Device.OTA_SLOT, "commit").ends(17);
            while (device.loop.now().toSeconds() < 240) {
                device.pass(1);
                if (device.programs.isRunning(Device.OTA_SLOT, "status")) {
                    device.status("trial");
                }
                if (device.programs.isRunning(Device.OTA_SLOT, "commit")) {
                    device.programs.running(Device.OTA_SLOT, "commit").ends(17);
                }
            }
            device.programs.running(Device.OTA_SLOT, "note").ends(0);
            assertTrue(
                    device.log.has("slot_health_failed:slot=b,txn=T1,check=commit,reason=the boot state could not be "
                            + "written"),
                    device.log.lines().toString());
        }

        @Test
        void aCheckThatRunsIsEndedAndNamed() {
            String check = device.hasCheck("check");
            device.started("trial");
            device.pass(230);
            device.connects();
            device.hubbyState(1);
            FakePrograms.Start running = device.programs.running(check);
            running.prints("still looking");
            device.pass(10);
            deadlineIsLookedAt();
            assertTrue(running.wasTreeKilled());
            assertTrue(
                    device.log.has("slot_health_failed:slot=b,txn=T1,check=check,reason=had not ended yet: still "
                            + "looking"),
                    device.log.lines().toString());
            device.pass(3600);
            assertEquals(1, device.programs.all(check).size());
        }

        @Test
        void whatIsCommittedInTimeIsNeverGivenUp() {
            connectedTrial();
            device.programs.running(Device.OTA_SLOT, "commit").ends(0);
            device.disconnects();
            device.pass(3600);
            assertEquals(0, device.reboots());
            assertEquals(0, device.log.count("slot_health_failed:"));
        }

        @Test
        void aTrialThatSomebodyElseCommittedIsNotRebooted() {
            device.started("trial");
            device.pass(240);
            device.status("committed");
            device.pass(3600);
            assertEquals(0, device.reboots());
        }

        @Test
        void nothingIsGivenUpBeforeTheLastLookHasEnded() {
            device.started("trial");
            device.pass(240);
            device.connects();
            device.hubbyState(2);
            assertFalse(device.programs.isRunning(Device.OTA_SLOT, "note"));
            device.status("committed");
            device.pass(3600);
            assertEquals(0, device.reboots());
        }

        @Test
        void aCommitThatIsUnderWayIsWaitedFor() {
            device.started("trial");
            device.pass(239);
            device.connects();
            device.hubbyState(1);
            device.pass(2);
            device.programs.running(Device.OTA_SLOT, "commit").ends(0);
            device.pass(3600);
            assertEquals(0, device.reboots());
        }

        @Test
        void aBootStateThatCannotBeReadIsNoReasonToReboot() {
            device.started("trial");
            device.pass(240);
            device.status("unknown");
            device.pass(10);
            assertEquals(0, device.reboots());
            device.pass(5);
            deadlineIsLookedAt();
            device.pass(5);
            assertEquals(1, device.reboots());
        }

        @Test
        void nothingIsCommittedOrInstalledAfterIt() {
            device.has("a", "header a").started("trial");
            device.offers("a");
            device.pass(240);
            deadlineIsLookedAt();
            device.connects();
            device.hubbyState(1);
            device.offers("a");
            device.pass(3600);
            assertEquals(0, commits());
            assertEquals(List.of(), device.images());
        }

        @Test
        void aJournalThatCannotBeWrittenDoesNotStopTheReboot() {
            device.started("trial");
            device.pass(240);
            device.status("trial");
            device.programs.running(Device.OTA_SLOT, "note").ends(2);
            device.pass(5);
            assertEquals(1, device.reboots());
            assertEquals(1, device.log.count("journal_note_failed:exit=2"));
        }

        @Test
        void whatACheckSaysAlwaysFitsTheJournal() {
            String check = device.hasCheck("check");
            device.started("trial");
            device.pass(239);
            device.connects();
            device.hubbyState(1);
            device.programs.running(check).prints("\ud83d\ude00".repeat(400));
            device.programs.running(check).ends(1);
            device.pass(1);
            device.status("trial");
            String why =
                    device.programs.running(Device.OTA_SLOT, "note").command.get(6);
            assertEquals("why=exit status 1: " + "\ud83d\ude00".repeat(185) + "...", why);
            assertTrue(why.getBytes(StandardCharsets.UTF_8).length <= 1000);
        }

        @Test
        void aDaemonThatStartsTooLateLeavesTheTrialToTheGuard() {
            device.pass(240);
            device.hasCheck("check");
            device.started("trial");
            device.pass(3600);
            assertEquals(0, device.reboots());
            assertEquals(1, device.log.count("health_deadline:expected otamgr to run within 240 s after power-on"));
        }

        @Test
        void aRestartOfTheDaemonGainsNoTime() {
            device.pass(200);
            device.started("trial");
            device.pass(40);
            deadlineIsLookedAt();
            device.pass(5);
            assertEquals(1, device.reboots());
        }
    }

    @Nested
    class Guard {
        private Duration deadline(String text) throws IOException {
            return TrialGuard.deadline(Files.writeString(folder.resolve("trial.conf"), text));
        }

        @Test
        void theInstalledConfigurationIsUnderstood() throws IOException {
            Path installed = Path.of("../../../recipes-ota/sysupgrade/files/trial.conf");
            assertEquals(Duration.ofSeconds(300), TrialGuard.deadline(installed));
            RecordingLog log = new RecordingLog();
            TrialGuard.warnIfEarlier(installed, OtamgrConfig.defaults().commit().deadline(), log);
            assertEquals(List.of(), log.lines());
        }

        @ParameterizedTest
        @CsvSource(
                delimiter = '|',
                quoteCharacter = '`',
                value = {
                    "COMMIT_DEADLINE=100 | 100",
                    "  COMMIT_DEADLINE=\"100\"  | 100",
                    "COMMIT_DEADLINE='100' | 100",
                    "# COMMIT_DEADLINE=100 | 300",
                    "COMMIT_DEADLINE=never | 300",
                    "COMMIT_DEADLINE=0 | 300",
                    "COMMIT_DEADLINE=86401 | 300",
                    "COMMIT_DEADLINE=86400 | 86400",
                    "NO_COMMIT_DEADLINE=100 | 300",
                    "`` | 300",
                })
        void itsDeadlineIsReadAsItReadsIt(String text, long seconds) throws IOException {
            assertEquals(Duration.ofSeconds(seconds), deadline(text + "\n"));
        }

        @Test
        void theLastLineCounts() throws IOException {
            assertEquals(Duration.ofSeconds(20), deadline("COMMIT_DEADLINE=10\nTRIAL_TRIES=3\nCOMMIT_DEADLINE=20\n"));
        }

        @Test
        void aDeadlineThatIsNotShorterIsWarnedAbout() throws IOException {
            Path file = Files.writeString(folder.resolve("trial.conf"), "COMMIT_DEADLINE=240\n");
            TrialGuard.warnIfEarlier(file, Duration.ofSeconds(239), device.log);
            assertEquals(List.of(), device.log.lines());
            TrialGuard.warnIfEarlier(file, Duration.ofSeconds(240), device.log);
            assertEquals(
                    1,
                    device.log.count("health_deadline:expected that commit.deadlineSeconds is less than "
                            + "COMMIT_DEADLINE of " + file + ", found 240 and 240"));
        }
    }
}
