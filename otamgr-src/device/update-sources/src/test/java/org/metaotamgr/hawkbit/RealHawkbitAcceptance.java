// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateEvent;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.hawkbitsimulator.Assignment;
import org.metaotamgr.testing.Workshop;

/**
 * The client against a real hawkBit server, and the history that the server shows afterwards, line by line: scripts/test hawkbit --server
 * URL.
 */
@EnabledIfSystemProperty(named = "hawkbit.server", matches = "http.*", disabledReason = "needs a hawkBit server")
class RealHawkbitAcceptance {
    private static final InstalledSystem DEVICE =
            new InstalledSystem(Optional.empty(), Optional.of("1.0"), Optional.of("qemuarm64"), Optional.empty());
    private static final String DOWNLOAD = "download: pulled 0 of %d bytes";
    private static final String DOWNLOADED = "downloaded: pulled, and its hash is right";
    private static final String WRITING = "running: writing it into the inactive slot";
    private static final String ARMED = "running: written; the next reboot starts its trial";

    @TempDir
    private static Path bundles;

    private static byte[] bundle;
    private static byte[] other;

    @TempDir
    private Path folder;

    private RealHawkbit server;

    @BeforeAll
    static void makeBundles() throws Exception {
        Workshop workshop = new Workshop(bundles);
        workshop.makeKey("release");
        bundle = Files.readAllBytes(workshop.makeBundle("release", "qemuarm64", "2.0", 300_000));
        other = Files.readAllBytes(workshop.makeBundle("release", "qemuarm64", "3.0", 20_000));
    }

    @BeforeEach
    void start() throws Exception {
        server = new RealHawkbit(URI.create(System.getProperty("hawkbit.server")), "board-" + System.nanoTime());
    }

    private UpdateSource source(String... more) throws Exception {
        return sourceOf(server.device(), "'targetToken': '" + server.token() + "'" + String.join("", more));
    }

    private UpdateSource sourceOf(String device, String more) throws Exception {
        Workshop workshop = new Workshop(Files.createDirectories(folder.resolve(device)));
        return new HawkbitSourceProvider()
                .open(
                        Workshop.config("{'type': 'hawkbit', 'url': '" + server.uri()
                                + "', 'plainHttp': true, 'controllerId': '" + device + "', 'cancelPollSeconds': 1, "
                                + more + "}"),
                        workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release")));
    }

    private static Assignment update() {
        return Assignment.forced("system", "2.0", bundle);
    }

    private Target offered(String... more) throws Exception {
        return assertInstanceOf(CheckResult.Offers.class, source(more).check(DEVICE))
                .targets()
                .get(0);
    }

    private Path pull(Target target) throws Exception {
        Path storage = Files.createDirectories(folder.resolve("storage"));
        UpdateSource source = source();
        source.report(target, new UpdateEvent.Pulling(0, target.bytes()));
        Path pulled = source.pull(target, storage, bytes -> {});
        source.report(target, new UpdateEvent.Pulled());
        return pulled;
    }

    private void install(Target target) throws Exception {
        assertTrue(source().isStillOffered(target));
        source().report(target, new UpdateEvent.Installing());
        source().report(target, new UpdateEvent.NeedsReboot());
    }

    /** What the server shows, without what it writes of itself. */
    private List<String> history(long id) throws IOException, InterruptedException {
        List<String> lines = new ArrayList<>();
        for (String line : server.history(id)) {
            int colon = line.indexOf(": ");
            List<String> own = Stream.of(line.substring(colon + 2).split(" \\| "))
                    .filter(message ->
                            !message.matches("(Update Server: |Assignment initiated by |Waiting for the ).*"))
                    .toList();
            if (!own.isEmpty()) {
                lines.add(line.substring(0, colon + 2) + String.join(" | ", own));
            }
        }
        System.out.println(server.device() + " action " + id + ":\n    "
                + String.join("\n    ", server.history(id)).replaceAll("(?<=/v1/)board-\\d+", "DEVICE"));
        return lines;
    }

    private static List<String> expected(String... lines) {
        return List.of(lines).stream()
                .map(line -> String.format(line, bundle.length))
                .toList();
    }

    /** What the device said last, or that it has seen the action. */
    private static void assertGoesOn(String status) {
        assertTrue(List.of("RUNNING", "RETRIEVED", "DOWNLOAD", "DOWNLOADED").contains(status), status);
    }

    @Test
    void aForcedAssignmentGoesItsWholeWay() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        assertEquals(bundle.length, target.bytes());
        assertArrayEquals(bundle, Files.readAllBytes(pull(target)));
        install(target);
        assertInstanceOf(CheckResult.Waiting.class, source().check(DEVICE));
        source().report(target, new UpdateEvent.Done());
        assertEquals(
                expected(DOWNLOAD, DOWNLOADED, WRITING, ARMED, "finished: version 2.0 runs and is committed"),
                history(id));
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
        assertEquals("1.0", server.attributes().get("version"));
        source().report(target, new UpdateEvent.Done());
        assertEquals(5, history(id).size());
    }

