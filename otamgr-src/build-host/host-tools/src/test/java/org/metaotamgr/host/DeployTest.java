// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("A deployment")
class DeployTest {

    private static final int FLEET = 10_000;

    @TempDir
    Path temporary;

    private Workshop shop;
    private String image;

    @BeforeEach
    void start() throws Exception {
        shop = new Workshop(temporary);
        image = shop.uploaded(1);
    }

    @AfterEach
    void stop() throws Exception {
        shop.close();
    }

    private List<String> fleet(int size) throws Exception {
        List<String> devices = IntStream.rangeClosed(1, size)
                .mapToObj(number -> String.format("fleet-%05d", number))
                .toList();
        shop.service.addDevices(Workshop.DEVICE_TYPE, devices);
        Files.write(shop.folder.resolve("fleet.txt"), devices);
        return devices;
    }

    private void assertEachOnce(List<String> devices) {
        Map<String, Integer> pushes = shop.service.pushes();
        assertEquals(devices.size(), pushes.size());
        assertTrue(devices.stream().allMatch(device -> pushes.get(device) == 1), "every device exactly once");
    }

    private Process ota(String... arguments) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx64m",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                Ota.class.getName());
        builder.command().addAll(List.of(arguments));
        builder.directory(shop.folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(shop.folder.resolve("said").toFile());
        builder.environment().putAll(shop.environment);
        return builder.start();
    }

    private static long size(Path file) throws Exception {
        return Files.exists(file) ? Files.size(file) : 0;
    }

    @Test
    @DisplayName(
            "to 10,000 devices that is killed twice with SIGKILL reaches every device exactly once, in a heap of 64 MB, and prints time and memory")
    void killed() throws Exception {
        List<String> devices = fleet(FLEET);
        Path journal = shop.folder.resolve("ota-deploy-" + image + ".journal");
        for (int enough : new int[] {1500, 5000}) {
            Process running = ota("deploy", "-i", image, "--devices", "fleet.txt");
            // Two lines of 21 bytes at most for each device that is through.
            while (size(journal) < enough * 42L) {
                assertTrue(running.isAlive(), "it must not be done before it is killed");
                LockSupport.parkNanos(1_000_000);
            }
            running.destroyForcibly().waitFor();
            assertEquals(128 + 9, running.exitValue());
        }
        Process last = ota("deploy", "-i", image, "--devices", "fleet.txt");
        assertTrue(last.waitFor(120, TimeUnit.SECONDS));
        String said = Files.readString(shop.folder.resolve("said"));
        assertEquals(0, last.exitValue(), said);
        assertTrue(said.matches("(?s).*10000 devices in [0-9.]+ s, peak heap [0-9.]+ MB.*"), said);
        assertTrue(said.contains("Going on: "), said);
        assertEachOnce(devices);
        shop.said(said);
    }

    @Test
    @DisplayName("whose answers are lost asks the devices instead of pushing twice")
    void lostAnswers() throws Exception {
        List<String> devices = fleet(200);
        for (int call = 1; call <= 181; call += 20) {
            shop.service.addFault("cut-reply:push@" + call);
            shop.service.addFault("html=504:push@" + (call + 7));
            shop.service.addFault("cut=0:push@" + (call + 13));
            shop.service.addFault("429:push@" + (call + 17));
        }
        Workshop.Result result = shop.good("deploy", "-i", image, "--devices", "fleet.txt", "--jobs", "4");
        assertTrue(result.out().contains("200"), result.out());
        assertEachOnce(devices);
    }

