// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

@DisplayName("Who may ask the service")
class CallersTest {

    @TempDir
    Path folder;

    private static int ask(Service service, String method, String path, String headers) throws Exception {
        try (Socket socket = new Socket("127.0.0.1", service.simulator.uri().getPort())) {
            socket.getOutputStream()
                    .write((method + " " + path + " HTTP/1.1\r\n"
                                    + headers.replace(
                                                    "PORT",
                                                    "" + service.simulator.uri().getPort())
                                            .replace("|", "\r\n")
                                    + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                            .getBytes(StandardCharsets.US_ASCII));
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return Integer.parseInt(answer.substring(9, 12));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "Host: 127.0.0.1:PORT,200",
        "Host: localhost:PORT,200",
        "Host: LOCALHOST,200",
        "Host: [::1]:PORT,200",
        "Host: 10.0.2.2:PORT,200",
        "Host: service.test:PORT,200",
        "Host: evil.example.com:PORT,403",
        "Host: 127.0.0.1.evil.example.com,403",
        "Host: localhost.evil.example.com,403",
        "Host: 1.2.3.4.5,403",
        "Host: ,403",
        "Host: 127.0.0.1:PORT|Origin: http://127.0.0.1:PORT,200",
        "Host: 127.0.0.1:PORT|Origin: http://evil.example.com,403",
        "Host: 127.0.0.1:PORT|Origin: null,403",
        "Host: 127.0.0.1:PORT|Origin: http://127.0.0.1:1,403",
        "Host: 127.0.0.1:PORT|Sec-Fetch-Site: cross-site,403",
        "Host: 127.0.0.1:PORT|Sec-Fetch-Site: same-origin,200"
    })
    @DisplayName("tools and its own page; not the pages of other sites, whatever name they made point to this machine")
    void hostsAndOrigins(String headers, int expected) throws Exception {
        try (Service service = new Service(Service.settings(folder))) {
            service.simulator.addHosts(List.of("service.test"));
            assertEquals(expected, ask(service, "GET", "/", headers));
            assertEquals(
                    expected == 200 ? 204 : 403, ask(service, "POST", "/simulator/faults", headers) == 403 ? 403 : 204);
            assertEquals(expected == 403, ask(service, "POST", "/hubby/device-00001/report", headers) == 403);
        }
    }

    @Test
    @DisplayName("the help can be formatted")
    void help() throws Exception {
        PrintStream usual = System.err;
        PrintStream usualOut = System.out;
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        System.setErr(new PrintStream(said, true));
        System.setOut(new PrintStream(out, true));
        try {
            var constructor = ServiceMain.class.getDeclaredConstructor();
            constructor.setAccessible(true);
            assertEquals(0, new CommandLine(constructor.newInstance()).execute("--help"));
        } finally {
            System.setErr(usual);
            System.setOut(usualOut);
        }
        assertEquals("", said.toString(StandardCharsets.UTF_8));
        assertTrue(
                out.toString(StandardCharsets.UTF_8).contains("cut after 70 % of its body"),
                out.toString(StandardCharsets.UTF_8));
    }
}
