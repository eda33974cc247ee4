// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateEvent;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.Verifier;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.testing.WebServer;
import org.metaotamgr.testing.Workshop;

/** What hawkBit's documentation shows is understood, and what is sent looks as it says. The files say where they come from. */
class RecordedExchangesTest {
    private static final InstalledSystem DEVICE =
            new InstalledSystem(Optional.empty(), Optional.of("1.0"), Optional.of("qemuarm64"), Optional.empty());
    private static final String BASE = "DEFAULT/controller/v1/board-1";
    private static final Verifier NOBODY = new Verifier() {
        @Override
        public void verifyFile(Path file, Path signature) throws SourceException {
            throw new SourceException(Reason.NOT_TRUSTED, "nothing is verified here");
        }

        @Override
        public Manifest verifyBundle(Path bundle) throws SourceException {
            throw new SourceException(Reason.BAD_BUNDLE, "nothing is verified here");
        }
    };

    @TempDir
    private Path folder;

    private WebServer server;
    private final List<String> sent = Collections.synchronizedList(new ArrayList<>());

    @BeforeEach
    void start() throws IOException {
        server = new WebServer();
        server.put(BASE + "/deploymentBase/42", recorded("deployment.json"));
        server.put(BASE + "/confirmationBase/42", recorded("confirmation.json"));
        server.put(BASE + "/cancelAction/42", recorded("cancel.json"));
        for (String resource : List.of(
                "configData",
                "deploymentBase/42/feedback",
                "confirmationBase/42/feedback",
                "cancelAction/42/feedback")) {
            server.handle(BASE + "/" + resource, exchange -> {
                sent.add(exchange.getRequestMethod() + " " + resource + " "
                        + new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
                exchange.sendResponseHeaders(200, -1);
            });
        }
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private static byte[] recorded(String name) throws IOException {
        try (InputStream in = RecordedExchangesTest.class.getResourceAsStream(name)) {
            return in.readAllBytes();
        }
    }

    private UpdateSource source() throws Exception {
        return new HawkbitSourceProvider()
                .open(
                        Workshop.config("{'type': 'hawkbit', 'url': '" + server.uri()
                                + "', 'plainHttp': true, 'controllerId': 'board-1', 'targetToken': 'abc'}"),
                        new Workshop(folder).context(Clock.systemUTC(), NOBODY));
    }

    private void assertSent(String... expected) throws IOException {
        ObjectMapper mapper = new ObjectMapper();
        assertEquals(expected.length, sent.size(), sent.toString());
        for (int i = 0; i < expected.length; i++) {
            String[] wanted = expected[i].replace('\'', '"').split(" ", 3);
            String[] found = sent.get(i).split(" ", 3);
            assertEquals(wanted[0] + " " + wanted[1], found[0] + " " + found[1]);
            assertEquals(mapper.readTree(wanted[2]), mapper.readTree(found[2]));
        }
    }

    @Test
    void theBaseLeadsToTheDeployment() throws Exception {
        server.put(BASE, recorded("base.json"));
        CheckResult.Offers offers = assertInstanceOf(CheckResult.Offers.class, source().check(DEVICE));
        Target target = offers.targets().get(0);
        assertEquals(Optional.of(Duration.ofMinutes(5)), offers.askAgain());
        assertEquals("core-image-minimal-2.0", target.name());
        assertEquals(Optional.of("qemuarm64"), target.compatible());
        assertEquals(6, target.bytes());
        assertEquals("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", target.id());
        assertEquals(
                Map.of("action", "42", "url", "https://cdn.example.com/42/update.bundle?signature=abc"),
                target.details());
        assertEquals("TargetToken abc", server.headers.get(0).getFirst("Authorization"));
        assertSent("PUT configData {'mode': 'merge', 'data': {'version': '1.0', 'compatible': 'qemuarm64'}}");
    }

    @Test
    void feedbackHasTheFormOfTheDocumentation() throws Exception {
        server.put(BASE, recorded("base.json"));
        UpdateSource source = source();
        Target target = assertInstanceOf(CheckResult.Offers.class, source.check(DEVICE))
                .targets()
                .get(0);
        sent.clear();
        source.report(target, new UpdateEvent.Pulling(3, 6));
        source.report(target, new UpdateEvent.Failed("no room"));
        assertSent(
                "POST deploymentBase/42/feedback {'id': '42', 'status': {'execution': 'download', 'result': {'finished': "
                        + "'none', 'progress': {'of': 100, 'cnt': 50}}, 'details': ['pulled 3 of 6 bytes']}}",
                "POST deploymentBase/42/feedback {'id': '42', 'status': {'execution': 'closed', 'result': {'finished': "
                        + "'failure'}, 'details': ['no room']}}");
    }

    /** goosebit: one hash, no metadata, and an action whose number is that of the software. */
    @Test
    void aServerThatKnowsOnlySha1IsUnderstood() throws Exception {
        server.put(BASE, recorded("base-goosebit.json"));
        server.put(BASE + "/deploymentBase/1", recorded("deployment-goosebit.json"));
        server.handle(BASE + "/deploymentBase/1/feedback", exchange -> {
            sent.add("POST deploymentBase/1/feedback "
                    + new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
            exchange.sendResponseHeaders(200, -1);
        });
        UpdateSource source = source();
        CheckResult.Offers offers = assertInstanceOf(CheckResult.Offers.class, source.check(DEVICE));
        Target target = offers.targets().get(0);
        assertEquals("update.bundle-2.0.0", target.name());
        assertEquals(Optional.of("qemuarm64"), target.compatible());
        assertEquals(6, target.bytes());
        assertEquals(Optional.empty(), target.sha256());
        assertEquals(
                "http://goosebit.example.com/DEFAULT/controller/v1/board-1/download",
                target.details().get("url"));
        sent.clear();
        source.report(target, new UpdateEvent.Failed("no room"));
        assertSent(
                "POST deploymentBase/1/feedback {'id': '1', 'status': {'execution': 'closed', 'result': {'finished': "
                        + "'failure'}, 'details': ['no room']}}");
    }

    @Test
    void anActionThatWaitsIsConfirmed() throws Exception {
        server.put(BASE, recorded("base-confirmation.json"));
        server.handle(BASE + "/confirmationBase/42/feedback", exchange -> {
            sent.add("POST confirmationBase/42/feedback "
                    + new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
            server.put(BASE, recorded("base.json"));
            exchange.sendResponseHeaders(200, -1);
        });
        assertInstanceOf(CheckResult.Offers.class, source().check(DEVICE));
        assertSent(
                "POST confirmationBase/42/feedback {'confirmation': 'confirmed', 'details': ['confirmed by the device']}");
    }

    @Test
    void aCancelIsAnswered() throws Exception {
        server.put(BASE, recorded("base-cancel.json"));
        source().check(DEVICE);
        assertSent(
                "POST cancelAction/42/feedback {'id': '42', 'status': {'execution': 'closed', 'result': {'finished': "
                        + "'success'}, 'details': ['the update was given up before anything was installed']}}");
    }

    @Test
    void aWindowThatIsClosedLetsPullAndNotInstall() throws Exception {
        server.put(BASE, recorded("base.json"));
        server.put(BASE + "/deploymentBase/42", recorded("deployment-window.json"));
        UpdateSource source = source();
        Target target = assertInstanceOf(CheckResult.Offers.class, source.check(DEVICE))
                .targets()
                .get(0);
        assertEquals(
                Reason.DEFERRED,
                assertThrows(SourceException.class, () -> source.isStillOffered(target))
                        .reason());
    }

    @Test
    void aConfirmationDescribesItsActionAsADeploymentDoes() throws Exception {
        Deployment deployment = Deployment.of(
                JsonFields.of("confirmation", recorded("confirmation.json")),
                "confirmation",
                "42",
                Optional.of("os"),
                true);
        assertTrue(deployment.update());
        assertFalse(deployment.window());
        assertEquals("2.0", deployment.target().version());
    }

    @Test
    void overHttpsOnlyLinksWithHttpsAreTaken() throws Exception {
        String plain =
                new String(recorded("deployment.json"), StandardCharsets.UTF_8).replace("https://cdn", "http://cdn");
        JsonFields json = JsonFields.of("deployment", plain.getBytes(StandardCharsets.UTF_8));
        assertThrows(
                JsonFields.MalformedException.class,
                () -> Deployment.of(json, "deployment", "42", Optional.empty(), true));
        assertEquals(
                "http://cdn.example.com/42/update.bundle?signature=abc",
                Deployment.of(json, "deployment", "42", Optional.empty(), false)
                        .target()
                        .details()
                        .get("url"));
    }
}
