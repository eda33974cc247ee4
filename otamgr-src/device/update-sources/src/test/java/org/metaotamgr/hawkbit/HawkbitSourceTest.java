// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateEvent;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.hawkbitsimulator.Assignment;
import org.metaotamgr.hawkbitsimulator.HawkbitSimulator;
import org.metaotamgr.testing.Workshop;

/** An action of hawkBit goes its way on the device, and the server knows at any time where it is. */
class HawkbitSourceTest {
    private static final InstalledSystem DEVICE =
            new InstalledSystem(Optional.empty(), Optional.of("1.0"), Optional.of("qemuarm64"), Optional.empty());
    private static final PullProgress QUIET = bytes -> {};
    private static final String TOKEN = "t0ken-of-board-1";
    private static final String GATEWAY = "t0ken-of-all";

    @TempDir
    private static Path bundles;

    private static byte[] bundle;

    @TempDir
    private Path folder;

    private Workshop workshop;
    private HawkbitSimulator server;

    @BeforeAll
    static void makeBundle() throws Exception {
        Workshop workshop = new Workshop(bundles);
        workshop.makeKey("release");
        workshop.makeKey("mallory");
        workshop.makeCertificate("server", "localhost");
        bundle = Files.readAllBytes(workshop.makeBundle("release", "qemuarm64", "2.0", 900_000));
    }

    @BeforeEach
    void start() throws Exception {
        workshop = new Workshop(folder);
        server = new HawkbitSimulator(
                Workshop.anyPort(),
                Optional.of(new Workshop(bundles).serverTls("server", "server")),
                new HawkbitSimulator.Identity("DEFAULT", "board-1", TOKEN, Optional.of(GATEWAY)));
    }

    @AfterEach
    void stop() {
        server.close();
    }

    /** As after a restart: nothing is kept but files. */
    private UpdateSource source(String... more) throws Exception {
        return source("'targetToken': '" + TOKEN + "'", more);
    }

    private UpdateSource source(String token, String[] more) throws Exception {
        String configuration = "{'type': 'hawkbit', 'url': '" + server.uri()
                + "', 'controllerId': 'board-1', 'caFile': '" + bundles.resolve("server.crt")
                + "', 'cancelPollSeconds': 1, " + token + String.join("", more) + "}";
        return new HawkbitSourceProvider()
                .open(
                        Workshop.config(configuration),
                        workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release")));
    }

    private static Assignment update() {
        return Assignment.forced("system", "2.0", bundle);
    }

    private Target offered(String... more) throws Exception {
        CheckResult.Offers offers =
                assertInstanceOf(CheckResult.Offers.class, source(more).check(DEVICE));
        assertEquals(1, offers.targets().size());
        return offers.targets().get(0);
    }

    private Path storage() throws IOException {
        return Files.createDirectories(folder.resolve("storage"));
    }

    private void report(Target target, UpdateEvent event) throws Exception {
        source().report(target, event);
    }

    private List<String> feedback() {
        return server.requests().stream()
                .filter(request -> request.method().equals("POST"))
                .map(request -> request.path().replaceFirst(".*/board-1/", "") + " "
                        + request.json().at("/status/execution").asText() + "/"
                        + request.json().at("/status/result/finished").asText())
                .toList();
    }

    // ---- the good way ----

    @Test
    void theDeviceIsSentToTheServerByTheNameItUses() throws Exception {
        server.assign(update());
        String elsewhere = server.uri().toString().replace("localhost", "LocalHost");
        UpdateSource source = new HawkbitSourceProvider()
                .open(
                        Workshop.config("{'type': 'hawkbit', 'url': '" + elsewhere
                                + "', 'controllerId': 'board-1', 'caFile': '" + bundles.resolve("server.crt")
                                + "', 'targetToken': '" + TOKEN
                                + "'}"),
                        workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release")));
        CheckResult.Offers offers = assertInstanceOf(CheckResult.Offers.class, source.check(DEVICE));
        assertTrue(offers.targets().get(0).details().get("url").startsWith(elsewhere), offers.toString());
    }

    @Test
    void anAssignmentGoesItsWholeWay() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        assertEquals("system-2.0", target.name());
        assertEquals("2.0", target.version());
        assertEquals(bundle.length, target.bytes());
        UpdateSource source = source();
        assertTrue(source.isAssigning());
        source.report(target, new UpdateEvent.Pulling(0, target.bytes()));
        assertArrayEquals(bundle, Files.readAllBytes(source.pull(target, storage(), QUIET)));
        source.report(target, new UpdateEvent.Pulled());
        assertTrue(source.isStillOffered(target));
        source.report(target, new UpdateEvent.Installing());
        source.report(target, new UpdateEvent.NeedsReboot());
        assertEquals("RUNNING", server.status(id));
        // After the reboot.
        assertInstanceOf(CheckResult.Waiting.class, source().check(DEVICE));
        report(target, new UpdateEvent.Done());
        assertEquals("FINISHED", server.status(id));
        String action = "deploymentBase/" + id + "/feedback ";
        assertEquals(
                List.of(
                        action + "download/none",
                        action + "downloaded/none",
                        action + "proceeding/none",
                        action + "proceeding/none",
                        action + "closed/success"),
                feedback());
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
    }

    @Test
    void theServerSaysWhenToAskAgain() throws Exception {
        server.sleep("12:34:56");
        assertEquals(
                Optional.of(Duration.ofSeconds(45296)), source().check(DEVICE).askAgain());
        server.sleep("00:00:00");
        assertEquals(Optional.empty(), source().check(DEVICE).askAgain());
        server.sleep("soon");
        assertEquals(
                Reason.MALFORMED,
                assertThrows(SourceException.class, () -> source().check(DEVICE))
                        .reason());
    }

    @Test
    void theDeviceIntroducesItselfOnce() throws Exception {
        String attributes = ", 'attributes': {'serial': '" + "x".repeat(200) + "'}";
        source(attributes).check(DEVICE);
        source(attributes).check(DEVICE);
        assertEquals(
                Map.of("serial", "x".repeat(128), "version", "1.0", "compatible", "qemuarm64"), server.attributes());
        assertEquals(
                1,
                server.requests().stream()
                        .filter(request -> request.method().equals("PUT"))
                        .count());
    }

    @Test
    void theTokenOfAllDevicesIsTakenAsWell() throws Exception {
        source("'gatewayToken': '" + GATEWAY + "'", new String[0]).check(DEVICE);
        assertEquals("GatewayToken " + GATEWAY, server.requests().get(0).authorization());
    }

    @Test
    void progressIsToldInStepsAsServersKeepABoundedHistory() throws Exception {
        server.assign(update());
        Target target = offered();
        UpdateSource source = source();
        for (int percent = 0; percent <= 100; percent++) {
            source.report(target, new UpdateEvent.Pulling(target.bytes() * percent / 100, target.bytes()));
        }
        List<Integer> told = server.requests().stream()
                .filter(request -> request.method().equals("POST"))
                .map(request -> request.json().at("/status/result/progress/cnt").asInt())
                .toList();
        assertTrue(told.size() >= 10 && told.size() <= 11, told.toString());
        assertEquals(0, told.get(0));
    }

    @Test
    void aBoardThatTheModuleNamesIsToldToTheAgent() throws Exception {
        server.assign(update().saying(Map.of("compatible", "raspberrypi4")));
        assertEquals(Optional.of("raspberrypi4"), offered().compatible());
    }

    // ---- the end, exactly once ----

    @Test
    void aRollbackIsToldOnceAfterTheReboot() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        report(target, new UpdateEvent.Installing());
        report(target, new UpdateEvent.NeedsReboot());
        report(target, new UpdateEvent.Failed("rolled back (boots-exhausted)"));
        report(target, new UpdateEvent.Failed("rolled back (boots-exhausted)"));
        assertEquals("ERROR", server.status(id));
        assertEquals(
                1, feedback().stream().filter(line -> line.contains("closed/")).count());
        assertTrue(server.messages(id).get(server.messages(id).size() - 1).contains("rolled back (boots-exhausted)"));
    }

