// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** "OTA service", section 6: the numbers are those of its table. */
@DisplayName("What the original tools did wrong is not repeated")
class DefectsTest {

    private static final String UPLOADER = "--as=partner-ota-hub-uploader";
    private static final String DEPLOY = "--as=partner-ota-hub-deploy";

    @TempDir
    Path temporary;

    private Workshop shop;

    @BeforeEach
    void start() throws Exception {
        shop = new Workshop(temporary);
    }

    @AfterEach
    void stop() throws Exception {
        shop.close();
    }

    private static void assertExit(ExitStatus expected, Workshop.Result result) {
        assertEquals(expected.code(), result.exit(), result::toString);
    }

    private void bitbake(String script) throws IOException {
        Path folder = Files.createDirectories(shop.folder.resolve("bin"));
        Files.writeString(folder.resolve("bitbake"), "#!/bin/sh\n" + script);
        Files.setPosixFilePermissions(folder.resolve("bitbake"), PosixFilePermissions.fromString("rwx------"));
        shop.environment.put("PATH", folder + ":/usr/bin:/bin");
    }

    private JsonNode poolRecord() throws IOException {
        return new ObjectMapper().readTree(Files.readString(shop.folder.resolve("full_ota_record.json")));
    }

    @Test
    @DisplayName("1: runs on Java 17, by java alone")
    void defect01() throws Exception {
        try (DataInputStream in = new DataInputStream(Ota.class.getResourceAsStream("Ota.class"))) {
            assertEquals(0xcafebabe, in.readInt());
            in.readUnsignedShort();
            assertEquals(61, in.readUnsignedShort(), "class files of Java 17");
        }
        Process java = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Ota.class.getName(),
                        "--version")
                .redirectErrorStream(true)
                .start();
        String said = new String(java.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(java.waitFor(60, TimeUnit.SECONDS));
        assertEquals(0, java.exitValue(), said);
        assertTrue(said.startsWith("ota "), said);
    }

    @Test
    @DisplayName("2: the access token is never shown, nor any other secret, not even by --trace")
    void defect02() throws Exception {
        String image = shop.good("record", "create", "-n", "1", "-s", "--trace").err()
                + shop.good("image", "upload", "-n", "1", "-s", "--trace").err()
                + shop.good("image", "list", "--trace").err();
        assertTrue(
                image.contains("(Authorization: Bearer ***)") && image.contains("(Authorization: Basic ***)"), image);
        assertFalse(shop.service.issuedTokens().isEmpty());
        shop.close();
    }

    @Test
    @DisplayName(
            "3: slot A and a both set the URL; other slots are refused; a URL that is not kept is noticed before anything is offered")
    void defect03() throws Exception {
        int build = 0;
        for (String slot : List.of("A", "a")) {
            shop.conf.putObject("imageFiles").put(slot, "hub_update.bin");
            shop.writeConf();
            shop.uploaded(++build);
            assertFalse(shop.good("image", "list", "--json", "--show-url")
                    .json()
                    .path("images")
                    .get(build - 1)
                    .path("url")
                    .asText()
                    .isEmpty());
        }
        shop.good("record", "create", "-n", "9", "-s");
        shop.service.forgetRequests();
        for (String files : List.of(
                "{\"b\":\"hub_update.bin\"}",
                "{\"A\":\"hub_update.bin\",\"a\":\"hub_update.bin\"}",
                "{}",
                "[]",
                "{\"A\":\"hub_update.bin\",\"b\":\"x\"}")) {
            shop.conf.set("imageFiles", new ObjectMapper().readTree(files));
            shop.writeConf();
            assertExit(ExitStatus.CONFIGURATION, shop.run("image", "upload", "-n", "9", "-s"));
        }
        assertEquals(List.of(), shop.routes());
        shop.conf.putObject("imageFiles").put("A", "hub_update.bin");
        shop.writeConf();
        shop.service.addFault("forget-url@1");
        assertExit(ExitStatus.SERVICE, shop.run("image", "upload", "-n", "9", "-s"));
        assertEquals(0, shop.count("associate"));
    }

