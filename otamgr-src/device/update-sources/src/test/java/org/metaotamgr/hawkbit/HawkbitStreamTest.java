// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.ExitCode;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.Result;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.hawkbitsimulator.Assignment;
import org.metaotamgr.hawkbitsimulator.HawkbitSimulator;
import org.metaotamgr.testing.Parts;
import org.metaotamgr.testing.Workshop;

/** What a hawkBit server assigns is streamed into a slot, which is a file here, by the agent and the real content engine. */
class HawkbitStreamTest {
    private static final InstalledSystem DEVICE =
            new InstalledSystem(Optional.empty(), Optional.of("1.0"), Optional.of("qemuarm64"), Optional.empty());
    private static final String TOKEN = "t0ken-of-board-1";
    private static final int NEW = 1_500_000;
    private static final int BEGINNING = 200_000;
    private static final int LOST_BY_CUT = 256 * 1024;
    private static final int PLACES = 7;

    @TempDir
    private static Path bundles;

    private static byte[] bundle;
    private static byte[] oldImage;
    private static byte[] newImage;

    @TempDir
    private Path folder;

    private Workshop workshop;
    private Parts parts;
    private HawkbitSimulator server;
    private final AtomicLong fetched = new AtomicLong();

    @BeforeAll
    static void makeBundle() throws Exception {
        Workshop workshop = new Workshop(bundles);
        workshop.makeKey("release");
        Map<String, byte[]> files = new HashMap<>();
        for (int at = 0; at < PLACES; at++) {
            files.put(at + "-shared", Workshop.random(NEW / PLACES, at));
        }
        oldImage = Files.readAllBytes(workshop.makeFileSystem("old", files));
        for (int at = 0; at < PLACES; at++) {
            files.put(at + "-new", Workshop.random(NEW / PLACES, 100 + at));
        }
        newImage = Files.readAllBytes(workshop.makeFileSystem("new", files));
        bundle = Files.readAllBytes(workshop.bundleOf("new", "release", "qemuarm64", "2.0"));
    }

