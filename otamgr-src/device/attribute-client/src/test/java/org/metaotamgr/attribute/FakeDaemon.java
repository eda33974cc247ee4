// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.metaotamgr.wire.Frame;
import org.metaotamgr.wire.Incoming;
import org.metaotamgr.wire.Message;
import org.metaotamgr.wire.MessageCodec;
import org.metaotamgr.wire.MessageReader;
import org.metaotamgr.wire.Sequence;
import org.newsclub.net.unix.AFUNIXServerSocket;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;

/** A daemon that does exactly what a test tells it, message by message. */
final class FakeDaemon implements AutoCloseable {
    /** Far beyond what anything here takes, so that only a failure ever waits so long. */
    static final int PATIENCE_SECONDS = 30;

    final MessageCodec codec;
    private final ByteOrder order;
    private final AFUNIXServerSocket server;
    private final BlockingQueue<Connection> accepted = new LinkedBlockingQueue<>();
    private final List<Connection> all = new CopyOnWriteArrayList<>();

    FakeDaemon(Path socket) throws IOException {
        this(socket, ByteOrder.nativeOrder());
    }

    FakeDaemon(Path socket, ByteOrder order) throws IOException {
        this.order = order;
        codec = new MessageCodec(order);
        Files.deleteIfExists(socket);
        server = AFUNIXServerSocket.newInstance();
        server.bind(AFUNIXSocketAddress.of(socket));
        daemonThread(() -> {
            try {
                while (true) {
                    Connection connection = new Connection(server.accept());
                    all.add(connection);
                    accepted.add(connection);
                }
            } catch (IOException e) {
                // closed by the test
            }
        });
    }

    private static void daemonThread(Runnable body) {
        Thread thread = new Thread(body);
        thread.setDaemon(true);
        thread.start();
    }

    /** The next client that connects. */
    Connection accept() throws InterruptedException {
        Connection connection = accepted.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
        assertNotNull(connection, "no client connected");
        return connection;
    }

    /** The next client, after its OPEN was accepted. */
    Connection acceptOpen() throws Exception {
        Connection connection = accept();
        Incoming.Request open = connection.request();
        assertInstanceOf(Message.Open.class, open.message());
        connection.answer(open, new Message.OpenReply(0));
        return connection;
    }

    int waiting() {
        return accepted.size();
    }

    @Override
    public void close() throws IOException {
        server.close();
        for (Connection connection : all) {
            connection.close();
        }
    }

    /** The daemon's end of one connection. */
    final class Connection {
        private static final Object END = new Object();

        private final AFUNIXSocket socket;
        private final BlockingQueue<Object> received = new LinkedBlockingQueue<>();
        private final Object pause = new Object();
        private volatile boolean paused;

        Connection(AFUNIXSocket socket) {
            this.socket = socket;
            daemonThread(this::read);
        }

        private void read() {
            MessageReader reader = new MessageReader(order);
            byte[] buffer = new byte[4096];
            try {
                for (int count = socket.getInputStream().read(buffer);
                        count >= 0;
                        count = socket.getInputStream().read(buffer)) {
                    reader.append(buffer, 0, count);
                    for (Frame frame = reader.next(); frame != null; frame = reader.next()) {
                        received.add(frame);
                    }
                    synchronized (pause) {
                        while (paused) {
                            pause.wait();
                        }
                    }
                }
            } catch (IOException | InterruptedException e) {
                // ends like an end of stream
            }
            received.add(END);
        }

        /** Stops reading after the next bytes, so that the client's writes get stuck. */
        void stopReading() {
            paused = true;
        }

        void goOnReading() {
            synchronized (pause) {
                paused = false;
                pause.notifyAll();
            }
        }

        Frame next() throws InterruptedException {
            Object next = received.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
            assertNotNull(next, "the client sent nothing");
            return assertInstanceOf(Frame.class, next, "the client ended the connection");
        }

        /** Waits until the client ends its side. */
        void awaitEnd() throws InterruptedException {
            assertSame(END, received.poll(PATIENCE_SECONDS, TimeUnit.SECONDS), "the client goes on");
        }

        Incoming.Request request() throws InterruptedException {
            return assertInstanceOf(Incoming.Request.class, codec.classify(next()));
        }

        /** The body of the answer to a request of ours. */
        byte[] answerTo(int id) throws InterruptedException {
            Incoming.Response response = assertInstanceOf(Incoming.Response.class, codec.classify(next()));
            assertEquals(id, response.id());
            return response.body();
        }

        void ask(int id, Message.Request message) throws IOException {
            send(codec.encode(Sequence.request(id), message));
        }

        void answer(Incoming.Request request, Message.Response message) throws IOException {
            send(codec.encode(Sequence.response(request.id(), 4), message));
        }

        void tell(Message.SetReply message) throws IOException {
            send(codec.encode(Sequence.UNSOLICITED, message));
        }

        void send(byte[] bytes) throws IOException {
            socket.getOutputStream().write(bytes);
        }

        void close() throws IOException {
            socket.close();
        }

        void assertOpen() {
            assertFalse(received.contains(END), "the client ended the connection");
        }
    }
}