    @Test
    @DisplayName("4: a list of more than one page is shown whole, each image once")
    void defect04() throws Exception {
        shop.seed(450);
        for (Workshop.Result result : List.of(shop.good("image", "list"), shop.good(DEPLOY, "-l"))) {
            for (int build = 1; build <= 450; build++) {
                String version = " 1.0." + build + " ";
                assertEquals(
                        1,
                        result.out()
                                .lines()
                                .filter(line -> line.contains(version))
                                .count(),
                        version);
            }
        }
        assertTrue(shop.good(DEPLOY, "--list").out().contains("Total Number of Images: 450"));
        assertEquals(
                450, shop.good("image", "list", "--json").json().path("images").size());
    }

    @Test
    @DisplayName("5: a list with absent descriptions and with any text is shown")
    void defect05() throws Exception {
        shop.conf.remove("description");
        shop.conf.put("name", "Größe 漢字");
        shop.writeConf();
        shop.uploaded(1);
        assertTrue(shop.good(DEPLOY, "-l").out().contains("Größe 漢字"));
        assertTrue(shop.good("image", "list").out().contains("Größe 漢字"));
    }

    @Test
    @DisplayName("6: every spelling of the image id works: -i, --imageId, --imageId=, --image-id")
    void defect06() throws Exception {
        String image = shop.uploaded(1);
        shop.good(DEPLOY, "-d", "device-00001", "-i", image);
        shop.good(DEPLOY, "--device", "device-00001", "--imageId", image);
        shop.good(DEPLOY, "--device=device-00001", "--imageId=" + image);
        shop.good("deploy", "--device", "device-00001", "--image-id", image);
        shop.good("deploy", "-d", "device-00001", "--imageId=" + image);
        assertEquals(5, shop.count("push"));
    }

    @Test
    @DisplayName("7: where the record file is can be said: -s, --tmpdir, --record, one at a time")
    void defect07() throws Exception {
        Files.createDirectories(shop.folder.resolve("tmp"));
        shop.good("record", "create", "-n", "1", "-s");
        shop.good("record", "create", "-n", "2", "--tmpdir", "tmp");
        shop.good("record", "create", "-n", "3", "--record", "mine.json");
        for (String file : List.of("full_ota_record.json", "tmp/full_ota_record.json", "mine.json")) {
            assertTrue(Files.exists(shop.folder.resolve(file)), file);
        }
        shop.good("image", "upload", "-n", "2", "--tmpdir", "tmp");
        shop.good("image", "upload", "-n", "3", "--record", "mine.json");
        assertExit(ExitStatus.USAGE, shop.run("record", "create", "-n", "4", "-s", "--tmpdir", "tmp"));
    }

    @Test
    @DisplayName("8: TMPDIR of bitbake -e is matched exactly, whatever stands around it")
    void defect08() throws Exception {
        Path tmpdir = Files.createDirectories(shop.folder.resolve("a=b \"c\" $HOME"));
        bitbake(
                "cat << 'EOF'\n# $TMPDIRECTORY\nTMPDIRECTORY=\"/wrong\"\nexport TMPDIR_X=\"/wrong\"\ndo_it() {\nTMPDIR=\"/wrong\"\n}\n#\n# $TMPDIR [2 operations]\n#   \"${TOPDIR}/tmp\"\n"
                        + "TMPDIR=\"" + tmpdir.toString().replace("\"", "\\\"") + "\"\nXTMPDIR=\"/wrong\"\nEOF\n");
        shop.good("record", "create", "-n", "1");
        assertTrue(Files.exists(tmpdir.resolve("full_ota_record.json")));
        bitbake("printf 'TMPDIR=\"/x\"\\nTMPDIR=\"/y\"\\n'\n");
        Workshop.Result two = shop.run("record", "create", "-n", "2");
        assertExit(ExitStatus.LOCAL, two);
        assertTrue(two.err().contains("--tmpdir"), two.err());
        bitbake("echo broken >&2; exit 3\n");
        assertExit(ExitStatus.LOCAL, shop.run("record", "create", "-n", "2"));
        bitbake("sleep 600\n");
        assertTimeout(
                Duration.ofSeconds(60),
                () -> assertExit(ExitStatus.LOCAL, shop.run("record", "create", "-n", "2", "--bitbake-timeout", "1")));
        assertEquals(1, shop.records());
    }

