// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
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
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.Needs;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.testing.Parts;
import org.metaotamgr.testing.WebServer;
import org.metaotamgr.testing.Workshop;

/** Whatever a server, a stick, or somebody on the way makes of a repository: a device takes what was signed, and never goes back. */
class RepositorySourceTest {
    private static final InstalledSystem DEVICE =
            new InstalledSystem(Optional.empty(), Optional.of("1.0"), Optional.of("qemuarm64"), Optional.empty());
    private static final String TOOL = Workshop.script("ota-repository");
    private static final String TIMESTAMP = "metadata/timestamp.json";

    @TempDir
    private static Path bundles;

    private static Path version2;
    private static Path version3;
    private static Path foreign;
    private static Path unsigned;

    @TempDir
    private Path folder;

    private Workshop workshop;
    private WebServer server;
    private Path version6;
    private Parts parts;
    private Clock clock = Clock.systemUTC();
    private Needs needs = part -> Optional.empty();
    private String device = "0123456789abcdef0123456789abcdef";

    @BeforeAll
    static void makeBundles() throws Exception {
        Workshop workshop = new Workshop(bundles);
        workshop.makeKey("release");
        workshop.makeKey("mallory");
        version2 = workshop.makeBundle("release", "qemuarm64", "2.0", 700_000);
        version3 = workshop.makeBundle("release", "qemuarm64", "3.0", 20_000);
        foreign = workshop.makeBundle("release", "raspberrypi4", "9.0", 20_000);
        unsigned = workshop.makeBundle("mallory", "qemuarm64", "4.0", 20_000);
        workshop.makeCertificate("server", "localhost");
        workshop.run(TOOL, "init", "repo");
        workshop.run(TOOL, "add", "repo", version2.toString());
        workshop.run(TOOL, "publish", "repo");
    }

