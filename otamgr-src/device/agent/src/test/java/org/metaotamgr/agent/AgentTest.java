// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The steps of an agent, with real programs, across reboots and power cuts. */
@Timeout(60)
class AgentTest {
    private static final Target TARGET = ScriptedSource.target("2.0");

    @TempDir
    private Path folder;

    private TestDevice device;
    private final ScriptedSource source = new ScriptedSource();

    @BeforeEach
    void aDeviceThatIsOfferedVersion2() throws Exception {
        device = new TestDevice(folder);
        source.offers.add(TARGET);
    }

    private Agent agent() throws Exception {
        return new Agent(source, device.open());
    }

    private ExitCode pull(Agent agent) throws InterruptedException {
        return agent.pull(TARGET, bytes -> {}).code();
    }

    private ExitCode install(Agent agent) throws InterruptedException {
        return agent.install(TARGET, progress -> {}).code();
    }

    private void pulledAndInstalled() throws Exception {
        Agent agent = agent();
        assertEquals(ExitCode.NEW_VERSION, agent.checkIn().result().code());
        assertEquals(ExitCode.OK, pull(agent));
        assertEquals(ExitCode.NEEDS_REBOOT, install(agent));
    }

    @Test
    void aHandlerHearsAllSevenMessagesOfAGoodUpdate() throws Exception {
        pulledAndInstalled();
        assertEquals(
                ExitCode.NEEDS_REBOOT,
                agent().finalise(trial -> Optional.empty()).code());
        device.slot("b", "a", "b", device.txn(), "");
        device.reboots();
        assertEquals(
                ExitCode.IN_PROGRESS,
                agent().finalise(trial -> Optional.of("too hot")).code());
        device.forgets();
        assertEquals(ExitCode.OK, agent().finalise(trial -> Optional.empty()).code());
        assertEquals(List.of("install-final-pre|board-x-2.0|", "install-post|board-x-2.0|OK"), device.told());
        assertEquals(
                "TARGET_NAME=\"board-x-2.0\"\nCUSTOM_VERSION=\"2.0\"\nHARDWARE_ID=\"board-x\"\n",
                Files.readString(folder.resolve("storage/current-target")));
        assertEquals(ExitCode.OK, agent().finalise(trial -> Optional.empty()).code(), "asked again in the same boot");
        device.reboots();
        assertEquals(
                ExitCode.NOTHING_PENDING,
                agent().finalise(trial -> Optional.empty()).code());
        assertEquals("42 Done[]", source.reports.get(source.reports.size() - 1));
        assertEquals(List.of(), agent().pulled(), "what is installed needs no room any more");
    }

    @Test
    void anEndThatTheDaemonHasNoticedIsToldWithoutACheck() throws Exception {
        pulledAndInstalled();
        device.slot("b", "b", "", device.txn(), "");
        device.reboots();
        AgentDevice here = device.open();
        assertTrue(here.finalisation().settle(here.slots().status()));
        assertEquals("42 NeedsReboot[]", source.reports.get(source.reports.size() - 1));
        new Agent(source, here).tellEnds();
        assertEquals("42 Done[]", source.reports.get(source.reports.size() - 1));
        int told = source.reports.size();
        new Agent(source, here).tellEnds();
        assertEquals(told, source.reports.size(), "told once");
    }

    @Test
    void theMessagesBeforeTheReboot() throws Exception {
        pulledAndInstalled();
        assertEquals(
                List.of(
                        "check-for-update-pre||",
                        "check-for-update-post|board-x-2.0|OK",
                        "download-pre|board-x-2.0|",
                        "download-post|board-x-2.0|OK",
                        "install-pre|board-x-2.0|",
                        "install-post|board-x-2.0|NEEDS_COMPLETION"),
                device.told());
        assertEquals(
                List.of("42 Pulling[bytes=0, total=7]", "42 Pulled[]", "42 Installing[]", "42 NeedsReboot[]"),
                source.reports);
    }

    @Test
    void aPullInPartsThatGoesOnIsNotToldAsOneThatBegins() throws Exception {
        Target target = ScriptedSource.target("2.0");
        Path own = device.open().store().folderFor(target);
        Files.writeString(own.resolve("update.blocks.part"), "half");
        agent().pull(target, bytes -> {});
        assertEquals(List.of("42 Pulling[bytes=3, total=7]", "42 Pulled[]"), source.reports);
    }

