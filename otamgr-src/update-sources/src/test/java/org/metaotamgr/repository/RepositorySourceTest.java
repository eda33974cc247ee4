// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
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
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.testing.WebServer;
import org.metaotamgr.testing.Workshop;

/** Whatever a server, or somebody on the way to it, makes of a repository: a device takes what was signed, and never goes back. */
class RepositorySourceTest {
    private static final InstalledSystem DEVICE = new InstalledSystem(Optional.empty(), Optional.of("1.0"),
            Optional.of("qemuarm64"), Optional.empty());
    private static final String TOOL = Workshop.script("ota-repository");

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
    private Path www;
    private Clock clock = Clock.systemUTC();

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
        workshop.run(TOOL, "add", "www", version2.toString());
        workshop.run(TOOL, "sign", "--key", "keys/release.key", "www");
    }

    @BeforeEach
    void start() throws Exception {
        workshop = new Workshop(folder);
        server = new WebServer(Optional.of(new Workshop(bundles).serverTls("server", "server")), false);
        www = folder.resolve("www");
        Files.createDirectories(www.resolve("bundles"));
        try (var all = Files.walk(bundles.resolve("www"))) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                Files.copy(file, www.resolve(bundles.resolve("www").relativize(file)));
            }
        }
        publish();
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private void add(Path bundle, String... options) throws Exception {
        String[] command = Stream.of(List.of(TOOL, "add"), List.of(options),
                List.of(www.toString(), bundle.toString())).flatMap(List::stream).toArray(String[]::new);
        workshop.run(command);
    }

    private void sign(String key, String... options) throws Exception {
        workshop.run(Stream.of(List.of(TOOL, "sign", "--key", bundles + "/keys/" + key + ".key"),
                List.of(options), List.of(www.toString())).flatMap(List::stream).toArray(String[]::new));
        publish();
    }

    private void publish() throws IOException {
        try (var all = Files.walk(www)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                server.put("releases/" + www.relativize(file), Files.readAllBytes(file));
            }
        }
    }

    private UpdateSource source(String... more) throws Exception {
        String configuration = "{'type': 'repository', 'url': '" + server.uri("releases") + "', 'caFile': '"
                + bundles.resolve("server.crt") + "', 'buildTime': '" + folder.resolve("timestamp") + "'"
                + String.join("", more) + "}";
        return new RepositorySourceProvider().open(Workshop.config(configuration),
                workshop.context(clock, new Workshop(bundles).verifier("release")));
    }

    private List<Target> offers(InstalledSystem device) throws Exception {
        return assertInstanceOf(CheckResult.Offers.class, source().check(device)).targets();
    }

    private SourceException refused() throws Exception {
        UpdateSource source = source();
        List<String> before = Workshop.snapshot(folder.resolve("state"));
        SourceException refusal = assertThrows(SourceException.class, () -> source.check(DEVICE));
        assertEquals(before, Workshop.snapshot(folder.resolve("state")));
        return refusal;
    }

    private Path storage() throws IOException {
        return Files.createDirectories(folder.resolve("storage"));
    }

    private Path pull(Target target) throws Exception {
        return source().pull(target, storage(), bytes -> { });
    }

    // ---- what is right ----

    @Test
    void aBundleThatWasAddedAndSignedIsOfferedAndPulled() throws Exception {
        Target target = offers(DEVICE).get(0);
        assertEquals("qemuarm64-2.0", target.name());
        assertEquals(Optional.of("qemuarm64"), target.compatible());
        assertArrayEquals(Files.readAllBytes(version2), Files.readAllBytes(pull(target)));
        assertTrue(source().isStillOffered(target));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 512, 100_000, 262_144, 699_999})
    void aPullThatBreaksGoesOnInAnotherProcess(int cut) throws Exception {
        Target target = offers(DEVICE).get(0);
        server.cutAfter = cut;
        assertEquals(Reason.DOWNLOAD_FAILED, assertThrows(SourceException.class, () -> pull(target)).reason());
        server.cutAfter = -1;
        assertArrayEquals(Files.readAllBytes(version2), Files.readAllBytes(pull(target)));
        assertTrue(server.asked.get(server.asked.size() - 1).endsWith(" bytes=" + cut + "-"), server.asked.toString());
    }

    @Test
    void theTokenIsShown() throws Exception {
        source(", 'token': 'abc'").check(DEVICE);
        assertEquals("Bearer abc", server.headers.get(0).getFirst("Authorization"));
    }

    @Test
    void whatWasTakenOutOfTheListIsNotOfferedAnyMore() throws Exception {
        add(version3);
        sign("release");
        Target target = offers(DEVICE).stream().filter(one -> one.version().equals("2.0")).findFirst().orElseThrow();
        workshop.run(TOOL, "remove", www.toString(), "qemuarm64-2.0");
        sign("release");
        assertFalse(source().isStillOffered(target));
        assertEquals(List.of("3.0"), offers(DEVICE).stream().map(Target::version).toList());
    }

    @Test
    void aVersionThatNeedsAnotherOneFirstWaits() throws Exception {
        add(version3, "--minimum", "2.0");
        sign("release");
        assertEquals(List.of("2.0"), offers(DEVICE).stream().map(Target::version).toList());
        InstalledSystem updated = new InstalledSystem(Optional.empty(), Optional.of("2.0"), DEVICE.compatible(),
                Optional.empty());
        assertEquals(List.of("2.0", "3.0"), offers(updated).stream().map(Target::version).toList());
    }

    @Test
    void bundlesForOtherBoardsAreShownOnlyWhenThereIsNothingElse() throws Exception {
        add(foreign);
        sign("release");
        assertEquals(List.of("qemuarm64-2.0"), offers(DEVICE).stream().map(Target::name).toList());
        workshop.run(TOOL, "remove", www.toString(), "qemuarm64-2.0");
        sign("release");
        assertEquals(Optional.of("raspberrypi4"), offers(DEVICE).get(0).compatible());
    }

    // ---- tampering ----

    @ParameterizedTest
    @ValueSource(ints = {0, 10, 200})
    void aListThatWasChangedIsRefused(int at) throws Exception {
        byte[] index = Files.readAllBytes(www.resolve("index.json"));
        index[at] ^= 1;
        server.put("releases/index.json", index);
        assertEquals(Reason.NOT_TRUSTED, refused().reason());
    }

    @Test
    void aListOfAnotherKeyIsRefused() throws Exception {
        sign("mallory");
        assertEquals(Reason.NOT_TRUSTED, refused().reason());
    }

    @Test
    void anEmptyOrHugeSignatureIsRefused() throws Exception {
        server.put("releases/index.json.sig", "");
        assertEquals(Reason.NOT_TRUSTED, refused().reason());
        server.put("releases/index.json.sig", new byte[5000]);
        assertEquals(Reason.MALFORMED, refused().reason());
    }

    @Test
    void aBundleThatWasReplacedIsRefusedAndRemoved() throws Exception {
        Target target = offers(DEVICE).get(0);
        byte[] content = Files.readAllBytes(version2);
        content[650_000] ^= 1;
        server.put(server.uri().relativize(URI.create(target.details().get("url"))).toString(), content);
        assertEquals(Reason.VERIFICATION_FAILED, assertThrows(SourceException.class, () -> pull(target)).reason());
        assertEquals(List.of(), Workshop.snapshot(storage()));
    }

    @Test
    void aBundleByAnotherKeyInASignedListIsRefused() throws Exception {
        add(unsigned);
        sign("release");
        Target target = offers(DEVICE).stream().filter(one -> one.version().equals("4.0")).findFirst().orElseThrow();
        assertEquals(Reason.BAD_BUNDLE, assertThrows(SourceException.class, () -> pull(target)).reason());
        assertEquals(List.of(), Workshop.snapshot(storage()));
        workshop.run(6, TOOL, "verify", "--keys", bundles + "/keys/release.pem", www.toString());
    }

    @Test
    void publishingInTheMiddleOfACheckIsNoAttack() throws Exception {
        byte[] old = Files.readAllBytes(www.resolve("index.json"));
        add(version3);
        sign("release");
        // The list comes from before, the signature from after.
        server.handle("releases/index.json", exchange -> {
            server.repair("releases/index.json");
            exchange.sendResponseHeaders(200, old.length);
            exchange.getResponseBody().write(old);
        });
        assertEquals(2, offers(DEVICE).size());
    }

    // ---- going back, standing still ----

    @Test
    void anOlderListIsRefusedAlsoAfterARestart() throws Exception {
        byte[] index = Files.readAllBytes(www.resolve("index.json"));
        byte[] signature = Files.readAllBytes(www.resolve("index.json.sig"));
        offers(DEVICE);
        add(version3);
        sign("release");
        offers(DEVICE);
        server.put("releases/index.json", index);
        server.put("releases/index.json.sig", signature);
        SourceException older = refused();
        assertEquals(Reason.NOT_TRUSTED, older.reason());
        assertTrue(older.getMessage().contains("expected at least generation 2"), older.getMessage());
    }

    @Test
    void twoListsWithOneNumberAreRefused() throws Exception {
        offers(DEVICE);
        Files.writeString(www.resolve("targets.json"),
                Files.readString(www.resolve("targets.json")).replace("\"generation\": 1", "\"generation\": 0"));
        add(version3);
        sign("release");
        assertTrue(refused().getMessage().contains("the same number"));
    }

    @Test
    void theListOfAnotherRepositoryIsRefused() throws Exception {
        UpdateSource stable = source(", 'repository': 'stable'");
        SourceException other = assertThrows(SourceException.class, () -> stable.check(DEVICE));
        assertEquals(Reason.NOT_TRUSTED, other.reason());
        assertTrue(other.getMessage().contains("found that of main"), other.getMessage());
    }

    @Test
    void aMemoryThatCannotBeReadIsNotTakenForNone() throws Exception {
        offers(DEVICE);
        Files.writeString(folder.resolve("state/repository-main.json"), "{}");
        assertEquals(Reason.NOT_TRUSTED, refused().reason());
    }

    @Test
    void aListPastItsDateIsRefused() throws Exception {
        clock = Clock.fixed(Instant.now().plusSeconds(31 * 86400), ZoneOffset.UTC);
        assertEquals(Reason.EXPIRED, refused().reason());
        assertEquals(Reason.EXPIRED.exitCode().status(), 12);
    }

    @Test
    void aDeviceWithoutAClockTakesAListAndBelievesItsDate() throws Exception {
        clock = Clock.fixed(Instant.EPOCH, ZoneOffset.UTC);
        offers(DEVICE);
        assertTrue(Files.readString(folder.resolve("state/repository-main.json")).contains("\"created\":"));
    }

    @Test
    void aDeviceWithoutAClockKnowsThatItIsNotBeforeItsBuild() throws Exception {
        clock = Clock.fixed(Instant.EPOCH, ZoneOffset.UTC);
        Files.writeString(folder.resolve("timestamp"), "20991231235959\n");
        SourceException old = refused();
        assertEquals(Reason.EXPIRED, old.reason());
        assertTrue(old.getMessage().contains("2099-12-31T23:59:59Z"), old.getMessage());
    }

    @Test
    void aDeviceWithoutAClockKnowsThatItIsNotBeforeTheLastList() throws Exception {
        clock = Clock.fixed(Instant.EPOCH, ZoneOffset.UTC);
        offers(DEVICE);
        Path seen = folder.resolve("state/repository-main.json");
        Files.writeString(seen, Files.readString(seen).replaceFirst("\"created\":\\d+", "\"created\":4102444800"));
        assertEquals(Reason.EXPIRED, refused().reason());
    }

    // ---- what is no list ----

    @ParameterizedTest
    @ValueSource(strings = {" ", "[]", "nonsense", "{}", "{\"format\": \"otamgr-repository-2\"}",
        "{\"format\": \"otamgr-repository-1\", \"repository\": \"main\", \"generation\": 2, \"created\": \"2026-01-01T00:00:00Z\", "
            + "\"expires\": \"2099-01-01T00:00:00Z\", \"targets\": [], \"only-for\": \"others\"}",
        "{\"format\": \"otamgr-repository-1\", \"repository\": \"../main\", \"generation\": 2, \"created\": "
            + "\"2026-01-01T00:00:00Z\", \"expires\": \"2099-01-01T00:00:00Z\", \"targets\": []}",
        "{\"format\": \"otamgr-repository-1\", \"format\": \"otamgr-repository-1\"}"})
    void aSignedFileThatIsNoListIsRefused(String content) throws Exception {
        publishSigned(content);
        assertEquals(Reason.MALFORMED, refused().reason());
    }

    private void publishSigned(String content) throws Exception {
        Path file = Files.writeString(folder.resolve("other.json"), content);
        workshop.run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", bundles + "/keys/release.key", "-in", file.toString(),
                "-out", folder.resolve("other.sig").toString());
        server.put("releases/index.json", Files.readAllBytes(file));
        server.put("releases/index.json.sig", Files.readAllBytes(folder.resolve("other.sig")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/etc/passwd", "../../x", "bundles/../../x", "https://example.com/x", "//example.com/x", "", "a//b",
        "bundles/x?y", "bundles/%2e%2e/x", "./x"})
    void aBundleOutsideOfTheFolderIsRefused(String path) throws Exception {
        String index = Files.readString(www.resolve("index.json"), StandardCharsets.UTF_8);
        publishSigned(index.replaceFirst("\"bundle\": \"[^\"]*\"", "\"bundle\": \"" + path + "\""));
        SourceException refusal = refused();
        assertEquals(Reason.MALFORMED, refusal.reason());
        assertTrue(refusal.getMessage().contains("below the folder"), refusal.getMessage());
    }

    @Test
    void anEmptyListOffersNothing() throws Exception {
        String index = Files.readString(www.resolve("index.json"), StandardCharsets.UTF_8);
        publishSigned(index.replaceFirst("(?s)\"targets\": \\[.*\\]", "\"targets\": []"));
        assertInstanceOf(CheckResult.Nothing.class, source().check(DEVICE));
    }

    // ---- servers ----

    @ParameterizedTest
    @CsvSource({"401,NOT_ALLOWED", "404,NOT_FOUND", "429,FETCH_FAILED", "500,FETCH_FAILED"})
    void aServerThatRefusesHasItsReason(int status, Reason reason) throws Exception {
        server.fail("releases/index.json", status, "Retry-After", "60");
        assertEquals(reason, refused().reason());
        server.repair("releases/index.json");
        server.fail("releases/index.json.sig", status);
        assertEquals(reason, refused().reason());
    }

    @Test
    void aTargetOfAnotherSourceIsNotPulled() throws Exception {
        Target target = offers(DEVICE).get(0);
        Target elsewhere = new Target(target.name(), target.version(), target.compatible(), target.bytes(), target.id(),
                target.sha256(), Map.of("url", "https://example.com/x"));
        assertEquals(Reason.NOT_FOUND, assertThrows(SourceException.class, () -> pull(elsewhere)).reason());
    }
}