    @Test
    void aSoftAssignmentIsTakenAlike() throws Exception {
        long id = server.assign(update().as(Assignment.Kind.SOFT));
        Target target = offered();
        pull(target);
        install(target);
        source().report(target, new UpdateEvent.Failed("rolled back (tries-used-up)"));
        assertEquals(expected(DOWNLOAD, DOWNLOADED, WRITING, ARMED, "error: rolled back (tries-used-up)"), history(id));
        assertEquals("ERROR", server.status(id));
    }

    @Test
    void whatIsOnlyToBePulledIsOverThenAndAnotherSetWithTheSameArtifactInstallsIt() throws Exception {
        long id = server.assign(update().as(Assignment.Kind.DOWNLOAD_ONLY));
        Target target = offered();
        assertArrayEquals(bundle, Files.readAllBytes(pull(target)));
        assertEquals("DOWNLOADED", server.status(id));
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
        assertEquals(
                Reason.DEFERRED,
                assertThrows(SourceException.class, () -> source().isStillOffered(target))
                        .reason());
        assertEquals(expected(DOWNLOAD, DOWNLOADED), history(id));
        // By the server's rules the device has this set already.
        assertEquals(-1, server.assign(update()));
        server.forget(update());
        long next = server.assign(update());
        Target again = offered();
        assertEquals(target.id(), again.id());
        install(again);
        source().report(again, new UpdateEvent.Done());
        assertEquals(expected(WRITING, ARMED, "finished: version 2.0 runs and is committed"), history(next));
    }

    @Test
    void aCancelBeforeTheInstallIsAccepted() throws Exception {
        long id = server.assign(update());
        pull(offered());
        server.cancel(id);
        assertEquals("CANCELING", server.status(id));
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
        assertEquals("CANCELED", server.status(id));
        assertEquals(
                expected(DOWNLOAD, DOWNLOADED, "canceled: the update was given up before anything was installed"),
                history(id));
    }