    @Test
    void aHandlerHearsOfARollbackAndTheSourceToo() throws Exception {
        pulledAndInstalled();
        device.slot("a", "a", "", device.txn(), device.txn());
        device.reboots();
        device.forgets();
        assertEquals(
                ExitCode.ROLLED_BACK,
                agent().finalise(trial -> Optional.empty()).code());
        assertEquals(
                List.of(
                        "install-final-pre|board-x-2.0|",
                        "install-post|board-x-2.0|FAILED: rolled back (tries-used-up)"),
                device.told());
        assertEquals("42 Failed[reason=rolled back (tries-used-up)]", source.reports.get(source.reports.size() - 1));
        assertEquals(ExitCode.DEFERRED, agent().checkIn().result().code(), "it has to wait before it is tried again");
    }

    @Test
    void aHandlerHearsOfAFailedCheckAndAFailedDownload() throws Exception {
        source.checkFails = Optional.of(new SourceException(SourceException.Reason.FETCH_FAILED, "no route\nto host"));
        assertEquals(ExitCode.FETCH_FAILED, agent().checkIn().result().code());
        source.checkFails = Optional.empty();
        source.pullFails = Optional.of(new SourceException(SourceException.Reason.DOWNLOAD_FAILED, "cable"));
        assertEquals(ExitCode.DOWNLOAD_FAILED, pull(agent()));
        assertEquals(
                List.of(
                        "check-for-update-pre||",
                        "check-for-update-post||FAILED: no route\\u000ato host",
                        "download-pre|board-x-2.0|",
                        "download-post|board-x-2.0|FAILED: cable"),
                device.told());
        assertEquals(ExitCode.NOT_PULLED, install(agent()));
    }

    @Test
    void aFailedInstallIsToldAsItIsAndChangesNothingWhateverTheReasonLooksLike() throws Exception {
        assertEquals(ExitCode.OK, pull(agent()));
        Files.writeString(folder.resolve("sysupgrade-fails"), "5");
        device.forgets();
        assertEquals(ExitCode.VERIFICATION_FAILED, install(agent()));
        assertEquals(
                List.of(
                        "install-pre|board-x-2.0|",
                        "install-post|board-x-2.0|FAILED: it's \"wrong\" $(touch " + folder + "/hacked) `touch "
                                + folder + "/hacked`"),
                device.told());
        assertFalse(Files.exists(folder.resolve("hacked")));
        assertEquals(List.of(), agent().pulled(), "what sysupgrade refused is not tried again from storage");
    }

    @Test
    void whatLacksBlocksIsPulledAgainAndWholeAfterSomeTimes() throws Exception {
        Files.writeString(device.folder.resolve("sysupgrade-fails"), "22");
        Path storage = device.folder.resolve("storage/updates/" + TARGET.id());
        for (int times = 1; times <= 3; times++) {
            assertEquals(ExitCode.OK, agent().pull(TARGET, bytes -> {}).code());
            assertFalse(Files.exists(storage.resolve("update.whole")));
            assertEquals(
                    ExitCode.NOT_PULLED, agent().install(TARGET, line -> {}).code());
            assertEquals(List.of(), agent().pulled());
            assertTrue(Files.exists(storage.resolve("update.bundle")), "what is there stays");
            assertTrue(device.open().finalisation().pending().isEmpty());
        }
        assertTrue(Files.exists(storage.resolve("update.whole")));
        assertTrue(source.reports.stream().noneMatch(report -> report.contains("Failed")), source.reports.toString());
        Files.delete(device.folder.resolve("sysupgrade-fails"));
        pulledAndInstalled();
    }

