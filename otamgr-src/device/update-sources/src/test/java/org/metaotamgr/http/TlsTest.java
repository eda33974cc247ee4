// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Path;
import java.util.Arrays;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.metaotamgr.testing.Workshop;

/** What is offered to a server: all that is spoken here, but for sessions of TLS 1.2 that go on. */
class TlsTest {
    @TempDir
    private Path folder;

    private SSLServerSocket server;
    private Thread thread;
    private volatile String spoken = "TLSv1.2";
    private Tls.Sockets sockets;
    private long session;
    private String suite;
    private volatile String[] suites = new String[0];

    /** What was offered of TLS 1.3, and what was spoken. */
    private String shaken() throws IOException {
        try (Socket plain = new Socket(InetAddress.getLoopbackAddress(), server.getLocalPort());
                SSLSocket socket = sockets.above(plain, "localhost", server.getLocalPort())) {
            sockets.shakeHands(socket, "localhost", server.getLocalPort());
            session = socket.getSession().getCreationTime();
            suite = socket.getSession().getCipherSuite();
            // Behind this the server has nothing to say any more, such as tickets.
            socket.getInputStream().read();
            return (Arrays.asList(socket.getEnabledProtocols()).contains("TLSv1.3") ? "all " : "1.2 ")
                    + socket.getSession().getProtocol();
        }
    }

    private void answer() {
        while (true) {
            try (SSLSocket one = (SSLSocket) server.accept()) {
                // Of the server it would be for the connections after the one that is waited for, or for that one, too.
                one.setEnabledProtocols(new String[] {spoken});
                SSLParameters parameters = one.getSSLParameters();
                parameters.setUseCipherSuitesOrder(false);
                if (suites.length > 0) {
                    parameters.setCipherSuites(suites);
                }
                one.setSSLParameters(parameters);
                one.getOutputStream().write('!');
            } catch (IOException e) {
                if (server.isClosed()) {
                    return;
                }
            }
        }
    }

    @BeforeEach
    void start() throws Exception {
        Workshop workshop = new Workshop(folder);
        workshop.makeCertificate("server", "localhost");
        workshop.makeCertificate("device", "device-1");
        sockets = Tls.anonymous(folder.resolve("server.crt"));
        server = (SSLServerSocket) workshop.serverTls("server", "device")
                .getServerSocketFactory()
                .createServerSocket(0, 5, InetAddress.getLoopbackAddress());
        thread = new Thread(this::answer, "server");
        thread.start();
    }

    @AfterEach
    void stop() throws Exception {
        server.close();
        thread.join();
    }

    @Test
    void aSessionOf12GoesOnAndAServerThatSpeaksNothingButNewerIsFoundAgain() throws Exception {
        assertEquals("all TLSv1.2", shaken());
        long first = session;
        Thread.sleep(2);
        assertEquals("1.2 TLSv1.2", shaken());
        assertEquals(first, session);
        assertEquals("1.2 TLSv1.2", shaken());
        spoken = "TLSv1.3";
        assertThrows(IOException.class, this::shaken);
        assertEquals("all TLSv1.3", shaken());
        assertEquals("all TLSv1.3", shaken());
    }

    @ParameterizedTest
    @CsvSource({
        "TLSv1.2, , _128_GCM_SHA256",
        "TLSv1.3, , _128_GCM_SHA256",
        "TLSv1.2, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, _256_GCM_SHA384",
        "TLSv1.3, TLS_AES_256_GCM_SHA384, _256_GCM_SHA384",
    })
    void theLightSuiteIsTheFirstChoiceAndNotTheOnlyOne(String version, String only, String end) throws Exception {
        spoken = version;
        // Of a certificate of either kind.
        suites = only == null ? suites : new String[] {only, only.replace("_RSA_", "_ECDSA_")};
        shaken();
        assertTrue(suite.endsWith(end), suite);
        assertFalse(suite.startsWith("TLS_RSA_"), suite);
    }
}