    @Test
    void aCancelOfWhatIsInASlotIsDeclinedAndItsEndIsTold() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        pull(target);
        install(target);
        server.cancel(id);
        source().check(DEVICE);
        assertGoesOn(server.status(id));
        source().report(target, new UpdateEvent.Done());
        assertEquals("FINISHED", server.status(id));
        assertEquals(
                expected(
                        DOWNLOAD,
                        DOWNLOADED,
                        WRITING,
                        ARMED,
                        "cancel_rejected: the update is in a slot already; how its trial ends is reported. "
                                + "Assign another version to leave it",
                        "finished: version 2.0 runs and is committed"),
                history(id));
    }

    @Test
    void whatWasForcedToItsEndIsNotInstalled() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        pull(target);
        server.forceQuit(id);
        assertFalse(source().isStillOffered(target));
        source().report(target, new UpdateEvent.Cancelled());
        assertEquals("CANCELED", server.status(id));
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
        assertEquals(
                expected(DOWNLOAD, DOWNLOADED), history(id).stream().limit(2).toList());
    }

    @Test
    void anotherAssignmentTakesThePlaceOfTheFirst() throws Exception {
        long first = server.assign(update());
        Target target = offered();
        pull(target);
        long second = server.assign(Assignment.forced("system", "3.0", other));
        assertEquals("3.0", offered().version());
        assertEquals("CANCELED", server.status(first));
        assertGoesOn(server.status(second));
        assertFalse(source().isStillOffered(target));
    }

    @Test
    void anUpdateThatHasToBeConfirmedWaits() throws Exception {
        long id = server.assign(update().confirmedFirst());
        String atServer = ", 'confirmation': 'server'";
        assertInstanceOf(CheckResult.Waiting.class, source(atServer).check(DEVICE));
        assertEquals("WAIT_FOR_CONFIRMATION", server.status(id));
        server.confirm(id);
        assertEquals("2.0", offered(atServer).version());
        assertGoesOn(server.status(id));
    }

    @Test
    void anUpdateIsDeniedAndThenConfirmedOnTheDevice() throws Exception {
        long id = server.assign(update().confirmedFirst());
        String onDevice = ", 'confirmation': 'device'";
        Path answer = folder.resolve(server.device() + "/state/hawkbit-confirmation");
        assertInstanceOf(CheckResult.Waiting.class, source(onDevice).check(DEVICE));
        Files.writeString(answer, id + " denied\n");
        assertInstanceOf(CheckResult.Waiting.class, source(onDevice).check(DEVICE));
        assertEquals("WAIT_FOR_CONFIRMATION", server.status(id));
        Files.writeString(answer, id + " confirmed\n");
        assertEquals("2.0", offered(onDevice).version());
        assertEquals(
                List.of("wait_for_confirmation: denied on the device", "running: confirmed by the device"),
                history(id));
    }

    @Test
    void outsideOfItsMaintenanceWindowAnUpdateIsPulledAndNotInstalled() throws Exception {
        server.assign(update().inWindow());
        Target target = offered();
        assertArrayEquals(bundle, Files.readAllBytes(pull(target)));
        SourceException wait = assertThrows(SourceException.class, () -> source().isStillOffered(target));
        assertEquals(Reason.DEFERRED, wait.reason());
        assertTrue(wait.getMessage().contains("maintenance window"), wait.getMessage());
    }

    @Test
    void aWrongTokenIsNotAllowed() {
        assertEquals(
                Reason.NOT_ALLOWED,
                assertThrows(SourceException.class, () -> sourceOf(server.device(), "'targetToken': 'wr0ng'")
                                .check(DEVICE))
                        .reason());
    }

    @Test
    void aRolloutInGroupsHasOneDeviceThatRollsBack() throws Exception {
        List<String> others = List.of(1, 2, 3, 4).stream()
                .map(number -> server.device() + "-" + number)
                .toList();
        long rollout = server.rollout(update(), others, 2);
        List<String> devices = new ArrayList<>(others);
        devices.add(server.device());
        int ended = 0;
        boolean[] done = new boolean[devices.size()];
        for (int tries = 0; ended < devices.size(); tries++) {
            assertTrue(tries < 120, "the server offers the second group nothing: " + server.rolloutTotals(rollout));
            for (int i = 0; i < done.length; i++) {
                UpdateSource source = sourceOf(devices.get(i), "'targetToken': '" + server.token() + "'");
                if (!done[i] && source.check(DEVICE) instanceof CheckResult.Offers offers) {
                    Target target = offers.targets().get(0);
                    source.pull(target, Files.createDirectories(folder.resolve("storage-" + i)), bytes -> {});
                    source.report(target, new UpdateEvent.Pulled());
                    source.report(target, new UpdateEvent.Installing());
                    source.report(target, new UpdateEvent.NeedsReboot());
                    source.report(
                            target,
                            i == 0 ? new UpdateEvent.Failed("rolled back (tries-used-up)") : new UpdateEvent.Done());
                    done[i] = true;
                    ended++;
                }
            }
            Thread.sleep(1000);
        }
        server.waitFor(rollout, "finished");
        assertEquals(4, server.rolloutTotals(rollout).get("finished"));
        assertEquals(1, server.rolloutTotals(rollout).get("error"));
    }
}
