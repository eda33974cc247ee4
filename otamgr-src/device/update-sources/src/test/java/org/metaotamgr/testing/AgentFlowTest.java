// SPDX-License-Identifier: MIT
package org.metaotamgr.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.CheckInResult;
import org.metaotamgr.agent.ExitCode;
import org.metaotamgr.agent.Sources;
import org.metaotamgr.agent.Target;
import org.metaotamgr.hawkbitsimulator.Assignment;
import org.metaotamgr.hawkbitsimulator.HawkbitSimulator;

/**
 * The agent with hawkBit, from the assignment to the end after the reboot. Slots are a file here; each step is an agent of its
 * own, as after a restart.
 */
class AgentFlowTest {
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
        bundle = Files.readAllBytes(workshop.makeBundle("release", "qemuarm64", "2.0", 900_000));
    }

    @BeforeEach
    void start() throws Exception {
        workshop = new Workshop(folder);
        server = new HawkbitSimulator(
                Workshop.anyPort(),
                Optional.empty(),
                new HawkbitSimulator.Identity("DEFAULT", "board-1", "t0ken", Optional.empty()));
        slots("running=a committed=a state=committed");
        program("ota-slot", "cat " + folder + "/slots");
        program("sysupgrade", "printf '%s\\n' running=a committed=a trial=b txn=$3 state=armed >" + folder + "/slots");
        program(
                "ota-verify",
                "'" + Workshop.script("ota-bundle") + "' verify --keys " + bundles + "/keys/release.pem \"$2\"");
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private void program(String name, String command) throws IOException {
        Path file = Files.writeString(folder.resolve(name), "#!/bin/sh\nset -eu\n" + command + "\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    private void slots(String values) throws IOException {
        Files.writeString(folder.resolve("slots"), values.replace(' ', '\n') + "\n");
    }

    /** What the boot loader makes of an update that is armed. */
    private void reboot(String values) throws IOException {
        String txn = Files.readAllLines(folder.resolve("slots")).stream()
                .filter(line -> line.startsWith("txn="))
                .findFirst()
                .orElseThrow()
                .substring(4);
        slots(values.replace("TXN", txn));
    }

    private Agent agent() throws Exception {
        AgentConfig config = AgentConfig.of(Workshop.config("{'storage': '" + folder + "/data', 'sysupgrade': ['"
                + folder
                + "/sysupgrade'], 'otaSlot': ['" + folder + "/ota-slot'], 'otaVerify': ['" + folder + "/ota-verify'], "
                + "'source': {'type': 'hawkbit', 'url': '" + server.uri() + "', 'plainHttp': true, 'controllerId': "
                + "'board-1', 'targetToken': 't0ken'}}"));
        AgentDevice device = AgentDevice.real(config, () -> 7, workshop.eventLog);
        return new Agent(Sources.open(config, device), device);
    }

    private Target offered() throws Exception {
        CheckInResult found = agent().checkIn();
        assertEquals(ExitCode.NEW_VERSION, found.result().code(), found.result().message());
        return found.selected().orElseThrow();
    }

    private void install(Target target) throws Exception {
        assertEquals(ExitCode.OK, agent().pull(target, bytes -> {}).code());
        assertEquals(ExitCode.NEEDS_REBOOT, agent().install(target, line -> {}).code());
    }

    private long closings() {
        return server.requests().stream()
                .filter(request -> request.body().contains("\"closed\""))
                .count();
    }

    @Test
    void aPullThatBreaksGoesOnAndTheServerHearsOfTheCommitOnce() throws Exception {
        long id = server.assign(Assignment.forced("system", "2.0", bundle));
        Target target = offered();
        AtomicBoolean broken = new AtomicBoolean();
        server.fault(exchange -> {
            if (exchange.getRequestURI().getPath().contains("/artifacts/") && !broken.getAndSet(true)) {
                exchange.getResponseHeaders().set("ETag", "\"other\"");
                exchange.sendResponseHeaders(200, bundle.length);
                exchange.getResponseBody().write(bundle, 0, 300_000);
                exchange.getResponseBody().flush();
                exchange.close();
            }
        });
        assertEquals(ExitCode.DOWNLOAD_FAILED, agent().pull(target, bytes -> {}).code());
        install(target);
        reboot("running=b committed=a trial=b txn=TXN state=trial");
        agent().checkIn();
        assertEquals("RUNNING", server.status(id));
        reboot("running=b committed=b txn=TXN state=committed");
        server.fault(exchange -> exchange.sendResponseHeaders(503, -1));
        assertEquals(ExitCode.OK, agent().finalise(trial -> Optional.empty()).code());
        assertEquals("RUNNING", server.status(id));
        server.fault(exchange -> {});
        agent().checkIn();
        agent().checkIn();
        assertEquals("FINISHED", server.status(id));
        // One that was answered with 503, and one that was taken.
        assertEquals(2, closings());
    }

    @Test
    void aPageOfAPortalInsteadOfTheArtifactEndsNoAction() throws Exception {
        long id = server.assign(Assignment.forced("system", "2.0", bundle));
        Target target = offered();
        server.fault(exchange -> {
            if (exchange.getRequestURI().getPath().contains("/artifacts/")) {
                byte[] page = "please log in".getBytes(java.nio.charset.StandardCharsets.UTF_8);
                exchange.sendResponseHeaders(200, page.length);
                exchange.getResponseBody().write(page);
            }
        });
        assertEquals(ExitCode.DOWNLOAD_FAILED, agent().pull(target, bytes -> {}).code());
        assertEquals("RUNNING", server.status(id));
        server.fault(exchange -> {});
        install(offered());
    }

    @Test
    void aPullThatGoesOnSaysSo() throws Exception {
        long id = server.assign(Assignment.forced("system", "2.0", bundle));
        Target target = offered();
        server.fault(exchange -> {
            if (exchange.getRequestURI().getPath().contains("/artifacts/")) {
                exchange.sendResponseHeaders(200, bundle.length);
                exchange.getResponseBody().write(bundle, 0, 600_000);
                exchange.getResponseBody().flush();
                exchange.close();
            }
        });
        assertEquals(ExitCode.DOWNLOAD_FAILED, agent().pull(target, bytes -> {}).code());
        server.fault(exchange -> {});
        assertEquals(ExitCode.OK, agent().pull(target, bytes -> {}).code());
        List<String> said = server.messages(id);
        assertTrue(said.contains("download/none: pulled 600000 of " + bundle.length + " bytes"), said.toString());
        assertEquals(
                1,
                said.stream().filter(message -> message.contains("pulled 0 of")).count(),
                said.toString());
    }

    @Test
    void whatWasOnlyToBePulledIsInstalledByTheNextAssignmentWithoutAPull() throws Exception {
        server.assign(Assignment.forced("system", "2.0", bundle).as(Assignment.Kind.DOWNLOAD_ONLY));
        Target target = offered();
        assertEquals(ExitCode.OK, agent().pull(target, bytes -> {}).code());
        assertEquals(ExitCode.DEFERRED, agent().install(target, line -> {}).code());
        assertEquals(ExitCode.OK, agent().checkIn().result().code());
        assertEquals(1, agent().pulled().size());
        assertEquals(-1, server.assign(Assignment.forced("system", "2.0", bundle)));
        server.forget(Assignment.forced("system", "2.0", bundle));
        server.assign(Assignment.forced("system", "2.0", bundle));
        install(offered());
        assertEquals(
                1,
                server.requests().stream()
                        .filter(request -> request.path().contains("/artifacts/"))
                        .count());
        assertEquals(0, closings());
    }

    @Test
    void aRollbackIsAFailureOnTheServer() throws Exception {
        long id = server.assign(Assignment.forced("system", "2.0", bundle));
        install(offered());
        reboot("running=a committed=a failed=TXN failed_why=load-failed state=committed");
        assertEquals(
                ExitCode.ROLLED_BACK,
                agent().finalise(trial -> Optional.empty()).code());
        agent().checkIn();
        assertEquals("ERROR", server.status(id));
        assertEquals(1, closings());
        List<String> said = server.messages(id);
        assertTrue(said.get(said.size() - 1).contains("load-failed"), said.toString());
    }

    @Test
    void outsideOfTheWindowOfTheServerNothingIsInstalled() throws Exception {
        long id = server.assign(Assignment.forced("system", "2.0", bundle).inWindow());
        Target target = offered();
        assertEquals(ExitCode.OK, agent().pull(target, bytes -> {}).code());
        assertEquals(ExitCode.DEFERRED, agent().install(target, line -> {}).code());
        server.window(id, true);
        assertEquals(ExitCode.NEEDS_REBOOT, agent().install(target, line -> {}).code());
    }

    @Test
    void aCancelAfterThePullIsTakenInsteadOfTheInstall() throws Exception {
        long id = server.assign(Assignment.forced("system", "2.0", bundle));
        Target target = offered();
        assertEquals(ExitCode.OK, agent().pull(target, bytes -> {}).code());
        server.cancel(id);
        assertEquals(ExitCode.CANCELLED, agent().install(target, line -> {}).code());
        assertEquals("CANCELED", server.status(id));
        assertEquals(List.of(), agent().pulled());
        assertEquals(1, closings());
    }

    @Test
    void anUpdateForAnotherBoardEndsAsAFailureWithItsReason() throws Exception {
        program("sysupgrade", "echo 'failed 7 for another board'; exit 7");
        long id = server.assign(Assignment.forced("system", "2.0", bundle));
        Target target = offered();
        assertEquals(ExitCode.OK, agent().pull(target, bytes -> {}).code());
        assertEquals(
                ExitCode.NO_MATCHING_TARGET, agent().install(target, line -> {}).code());
        assertEquals("ERROR", server.status(id));
    }
}