    @BeforeEach
    void start() throws Exception {
        workshop = new Workshop(folder);
        parts = new Parts(new Workshop(bundles), folder, "release");
        parts.slot(oldImage, newImage.length);
        server = new HawkbitSimulator(
                Workshop.anyPort(),
                Optional.empty(),
                new HawkbitSimulator.Identity("DEFAULT", "board-1", TOKEN, Optional.empty()));
        Files.writeString(folder.resolve("slots"), "running=a\ncommitted=a\nstate=committed\n");
        Path program = Files.writeString(folder.resolve("ota-slot"), "#!/bin/sh\ncat " + folder + "/slots\n");
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private UpdateSource source() throws Exception {
        String configuration = "{'type': 'hawkbit', 'plainHttp': true, 'url': '" + server.uri()
                + "', 'controllerId': 'board-1', 'cancelPollSeconds': 1, 'targetToken': '" + TOKEN + "'}";
        return new HawkbitSourceProvider()
                .open(
                        Workshop.config(configuration),
                        workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release"), parts.needs()));
    }

    /** Another agent each time, as after a restart. */
    private Agent agent(String polling) throws Exception {
        String installer = parts.installer(folder.resolve("slots")).get(0);
        AgentConfig config = AgentConfig.of(Workshop.config("{'storage': '" + folder + "/data', 'sysupgrade': ['"
                + installer + "'], 'otaSlot': ['" + folder + "/ota-slot'], 'polling': {'streaming': 'always'" + polling
                + "}}"));
        return new Agent(source(), AgentDevice.real(config, () -> 7, workshop.eventLog));
    }

    private Target pulled() throws Exception {
        server.assign(Assignment.forced("system", "2.0", bundle));
        CheckResult.Offers offers = (CheckResult.Offers) source().check(DEVICE);
        Target target = offers.targets().get(0);
        Result result = agent("").pull(target, bytes -> {});
        assertEquals(ExitCode.OK, result.code(), result.message() + workshop.log);
        assertTrue(Files.exists(folder.resolve("data/updates/" + target.id() + "/update.stream")));
        return target;
    }

    private Result install(Target target, String polling) throws Exception {
        return agent(polling).install(target, line -> {}, new PullProgress() {
            @Override
            public void pulled(long bytes) {}

            @Override
            public void fetched(long bytes) {
                fetched.addAndGet(bytes);
            }
        });
    }

    private void assertInstalls(Target target) throws Exception {
        Result installed = install(target, "");
        assertEquals(ExitCode.NEEDS_REBOOT, installed.code(), installed.message() + workshop.log);
        assertArrayEquals(newImage, Arrays.copyOf(parts.slot(), newImage.length));
    }

    private List<String> feedback() {
        return server.requests().stream()
                .filter(request -> request.method().equals("POST"))
                .map(request -> request.path().replaceFirst(".*/board-1/([A-Za-z]+)/.*", "$1") + " "
                        + request.json().at("/status/execution").asText() + "/"
                        + request.json().at("/status/result/finished").asText())
                .filter(line -> !line.contains("download/"))
                .toList();
    }

    @Test
    void anAssignmentGoesStraightIntoTheSlotAndTheServerHearsOfIt() throws Exception {
        Target target = pulled();
        assertInstalls(target);
        assertTrue(fetched.get() < NEW + BEGINNING, "fetched " + fetched);
        assertEquals(
                List.of(
                        "deploymentBase downloaded/none",
                        "deploymentBase proceeding/none",
                        "deploymentBase proceeding/none"),
                feedback());
    }

    @Test
    void aConnectionThatBreaksCostsNothingThatCame() throws Exception {
        Target target = pulled();
        AtomicBoolean isCut = new AtomicBoolean();
        server.fault(exchange -> {
            if (isFrames(exchange) && !isCut.getAndSet(true)) {
                exchange.close();
                throw new IOException("cut");
            }
        });
        assertInstalls(target);
        assertTrue(isCut.get());
        assertTrue(fetched.get() < NEW + BEGINNING, "fetched " + fetched);
    }

    @Test
    void aCancelWhileItIsStreamedEndsTheStreamAndTheServerHearsOfIt() throws Exception {
        Target target = pulled();
        long id = Long.parseLong(target.details().get("action"));
        AtomicBoolean isCancelled = new AtomicBoolean();
        server.fault(exchange -> {
            if (isFrames(exchange) && !isCancelled.getAndSet(true)) {
                server.cancel(id);
            }
        });
        // Slowly enough that the server is asked on the way.
        Result result = install(target, ", 'downloadKilobytesPerSecond': 400");
        assertEquals(ExitCode.CANCELLED, result.code(), result.message() + workshop.log);
        assertTrue(fetched.get() < NEW, "fetched " + fetched);
        assertArrayEquals(new byte[4096], Arrays.copyOf(parts.slot(), 4096), "that slot must not start");
        assertFalse(Files.exists(folder.resolve("data/updates/" + target.id())));
        assertEquals("CANCELED", server.status(id));
        assertEquals("cancelAction closed/success", feedback().get(feedback().size() - 1));
        assertEquals(ExitCode.NOT_PULLED, install(target, "").code());
    }

    @Test
    void aCancelAfterAStreamThatBrokeIsAcceptedBeforeTheNextTry() throws Exception {
        Target target = pulled();
        long id = Long.parseLong(target.details().get("action"));
        AtomicBoolean isOff = new AtomicBoolean(true);
        server.fault(exchange -> {
            if (isFrames(exchange) && isOff.get()) {
                exchange.sendResponseHeaders(503, -1);
                exchange.close();
                throw new IOException("off");
            }
        });
        assertEquals(ExitCode.DOWNLOAD_FAILED, install(target, "").code());
        isOff.set(false);
        server.cancel(id);
        Result result = install(target, "");
        assertEquals(ExitCode.CANCELLED, result.code(), result.message());
        assertEquals("CANCELED", server.status(id));
    }

    @Test
    void whatCameIsInTheSlotAlsoForAnotherAgent() throws Exception {
        Target target = pulled();
        AtomicLong requests = new AtomicLong();
        server.fault(exchange -> {
            // The first frame and the first range, and then nothing more.
            if (isFrames(exchange) && requests.incrementAndGet() > 2) {
                exchange.sendResponseHeaders(404, -1);
                exchange.close();
                throw new IOException("gone");
            }
        });
        Result broken = install(target, "");
        server.fault(exchange -> {});
        if (broken.code() != ExitCode.NEEDS_REBOOT) {
            assertInstalls(target);
        }
        assertTrue(fetched.get() < NEW + BEGINNING + LOST_BY_CUT, "fetched " + fetched);
    }

    private static boolean isFrames(HttpExchange exchange) {
        return exchange.getRequestHeaders().containsKey("Range")
                && !exchange.getRequestHeaders().getFirst("Range").startsWith("bytes=0-");
    }
}