    @Test
    void aHandlerThatKnowsTheBareWordGetsIt() throws Exception {
        device.withoutReasons();
        source.pullFails = Optional.of(new SourceException(SourceException.Reason.DOWNLOAD_FAILED, "cable"));
        pull(agent());
        assertEquals("download-post|board-x-2.0|FAILED", device.told().get(1));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "kill -SEGV $$",
                "exit 3",
                "exec sleep 1000",
                "sleep 1000 & exit 0",
                "(sleep 1000 & sleep 1000) & sleep 1000",
                "yes \"$MESSAGE\" | head -c 3000000; exit 1",
                "kill -9 $$",
                "cat; echo ended"
            })
    void whateverAHandlerDoesTheUpdateGoesOn(String body) throws Exception {
        device.handler(body);
        device.timeout(Duration.ofSeconds(1));
        pulledAndInstalled();
        assertEquals(1, device.sysupgradeRuns().size());
        assertTrue(device.log.stream()
                        .filter(line -> line.startsWith("callback: "))
                        .count()
                <= 6L * (Callbacks.MAX_LINES + 1));
    }

    @Test
    void aHandlerThatIsMissingDoesNotMatter() throws Exception {
        Files.delete(folder.resolve("handler"));
        pulledAndInstalled();
        assertTrue(device.log.stream()
                .anyMatch(line -> line.startsWith("callback_failed:message=install-pre,error=cannot be started")));
    }

    @Test
    void aHandlerMayPutOffWhatComesNextOnlyIfItsExitStatusWasNamed() throws Exception {
        device.handler("exit 75");
        assertEquals(ExitCode.NEW_VERSION, agent().checkIn().result().code());
        device.puts(75);
        assertEquals(ExitCode.DEFERRED, agent().checkIn().result().code());
        assertEquals(ExitCode.DEFERRED, pull(agent()));
        assertEquals(0, source.pulls);
        device.handler("[ \"$MESSAGE\" != install-pre ] || exit 75");
        assertEquals(ExitCode.OK, pull(agent()));
        assertEquals(ExitCode.DEFERRED, install(agent()));
        assertEquals(List.of(), device.sysupgradeRuns());
    }

    @Test
    void whatIsNotForThisDeviceIsRefusedWithItsOwnCode() throws Exception {
        source.offers.clear();
        source.offers.add(ScriptedSource.target("3.0", "toaster", '3'));
        assertEquals(ExitCode.NO_MATCHING_TARGET, agent().checkIn().result().code());
        source.offers.set(0, ScriptedSource.target("0.8", "board-x", '4'));
        assertEquals(ExitCode.DOWNGRADE_REFUSED, agent().checkIn().result().code());
        source.offers.set(0, ScriptedSource.target("0.9.5", "board-x", '5'));
        assertEquals(ExitCode.DOWNGRADE_REFUSED, agent().checkIn().result().code(), "older than what runs");
        source.isAssigning = true;
        assertEquals(
                ExitCode.NEW_VERSION, agent().checkIn().result().code(), "a server may assign it, above the floor");
        source.offers.set(0, ScriptedSource.target("0.9", "board-x", '7'));
        assertEquals(ExitCode.NEW_VERSION, agent().checkIn().result().code(), "the floor itself");
        source.offers.set(0, ScriptedSource.target("1.0", "board-x", '6'));
        assertEquals(ExitCode.NEW_VERSION, agent().checkIn().result().code(), "another build of the version that runs");
        assertEquals(List.of(), source.reports, "nothing is said of what was never pulled");
        source.isAssigning = false;
        assertEquals(ExitCode.OK, agent().checkIn().result().code());
        source.isAssigning = true;
        source.offers.set(0, ScriptedSource.target("0.8.9", "board-x", '8'));
        Result below = agent().checkIn().result();
        assertEquals(ExitCode.DOWNGRADE_REFUSED, below.code(), "below the floor, whoever assigns it");
        assertTrue(below.message().contains("expected at least version 0.9, found 0.8.9"), below.message());
        assertEquals(
                List.of("42 Rejected[reason=" + below.message() + "]"), source.reports, "whoever assigned it is told");
    }

    @Test
    void whatIsAssignedOnceMoreIsDoneOnlyIfItIsTheSameBuild() throws Exception {
        source.isAssigning = true;
        pulledAndInstalled();
        device.slot("b", "b", "", device.txn(), "");
        Files.writeString(folder.resolve("etc/manifest"), "version=2.0.0\n");
        device.reboots();
        assertEquals(ExitCode.OK, agent().finalise(trial -> Optional.empty()).code());
        source.reports.clear();
        assertEquals(ExitCode.OK, agent().checkIn().result().code());
        assertEquals(List.of("42 Done[]"), source.reports);
        source.reports.clear();
        source.offers.set(0, ScriptedSource.target("2.0", "board-x", '7'));
        assertEquals(ExitCode.NEW_VERSION, agent().checkIn().result().code());
        assertEquals(List.of(), source.reports);
    }

    @Test
    void aReleaseReplacesItsCandidateAndNeverTheOtherWay() throws Exception {
        source.offers.clear();
        source.offers.addAll(List.of(
                ScriptedSource.target("2.0-rc2", "board-x", '1'),
                ScriptedSource.target("2.0", "board-x", '2'),
                ScriptedSource.target("2.0-rc10", "board-x", '3')));
        Files.writeString(folder.resolve("etc/manifest"), "version=2.0-rc1\n");
        assertEquals("2.0", agent().checkIn().selected().orElseThrow().version());
        Files.writeString(folder.resolve("etc/manifest"), "version=2.0\n");
        assertEquals(ExitCode.OK, agent().checkIn().result().code());
        Files.writeString(folder.resolve("etc/manifest"), "version=2.0.0\n");
        assertEquals(ExitCode.OK, agent().checkIn().result().code());
        source.offers.remove(1);
        Files.writeString(folder.resolve("etc/manifest"), "version=2.0-rc2\n");
        assertEquals("2.0-rc10", agent().checkIn().selected().orElseThrow().version());
    }

    @Test
    void aWrongPageIsTriedSeveralTimesBeforeTheSourceHearsOfAFailure() throws Exception {
        for (SourceException.Reason reason : List.of(
                SourceException.Reason.WRONG_ANSWER,
                SourceException.Reason.NOT_FOUND,
                SourceException.Reason.VERIFICATION_FAILED)) {
            source.reports.clear();
            source.pullFails = Optional.of(new SourceException(reason, "please log in"));
            for (int tries = 1; tries < 8; tries++) {
                pull(agent());
            }
            assertFalse(source.reports.toString().contains("Failed"), source.reports.toString());
            pull(agent());
            assertEquals("42 Failed[reason=please log in]", source.reports.get(source.reports.size() - 1));
        }
        source.pullFails = Optional.of(new SourceException(SourceException.Reason.BAD_BUNDLE, "not signed"));
        source.reports.clear();
        pull(agent());
        assertEquals(
                "42 Failed[reason=not signed]",
                source.reports.get(source.reports.size() - 1),
                "trying again changes nothing");
        source.pullFails = Optional.empty();
        assertEquals(ExitCode.OK, pull(agent()));
    }

    @Test
    void theNewestAcceptableOneIsSelected() throws Exception {
        source.offers.clear();
        source.offers.addAll(List.of(
                ScriptedSource.target("1.9", "board-x", '1'),
                ScriptedSource.target("9.0", "toaster", '2'),
                ScriptedSource.target("1.10", "board-x", '3'),
                ScriptedSource.target("0.1", "board-x", '4')));
        assertEquals("1.10", agent().checkIn().selected().orElseThrow().version());
    }

    @Test
    void whatWasWithdrawnIsNotInstalled() throws Exception {
        assertEquals(ExitCode.OK, pull(agent()));
        source.isWithdrawn = true;
        assertEquals(ExitCode.CANCELLED, install(agent()));
        assertEquals(List.of(), agent().pulled());
        assertEquals("42 Cancelled[]", source.reports.get(source.reports.size() - 1));
    }

    @Test
    void aPowerCutWhileTheSlotIsWrittenIsNoFailureAndTheInstallIsDoneAgain() throws Exception {
        assertEquals(ExitCode.OK, pull(agent()));
        AgentDevice opened = device.open();
        opened.finalisation().started(TARGET, "T-cut", "a", "scripted");
        opened.finalisation().settle(opened.slots().status());
        assertTrue(opened.finalisation().pending().isPresent(), "sysupgrade may still write in this boot");
        device.reboots();
        assertEquals(
                ExitCode.NOTHING_PENDING,
                agent().finalise(trial -> Optional.empty()).code());
        assertEquals(ExitCode.NEEDS_REBOOT, install(agent()), "nothing has to be pulled again");
        assertEquals(1, source.pulls);
    }

    @Test
    void theEndOfAnUpdateIsToldUntilSomebodyListens() throws Exception {
        pulledAndInstalled();
        device.slot("a", "a", "", device.txn(), device.txn());
        device.reboots();
        source.reportFails = Optional.of(new SourceException(SourceException.Reason.FETCH_FAILED, "no link"));
        agent().finalise(trial -> Optional.empty());
        source.reportFails = Optional.empty();
        source.reports.clear();
        agent().checkIn();
        agent().checkIn();
        assertEquals(List.of("42 Failed[reason=rolled back (tries-used-up)]"), source.reports);
    }

    @Test
    void twoStepsDoNotRunBesideEachOther() throws Exception {
        Agent agent = agent();
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch over = new CountDownLatch(1);
        Thread first = new Thread(() -> {
            try {
                agent.pull(TARGET, bytes -> {
                    inside.countDown();
                    try {
                        over.await(20, TimeUnit.SECONDS);
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                });
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        first.start();
        assertTrue(inside.await(20, TimeUnit.SECONDS));
        assertEquals(ExitCode.IN_PROGRESS, agent.checkIn().result().code());
        assertEquals(ExitCode.IN_PROGRESS, install(agent));
        over.countDown();
        first.join();
        assertEquals(ExitCode.NEEDS_REBOOT, install(agent));
    }

    @Test
    void duringATrialNothingIsInstalled() throws Exception {
        assertEquals(ExitCode.OK, pull(agent()));
        device.slot("b", "a", "b", "T", "");
        assertEquals(ExitCode.IN_PROGRESS, install(agent()));
        assertEquals(List.of(), device.sysupgradeRuns());
    }

    @Test
    void aTornStateFileCostsTheMemoryAndNothingElse() throws Exception {
        pulledAndInstalled();
        Files.writeString(folder.resolve("storage/agent.json"), "{\"unrepor");
        assertEquals(
                ExitCode.NOTHING_PENDING,
                agent().finalise(trial -> Optional.empty()).code());
        assertTrue(device.log.stream().anyMatch(line -> line.startsWith("agent_state:")));
    }

    @Test
    void aTargetNeedsRoom() throws Exception {
        Target huge = new Target(
                "huge",
                "5.0",
                Optional.empty(),
                Long.MAX_VALUE / 2,
                "e".repeat(64),
                Optional.empty(),
                java.util.Map.of());
        assertEquals(ExitCode.NO_SPACE, agent().pull(huge, bytes -> {}).code());
        assertEquals(0, source.pulls);
    }

    // ---- rolled back by hand ----

    /** Version 2.0 was installed and committed, and then somebody rolled back to 1.0. */
    private void rolledBackByHand(boolean isSeenArmed) throws Exception {
        pulledAndInstalled();
        device.runs("2.0");
        device.slot("b", "b", "", device.txn(), "");
        device.reboots();
        assertEquals(ExitCode.OK, agent().finalise(trial -> Optional.empty()).code());
        if (isSeenArmed) {
            device.slot("b", "b", "a", "rollback-1", "");
            agent().checkIn();
        }
        device.runs("1.0");
        device.slot("a", "a", "", "rollback-1", "");
        device.reboots();
    }

    @ParameterizedTest
    @CsvSource({"true", "false"})
    void whatWasLeftByHandIsNotInstalledAgainByItself(boolean isSeenArmed) throws Exception {
        rolledBackByHand(isSeenArmed);
        for (int i = 0; i < 3; i++) {
            CheckInResult found = agent().checkIn();
            assertEquals(
                    ExitCode.LEFT_BY_HAND, found.result().code(), found.result().message());
            assertEquals(Optional.empty(), found.selected());
        }
        source.offers.set(0, ScriptedSource.target("1.5"));
        assertEquals(ExitCode.LEFT_BY_HAND, agent().checkIn().result().code(), "what is older is no way forward");
        source.offers.set(0, ScriptedSource.target("2.0", "board-x", '9'));
        assertEquals(ExitCode.LEFT_BY_HAND, agent().checkIn().result().code(), "another build of what was left");
        source.offers.set(0, ScriptedSource.target("3.0"));
        assertEquals(ExitCode.NEW_VERSION, agent().checkIn().result().code());
    }

    @Test
    void aCommandThatNamesItInstallsItAgain() throws Exception {
        rolledBackByHand(true);
        assertEquals(ExitCode.LEFT_BY_HAND, agent().checkIn().result().code());
        Agent agent = agent();
        agent.named(TARGET);
        assertEquals(ExitCode.NEW_VERSION, agent.checkIn().result().code());
        assertEquals(ExitCode.NEW_VERSION, agent().checkIn().result().code(), "named once is enough");
        assertEquals(ExitCode.OK, pull(agent));
        assertEquals(ExitCode.NEEDS_REBOOT, install(agent));
    }

    @Test
    void whoeverAssignsUpdatesMayAssignItAgain() throws Exception {
        rolledBackByHand(true);
        source.isAssigning = true;
        assertEquals(ExitCode.NEW_VERSION, agent().checkIn().result().code());
    }
}
