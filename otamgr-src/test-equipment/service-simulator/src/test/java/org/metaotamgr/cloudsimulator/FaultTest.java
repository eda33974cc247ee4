// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.http.HttpRequest;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Faults on purpose")
class FaultTest {

    @TempDir
    Path folder;

    private Service service;

    @BeforeEach
    void start() throws Exception {
        service = new Service(Service.settings(folder));
        service.token();
    }

    @AfterEach
    void stop() throws Exception {
        service.close();
    }

    @Test
    @DisplayName("a fault that makes no sense is refused with what was expected")
    void syntax() {
        for (String text : new String[] {
            "", "399", "explode", "500=3", "cut=101", "500:nowhere", "slow=0", "500@0", "500@3-2", "cut=x", "500 "
        }) {
            IllegalArgumentException problem =
                    assertThrows(IllegalArgumentException.class, () -> Fault.parse(text), text);
            assertTrue(
                    problem.getMessage().contains("expected")
                            || problem.getMessage().contains("written"),
                    problem.getMessage());
        }
        assertEquals(new Fault("409", Fault.Kind.STATUS, 409, "associate", 1, Integer.MAX_VALUE), Fault.parse("409"));
        assertEquals(
                new Fault("cut=70:download@2-3", Fault.Kind.CUT, 70, "download", 2, 3),
                Fault.parse("cut=70:download@2-3"));
    }

    @Test
    @DisplayName("a status, a page of HTML and an empty answer come for the calls that were named, and no others")
    void statuses() throws Exception {
        service.simulator.addFault("500:pool@2");
        assertEquals(200, service.get(Service.P + "/pool").status());
        assertEquals(200, service.get(Service.P + "/pool/types/5").status());
        assertEquals(500, service.get(Service.P + "/pool").status());
        assertEquals(200, service.get(Service.P + "/pool").status());
        service.simulator.addFault("html=502:pool@1");
        Service.Answer html = service.get(Service.P + "/pool");
        assertEquals(502, html.status());
        assertTrue(
                html.text().startsWith("<html>") && html.header("Content-Type").equals("text/html"));
        service.simulator.addFault("empty:pool@1");
        assertEquals("", service.get(Service.P + "/pool").text());
        service.simulator.addFault("429");
        assertEquals(429, service.get(Service.P + "/tags").status());
        assertEquals(429, service.get(Service.P + "/pool").status());
        service.simulator.clearFaults();
        assertEquals(200, service.get(Service.P + "/pool").status());
    }

    @Test
    @DisplayName("a cut upload stores nothing, a cut reply has done what was asked, expired tokens are refused")
    void cuts() throws Exception {
        service.simulator.addFault("cut=30@1");
        assertThrows(IOException.class, () -> service.upload(new byte[1_000_000]));
        try (var stored = Files.list(folder.resolve("service/temporary"))) {
            assertEquals(0, stored.count());
        }
        service.simulator.addFault("cut-reply:create@1");
        assertThrows(IOException.class, () -> service.create("n", "1"));
        assertEquals(
                1, service.get(Service.P + "/pool").json().path("totalElements").asInt());
        service.simulator.addFault("expire-token:pool@1");
        assertEquals(401, service.get(Service.P + "/pool").status());
    }

    @Test
    @DisplayName("a wrong SHA-256 is told, a URL is forgotten, an answer comes late")
    void others() throws Exception {
        String sha256 = service.upload(new byte[10]).json().path("value").asText();
        service.simulator.addFault("wrong-sha@1");
        assertFalse(service.upload(new byte[10]).json().path("value").asText().equals(sha256));
        ObjectNode record = service.create("n", "1");
        service.simulator.addFault("forget-url@1");
        assertEquals(
                204,
                service.json(
                                "PUT",
                                Service.P + "/pool/types/5/versionNumbers/"
                                        + record.path("versionNumber").asText(),
                                record.put("url", "http://x/").toString())
                        .status());
        assertEquals(
                "",
                service.get(Service.P + "/pool")
                        .json()
                        .path("content")
                        .get(0)
                        .path("url")
                        .asText());
        service.simulator.addFault("slow=150:pool@1");
        long started = System.nanoTime();
        service.get(Service.P + "/pool");
        assertTrue(System.nanoTime() - started >= 150_000_000);
    }

    @Test
    @DisplayName("faults can be set over HTTP while the service runs, and a wrong one changes nothing")
    void overHttp() throws Exception {
        assertEquals(
                "[\"500:pool\",\"slow=5:tags\"]",
                service.send(service.request("/simulator/faults")
                                .POST(HttpRequest.BodyPublishers.ofString("500:pool\nslow=5:tags\n")))
                        .text());
        assertEquals(
                400,
                service.send(service.request("/simulator/faults").POST(HttpRequest.BodyPublishers.ofString("nonsense")))
                        .status());
        assertEquals(500, service.get(Service.P + "/pool").status());
        assertEquals(
                "[]",
                service.send(service.request("/simulator/faults").POST(HttpRequest.BodyPublishers.noBody()))
                        .text());
        assertEquals(200, service.get(Service.P + "/pool").status());
    }
}