    @BeforeEach
    void start() throws Exception {
        workshop = new Workshop(folder);
        server = new WebServer(Optional.of(new Workshop(bundles).serverTls("server", "server")), false);
        try (var all = Files.walk(bundles.resolve("repo"))) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                Path to = folder.resolve("repo").resolve(bundles.resolve("repo").relativize(file));
                Files.createDirectories(to.getParent());
                Files.copy(file, to);
            }
        }
        serve();
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private void tool(String command, String... words) throws Exception {
        workshop.run(Stream.concat(Stream.of(TOOL, command, "repo"), Stream.of(words))
                .toArray(String[]::new));
    }

    private void publish(String... words) throws Exception {
        tool("publish", words);
        serve();
    }

    private void serve() throws IOException {
        Path www = folder.resolve("repo/www");
        try (var all = Files.walk(www)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                server.put("releases/" + www.relativize(file), Files.readAllBytes(file));
            }
        }
    }

    private String metadata(String name) throws IOException {
        return Files.readString(folder.resolve("repo/www/metadata").resolve(name));
    }

    private UpdateSource source() throws Exception {
        return source("'url': '" + server.uri("releases") + "', 'caFile': '" + bundles.resolve("server.crt") + "'");
    }

    private UpdateSource source(String place) throws Exception {
        Files.writeString(folder.resolve("machine-id"), device + "\n");
        String configuration = "{'type': 'repository', " + place + ", 'root': '" + folder.resolve("repo/root.json")
                + "', 'buildTime': '" + folder.resolve("timestamp") + "', 'deviceIdFile': '"
                + folder.resolve("machine-id") + "'}";
        return new RepositorySourceProvider()
                .open(
                        Workshop.config(configuration),
                        workshop.context(clock, new Workshop(bundles).verifier("release"), needs));
    }

    private List<Target> offers(InstalledSystem installed) throws Exception {
        return assertInstanceOf(CheckResult.Offers.class, source().check(installed))
                .targets();
    }

    private SourceException refused() throws Exception {
        UpdateSource source = source();
        return assertThrows(SourceException.class, () -> source.check(DEVICE));
    }

    private Path storage() throws IOException {
        return Files.createDirectories(folder.resolve("storage"));
    }

    private Path pull(Target target) throws Exception {
        return source().pull(target, storage(), bytes -> {});
    }

    private Target onlyOffer() throws Exception {
        List<Target> offers = offers(DEVICE);
        assertEquals(1, offers.size(), offers.toString());
        return offers.get(0);
    }

    private void clockAt(Instant time) {
        clock = Clock.fixed(time, ZoneOffset.UTC);
    }

    // ---- what is right ----

    @Test
    void aBundleThatWasAddedAndPublishedIsOfferedAndPulled() throws Exception {
        Target target = onlyOffer();
        assertEquals("qemuarm64-2.0", target.name());
        assertEquals(Optional.of("qemuarm64"), target.compatible());
        assertArrayEquals(Files.readAllBytes(version2), Files.readAllBytes(pull(target)));
        assertTrue(source().isStillOffered(target));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 512, 100_000, 262_144, 699_999})
    void aPullThatBreaksGoesOnInAnotherProcess(int cut) throws Exception {
        Target target = onlyOffer();
        server.cutAfter = cut;
        assertEquals(
                Reason.DOWNLOAD_FAILED,
                assertThrows(SourceException.class, () -> pull(target)).reason());
        server.cutAfter = -1;
        assertArrayEquals(Files.readAllBytes(version2), Files.readAllBytes(pull(target)));
        assertTrue(server.asked.get(server.asked.size() - 1).endsWith(" bytes=" + cut + "-"), server.asked.toString());
    }

    @Test
    void aCheckWithNothingNewAsksForTheNextRootAndTheTimestampOnly() throws Exception {
        source().check(DEVICE);
        server.asked.clear();
        source().check(DEVICE);
        assertEquals(2, server.asked.size(), server.asked.toString());
        assertTrue(metadata("timestamp.json").length() < 2000);
    }

    @Test
    void whatWasTakenOutIsNotOfferedAnyMore() throws Exception {
        Target target = onlyOffer();
        tool("add", version3.toString());
        tool("remove", "qemuarm64-2.0.bundle");
        publish();
        assertFalse(source().isStillOffered(target));
        assertEquals("3.0", onlyOffer().version());
    }

    @Test
    void aVersionThatNeedsAnotherOneFirstWaits() throws Exception {
        tool("add", version3.toString(), "--minimum", "2.0");
        publish();
        assertEquals("2.0", onlyOffer().version());
        InstalledSystem updated =
                new InstalledSystem(Optional.empty(), Optional.of("2.0"), DEVICE.compatible(), Optional.empty());
        assertEquals(
                List.of("2.0", "3.0"),
                offers(updated).stream().map(Target::version).toList());
    }

    @Test
    void whatIsBelowTheFloorOfAnotherTargetIsRefusedBeforeItIsPulledAndAfter() throws Exception {
        tool("add", foreign.toString(), "--floor", "9.0");
        publish();
        Target pulled = onlyOffer();
        assertTrue(source().isStillOffered(pulled), "the floor of another board");
        // Version 3 is not for this device yet, and its floor holds nevertheless.
        tool("add", version3.toString(), "--minimum", "2.5", "--floor", "2.5");
        publish();
        server.asked.clear();
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
        assertFalse(source().isStillOffered(pulled));
        assertTrue(server.asked.stream().noneMatch(asked -> asked.contains("targets/")), server.asked.toString());
        assertTrue(
                workshop.log.stream()
                        .anyMatch(line -> line.contains("target=qemuarm64-2.0,floor=2.5,of=qemuarm64-3.0")),
                workshop.log.toString());
        InstalledSystem updated =
                new InstalledSystem(Optional.empty(), Optional.of("2.6"), DEVICE.compatible(), Optional.empty());
        assertEquals(
                List.of("3.0"), offers(updated).stream().map(Target::version).toList());
    }

    @Test
    void aFloorThatRefusesItsOwnBundleIsNotPublished() throws Exception {
        AssertionError refused =
                assertThrows(AssertionError.class, () -> tool("add", version3.toString(), "--floor", "3.0.1"));
        assertTrue(
                refused.getMessage().contains("expected at most the version of the bundle, 3.0"), refused.getMessage());
        assertTrue(assertThrows(AssertionError.class, () -> tool("add", version3.toString(), "--floor", "soon"))
                .getMessage()
                .contains("soon"));
    }

    @Test
    void bundlesForOtherBoardsAreShownOnlyWhenThereIsNothingElse() throws Exception {
        tool("add", foreign.toString());
        publish();
        assertEquals("qemuarm64-2.0", onlyOffer().name());
        tool("remove", "qemuarm64-2.0.bundle");
        publish();
        assertEquals(Optional.of("raspberrypi4"), onlyOffer().compatible());
    }

    @Test
    void anEmptyRepositoryOffersNothing() throws Exception {
        tool("remove", "qemuarm64-2.0.bundle");
        publish();
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "ci"})
    void aRepositoryThatPythonTufMadeWithoutOurToolServesADevice(String manner) throws Exception {
        Path scripts = Path.of(Workshop.script("ota-repository")).getParent();
        String script = Path.of(
                        getClass().getResource("/python_tuf_repository.py").toURI())
                .toString();
        Files.createDirectories(folder.resolve("media"));
        // Where the tool has put the library, which each test has run.
        workshop.run(Stream.of(
                        scripts.getParent()
                                .resolve("build/repository-venv/bin/python")
                                .toString(),
                        "-B",
                        script,
                        "media/plain",
                        version2.toString(),
                        manner)
                .filter(word -> !word.isEmpty())
                .toArray(String[]::new));
        Files.copy(
                folder.resolve("media/plain/root.json"),
                folder.resolve("repo/root.json"),
                StandardCopyOption.REPLACE_EXISTING);
        UpdateSource source = source("'directories': ['" + folder.resolve("media") + "']");
        Target target = assertInstanceOf(CheckResult.Offers.class, source.check(DEVICE))
                .targets()
                .get(0);
        assertEquals("2.0", target.version());
        assertArrayEquals(
                Files.readAllBytes(version2), Files.readAllBytes(source.pull(target, storage(), bytes -> {})));
        assertTrue(source.isStillOffered(target));
    }

    // ---- in parts ----

    /** A device that has all of a bundle's blocks but those of one file. */
    private Parts deviceBefore(Path bundle) throws Exception {
        Parts parts = new Parts(new Workshop(bundles), folder, "release");
        byte[] image = Files.readAllBytes(bundles.resolve("image-5.0.ext4"));
        byte[] before = image.clone();
        Arrays.fill(before, image.length / 2, image.length / 2 + 100_000, (byte) 5);
        parts.slot(before, image.length);
        tool("add", bundle.toString());
        publish();
        needs = parts.needs();
        return parts;
    }

    private Target offerOfVersion5() throws Exception {
        return offers(DEVICE).stream()
                .filter(target -> target.version().equals("5.0"))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void aBundleOfFormat2IsPulledInParts() throws Exception {
        Path bundle = new Workshop(bundles).makeFileSystemBundle("release", "qemuarm64", "5.0", 1_500_000);
        Parts parts = deviceBefore(bundle);
        Target target = offerOfVersion5();
        server.sent.set(0);
        Path pulled = pull(target);
        assertTrue(server.sent.get() < 300_000, "sent " + server.sent + " of " + Files.size(bundle));
        assertArrayEquals(Files.readAllBytes(bundles.resolve("image-5.0.ext4")), parts.install(pulled));
        // Somebody signed another manifest with the key of the bundles, but not with that of the repository.
        byte[] other = Files.readAllBytes(
                new Workshop(bundles).bundleOf("image-5.0", "release", "qemuarm64", "5.0", "--description", "other"));
        byte[] longer = Arrays.copyOf(other, (int) target.bytes());
        server.put("releases/targets/" + target.details().get("file"), longer);
        Files.delete(pulled);
        assertEquals(
                Reason.VERIFICATION_FAILED,
                assertThrows(SourceException.class, () -> pull(target)).reason());
    }

    @Test
    void aStickIsReadInPartsAsWell() throws Exception {
        Path bundle = new Workshop(bundles).makeFileSystemBundle("release", "qemuarm64", "5.0", 1_500_000);
        Parts parts = deviceBefore(bundle);
        tool("export", "media/stick", "--for", "qemuarm64");
        String place = "'directories': ['" + folder.resolve("media") + "']";
        Target target = offerOfVersion5();
        Path pulled = source(place).pull(target, storage(), bytes -> {});
        long blocks = (long) Files.getAttribute(pulled, "unix:size");
        assertEquals(target.bytes(), blocks);
        assertTrue(workshop.log.stream().anyMatch(line -> line.startsWith("pull_in_parts:")));
        assertArrayEquals(Files.readAllBytes(bundles.resolve("image-5.0.ext4")), parts.install(pulled));
    }

    /** The repository on a stick for devices on 5.0, which has 6.0 beside it; returns what a device on 5.0 has in its slot. */
    private byte[] stickForVersion5() throws Exception {
        Workshop workshop = new Workshop(bundles);
        byte[] common = Workshop.random(1_500_000, 5);
        byte[] before = Files.readAllBytes(workshop.makeFileSystem("since-5.0", Map.of("common", common)));
        workshop.makeFileSystem("since-6.0", Map.of("common", common, "a-new-one", Workshop.random(100_000, 6)));
        tool(
                "add",
                workshop.bundleOf("since-5.0", "release", "qemuarm64", "5.0").toString());
        version6 = workshop.bundleOf("since-6.0", "release", "qemuarm64", "6.0");
        tool("add", version6.toString());
        publish();
        tool("export", "media/stick", "--for", "qemuarm64", "--since", "5.0");
        // A system that is installed is grown and gets a marker: what is about files is not that of its bundle.
        byte[] content = Arrays.copyOf(common, 4096);
        int files = Parts.indexOf(before, content, 0);
        Arrays.fill(before, 0, files, (byte) 7);
        parts = new Parts(workshop, folder, "release");
        parts.slot(before, Files.readAllBytes(bundles.resolve("since-6.0.ext4")).length);
        needs = parts.needs();
        return before;
    }

    private UpdateSource stick() throws Exception {
        return source("'directories': ['" + folder.resolve("media") + "']");
    }

    private Target version6OnTheStick() throws Exception {
        return assertInstanceOf(CheckResult.Offers.class, stick().check(DEVICE)).targets().stream()
                .filter(target -> target.version().equals("6.0"))
                .findFirst()
                .orElseThrow();
    }

    private Path partsOnTheStick(Target target) {
        return folder.resolve("media/stick/targets").resolve(target.details().get("file") + ".parts");
    }

    @Test
    void aStickForAVersionIsEnoughForThatVersion() throws Exception {
        stickForVersion5();
        Target target = version6OnTheStick();
        assertTrue(Files.size(partsOnTheStick(target)) < target.bytes() / 4);
        assertFalse(Files.exists(
                folder.resolve("media/stick/targets").resolve(target.details().get("file"))));
        Path pulled = stick().pull(target, storage(), bytes -> {});
        assertArrayEquals(Files.readAllBytes(bundles.resolve("since-6.0.ext4")), parts.install(pulled));
    }

    @Test
    void aDeviceThatLacksMoreIsToldWhatTheStickIsFor() throws Exception {
        byte[] before = stickForVersion5();
        parts.slot(new byte[0], before.length * 2);
        Target target = version6OnTheStick();
        SourceException refused =
                assertThrows(SourceException.class, () -> stick().pull(target, storage(), bytes -> {}));
        assertEquals(Reason.DOWNLOAD_FAILED, refused.reason());
        assertTrue(refused.getMessage().contains("devices on version 5.0 lack"), refused.getMessage());
        // Whoever cannot pull in parts needs the whole.
        parts.cannotSay();
        refused = assertThrows(SourceException.class, () -> stick().pull(target, storage(), bytes -> {}));
        assertTrue(refused.getMessage().contains("devices on version 5.0 lack"), refused.getMessage());
        // The whole bundle beside it is taken.
        tool("export", "media/second", "--for", "qemuarm64");
        Path pulled = stick().pull(target, storage(), bytes -> {});
        assertArrayEquals(Files.readAllBytes(version6), Files.readAllBytes(pulled));
    }

    @Test
    void partsThatLieAreRefused() throws Exception {
        stickForVersion5();
        Target target = version6OnTheStick();
        Path file = partsOnTheStick(target);
        byte[] good = Files.readAllBytes(file);
        int content = new String(good, java.nio.charset.StandardCharsets.ISO_8859_1).indexOf("\n\n") + 2;
        String head = new String(good, 0, content, java.nio.charset.StandardCharsets.ISO_8859_1);
        for (String wrong : List.of(
                head.replace("parts-1", "parts-2"),
                head.replace("since=5.0\n", ""),
                head.replace("bytes=" + target.bytes(), "bytes=" + (target.bytes() - 1)),
                head.replaceFirst("range=0 ", "range=-1 "),
                head.replaceFirst("range=0 [0-9]+", "range=0 999999999999999"),
                head.replaceFirst("range=0 [0-9]+", "range=0 0"),
                head.replaceFirst("(range=0 [0-9]+)", "$1\n$1"),
                head.replace("\n\n", "\nmore=1\n\n"),
                head.replace("\n\n", "\n"),
                head.replace("\n", "\r\n"),
                "")) {
            byte[] changed = wrong.getBytes(java.nio.charset.StandardCharsets.ISO_8859_1);
            byte[] all = Arrays.copyOf(changed, changed.length + good.length - content);
            System.arraycopy(good, content, all, changed.length, good.length - content);
            Files.write(file, wrong.isEmpty() ? new byte[0] : all);
            SourceException refused =
                    assertThrows(SourceException.class, () -> stick().pull(target, storage(), bytes -> {}), wrong);
            assertEquals(Reason.DOWNLOAD_FAILED, refused.reason(), wrong);
            assertTrue(refused.getMessage().contains("expected"), refused.getMessage());
        }
        // A byte of the manifest, and one of a block.
        for (int at : new int[] {content + 700, good.length - 5000}) {
            byte[] flipped = good.clone();
            flipped[at] ^= 1;
            Files.write(file, flipped);
            assertEquals(
                    Reason.VERIFICATION_FAILED,
                    assertThrows(SourceException.class, () -> stick().pull(target, storage(), bytes -> {}))
                            .reason(),
                    "byte " + at);
        }
        Files.write(file, Arrays.copyOf(good, good.length - 1));
        assertEquals(
                Reason.DOWNLOAD_FAILED,
                assertThrows(SourceException.class, () -> stick().pull(target, storage(), bytes -> {}))
                        .reason());
    }

    // ---- a stick ----

    @Test
    void aStickIsARepositoryAsWell() throws Exception {
        tool("export", "media/stick", "--for", "qemuarm64");
        String place = "'directories': ['" + folder.resolve("media") + "']";
        clockAt(Instant.now().plus(Duration.ofDays(29)));
        Target target = assertInstanceOf(CheckResult.Offers.class, source(place).check(DEVICE))
                .targets()
                .get(0);
        Path pulled = source(place).pull(target, storage(), bytes -> {});
        assertArrayEquals(Files.readAllBytes(version2), Files.readAllBytes(pulled));
        clockAt(Instant.now().plus(Duration.ofDays(31)));
        assertEquals(
                Reason.EXPIRED,
                assertThrows(SourceException.class, () -> source(place).check(DEVICE))
                        .reason());
        clockAt(Instant.now());
        serve();
        assertEquals(target, onlyOffer());
    }

    @Test
    void aStickThatLiesIsRefused() throws Exception {
        tool("export", "media/stick", "--for", "qemuarm64");
        String place = "'directories': ['" + folder.resolve("media") + "']";
        Target target = assertInstanceOf(CheckResult.Offers.class, source(place).check(DEVICE))
                .targets()
                .get(0);
        Path file =
                folder.resolve("media/stick/targets").resolve(target.details().get("file"));
        byte[] content = Files.readAllBytes(file);
        content[650_000] ^= 1;
        Files.write(file, content);
        assertEquals(
                Reason.VERIFICATION_FAILED,
                assertThrows(SourceException.class, () -> source(place).pull(target, storage(), bytes -> {}))
                        .reason());
        assertEquals(List.of(), Workshop.snapshot(storage()));
    }

    // ---- roll-outs ----

    @Test
    void aRolloutReachesTheShareOfItsPhase() throws Exception {
        Instant start = Instant.parse("2026-06-01T00:00:00Z");
        Rollout rollout = new Rollout(
                start,
                List.of(
                        new Rollout.Phase(0.01, Duration.ofHours(24)),
                        new Rollout.Phase(0.1, Duration.ofHours(48)),
                        new Rollout.Phase(1, Duration.ZERO)),
                Rollout.State.RUNNING,
                List.of());
        assertEquals(0, rollout.share(start.minusSeconds(1)));
        assertEquals(0.01, rollout.share(start));
        assertEquals(0.01, rollout.share(start.plus(Duration.ofHours(24)).minusSeconds(1)));
        assertEquals(0.1, rollout.share(start.plus(Duration.ofHours(24))));
        assertEquals(1, rollout.share(start.plus(Duration.ofHours(72))));
        assertEquals(
                0,
                new Rollout(start, rollout.phases(), Rollout.State.HALTED, List.of())
                        .share(start.plus(Duration.ofHours(99))));
        int first = 0;
        for (int i = 0; i < 100_000; i++) {
            first += Rollout.place("device-" + i, "ab".repeat(32)) < 0.1 ? 1 : 0;
        }
        assertEquals(10_000, first, 400);
    }

    @Test
    void aDeviceWaitsForItsPhaseAndAHaltHoldsItBack() throws Exception {
        tool("add", version3.toString());
        publish("--phase", "0.001%/24h,100%");
        assertEquals("2.0", onlyOffer().version());
        Instant published = Instant.now();
        clockAt(published.plus(Duration.ofHours(24)).plusSeconds(5));
        tool("sign");
        serve();
        Instant resigned = Instant.now();
        // The timestamp of today does not hold tomorrow.
        assertEquals(Reason.EXPIRED, refused().reason());
        clockAt(resigned);
        publish("--phase", "100%", "--target", "qemuarm64-3.0.bundle", "--start", "2026-01-01T00:00:00Z");
        Target target = offers(DEVICE).stream()
                .filter(one -> one.version().equals("3.0"))
                .findFirst()
                .orElseThrow();
        assertTrue(source().isStillOffered(target));
        tool("halt", "qemuarm64-3.0.bundle");
        serve();
        assertFalse(source().isStillOffered(target));
        assertEquals("2.0", onlyOffer().version());
        tool("resume", "qemuarm64-3.0.bundle");
        serve();
        assertTrue(source().isStillOffered(target));
        tool("recall", "qemuarm64-3.0.bundle");
        serve();
        assertFalse(source().isStillOffered(target));
    }

    @Test
    void outsideOfTheSignedWindowsItIsPulledAndNotInstalledAlsoWithoutTheServer() throws Exception {
        // Times of the day by a device whose local time is not that of Greenwich.
        Instant now = Instant.now();
        ZoneOffset zone = ZoneOffset.ofHours(now.atZone(ZoneOffset.UTC).getHour() < 12 ? 9 : -9);
        LocalTime local = now.atZone(zone).toLocalTime().truncatedTo(ChronoUnit.MINUTES);
        clock = Clock.fixed(now, zone);
        publish(
                "--target",
                "qemuarm64-2.0.bundle",
                "--start",
                "2026-01-01T00:00:00Z",
                "--window",
                local.plusHours(2) + "-" + local.plusHours(3));
        Target target = onlyOffer();
        assertArrayEquals(Files.readAllBytes(version2), Files.readAllBytes(pull(target)));
        assertEquals(Reason.DEFERRED, notNow(target).reason());
        server.fail("releases/" + TIMESTAMP, 503);
        assertEquals(Reason.DEFERRED, notNow(target).reason());
        clock = Clock.fixed(now.plus(Duration.ofMinutes(150)), zone);
        assertTrue(source().isStillOffered(target));
        server.repair("releases/" + TIMESTAMP);
        assertTrue(source().isStillOffered(target));
        clock = Clock.fixed(now, ZoneOffset.UTC);
        publish("--target", "qemuarm64-2.0.bundle", "--start", "2026-01-01T00:00:00Z", "--phase", "100%");
        assertTrue(source().isStillOffered(target));
    }

    @Test
    void withoutTheServerWhatItSaidLastHoldsUntilItExpiresAndNothingIsInstalledAfterThat() throws Exception {
        publish("--phase", "100%", "--target", "qemuarm64-2.0.bundle", "--start", "2026-01-01T00:00:00Z");
        Target target = onlyOffer();
        server.fail("releases/" + TIMESTAMP, 503);
        assertTrue(source().isStillOffered(target));
        clockAt(Instant.now().plus(Duration.ofHours(25)));
        SourceException expired = notNow(target);
        assertEquals(Reason.DEFERRED, expired.reason());
        assertTrue(expired.getMessage().contains("what was read before does not hold"), expired.getMessage());
        clockAt(Instant.now());
        server.repair("releases/" + TIMESTAMP);
        tool("halt", "qemuarm64-2.0.bundle");
        serve();
        assertFalse(source().isStillOffered(target));
        server.fail("releases/" + TIMESTAMP, 503);
        // The halt that was read is not forgotten when the server goes away.
        assertFalse(source().isStillOffered(target));
    }

    @Test
    void aDeviceWhoseClockWasNeverSetKnowsNoWindow() throws Exception {
        publish("--target", "qemuarm64-2.0.bundle", "--start", "2026-01-01T00:00:00Z", "--window", "00:00-24:00");
        Target target = onlyOffer();
        assertTrue(source().isStillOffered(target));
        clockAt(Instant.EPOCH);
        assertEquals(Reason.DEFERRED, notNow(target).reason());
    }

    private SourceException notNow(Target target) throws Exception {
        UpdateSource source = source();
        return assertThrows(SourceException.class, () -> source.isStillOffered(target));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "20260102030405"})
    void aDeviceWithoutAClockFollowsTheTimeOfTheSignatureHoweverLongTheTimestampHolds(String built) throws Exception {
        tool("add", version3.toString());
        publish("--phase", "0.001%/72h,100%");
        // A stick's timestamp holds for 30 days, so its end says nothing of when it was made.
        tool("export", "media/stick", "--for", "qemuarm64");
        Files.writeString(folder.resolve("timestamp"), built);
        clockAt(Instant.EPOCH);
        UpdateSource stick = source("'directories': ['" + folder.resolve("media") + "']");
        CheckResult.Offers early = assertInstanceOf(CheckResult.Offers.class, stick.check(DEVICE));
        assertEquals(
                List.of("2.0"), early.targets().stream().map(Target::version).toList());
        tool(
                "sign",
                "--at",
                Instant.now()
                        .plus(Duration.ofHours(73))
                        .truncatedTo(ChronoUnit.SECONDS)
                        .toString());
        serve();
        assertEquals(2, offers(DEVICE).size());
    }

    @Test
    void aDeviceWithoutANameIsAmongTheLast() throws Exception {
        device = "uninitialized";
        tool("add", version3.toString());
        publish("--phase", "99.999%/24h,100%");
        assertEquals("2.0", onlyOffer().version());
        publish("--phase", "100%", "--target", "qemuarm64-3.0.bundle", "--start", "2026-01-01T00:00:00Z");
        assertEquals(2, offers(DEVICE).size());
    }

    // ---- tampering ----

    @ParameterizedTest
    @ValueSource(strings = {"timestamp.json", "2.snapshot.json", "2.targets.json"})
    void metadataThatWasChangedIsRefused(String name) throws Exception {
        byte[] content =
                metadata(name).replaceFirst("\"version\":2", "\"version\":3").getBytes(StandardCharsets.UTF_8);
        server.put("releases/metadata/" + name, content);
        assertEquals(Reason.NOT_TRUSTED, refused().reason());
        serve();
        onlyOffer();
    }

    @Test
    void aBundleThatWasReplacedIsRefusedAndRemoved() throws Exception {
        Target target = onlyOffer();
        byte[] content = Files.readAllBytes(version2);
        content[650_000] ^= 1;
        server.put("releases/targets/" + target.details().get("file"), content);
        assertEquals(
                Reason.VERIFICATION_FAILED,
                assertThrows(SourceException.class, () -> pull(target)).reason());
        assertEquals(List.of(), Workshop.snapshot(storage()));
    }

    @Test
    void aBundleByAnotherKeyInASignedRepositoryIsRefused() throws Exception {
        tool("add", unsigned.toString());
        publish();
        Target target = offers(DEVICE).stream()
                .filter(one -> one.version().equals("4.0"))
                .findFirst()
                .orElseThrow();
        assertEquals(
                Reason.BAD_BUNDLE,
                assertThrows(SourceException.class, () -> pull(target)).reason());
        assertEquals(List.of(), Workshop.snapshot(storage()));
        workshop.run(6, TOOL, "verify", "repo", "--bundle-keys", bundles + "/keys/release.pem");
    }

    @Test
    void aRestrictionThatThisProgramDoesNotKnowIsRefused() throws Exception {
        Path draft = folder.resolve("repo/draft.json");
        ObjectNode content = (ObjectNode) new ObjectMapper().readTree(draft.toFile());
        ((ObjectNode) content.at("/targets/qemuarm64-2.0.bundle/custom/otamgr")).put("only-on-sundays", true);
        Files.writeString(draft, content.toString());
        publish();
        assertEquals(Reason.MALFORMED, refused().reason());
    }

    // ---- going back, standing still ----

    @Test
    void anOlderTimestampIsRefusedAlsoAfterARestart() throws Exception {
        String old = metadata("timestamp.json");
        tool("add", version3.toString());
        publish();
        offers(DEVICE);
        server.put("releases/" + TIMESTAMP, old);
        assertEquals(Reason.NOT_TRUSTED, refused().reason());
    }

    @Test
    void metadataOfAnotherRepositoryIsRefusedAndNotRemembered() throws Exception {
        Path own = folder.resolve("repo");
        workshop.run(TOOL, "init", "other", "--name", "other");
        onlyOffer();
        server.put("releases/" + TIMESTAMP, Files.readAllBytes(folder.resolve("other/www/metadata/timestamp.json")));
        assertEquals(Reason.NOT_TRUSTED, refused().reason());
        serve();
        onlyOffer();
        assertTrue(Files.exists(own));
    }

    @ParameterizedTest
    @ValueSource(strings = {"root.json", "roots", "timestamp.json", "snapshot.json", "targets.json"})
    void aTornStateFileHealsByItself(String name) throws Exception {
        onlyOffer();
        Files.writeString(folder.resolve("state/repository").resolve(name), "{");
        onlyOffer();
        Files.delete(folder.resolve("state/repository").resolve(name));
        onlyOffer();
    }

    @Test
    void whatIsNotSignedAgainEachDayIsRefused() throws Exception {
        clockAt(Instant.now().plus(Duration.ofHours(25)));
        assertEquals(Reason.EXPIRED, refused().reason());
        assertEquals(Reason.EXPIRED.exitCode().status(), 12);
    }

    @Test
    void aDeviceWithoutAClockTakesWhatIsSignedAndKnowsThatItIsNotBeforeItsBuild() throws Exception {
        clockAt(Instant.EPOCH);
        onlyOffer();
        UpdateSource source = source();
        assertEquals(Optional.empty(), source.remark());
        source.check(DEVICE);
        assertTrue(source.remark().orElseThrow().contains("the clock says 1970-01-01T00:00:00Z"));
        clock = Clock.systemUTC();
        source = source();
        source.check(DEVICE);
        assertEquals(Optional.empty(), source.remark());
        clockAt(Instant.EPOCH);
        Files.writeString(folder.resolve("timestamp"), "20270101000000\n");
        assertEquals(Reason.EXPIRED, refused().reason());
        // A machine whose clock was 70 years ahead built it.
        Files.writeString(folder.resolve("timestamp"), "20991231235959\n");
        onlyOffer();
    }

    // ---- servers ----

    @ParameterizedTest
    @CsvSource({"401,NOT_ALLOWED", "429,FETCH_FAILED", "500,FETCH_FAILED"})
    void aServerThatRefusesHasItsReason(int status, Reason reason) throws Exception {
        server.fail("releases/" + TIMESTAMP, status, "Retry-After", "60");
        assertEquals(reason, refused().reason());
        server.repair("releases/" + TIMESTAMP);
        onlyOffer();
    }

    @Test
    void aTargetOfAnotherSourceIsNotPulled() throws Exception {
        Target target = onlyOffer();
        Target elsewhere = new Target(
                target.name(),
                target.version(),
                target.compatible(),
                target.bytes(),
                target.id(),
                target.sha256(),
                Map.of("url", "https://example.com/x"));
        assertEquals(
                Reason.NOT_FOUND,
                assertThrows(SourceException.class, () -> pull(elsewhere)).reason());
        for (String file : List.of("../x", "/etc/passwd", "a//b", "./x", "")) {
            Target outside = new Target(
                    target.name(),
                    target.version(),
                    target.compatible(),
                    target.bytes(),
                    target.id(),
                    target.sha256(),
                    Map.of("path", "x", "file", file));
            assertEquals(
                    Reason.MALFORMED,
                    assertThrows(SourceException.class, () -> pull(outside)).reason());
        }
    }
}