    @Test
    @DisplayName(
            "that cannot find out whether a device got the push says so, does not push again, and does when it is told to")
    void unclear() throws Exception {
        fleet(3);
        shop.service.addFault("cut-reply:push@2");
        shop.service.addFault("403:device");
        Workshop.Result result = shop.run("deploy", "-i", image, "--devices", "fleet.txt", "--jobs", "1");
        assertEquals(ExitStatus.PARTIAL.code(), result.exit(), result::toString);
        assertTrue(result.out().contains("unclear: fleet-00002: PUT "), result.out());
        assertEquals(3, shop.service.pushes().size());
        Workshop.Result again = shop.run("deploy", "-i", image, "--devices", "fleet.txt", "--jobs", "1");
        assertEquals(ExitStatus.PARTIAL.code(), again.exit());
        assertEquals(1, shop.service.pushes().get("fleet-00002"));
        shop.good("deploy", "-i", image, "--devices", "fleet.txt", "--repeat-unclear");
        assertEquals(2, shop.service.pushes().get("fleet-00002"));
        assertEquals(1, shop.service.pushes().get("fleet-00001"));
    }

    @Test
    @DisplayName("stops at once when the account is refused or the service is gone, and goes on later")
    void stopped() throws Exception {
        List<String> devices = fleet(500);
        shop.service.addFault("403:push@100-9999");
        Workshop.Result refused = shop.run("deploy", "-i", image, "--devices", "fleet.txt");
        assertEquals(ExitStatus.AUTHORISATION.code(), refused.exit(), refused::toString);
        assertTrue(refused.err().contains("run the command again to go on"), refused.err());
        assertTrue(shop.count("push") < 130, "not 500 refusals");
        shop.service.clearFaults();
        shop.good("deploy", "-i", image, "--devices", "fleet.txt");
        assertEachOnce(devices);
    }

    @Test
    @DisplayName("repeats what failed and leaves what was accepted")
    void failed() throws Exception {
        List<String> devices = fleet(20);
        shop.service.addFault("404:push@5-9");
        Workshop.Result some = shop.run("deploy", "-i", image, "--devices", "fleet.txt");
        assertEquals(ExitStatus.PARTIAL.code(), some.exit());
        assertEquals(15, shop.service.pushes().size());
        assertTrue(
                shop.good("deploy", "-i", image, "--devices", "fleet.txt").out().contains("accepted earlier  15"));
        assertEachOnce(devices);
    }

    @Test
    @DisplayName(
            "has one journal for one image on one service: another one is refused, and so is a second run at the same time")
    void journal() throws Exception {
        fleet(2);
        shop.good("deploy", "-i", image, "--devices", "fleet.txt", "--journal", "j");
        shop.image(77);
        String second = shop.uploaded(2);
        Workshop.Result other = shop.run("deploy", "-i", second, "--devices", "fleet.txt", "--journal", "j");
        assertEquals(ExitStatus.CONFLICT.code(), other.exit());
        assertTrue(other.err().contains("is the journal of something else"), other.err());
        try (DeployJournal held = DeployJournal.open(shop.folder.resolve("held"), "x")) {
            assertTrue(held.known().isEmpty());
            assertEquals(
                    ExitStatus.CONFLICT.code(),
                    shop.run("deploy", "-i", image, "--devices", "fleet.txt", "--journal", "held")
                            .exit());
        }
        Files.writeString(shop.folder.resolve("j"), "accep", StandardOpenOption.APPEND);
        shop.good("deploy", "-i", image, "--devices", "fleet.txt", "--journal", "j");
        Files.writeString(shop.folder.resolve("j"), "gibberish\n", StandardOpenOption.APPEND);
        assertEquals(
                ExitStatus.LOCAL.code(),
                shop.run("deploy", "-i", image, "--devices", "fleet.txt", "--journal", "j")
                        .exit());
        assertEquals(1, shop.service.pushes().get("fleet-00001"));
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("refuses a list with something that is no device id, before anything is asked")
    @ValueSource(strings = {"two words", "tab\tbed", "naïve"})
    void badList(String line) throws Exception {
        shop.service.forgetRequests();
        Files.writeString(shop.folder.resolve("list"), "device-00001\n" + line + "\n", StandardCharsets.UTF_8);
        Workshop.Result result = shop.run("deploy", "-i", image, "--devices", "list");
        assertEquals(ExitStatus.USAGE.code(), result.exit());
        assertTrue(result.err().contains("line 2"), result.err());
        assertFalse(shop.routes().contains("token"));
    }
}
