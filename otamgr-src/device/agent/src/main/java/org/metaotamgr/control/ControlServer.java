// SPDX-License-Identifier: MIT
package org.metaotamgr.control;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.concurrent.Semaphore;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.device.Printable;
import org.newsclub.net.unix.AFUNIXServerSocket;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.AFUNIXSocketCredentials;

/**
 * Takes commands over a local socket, version {@value #PROTOCOL} of the protocol in docs/reference/control.md. A
 * request is one line, a JSON object with the list {@code arguments}. What comes back are lines that begin with a
 * letter and a blank: {@code o} for standard output, {@code e} for standard error, {@code p} for progress, and, as
 * the last one, {@code x} with the exit code. The socket belongs to the user of the daemon and has mode 0600; whoever
 * is connected nevertheless, and is neither that user nor root, is sent away.
 */
public final class ControlServer implements AutoCloseable {
    /** The version of the protocol; within it nothing that a client relies on changes. */
    public static final int PROTOCOL = 1;

    private static final int MAX_REQUEST = 16 * 1024;
    private static final int MAX_DRAIN = 1 << 20;
    private static final int MAX_CONNECTIONS = 4;
    private static final int REQUEST_TIMEOUT_MS = 5000;
    private static final int FAILED = 1;
    private static final int USAGE = 2;

    /** Carries out a command. */
    public interface Handler {
        /**
         * Carries it out.
         *
         * @param arguments the command line
         * @param answer takes what there is to say
         * @return the exit code
         * @throws InterruptedException if the thread was interrupted
         */
        int run(List<String> arguments, Answer answer) throws InterruptedException;
    }

    private final AFUNIXServerSocket socket;
    private final Path path;
    private final Handler handler;
    private final EventLog log;
    private final long owner;
    private final Semaphore free = new Semaphore(MAX_CONNECTIONS);

    private ControlServer(AFUNIXServerSocket socket, Path path, Handler handler, EventLog log, long owner) {
        this.socket = socket;
        this.path = path;
        this.handler = handler;
        this.log = log;
        this.owner = owner;
    }

    /**
     * Begins to listen, in a thread of its own.
     *
     * @param path the socket; what an earlier daemon left there is removed, and a missing folder is made
     * @param handler carries out commands; called on a thread for each connection
     * @param log where to tell about it
     * @return the server
     * @throws IOException if the socket cannot be made
     */
    public static ControlServer start(Path path, Handler handler, EventLog log) throws IOException {
        Files.createDirectories(path.getParent());
        Files.deleteIfExists(path);
        AFUNIXServerSocket socket = AFUNIXServerSocket.newInstance();
        try {
            socket.bind(AFUNIXSocketAddress.of(path));
            Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
            long owner = ((Number) Files.getAttribute(path, "unix:uid")).longValue();
            ControlServer server = new ControlServer(socket, path, handler, log, owner);
            startDaemon("otamgr-control", server::accept);
            return server;
        } catch (IOException e) {
            socket.close();
            throw e;
        }
    }

    private static void startDaemon(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
    }

    private void accept() {
        while (!socket.isClosed()) {
            try {
                AFUNIXSocket client = socket.accept();
                if (free.tryAcquire()) {
                    startDaemon("otamgr-command", () -> {
                        try {
                            serve(client);
                        } finally {
                            free.release();
                        }
                    });
                } else {
                    client.close();
                }
            } catch (IOException e) {
                if (!socket.isClosed()) {
                    log.warning("control:error=" + Printable.of(e.toString()));
                }
            }
        }
    }

    private void serve(AFUNIXSocket client) {
        try (client) {
            client.setSoTimeout(REQUEST_TIMEOUT_MS);
            Lines answer = new Lines(client.getOutputStream());
            AFUNIXSocketCredentials peer = client.getPeerCredentials();
            if (peer == null || peer.getUid() != 0 && peer.getUid() != owner) {
                log.warning("control_refused:uid=" + (peer == null ? "unknown" : Long.toString(peer.getUid())));
                answer.err("expected root or the user of the daemon, found user "
                        + (peer == null ? "unknown" : Long.toString(peer.getUid())));
                answer.end(FAILED);
                drain(client);
                return;
            }
            List<String> arguments;
            try {
                arguments = arguments(client.getInputStream());
            } catch (IOException e) {
                answer.err("the request cannot be understood: " + Printable.of(String.valueOf(e.getMessage())));
                answer.end(USAGE);
                drain(client);
                return;
            }
            log.info("control:command=" + Printable.of(String.join(" ", arguments)) + ",pid=" + peer.getPid());
            answer.end(run(arguments, answer));
        } catch (IOException e) {
            log.info("control_gone:error=" + Printable.of(e.toString()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private int run(List<String> arguments, Answer answer) throws InterruptedException {
        try {
            return handler.run(arguments, answer);
        } catch (RuntimeException e) {
            log.internalError(e);
            answer.err("an internal error: " + Printable.of(e.toString()));
            return FAILED;
        }
    }

    /** A socket that is closed with something unread in it takes the answer with it. */
    private static void drain(AFUNIXSocket client) throws IOException {
        client.shutdownOutput();
        InputStream in = client.getInputStream();
        byte[] buffer = new byte[MAX_REQUEST];
        int left = MAX_DRAIN;
        for (int read = in.read(buffer); read >= 0 && left > 0; read = in.read(buffer)) {
            left -= read;
        }
    }

    static List<String> arguments(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int next = in.read(); next != '\n'; next = in.read()) {
            if (next < 0 || line.size() == MAX_REQUEST) {
                throw new IOException("expected a line of at most " + MAX_REQUEST + " bytes");
            }
            line.write(next);
        }
        JsonFields request = JsonFields.of("the command", line.toByteArray());
        if (request.node().has("protocol")) {
            request.number("protocol", PROTOCOL, PROTOCOL);
        }
        return request.strings("arguments");
    }

    /** Writes lines to the one who gave the command, as long as there is one. */
    private final class Lines implements Answer {
        private final OutputStream out;
        private boolean isGone;

        Lines(OutputStream out) {
            this.out = out;
        }

        @Override
        public void out(String line) {
            write("o " + line);
        }

        @Override
        public void err(String line) {
            write("e " + line);
        }

        @Override
        public void progress(String line) {
            write("p " + line);
        }

        @Override
        public synchronized boolean isWanted() {
            return !isGone;
        }

        void end(int status) {
            write("x " + status);
        }

        private synchronized void write(String line) {
            if (isGone) {
                return;
            }
            try {
                out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
                out.flush();
            } catch (IOException e) {
                isGone = true;
                log.info("control_gone:error=" + Printable.of(e.toString()));
            }
        }
    }

    /** Stops listening; commands that run come to their end. */
    @Override
    public void close() {
        try {
            socket.close();
            Files.deleteIfExists(path);
        } catch (IOException e) {
            log.warning("control:error=" + Printable.of(e.toString()));
        }
    }
}
