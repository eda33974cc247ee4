// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Path;
import java.util.Arrays;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.testing.Workshop;

/** What is offered to a server: all that is spoken here, but for sessions of TLS 1.2 that go on. */
class TlsTest {
    @TempDir
    private Path folder;

    private SSLServerSocket server;
    private volatile String spoken = "TLSv1.2";
    private Tls.Sockets sockets;
    private long session;

    /** What was offered of TLS 1.3, and what was spoken. */
    private String shaken() throws IOException {
        try (Socket plain = new Socket(InetAddress.getLoopbackAddress(), server.getLocalPort());
                SSLSocket socket =
                        (SSLSocket) sockets.factory().createSocket(plain, "localhost", server.getLocalPort(), true)) {
            sockets.shakeHands(socket, "localhost", server.getLocalPort());
            session = socket.getSession().getCreationTime();
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
                one.getOutputStream().write('!');
            } catch (IOException e) {
                if (server.isClosed()) {
                    return;
                }
            }
        }
    }

    @Test
    void aSessionOf12GoesOnAndAServerThatSpeaksNothingButNewerIsFoundAgain() throws Exception {
        Workshop workshop = new Workshop(folder);
        workshop.makeCertificate("server", "localhost");
        workshop.makeCertificate("device", "device-1");
        sockets = Tls.anonymous(folder.resolve("server.crt"));
        server = (SSLServerSocket) workshop.serverTls("server", "device")
                .getServerSocketFactory()
                .createServerSocket(0, 5, InetAddress.getLoopbackAddress());
        Thread thread = new Thread(this::answer, "server");
        thread.start();
        try {
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
        } finally {
            server.close();
            thread.join();
        }
    }
}
