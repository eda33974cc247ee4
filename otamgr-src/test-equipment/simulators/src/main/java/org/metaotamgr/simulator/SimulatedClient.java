// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.function.LongSupplier;
import org.metaotamgr.wire.AttributeStatus;
import org.metaotamgr.wire.Conversation;
import org.metaotamgr.wire.ListenRange;
import org.metaotamgr.wire.Message;
import org.metaotamgr.wire.Opcode;
import org.metaotamgr.wire.Protocol;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;

/**
 * A plain client of attrd: one connection, calls that block until they are answered. Written apart from the daemon's
 * client, so that a mistake in one of them shows against the other.
 */
public final class SimulatedClient implements AutoCloseable {

    /** A get or set that attrd or the owner refused. */
    public static final class RefusedException extends IOException {
        private static final long serialVersionUID = 1L;

        private final AttributeStatus status;

        RefusedException(String what, int code) {
            super(what + " ended with status " + code + " " + AttributeStatus.of(code));
            status = AttributeStatus.of(code);
        }

        /**
         * Why.
         *
         * @return never OK
         */
        public AttributeStatus status() {
            return status;
        }
    }

    /** Answers for the attributes which this client owns; called with a lock held, so it must be quick. */
    public interface Owner {
        /**
         * Somebody gets an attribute.
         *
         * @param attributeId which
         * @return its value, or null for NOT_IMPLEMENTED
         */
        byte[] read(int attributeId);

        /**
         * Somebody sets an attribute.
         *
         * @param attributeId which
         * @param value to what
         * @return OK if the value was taken
         */
        AttributeStatus written(int attributeId, byte[] value);

        /**
         * A value that this client listens to has changed.
         *
         * @param attributeId which
         * @param value to what
         */
        default void notified(int attributeId, byte[] value) {}
    }

    private static final class Awaited implements Conversation.Result {
        private boolean ended;
        private int status;
        private byte[] value;

        @Override
        public void ended(int endStatus, byte[] endValue) {
            ended = true;
            status = endStatus;
            value = endValue;
        }
    }

    private final Object lock = new Object();
    private final String name;
    private final Owner owner;
    private final Log log;
    private final AFUNIXSocket socket;
    private final InputStream in;
    private final OutputStream out;
    private final Conversation conversation;
    private boolean connected = true;