    @Test
    void anEndWhoseAnswerGotLostIsTakenAsTold() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        // The server takes it, and the link breaks before it has answered.
        boolean[] lost = new boolean[1];
        server.fault(exchange -> {
            if (!lost[0] && exchange.getRequestMethod().equals("POST")) {
                lost[0] = true;
                server.forceQuit(id);
                exchange.close();
                throw new IOException("cut");
            }
        });
        assertThrows(SourceException.class, () -> report(target, new UpdateEvent.Done()));
        report(target, new UpdateEvent.Done());
        assertEquals(2, feedback().size());
        report(target, new UpdateEvent.Done());
        assertEquals(2, feedback().size());
    }

    @ParameterizedTest
    @CsvSource({"401,NOT_ALLOWED", "429,FETCH_FAILED", "500,FETCH_FAILED", "503,FETCH_FAILED"})
    void anEndThatTheServerDoesNotTakeIsToldAgain(int status, Reason reason) throws Exception {
        long id = server.assign(update());
        Target target = offered();
        server.fault(exchange -> {
            exchange.getResponseHeaders().set("Retry-After", "30");
            exchange.sendResponseHeaders(status, -1);
        });
        SourceException refusal = assertThrows(SourceException.class, () -> report(target, new UpdateEvent.Done()));
        assertEquals(reason, refusal.reason());
        assertEquals(Optional.of(Duration.ofSeconds(30)), refusal.retryAfter());
        assertFalse(refusal.getMessage().contains(TOKEN), refusal.getMessage());
        server.fault(exchange -> {});
        report(target, new UpdateEvent.Done());
        assertEquals("FINISHED", server.status(id));
    }

    @Test
    void aRefusalEndsTheAction() throws Exception {
        long id = server.assign(update());
        report(offered(), new UpdateEvent.Rejected("expected at least version 3.0"));
        assertEquals("ERROR", server.status(id));
    }

    // ---- cancel ----

    @Test
    void aCancelBeforeThePullIsAccepted() throws Exception {
        long id = server.assign(update());
        offered();
        server.cancel(id);
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
        assertEquals("CANCELED", server.status(id));
    }

    @Test
    void aCancelOfAnUpdateThatThisDeviceNeverSawIsAccepted() throws Exception {
        long id = server.assign(update());
        server.cancel(id);
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
        assertEquals("CANCELED", server.status(id));
    }

    @Test
    void aCancelEndsADownload() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        boolean[] cancelled = new boolean[1];
        SourceException end = assertThrows(SourceException.class, () -> source().pull(target, storage(), bytes -> {
            if (!cancelled[0]) {
                cancelled[0] = true;
                server.cancel(id);
                pause(1100);
            }
        }));
        assertEquals(Reason.WITHDRAWN, end.reason());
        report(target, new UpdateEvent.Cancelled());
        report(target, new UpdateEvent.Cancelled());
        assertEquals("CANCELED", server.status(id));
        assertEquals(List.of("cancelAction/" + id + "/feedback closed/success"), feedback());
    }

    @Test
    void aCancelOfWhatWasPulledIsSeenRightBeforeTheInstall() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        server.cancel(id);
        assertFalse(source().isStillOffered(target));
        report(target, new UpdateEvent.Cancelled());
        assertEquals("CANCELED", server.status(id));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aCancelOfWhatIsInASlotIsDeclinedAndItsEndIsTold(boolean armed) throws Exception {
        long id = server.assign(update());
        Target target = offered();
        report(target, new UpdateEvent.Installing());
        if (armed) {
            report(target, new UpdateEvent.NeedsReboot());
        }
        server.cancel(id);
        source().check(DEVICE);
        assertEquals("RUNNING", server.status(id));
        assertTrue(
                feedback().contains("cancelAction/" + id + "/feedback rejected/none"),
                feedback().toString());
        report(target, new UpdateEvent.Done());
        assertEquals("FINISHED", server.status(id));
    }

    @Test
    void anInstallThatAPowerCutEndedCanBeCancelledBeforeItBeginsAgain() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        report(target, new UpdateEvent.Installing());
        server.cancel(id);
        assertFalse(source().isStillOffered(target));
        report(target, new UpdateEvent.Cancelled());
        assertEquals("CANCELED", server.status(id));
    }

    @Test
    void anActionThatWasForcedToItsEndIsNotInstalled() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        server.forceQuit(id);
        assertFalse(source().isStillOffered(target));
        report(target, new UpdateEvent.Cancelled());
        assertEquals("CANCELED", server.status(id));
    }

    @Test
    void anotherAssignmentTakesThePlaceOfTheFirst() throws Exception {
        long first = server.assign(update());
        Target target = offered();
        long second = server.assign(Assignment.forced("system", "3.0", Workshop.random(1000, 3)));
        assertEquals("3.0", offered().version());
        assertEquals("CANCELED", server.status(first));
        assertEquals("RUNNING", server.status(second));
        assertFalse(source().isStillOffered(target));
    }

    // ---- confirmation ----

    @Test
    void anUpdateIsConfirmedByTheDevice() throws Exception {
        long id = server.assign(update().confirmedFirst());
        assertEquals("2.0", offered().version());
        assertEquals("RUNNING", server.status(id));
        assertTrue(server.requests().stream()
                .anyMatch(request -> request.path().endsWith("/confirmationBase/" + id + "/feedback")
                        && request.json().path("confirmation").asText().equals("confirmed")));
    }

    @Test
    void anUpdateWaitsForSomebodyAtTheServer() throws Exception {
        long id = server.assign(update().confirmedFirst());
        String mode = ", 'confirmation': 'server'";
        CheckResult.Waiting waiting =
                assertInstanceOf(CheckResult.Waiting.class, source(mode).check(DEVICE));
        assertEquals("action " + id + " waits to be confirmed on the server", waiting.reason());
        server.confirm(id);
        assertEquals("2.0", offered(mode).version());
    }

    @Test
    void anUpdateWaitsForSomebodyAtTheDevice() throws Exception {
        long id = server.assign(update().confirmedFirst());
        String mode = ", 'confirmation': 'device'";
        assertInstanceOf(CheckResult.Waiting.class, source(mode).check(DEVICE));
        Path answer = folder.resolve("state/hawkbit-confirmation");
        Files.writeString(answer, "7 confirmed\n");
        assertInstanceOf(CheckResult.Waiting.class, source(mode).check(DEVICE));
        Files.writeString(answer, id + " denied\n");
        CheckResult.Waiting denied =
                assertInstanceOf(CheckResult.Waiting.class, source(mode).check(DEVICE));
        assertTrue(denied.reason().contains("denied"), denied.reason());
        assertEquals("WAIT_FOR_CONFIRMATION", server.status(id));
        Files.writeString(answer, id + " confirmed\n");
        assertEquals("2.0", offered(mode).version());
    }

    // ---- when ----

    @Test
    void outsideOfTheMaintenanceWindowItIsPulledAndNotInstalled() throws Exception {
        long id = server.assign(update().inWindow());
        Target target = offered();
        assertArrayEquals(bundle, Files.readAllBytes(source().pull(target, storage(), QUIET)));
        SourceException wait = assertThrows(SourceException.class, () -> source().isStillOffered(target));
        assertEquals(Reason.DEFERRED, wait.reason());
        assertTrue(wait.getMessage().contains("maintenance window"), wait.getMessage());
        server.window(id, true);
        assertTrue(source().isStillOffered(target));
    }

    @Test
    void whatIsOnlyToBePulledEndsWithThat() throws Exception {
        long id = server.assign(update().as(Assignment.Kind.DOWNLOAD_ONLY));
        Target target = offered();
        assertEquals(
                Reason.DEFERRED,
                assertThrows(SourceException.class, () -> source().isStillOffered(target))
                        .reason());
        report(target, new UpdateEvent.Pulled());
        assertEquals("DOWNLOADED", server.status(id));
    }

    @Test
    void whatWasOnlyToBePulledStaysAndIsInstalledByTheNextAssignmentOfIt() throws Exception {
        long id = server.assign(update().as(Assignment.Kind.DOWNLOAD_ONLY));
        Target target = offered();
        report(target, new UpdateEvent.Pulled());
        assertEquals("DOWNLOADED", server.status(id));
        // The server offers it no more, which is no cancel.
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
        assertEquals(
                Reason.DEFERRED,
                assertThrows(SourceException.class, () -> source().isStillOffered(target))
                        .reason());
        // By the server's rules the device has this set already.
        assertEquals(-1, server.assign(update()));
        server.forget(update());
        long next = server.assign(update());
        Target again = offered();
        assertEquals(target.id(), again.id());
        assertTrue(source().isStillOffered(again));
        report(again, new UpdateEvent.Done());
        assertEquals("FINISHED", server.status(next));
        assertFalse(feedback().toString().contains("cancelAction"), feedback().toString());
    }

    @Test
    void aServerThatKnowsOnlySha1IsServedAsTheBundleProvesItself() throws Exception {
        server.onlySha1();
        server.assign(update());
        Target target = offered();
        assertEquals(Optional.empty(), target.sha256());
        assertArrayEquals(bundle, Files.readAllBytes(source().pull(target, storage(), QUIET)));
        assertEquals(target.id(), offered().id());
        byte[] other = Files.readAllBytes(new Workshop(bundles).makeBundle("mallory", "qemuarm64", "2.0", 20_000));
        server.assign(Assignment.forced("system", "2.0", other));
        Target foreign = offered();
        assertFalse(foreign.id().equals(target.id()));
        assertThrows(
                SourceException.class, () -> source(", 'acceptImages': true").pull(foreign, storage(), QUIET));
        server.assign(Assignment.forced("system", "2.0", Workshop.random(20_000, 5)));
        Target image = offered();
        assertThrows(
                SourceException.class, () -> source(", 'acceptImages': true").pull(image, storage(), QUIET));
        assertEquals(
                List.of(),
                Workshop.snapshot(storage()).stream()
                        .filter(file -> !file.startsWith("update.bundle"))
                        .toList());
    }

    // ---- answers of somebody else ----

    @ParameterizedTest
    @ValueSource(ints = {404, 409, 410, 302, 405})
    void anEndThatSomebodyOnTheWayRefusedIsToldAgainAsLongAsTheActionIsOpen(int status) throws Exception {
        long id = server.assign(update());
        Target target = offered();
        server.fault(exchange -> {
            if (exchange.getRequestMethod().equals("POST")) {
                exchange.sendResponseHeaders(status, -1);
            }
        });
        SourceException kept = assertThrows(SourceException.class, () -> report(target, new UpdateEvent.Done()));
        assertTrue(kept.reason().isTransient(), kept.getMessage());
        server.fault(exchange -> {});
        report(target, new UpdateEvent.Done());
        assertEquals("FINISHED", server.status(id));
        report(target, new UpdateEvent.Done());
        assertEquals(2, feedback().size());
    }

    @Test
    void anEndThatAPortalTookIsToldAgainWhenTheServerOffersTheActionStill() throws Exception {
        long id = server.assign(update());
        Target target = offered();
        server.fault(exchange -> {
            byte[] page = "<html>please log in</html>".getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, page.length);
            exchange.getResponseBody().write(page);
        });
        report(target, new UpdateEvent.Done());
        server.fault(exchange -> {});
        assertEquals("RUNNING", server.status(id));
        report(offered(), new UpdateEvent.Done());
        assertEquals("FINISHED", server.status(id));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{}",
                "{\"error\": \"please log in\"}",
                "{\"id\": \"99\", \"deployment\": {}}",
                "{\"id\": \"11\"}"
            })
    void anAnswerAboutSomethingElseEndsNoAction(String answer) throws Exception {
        long id = server.assign(update());
        server.fault(exchange -> {
            if (exchange.getRequestURI().getPath().contains("/deploymentBase/")
                    && exchange.getRequestMethod().equals("GET")) {
                exchange.sendResponseHeaders(200, answer.length());
                exchange.getResponseBody().write(answer.getBytes(StandardCharsets.UTF_8));
            }
        });
        assertEquals(
                Reason.MALFORMED,
                assertThrows(SourceException.class, () -> source().check(DEVICE))
                        .reason());
        assertEquals("RUNNING", server.status(id));
        server.fault(exchange -> {});
        assertEquals("2.0", offered().version());
    }

    // ---- names ----

    @ParameterizedTest
    @ValueSource(
            strings = {
                "AA:BB:CC:DD:EE:FF",
                "urn:dev:mac:0024",
                "a+b",
                "~x",
                "{uuid}",
                "a/b",
                "a%2Fb",
                "a*b",
                "a?b#c",
                "a;b=c",
                "...",
                "@x&y=z"
            })
    void aDeviceIsKnownByWhateverNameItHas(String name) throws Exception {
        try (HawkbitSimulator other = new HawkbitSimulator(
                Workshop.anyPort(),
                Optional.empty(),
                new HawkbitSimulator.Identity("TENANT:1", name, TOKEN, Optional.empty()))) {
            long id = other.assign(update());
            UpdateSource source = new HawkbitSourceProvider()
                    .open(
                            Workshop.config("{'type': 'hawkbit', 'url': '" + other.uri()
                                    + "', 'plainHttp': true, 'tenant': 'TENANT:1', 'controllerId': '" + name
                                    + "', 'targetToken': '" + TOKEN + "'}"),
                            workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release")));
            Target target = assertInstanceOf(CheckResult.Offers.class, source.check(DEVICE))
                    .targets()
                    .get(0);
            assertArrayEquals(bundle, Files.readAllBytes(source.pull(target, storage(), QUIET)));
            source.report(target, new UpdateEvent.Done());
            assertEquals("FINISHED", other.status(id));
        }
    }

    @Test
    void charactersThatMayStandInAPathAreNotEncoded() throws Exception {
        try (HawkbitSimulator other = new HawkbitSimulator(
                Workshop.anyPort(),
                Optional.empty(),
                new HawkbitSimulator.Identity("DEFAULT", "AA:BB~c+d", TOKEN, Optional.empty()))) {
            new HawkbitSourceProvider()
                    .open(
                            Workshop.config("{'type': 'hawkbit', 'url': '" + other.uri()
                                    + "', 'plainHttp': true, 'controllerId': 'AA:BB~c+d', 'targetToken': '" + TOKEN
                                    + "'}"),
                            workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release")))
                    .check(DEVICE);
            assertEquals(
                    "/DEFAULT/controller/v1/AA:BB~c+d", other.requests().get(0).path());
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "uninitialized",
                "",
                "00000000000000000000000000000000",
                "0123456789abcdef0123456789abcde",
                "0123456789abcdef0123456789abcdeg",
                "0123456789ABCDEF0123456789ABCDEF",
                "0123456789abcdef0123456789abcdef0"
            })
    void aMachineIdThatIsNoneIsNoName(String id) throws Exception {
        Path file = Files.writeString(folder.resolve("machine-id"), id + "\n");
        ConfigException refused = assertThrows(ConfigException.class, () -> new HawkbitSourceProvider()
                .open(
                        Workshop.config("{'type': 'hawkbit', 'url': 'https://h.example.com', 'controllerIdFile': '"
                                + file + "', 'targetToken': 't'}"),
                        workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release"))));
        assertTrue(refused.getMessage().contains("32 hex digits"), refused.getMessage());
        Files.writeString(file, "0123456789abcdef0123456789abcdef\n");
        new HawkbitSourceProvider()
                .open(
                        Workshop.config("{'type': 'hawkbit', 'url': 'https://h.example.com', 'controllerIdFile': '"
                                + file + "', 'targetToken': 't'}"),
                        workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release")));
    }

    // ---- links ----

    @ParameterizedTest
    @CsvSource(
            delimiter = ' ',
            nullValues = "-",
            value = {
                "https://h/T/controller/v1/d/deploymentBase/11?c=5 11 5",
                "/deploymentBase/11 11 -",
                "/deploymentBase/11?a=1&c=-7 11 -7",
                "/deploymentBase/11?c=x 11 -",
                "/deploymentBase/ - -",
                "/deploymentBase/x - -",
                "/deploymentBase/12345678901234567890 - -",
                "/cancelAction/11 - -",
                "/deploymentBase/11/x - -",
                "/x?/deploymentBase/11 - -"
            })
    void aLinkIsRead(String href, String action, String etag) {
        Optional<Ddi.Link> link = Ddi.linkOf(href, "deploymentBase");
        assertEquals(Optional.ofNullable(action), link.map(Ddi.Link::action));
        assertEquals(Optional.ofNullable(etag), link.flatMap(Ddi.Link::etag));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/deploymentBase/1?&c=1", "?&c=1", "/deploymentBase/1", "&c=1"})
    void aLinkWithoutEndIsRefusedAtOnce(String unit) {
        org.junit.jupiter.api.Assertions.assertTimeoutPreemptively(Duration.ofSeconds(5), () -> {
            for (int length : new int[] {100, 2000, 20_000}) {
                Ddi.linkOf("/deploymentBase/1" + unit.repeat(length) + "\n", "deploymentBase");
            }
        });
    }

    @Test
    void aSoftAssignmentIsTaken() throws Exception {
        server.assign(update().as(Assignment.Kind.SOFT));
        assertTrue(source().isStillOffered(offered()));
    }

    // ---- signed roll-outs ----

    private String rollouts(String command, String... words) throws Exception {
        Path file = Files.write(folder.resolve("system.bundle"), bundle);
        String tool = Workshop.script("ota-repository");
        if (!Files.exists(folder.resolve("repo"))) {
            workshop.run(tool, "init", "repo");
            workshop.run(tool, "add", "repo", file.toString());
        }
        workshop.run(Stream.concat(Stream.of(tool, command, "repo"), Stream.of(words))
                .toArray(String[]::new));
        Files.writeString(folder.resolve("machine-id"), "0123456789abcdef0123456789abcdef\n");
        return ", 'rollouts': {'directories': ['" + folder.resolve("repo/www") + "'], 'root': '"
                + folder.resolve("repo/root.json") + "', 'deviceIdFile': '" + folder.resolve("machine-id") + "'}";
    }

    @Test
    void aSoftAssignmentWaitsForItsTurnInTheSignedRolloutAndAForcedOneDoesNot() throws Exception {
        String policy = rollouts("publish", "--phase", "0.001%/24h,100%");
        long soft = server.assign(update().as(Assignment.Kind.SOFT));
        CheckResult.Waiting waiting =
                assertInstanceOf(CheckResult.Waiting.class, source(policy).check(DEVICE));
        assertTrue(waiting.reason().contains("waits for the turn of this device"), waiting.reason());
        assertEquals(List.of(), feedback());
        assertEquals("RUNNING", server.status(soft));
        rollouts("publish", "--phase", "100%", "--target", "qemuarm64-2.0.bundle", "--start", "2026-01-01T00:00:00Z");
        Target target = offered(policy);
        assertTrue(source(policy).isStillOffered(target));
        rollouts("publish", "--phase", "0.001%/24h,100%", "--target", "qemuarm64-2.0.bundle");
        SourceException later =
                assertThrows(SourceException.class, () -> source(policy).isStillOffered(target));
        assertEquals(Reason.DEFERRED, later.reason());
        server.forget(update());
        server.assign(update());
        source(policy).check(DEVICE);
        assertTrue(source(policy).isStillOffered(offered(policy)));
    }

    @ParameterizedTest
    @EnumSource(
            value = Assignment.Kind.class,
            names = {"SOFT", "FORCED"})
    void outsideOfTheSignedWindowsItIsPulledAndNotInstalledHoweverItIsAssigned(Assignment.Kind kind) throws Exception {
        // By the clock of these tests, which is that of Greenwich.
        LocalTime now = LocalTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.MINUTES);
        String policy = rollouts("publish", "--window", now.plusHours(2) + "-" + now.plusHours(3));
        server.assign(update().as(kind));
        Target target = offered(policy);
        assertArrayEquals(bundle, Files.readAllBytes(source(policy).pull(target, storage(), QUIET)));
        assertEquals(
                Reason.DEFERRED,
                assertThrows(SourceException.class, () -> source(policy).isStillOffered(target))
                        .reason());
        rollouts("publish", "--target", "qemuarm64-2.0.bundle", "--window", now.minusHours(1) + "-" + now.plusHours(3));
        assertTrue(source(policy).isStillOffered(target));
    }

    @ParameterizedTest
    @EnumSource(
            value = Assignment.Kind.class,
            names = {"SOFT", "FORCED"})
    void whatItsPublisherHaltedOrRecalledIsNotInstalledHoweverItIsAssigned(Assignment.Kind kind) throws Exception {
        String policy = rollouts("publish");
        long id = server.assign(update().as(kind));
        Target target = offered(policy);
        rollouts("halt", "qemuarm64-2.0.bundle");
        assertInstanceOf(CheckResult.Waiting.class, source(policy).check(DEVICE));
        assertEquals(
                Reason.DEFERRED,
                assertThrows(SourceException.class, () -> source(policy).isStillOffered(target))
                        .reason());
        rollouts("resume", "qemuarm64-2.0.bundle");
        assertTrue(source(policy).isStillOffered(target));
        rollouts("recall", "qemuarm64-2.0.bundle");
        assertFalse(source(policy).isStillOffered(target));
        source(policy).report(target, new UpdateEvent.Cancelled());
        assertEquals("ERROR", server.status(id));
        assertTrue(server.messages(id).toString().contains("was recalled by its publisher"));
        server.assign(update().as(kind));
        assertInstanceOf(CheckResult.Nothing.class, source(policy).check(DEVICE));
        assertFalse(feedback().toString().contains("cancelAction"), feedback().toString());
    }

    @Test
    void whatIsBelowTheSignedFloorIsNotInstalledAlthoughItIsAssigned() throws Exception {
        String policy = rollouts("publish");
        server.assign(update());
        Target target = offered(policy);
        assertTrue(source(policy).isStillOffered(target));
        Path newer = new Workshop(bundles).makeBundle("release", "qemuarm64", "3.1", 20_000);
        rollouts("add", newer.toString(), "--floor", "2.1");
        rollouts("publish");
        assertFalse(source(policy).isStillOffered(target));
        long id = server.assign(update().as(Assignment.Kind.SOFT));
        assertInstanceOf(CheckResult.Nothing.class, source(policy).check(DEVICE));
        assertEquals("ERROR", server.status(id));
    }

    @Test
    void whatTheRepositoryDoesNotNameIsTakenAsAssignedAndOneThatCannotBeReadIsAskedAgain() throws Exception {
        String policy = rollouts("publish", "--phase", "0.001%/24h,100%");
        byte[] other = Files.readAllBytes(new Workshop(bundles).makeBundle("release", "qemuarm64", "3.0", 20_000));
        server.assign(Assignment.forced("system", "3.0", other).as(Assignment.Kind.SOFT));
        assertEquals("3.0", offered(policy).version());
        long id = server.assign(update().as(Assignment.Kind.SOFT));
        server.onlySha1();
        source(policy).check(DEVICE);
        assertInstanceOf(CheckResult.Waiting.class, source(policy).check(DEVICE));
        Files.move(folder.resolve("repo/www"), folder.resolve("elsewhere"));
        assertThrows(SourceException.class, () -> source(policy).check(DEVICE));
        assertEquals("RUNNING", server.status(id));
    }

    private static String unreachableRollouts(String root) {
        return ", 'rollouts': {'url': 'https://127.0.0.1:9/releases', 'root': '" + root + "'}";
    }

    @ParameterizedTest
    @EnumSource(
            value = Assignment.Kind.class,
            names = {"SOFT", "FORCED"})
    void nothingIsInstalledWhenTheSignedRolloutsCannotBeReadAndWereNeverRead(Assignment.Kind kind) throws Exception {
        rollouts("publish");
        String policy = unreachableRollouts(folder.resolve("repo/root.json").toString());
        server.assign(update().as(kind));
        Target target = offered();
        SourceException wait =
                assertThrows(SourceException.class, () -> source(policy).isStillOffered(target));
        assertEquals(Reason.DEFERRED, wait.reason());
        assertTrue(wait.getMessage().contains("installed once they can be read"), wait.getMessage());
    }

    @Test
    void whatTheSignedRolloutsSaidLastHoldsWhenNeitherTheyNorTheServerCanBeHad() throws Exception {
        String policy = rollouts("publish");
        server.assign(update());
        Target target = offered(policy);
        assertTrue(source(policy).isStillOffered(target));
        String gone = unreachableRollouts(folder.resolve("repo/root.json").toString());
        assertTrue(source(gone).isStillOffered(target));
        rollouts("halt", "qemuarm64-2.0.bundle");
        assertEquals(
                Reason.DEFERRED,
                assertThrows(SourceException.class, () -> source(policy).isStillOffered(target))
                        .reason());
        assertEquals(
                Reason.DEFERRED,
                assertThrows(SourceException.class, () -> source(gone).isStillOffered(target))
                        .reason());
        // Nor is it installed because the server that assigned it cannot be asked.
        UpdateSource source = source(policy);
        server.close();
        assertEquals(
                Reason.DEFERRED,
                assertThrows(SourceException.class, () -> source.isStillOffered(target))
                        .reason());
        rollouts("resume", "qemuarm64-2.0.bundle");
        assertEquals(
                Reason.FETCH_FAILED,
                assertThrows(SourceException.class, () -> source.isStillOffered(target))
                        .reason());
    }

    // ---- what cannot be used ----

    @Test
    void anUpdateByAnotherKeyIsRefusedAndRemoved() throws Exception {
        byte[] other = Files.readAllBytes(new Workshop(bundles).makeBundle("mallory", "qemuarm64", "2.0", 20_000));
        server.assign(Assignment.forced("system", "2.0", other));
        Target target = offered();
        assertEquals(
                Reason.BAD_BUNDLE,
                assertThrows(SourceException.class, () -> source().pull(target, storage(), QUIET))
                        .reason());
        assertEquals(List.of(), Workshop.snapshot(storage()));
    }

    @Test
    void aBundleForAnotherBoardIsRefusedAlthoughTheServerDidNotNameTheBoard() throws Exception {
        byte[] other = Files.readAllBytes(new Workshop(bundles).makeBundle("release", "raspberrypi4", "2.0", 20_000));
        server.assign(Assignment.forced("system", "2.0", other));
        Target target = offered();
        SourceException foreign = assertThrows(SourceException.class, () -> source().pull(target, storage(), QUIET));
        assertEquals(Reason.FOREIGN, foreign.reason());
        assertEquals(List.of(), Workshop.snapshot(storage()));
    }

    @Test
    void aBundleThatWasChangedBeforeTheServerHashedItIsRefusedAndRemoved() throws Exception {
        byte[] changed = bundle.clone();
        changed[changed.length / 2] ^= 1;
        server.assign(Assignment.forced("system", "2.0", changed));
        Target target = offered();
        SourceException damaged = assertThrows(SourceException.class, () -> source().pull(target, storage(), QUIET));
        assertEquals(Reason.DAMAGED, damaged.reason(), damaged.getMessage());
        assertTrue(damaged.getMessage().contains("expected image.tar with the SHA-256"), damaged.getMessage());
        assertEquals(List.of(), Workshop.snapshot(storage()));
    }

    @Test
    void anImageWithoutABundleIsOnlyTakenWhereItIsAllowed() throws Exception {
        byte[] image = Workshop.random(20_000, 5);
        server.assign(Assignment.forced("system", "2.0", image));
        Target target = offered();
        assertEquals(
                Reason.BAD_BUNDLE,
                assertThrows(SourceException.class, () -> source().pull(target, storage(), QUIET))
                        .reason());
        assertArrayEquals(
                image, Files.readAllBytes(source(", 'acceptImages': true").pull(target, storage(), QUIET)));
    }

    @Test
    void theSameNumbersAreTheSameVersion() throws Exception {
        server.assign(Assignment.forced("system", "2.0.0", bundle));
        assertArrayEquals(bundle, Files.readAllBytes(source().pull(offered(), storage(), QUIET)));
    }

    @Test
    void aBundleOfAnotherVersionThanAssignedIsRefused() throws Exception {
        server.assign(Assignment.forced("system", "2.1", bundle));
        Target target = offered();
        SourceException wrong = assertThrows(SourceException.class, () -> source().pull(target, storage(), QUIET));
        assertEquals(Reason.BAD_BUNDLE, wrong.reason());
        assertTrue(wrong.getMessage().contains("expected a bundle of version 2.1"), wrong.getMessage());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "version with spaces",
                "../2.0",
                "v2.0",
                "1:2.0",
                "2.0+5",
                "Release 2.0",
                "2.0-",
                "2..0",
                "1234567890"
            })
    void aVersionThatIsNoneEndsTheActionWithTheReason(String version) throws Exception {
        long id = server.assign(Assignment.forced("system", version, bundle));
        assertEquals(
                Reason.MALFORMED,
                assertThrows(SourceException.class, () -> source().check(DEVICE))
                        .reason());
        assertEquals("ERROR", server.status(id));
        assertTrue(server.messages(id).toString().contains("this device cannot use what is assigned"));
        assertTrue(server.messages(id).toString().contains(version + " is no version: expected numbers"));
    }

    @Test
    void aModuleOfAnotherTypeEndsTheAction() throws Exception {
        long id = server.assign(update());
        assertThrows(SourceException.class, () -> source(", 'part': 'firmware'").check(DEVICE));
        assertEquals("ERROR", server.status(id));
    }

    // ---- servers ----

    @ParameterizedTest
    @CsvSource({
        "401,NOT_ALLOWED",
        "403,NOT_ALLOWED",
        "404,NOT_FOUND",
        "410,NOT_FOUND",
        "429,FETCH_FAILED",
        "500,FETCH_FAILED"
    })
    void aServerThatRefusesHasItsReason(int status, Reason reason) throws Exception {
        server.fault(exchange -> exchange.sendResponseHeaders(status, -1));
        assertEquals(
                reason,
                assertThrows(SourceException.class, () -> source().check(DEVICE))
                        .reason());
    }

    @Test
    void aWrongTokenIsNotAllowedAndInNoMessage() throws Exception {
        SourceException refusal =
                assertThrows(SourceException.class, () -> source("'targetToken': 'wr0ng-t0ken'", new String[0])
                        .check(DEVICE));
        assertEquals(Reason.NOT_ALLOWED, refusal.reason());
        assertFalse(refusal.getMessage().contains("wr0ng"), refusal.getMessage());
        assertFalse(workshop.log.toString().contains("wr0ng"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "nonsense",
                "[]",
                "{\"_links\": 5}",
                "{\"_links\": {\"deploymentBase\": {\"href\": \"x\"}}}",
                "{\"_links\": {\"cancelAction\": {\"href\": \"https://h/cancelAction/../../x\"}}}"
            })
    void anAnswerThatCannotBeUnderstoodIsNone(String answer) throws Exception {
        server.fault(exchange -> {
            exchange.sendResponseHeaders(200, answer.length() == 0 ? -1 : answer.length());
            exchange.getResponseBody().write(answer.getBytes(StandardCharsets.UTF_8));
        });
        assertEquals(
                Reason.MALFORMED,
                assertThrows(SourceException.class, () -> source().check(DEVICE))
                        .reason());
    }

    @Test
    void linksOfTheServerToElsewhereAreNotFollowedWithTheToken() throws Exception {
        server.assign(update());
        server.fault(exchange -> {
            if (exchange.getRequestURI().getPath().endsWith("/board-1")) {
                byte[] answer =
                        ("{\"_links\": {\"deploymentBase\": {\"href\": \"http://elsewhere.example.com/DEFAULT/controller/v1/"
                                        + "board-1/deploymentBase/11?c=5\"}}}")
                                .getBytes(StandardCharsets.UTF_8);
                exchange.sendResponseHeaders(200, answer.length);
                exchange.getResponseBody().write(answer);
            }
        });
        assertEquals("2.0", offered().version());
    }

    @Test
    void aTargetOfAnotherSourceIsNotReported() throws Exception {
        server.assign(update());
        Target target = offered();
        Target other = new Target(
                target.name(),
                target.version(),
                target.compatible(),
                target.bytes(),
                target.id(),
                target.sha256(),
                Map.of("action", "../x"));
        assertThrows(SourceException.class, () -> report(other, new UpdateEvent.Done()));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "'targetToken': 'a', 'gatewayToken': 'b'",
                "'targetToken': ''",
                "'controllerId': 'a b'",
                "'controllerId': '.'",
                "'controllerId': '..'",
                "'tenant': '..'",
                "'tenant': 'a b'",
                "'confirmation': 'maybe'",
                "'attributes': {'a': 5}",
                "'attributes': []",
                "'cancelPollSeconds': 0"
            })
    void aConfigurationThatCannotBeMeantIsRefused(String values) {
        String id = values.contains("controllerId") ? "" : "'controllerId': 'board-1', ";
        assertThrows(ConfigException.class, () -> new HawkbitSourceProvider()
                .open(
                        Workshop.config("{'type': 'hawkbit', 'url': 'https://example.com', " + id + values + "}"),
                        workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release"))));
    }

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
