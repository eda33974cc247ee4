// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.io.InputStream;
import java.net.ServerSocket;
import java.net.Socket;

/** Takes the connections to a port of this machine, and serves each in a thread of its own. */
final class Connections implements AutoCloseable {
    /** What a server does with a connection; it is closed afterwards. */
    interface Handler {
        void serve(Socket client) throws IOException, InterruptedException;
    }

    private final ServerSocket socket = new ServerSocket(0);
    private final Handler handler;

    Connections(Handler handler) throws IOException {
        this.handler = handler;
        inBackground(this::accept);
    }

    int port() {
        return socket.getLocalPort();
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }

    private static void inBackground(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        thread.start();
    }

    private void accept() {
        while (!socket.isClosed()) {
            try {
                Socket client = socket.accept();
                inBackground(() -> serve(client));
            } catch (IOException e) {
                return;
            }
        }
    }

    private void serve(Socket client) {
        try (client) {
            handler.serve(client);
        } catch (IOException | InterruptedException e) {
            // The client has gone, as it may.
            return;
        }
    }

    /** The head of a request; empty if no whole one comes. */
    static String head(InputStream in) throws IOException {
        StringBuilder head = new StringBuilder();
        while (head.indexOf("\r\n\r\n") < 0) {
            int next = in.read();
            if (next < 0) {
                return "";
            }
            head.append((char) next);
        }
        return head.toString();
    }
}