    @Test
    @DisplayName(
            "9: nothing is created that cannot be written down; what could not be written is shown and can be recovered")
    void defect09() throws Exception {
        Workshop.Result missing = shop.run("record", "create", "-n", "1", "--tmpdir", "nowhere");
        assertExit(ExitStatus.LOCAL, missing);
        assertEquals(List.of(), shop.routes());
        // The file becomes a folder after the check: the write fails, the record is there.
        shop.service.addFault("slow=1500:create@1");
        Path file = shop.folder.resolve("full_ota_record.json");
        Thread obstacle = new Thread(() -> {
            try {
                while (shop.count("exists") == 0) {
                    Thread.onSpinWait();
                }
                Files.createDirectories(file.resolve("in the way"));
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
        obstacle.start();
        Workshop.Result unwritten = shop.run("record", "create", "-n", "1", "-s");
        obstacle.join();
        assertExit(ExitStatus.LOCAL, unwritten);
        assertEquals(
                "1.0.1",
                new ObjectMapper().readTree(unwritten.out()).path("version").asText());
        assertTrue(unwritten.err().contains("ota record recover"), unwritten.err());
        Files.delete(file.resolve("in the way"));
        Files.delete(file);
        shop.good("record", "recover", "-n", "1", "-s");
        assertEquals(new ObjectMapper().readTree(unwritten.out()), poolRecord());
        assertExit(ExitStatus.CONFLICT, shop.run("record", "create", "-n", "1", "-s"));
        assertExit(ExitStatus.CONFLICT, shop.run("record", "recover", "-n", "2", "-s"));
    }

    @Test
    @DisplayName(
            "10: blanks, percent, plus, question mark and hash in a name mean themselves; slashes are refused at once")
    void defect10() throws Exception {
        int build = 0;
        for (String name : List.of("a b", "100%25", "a+b", "what?x=1", "a#b", "a&b;c", "..", "ä")) {
            shop.conf.put("name", name);
            shop.writeConf();
            shop.uploaded(++build);
            assertEquals(name, poolRecord().path("name").asText());
            assertExit(ExitStatus.CONFLICT, shop.run("record", "create", "-n", Integer.toString(build), "-s"));
        }
        shop.service.forgetRequests();
        for (String name : List.of("a/b", "a\\b")) {
            shop.conf.put("name", name);
            shop.writeConf();
            assertExit(ExitStatus.CONFIGURATION, shop.run("record", "create", "-n", "99", "-s"));
        }
        assertEquals(List.of(), shop.routes());
    }

    @Test
    @DisplayName("11: text outside ASCII works everywhere and is ASCII in the record file")
    void defect11() throws Exception {
        shop.conf.put("name", "Kühlgerät").put("description", "für Österreich – 漢字 🙂");
        shop.writeConf();
        shop.uploaded(1);
        assertEquals("für Österreich – 漢字 🙂", poolRecord().path("description").asText());
        assertTrue(Files.readString(shop.folder.resolve("full_ota_record.json"))
                .chars()
                .allMatch(c -> c < 128));
        shop.conf.put("username", "jürgen@example.org");
        shop.writeConf();
        assertExit(ExitStatus.AUTHORISATION, shop.run("image", "list"));
    }

    @Test
    @DisplayName(
            "12: exit statuses are small, distinct and only 0 for success: help 0, mismatch 5, missing image id 2, missing action 2")
    void defect12() throws Exception {
        assertExit(ExitStatus.SUCCESS, shop.run(UPLOADER, "-h"));
        assertExit(ExitStatus.SUCCESS, shop.run(DEPLOY, "-h"));
        assertExit(ExitStatus.SUCCESS, shop.run("deploy", "--help"));
        assertExit(ExitStatus.USAGE, shop.run(DEPLOY, "-d", "device-00001"));
        assertExit(ExitStatus.USAGE, shop.run(DEPLOY));
        assertExit(ExitStatus.USAGE, shop.run(UPLOADER, "-n", "1"));
        assertExit(ExitStatus.USAGE, shop.run());
        assertExit(ExitStatus.USAGE, shop.run("nonsense"));
        shop.good("record", "create", "-n", "1", "-s");
        assertExit(ExitStatus.CONFLICT, shop.run(UPLOADER, "-s", "-n", "2", "--uploadOTAImage"));
        Set<Integer> codes = new TreeSet<>();
        for (ExitStatus status : ExitStatus.values()) {
            assertTrue(codes.add(status.code()) && status.code() < 64);
        }
    }

    @Test
    @DisplayName("13: both actions or none are refused before anything is asked")
    void defect13() {
        assertExit(ExitStatus.USAGE, shop.run(UPLOADER, "-s", "-n", "1", "--createOTARecord", "--uploadOTAImage"));
        assertExit(ExitStatus.USAGE, shop.run(UPLOADER, "-s", "-n", "1"));
        assertEquals(List.of(), shop.routes());
    }

    @Test
    @DisplayName("14: whatever can be checked here is checked before the first request")
    void defect14() throws Exception {
        Files.delete(shop.folder.resolve("hub_update.bin"));
        assertExit(ExitStatus.CONFIGURATION, shop.run("image", "upload", "-n", "1", "-s"));
        shop.image(10);
        assertExit(ExitStatus.LOCAL, shop.run("image", "upload", "-n", "1", "-s"));
        assertExit(ExitStatus.USAGE, shop.run("image", "upload", "-s"));
        assertExit(ExitStatus.USAGE, shop.run("deploy", "-i", "x", "-d", "device-00001"));
        assertExit(ExitStatus.USAGE, shop.run("deploy", "-i", "1"));
        assertExit(ExitStatus.LOCAL, shop.run("deploy", "-i", "1", "--devices", "nowhere.txt"));
        assertExit(ExitStatus.CONFIGURATION, shop.run("image", "list", "-c", "nowhere.json"));
        assertExit(ExitStatus.LOCAL, shop.run("record", "create", "-n", "1"));
        assertEquals(List.of(), shop.routes());
    }

    @Test
    @DisplayName("15: every shape of error is told in one readable line")
    void defect15() throws Exception {
        String[][] shapes = {
            {
                "{\"timestamp\":1,\"status\":401,\"error\":\"unauthorized\",\"error_description\":\"Full authentication is required\",\"service_name\":\"ClientApi\"}",
                "unauthorized: Full authentication is required"
            },
            {
                "{\"status\":400,\"error\":\"Bad Request\",\"trace\":\"io.afero.Bad: validation failed at once\\n\\tat io.afero.X\"}",
                "Bad Request: io.afero.Bad: validation failed at once"
            },
            {"{\"error\":\"invalid_grant\",\"error_description\":\"Bad credentials\"}", "invalid_grant: Bad credentials"
            },
            {"", "no more was said"},
            {"<html><body><h1>502 Bad\nGateway</h1>" + "x".repeat(5000) + "</body></html>", "502 Bad Gateway"},
            {"[1]", "[1]"},
        };
        for (String[] shape : shapes) {
            String message =
                    new ServiceAnswer("GET", "/v1/x", 400, shape[0].getBytes(StandardCharsets.UTF_8)).message();
            assertTrue(message.startsWith("HTTP 400 from GET /v1/x: ") && message.contains(shape[1]), message);
            assertTrue(message.length() < 300 && message.lines().count() == 1, message);
        }
        shop.service.addFault("html=500:images-type@1");
        Workshop.Result result = shop.run("image", "list");
        assertExit(ExitStatus.SERVICE, result);
        assertTrue(result.err().startsWith("ota: HTTP 500 from GET /v1/ota/"), result.err());
        shop.service.addFault("403:images-type@1");
        assertExit(ExitStatus.AUTHORISATION, shop.run("image", "list"));
    }

    @Test
    @DisplayName("16: a failed upload names the file, and the file is closed")
    void defect16() throws Exception {
        shop.good("record", "create", "-n", "1", "-s");
        shop.image(3_000_000);
        shop.service.addFault("500:upload@1");
        Workshop.Result result = shop.run("image", "upload", "-n", "1", "-s");
        assertExit(ExitStatus.SERVICE, result);
        assertTrue(result.err().contains("hub_update.bin: HTTP 500"), result.err());
        shop.service.addFault("cut=50:upload@1-2");
        shop.good("image", "upload", "-n", "1", "-s");
        try (var open = Files.list(Path.of("/proc/self/fd"))) {
            for (Path descriptor : open.toList()) {
                if (Files.isSymbolicLink(descriptor)) {
                    assertFalse(Files.readSymbolicLink(descriptor).toString().contains("hub_update.bin"), "still open");
                }
            }
        }
    }

    @Test
    @DisplayName("17: what does not answer is given up: a call, an upload, a host that is not there")
    void defect17() throws Exception {
        shop.good("record", "create", "-n", "1", "-s");
        assertTimeout(Duration.ofSeconds(50), () -> {
            shop.service.addFault("slow=600000:images-type");
            Workshop.Result late = shop.run("image", "list", "--timeout", "1", "--retries", "1");
            assertExit(ExitStatus.NETWORK, late);
            assertTrue(late.err().contains("no answer after 1 s"), late.err());
            shop.service.addFault("slow=600000:upload");
            assertExit(
                    ExitStatus.NETWORK,
                    shop.run("image", "upload", "-n", "1", "-s", "--timeout", "1", "--retries", "1"));
            Workshop.Result nobody = shop.run("image", "list", "--url", "http://127.0.0.1:1", "--retries", "2");
            assertExit(ExitStatus.NETWORK, nobody);
            assertTrue(nobody.err().contains("http://127.0.0.1:1 cannot be reached"), nobody.err());
        });
        assertFalse(shop.pauses.isEmpty(), "it has paused between the tries");
    }

    @Test
    @DisplayName("18: what may pass is tried again, and after a failure the next run does not send the image again")
    void defect18() throws Exception {
        shop.good("record", "create", "-n", "1", "-s");
        for (String fault : List.of(
                "html=502:pool-type@1",
                "503:exists@1-2",
                "429:image@1",
                "504:update@1",
                "502:upload@1",
                "cut=0:move@1",
                "empty=503:token@1")) {
            shop.service.addFault(fault);
        }
        shop.service.addFault("500:associate@1");
        Workshop.Result failed = shop.run("image", "upload", "-n", "1", "-s");
        assertExit(ExitStatus.SERVICE, failed);
        assertEquals(2, shop.count("upload"));
        shop.good("image", "upload", "-n", "1", "-s");
        assertEquals(2, shop.count("upload"), "not sent again");
        shop.good("image", "upload", "-n", "1", "-s");
        assertEquals(2, shop.count("associate"), "nothing was left to do");
    }

    @Test
    @DisplayName("19: an upload shows bytes, rate, percentage and time on a terminal, and nothing elsewhere")
    void defect19() throws Exception {
        shop.good("record", "create", "-n", "1", "-s");
        String bar = shop.good("image", "upload", "-n", "1", "-s", "--progress", "always")
                .err();
        assertTrue(bar.contains("hub_update.bin [################] 100 %  100 kB of 100 kB  "), bar);
        assertTrue(bar.matches("(?s).*[0-9.]+ [kM]?B/s  in 0:0[0-9].*"), bar);
        shop.good("record", "create", "-n", "2", "-s");
        assertFalse(shop.good("image", "upload", "-n", "2", "-s").err().contains("%"));
    }

    @Test
    @DisplayName("20: a token that expires at any call, or before an upload, is renewed without a word")
    void defect20(@TempDir Path other) throws Exception {
        for (int call = 1; call <= 12; call++) {
            shop.service.clearFaults();
            shop.service.addFault("expire-token@" + call);
            assertEquals(
                    "",
                    shop.good("record", "create", "-n", Integer.toString(call), "-s")
                            .err());
            shop.image(1000 + call);
            String image = shop.good("image", "upload", "-n", Integer.toString(call), "-s", "--json")
                    .json()
                    .path("imageId")
                    .asText();
            shop.good("deploy", "-i", image, "-d", "device-00001");
        }
        assertEquals(
                12,
                shop.count("push")
                        - shop.service.requests().stream()
                                .filter(request -> request.route().equals("push") && request.status() == 401)
                                .count());
        try (Workshop brief = new Workshop(other, settings -> settings.withTokenLife(Duration.ofSeconds(1)))) {
            brief.uploaded(1);
        }
    }

    @Test
    @DisplayName(
            "21: other bytes on the service than in the file are noticed, and nothing is published; an empty file is refused")
    void defect21() throws Exception {
        shop.good("record", "create", "-n", "1", "-s");
        shop.service.addFault("wrong-sha@1");
        Workshop.Result wrong = shop.run("image", "upload", "-n", "1", "-s");
        assertExit(ExitStatus.SERVICE, wrong);
        assertTrue(wrong.err().contains("SHA-256"), wrong.err());
        assertEquals(0, shop.count("move"));
        shop.good("image", "upload", "-n", "1", "-s");
        shop.image(0);
        assertExit(ExitStatus.CONFIGURATION, shop.run("image", "upload", "-n", "1", "-s"));
    }

    @Test
    @DisplayName("22: the record is associated exactly as the service has it")
    void defect22() throws Exception {
        shop.conf.putArray("tags").add("beta");
        shop.writeConf();
        shop.uploaded(1);
        assertFalse(shop.state().path("images").get(0).path("modified").asBoolean());
        assertEquals(
                "ready to deploy: image 49867",
                shop.good("status", "-n", "1", "--json")
                        .json()
                        .path("build")
                        .path("state")
                        .asText());
        assertEquals(
                "[\"beta\"]",
                shop.good("image", "list", "--json")
                        .json()
                        .path("images")
                        .get(0)
                        .path("tags")
                        .toString());
    }

    @Test
    @DisplayName("23: a record that somebody else created in between is told as existing")
    void defect23() {
        shop.service.addFault("409:create@1");
        Workshop.Result result = shop.run("record", "create", "-n", "1", "-s");
        assertExit(ExitStatus.CONFLICT, result);
        assertTrue(result.err().contains("exists already"), result.err());
    }

    @Test
    @DisplayName(
            "24: several devices at once, from arguments, a file or standard input, each with its result; unknown ones are named; the installation can be waited for")
    void defect24(@TempDir Path other) throws Exception {
        String image = shop.uploaded(1);
        Workshop.Result unknownImage = shop.run("deploy", "-i", "4", "-d", "device-00001");
        assertExit(ExitStatus.CONFLICT, unknownImage);
        assertEquals(0, shop.count("push"));
        Files.writeString(
                shop.folder.resolve("devices.txt"),
                "# the fleet\ndevice-00001\n  device-00002  # second\n\nnobody\ndevice-00001\n");
        Workshop.Result result = shop.run("deploy", "-i", image, "--devices", "devices.txt", "--json");
        assertExit(ExitStatus.PARTIAL, result);
        assertEquals(
                "{\"accepted\":2,\"earlier\":0,\"failed\":1,\"unclear\":0}",
                result.json().path("counts").toString());
        assertTrue(result.json().path("devices").get(2).path("message").asText().contains("HTTP 404"), result.out());
        shop.input("device-00003\n");
        shop.good("deploy", "-i", image, "--devices", "-", "--journal", "other.journal");
        assertTrue(shop.run("deploy", "-i", image, "-d", "nobody").out().contains("failed: nobody: HTTP 404"));
        assertTrue(
                shop.run("status", "-d", "device-00001", "-d", "nobody").out().contains("not in the account"));
        Workshop.Result late = shop.run("deploy", "-i", image, "-d", "device-00001", "--wait", "1");
        assertExit(ExitStatus.PARTIAL, late);
        assertTrue(late.out().contains("0 of 1 devices report it as installed"), late.out());
        try (Workshop installing = new Workshop(other, settings -> settings.withInstallAfter(Duration.ofMillis(1)))) {
            String good = installing.uploaded(1);
            assertTrue(installing
                    .good("deploy", "-i", good, "-d", "device-00001", "-d", "device-00002", "--wait", "60")
                    .out()
                    .contains("2 of 2 devices report it as installed"));
            assertTrue(installing.good("status", "-d", "device-00001").out().contains(" 1.0.1 "));
        }
    }

    @Test
    @DisplayName("25: an upload tells the image id that a deployment needs")
    void defect25() throws Exception {
        shop.good("record", "create", "-n", "1", "-s");
        String out = shop.good("image", "upload", "-n", "1", "-s").out();
        String id = out.replaceFirst("(?s)^image ([0-9]+):.*", "$1");
        assertNotEquals(poolRecord().path("id").asText(), id);
        shop.good("deploy", "-i", id, "-d", "device-00001");
    }

    @Test
    @DisplayName("26: the host can be chosen; unused keys of the configuration do no harm")
    void defect26() throws Exception {
        shop.environment.remove("OTA_SERVICE_URL");
        shop.conf.put("url", 7).put("Comments", "none").put("somethingNew", true);
        shop.writeConf();
        shop.good("image", "list", "--url", shop.service.uri().toString());
        shop.good("image", "list", "--url", shop.service.uri() + "/");
        for (String url : List.of(
                "ftp://x",
                "http://example.org",
                "https://u:p@example.org",
                "https://example.org/path",
                "nonsense",
                "https://x y")) {
            assertExit(ExitStatus.USAGE, shop.run("image", "list", "--url", url));
        }
    }

    @Test
    @DisplayName("27: a build number is digits, and a version is a string")
    void defect27() throws Exception {
        for (String number : List.of("2d", "", "-1", "1.0", "x")) {
            assertExit(ExitStatus.USAGE, shop.run("record", "create", "--build-number=" + number, "-s"));
            assertExit(ExitStatus.USAGE, shop.run(UPLOADER, "--buildNum=" + number, "-s", "--createOTARecord"));
        }
        shop.conf(shop.conf.toString().replace("\"version\":\"1.0\"", "\"version\":1.10"));
        Workshop.Result result = shop.run("record", "create", "-n", "1", "-s");
        assertExit(ExitStatus.CONFIGURATION, result);
        assertTrue(result.err().contains("version: expected a string in quotes"), result.err());
        assertEquals(List.of(), shop.routes());
    }

    @Test
    @DisplayName("28: no letter means two things: -d is a device and never debug")
    void defect28() throws Exception {
        assertExit(ExitStatus.USAGE, shop.run("record", "create", "-n", "1", "-s", "-d"));
        shop.good("record", "create", "-n", "1", "-s", "--debug");
        assertEquals("1.0.1d", poolRecord().path("version").asText());
        shop.good(UPLOADER, "-n", "2", "-d", "-s", "--createOTARecord");
        assertEquals("1.0.2d", poolRecord().path("version").asText(), "the launcher keeps the letter of the original");
        shop.good(UPLOADER, "-n", "3", "--d", "-s", "--createOTARecord");
        assertEquals("1.0.3d", poolRecord().path("version").asText());
    }

    @Test
    @DisplayName("29: secrets may come from the environment, and a file that others can read is warned of")
    void defect29() throws Exception {
        shop.conf.remove(List.of("userpw", "auth-string"));
        shop.writeConf();
        assertExit(ExitStatus.CONFIGURATION, shop.run("image", "list"));
        shop.environment.put("OTA_USERPW", Workshop.CREDENTIALS.userpw());
        shop.environment.put("OTA_AUTH_STRING", Workshop.CREDENTIALS.authString());
        assertEquals("", shop.good("image", "list").err());
        Files.setPosixFilePermissions(
                shop.folder.resolve("partner-ota-conf.json"), PosixFilePermissions.fromString("rw-r--r--"));
        assertTrue(shop.good("image", "list").err().contains("chmod 600"));
    }

    @Test
    @DisplayName("30: the pool can be listed, an image be dissociated and offered again, tags be given")
    void defect30() throws Exception {
        shop.uploaded(1);
        shop.good("record", "create", "-n", "2", "-s");
        assertEquals(
                2, shop.good("image", "pool", "--json").json().path("images").size());
        String number = shop.good("image", "list", "--json")
                .json()
                .path("images")
                .get(0)
                .path("versionNumber")
                .asText();
        shop.good("image", "dissociate", "--version-number", number);
        assertEquals(
                0, shop.good("image", "list", "--json").json().path("images").size());
        assertExit(ExitStatus.CONFLICT, shop.run("image", "dissociate", "--version-number", number));
        shop.good("record", "recover", "-n", "1", "-s");
        shop.good("image", "upload", "-n", "1", "-s");
        assertEquals(1, shop.count("upload"));
        assertEquals(
                1, shop.good("image", "list", "--json").json().path("images").size());
    }
}