    /**
     * Connects and opens.
     *
     * @param path where attrd listens
     * @param name who this client is, for example {@link Attribute#HUBBY}
     * @param ranges what it listens to
     * @param owner answers for its attributes
     * @param log where it tells what happens
     * @throws IOException if attrd is not there or refuses
     */
    public SimulatedClient(Path path, String name, List<ListenRange> ranges, Owner owner, Log log) throws IOException {
        this.name = name;
        this.owner = owner;
        this.log = log;
        socket = AFUNIXSocket.newInstance();
        socket.connect(AFUNIXSocketAddress.of(path));
        in = socket.getInputStream();
        out = socket.getOutputStream();
        conversation = Conversation.client(
                ByteOrder.nativeOrder(),
                new LongSupplier() {
                    @Override
                    public long getAsLong() {
                        return System.nanoTime();
                    }
                },
                new Conversation.Ids(),
                new Writer(),
                new Dispatcher());
        Thread reader = new Thread(
                new Runnable() {
                    @Override
                    public void run() {
                        read();
                    }
                },
                name + "-read");
        reader.setDaemon(true);
        reader.start();
        try {
            Awaited answer = new Awaited();
            synchronized (lock) {
                conversation.open(new Message.Open(name, ranges), answer);
                await(answer, "open as " + name);
            }
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    /**
     * Gets an attribute.
     *
     * @param attributeId which
     * @return its value
     * @throws IOException if there is none, or the connection is lost
     */
    public byte[] get(int attributeId) throws IOException {
        synchronized (lock) {
            Awaited answer = new Awaited();
            conversation.get(attributeId, answer);
            await(answer, "get of " + Integer.toUnsignedString(attributeId));
            return answer.value;
        }
    }

    /**
     * Sets an attribute and waits until it is done.
     *
     * @param attributeId which
     * @param value to what
     * @throws IOException if it was refused, or the connection is lost
     */
    public void set(int attributeId, byte[] value) throws IOException {
        synchronized (lock) {
            Awaited answer = new Awaited();
            conversation.set(attributeId, value, answer);
            await(answer, "set of " + Integer.toUnsignedString(attributeId));
        }
    }

    /**
     * Whether attrd has not closed the connection.
     *
     * @return false once it is gone; a new client is needed then
     */
    public boolean isConnected() {
        synchronized (lock) {
            return connected;
        }
    }

    /**
     * Waits for the end of the connection.
     *
     * @param millis at most so long
     * @return whether it is still there
     * @throws InterruptedException if the thread was interrupted
     */
    public boolean awaitDisconnect(long millis) throws InterruptedException {
        long until = System.nanoTime() + millis * 1_000_000;
        synchronized (lock) {
            for (long left = millis; connected && left > 0; left = (until - System.nanoTime()) / 1_000_000) {
                lock.wait(left);
            }
            return connected;
        }
    }

    private void await(Awaited answer, String what) throws IOException {
        try {
            while (!answer.ended) {
                long nanos = conversation.nanosToDeadline();
                lock.wait(nanos == Long.MAX_VALUE ? 1000 : Math.max(1, nanos / 1_000_000 + 1));
                conversation.expire();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(what + " was interrupted", e);
        }
        if (answer.status == AttributeStatus.NO_DAEMON.code()) {
            throw new IOException(what + " failed: attrd closed the connection");
        }
        if (answer.status != 0) {
            throw new RefusedException(what, answer.status);
        }
    }

    private void read() {
        byte[] buffer = new byte[2 * Protocol.MAX_MESSAGE];
        String reason = "attrd closed the connection";
        try {
            for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                synchronized (lock) {
                    conversation.received(buffer, 0, count);
                    lock.notifyAll();
                }
            }
        } catch (IOException e) {
            reason = e.getMessage();
        }
        synchronized (lock) {
            connected = false;
            conversation.abandon(AttributeStatus.NO_DAEMON);
            log.line(name, "disconnected: " + reason);
            lock.notifyAll();
        }
        try {
            socket.close();
        } catch (IOException e) {
            log.line(name, "closing the socket: " + e.getMessage());
        }
    }

    /** Waits for what is outstanding, tells attrd that nothing more comes, and waits until it has closed its side. */
    @Override
    public void close() {
        long until = System.nanoTime() + Protocol.GET_TIMEOUT.plusSeconds(2).toNanos();
        synchronized (lock) {
            try {
                while (connected && !conversation.isSettled() && System.nanoTime() - until < 0) {
                    lock.wait(100);
                    conversation.expire();
                }
                if (connected) {
                    socket.shutdownOutput();
                }
                while (connected && System.nanoTime() - until < 0) {
                    lock.wait(100);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } catch (IOException e) {
                log.line(name, "closing the socket: " + e.getMessage());
            }
        }
        try {
            socket.close();
        } catch (IOException e) {
            log.line(name, "closing the socket: " + e.getMessage());
        }
    }

    private final class Writer implements Conversation.Output {
        @Override
        public void send(byte[] message) {
            try {
                out.write(message);
            } catch (IOException e) {
                // The reader finds the end of the stream and ends everything.
                log.line(name, "cannot write: " + e.getMessage());
            }
        }
    }

    private final class Dispatcher implements Conversation.Listener {
        @Override
        public void wanted(int requestId, Message.Get get) {
            byte[] value = owner.read(get.attributeId());
            if (value == null) {
                conversation.refuseGet(requestId, get, AttributeStatus.NOT_IMPLEMENTED.code());
            } else {
                conversation.replyGet(requestId, get, value);
            }
        }

        @Override
        public void arrived(Opcode opcode, int operationId, int attributeId, byte[] value) {
            if (opcode == Opcode.SET) {
                conversation.replySet(
                        operationId, owner.written(attributeId, value).code());
            } else {
                owner.notified(attributeId, value);
            }
        }

        @Override
        public void log(String line) {
            log.line(name, line);
        }
    }
}
