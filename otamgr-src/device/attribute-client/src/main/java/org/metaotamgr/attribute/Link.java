// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.metaotamgr.wire.AttributeStatus;
import org.metaotamgr.wire.Conversation;
import org.metaotamgr.wire.FramingLostException;
import org.metaotamgr.wire.Message;
import org.metaotamgr.wire.Opcode;
import org.metaotamgr.wire.Protocol;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.AFUNIXSocketCredentials;

/**
 * One connection to the daemon, from connect to close. Everything but the socket and what has arrived from it is guarded
 * by the client's lock.
 */
final class Link implements Conversation.Output, Conversation.Listener {
    /** Longest that the daemon is given to close its side after the sending side was shut down. */
    static final Duration LONGEST_DRAIN = Protocol.GET_TIMEOUT.plusSeconds(1);

    private static final Duration SHORT_DRAIN = Duration.ofSeconds(1);

    /**
     * How long the handler may take to answer. Shorter than the 5 s which the daemon gives the owner, so that our "not
     * implemented" comes before its time-out.
     */
    private static final long ANSWER_NANOS =
            Protocol.GET_TIMEOUT.minusMillis(500).toNanos();

    /** Bytes that may wait to be written. A daemon that leaves so much unread does not read at all. */
    private static final int MAX_UNWRITTEN = 1 << 20;

    /** Bytes of values that may wait for the handler; further values are refused with NO_SPACE. */
    private static final int MAX_UNHANDLED = 1 << 20;

    /** Answers that the handler may owe; further gets and sets are refused at once. */
    private static final int MAX_OWED = 512;

    /** The original daemon drops a client that leaves about 278 small messages unread: one read takes all of them. */
    private static final int READ_AT_ONCE = 32 * 1024;

    private final AttributeClient client;
    private final Object lock;
    private final Message.Open open;
    private final LongSupplier nanoClock;
    private final AttributeHandler handler;
    private final EventQueue events;
    private final EventQueue answers;
    private final Consumer<String> log;
    private final Conversation conversation;
    private final Arrived arrived = new Arrived();
    private final Deque<byte[]> unwritten = new ArrayDeque<>();
    private final List<Owed> owed = new ArrayList<>();
    private AFUNIXSocket socket;
    private InputStream in;
    private OutputStream out;
    private Peer peer = new Peer(-1, -1, -1);
    private int bytesUnwritten;
    private boolean opened;
    private boolean ending;
    private boolean gone;
    /** Whether the handler is going to be told that values did not arrive. */
    private boolean missed;

    private String endReason;
    private long drainUntil;

    Link(
            AttributeClient client,
            Object lock,
            Message.Open open,
            ByteOrder order,
            LongSupplier nanoClock,
            Conversation.Ids ids,
            AttributeHandler handler,
            EventQueue events,
            EventQueue answers,
            Consumer<String> log) {
        this.client = client;
        this.lock = lock;
        this.open = open;
        this.nanoClock = nanoClock;
        this.handler = handler;
        this.events = events;
        this.answers = answers;
        this.log = log;
        conversation = Conversation.client(order, nanoClock, ids, this, this);
    }

    Conversation conversation() {
        return conversation;
    }

    /** Whether the daemon has accepted this client and nobody has ended the connection. */
    boolean isOpen() {
        return opened && !ending;
    }

    /** Whether nothing is waited for and everything that was to be said is said. */
    boolean isSettled() {
        return ending || conversation.isSettled() && owed.isEmpty() && unwritten.isEmpty();
    }

    /**
     * Connects.
     *
     * @return why it did not work, null if it did
     */
    String connect(Path path, Optional<Path> through) {
        try {
            if (through.isPresent()) {
                socket = HandedOver.connect(through.get());
            } else {
                socket = AFUNIXSocket.newInstance();
                socket.connect(AFUNIXSocketAddress.of(path));
            }
            in = socket.getInputStream();
            out = socket.getOutputStream();
            AFUNIXSocketCredentials credentials = socket.getPeerCredentials();
            if (credentials != null) {
                peer = new Peer(credentials.getPid(), credentials.getUid(), credentials.getGid());
            }
            return null;
        } catch (IOException | RuntimeException | LinkageError e) {
            // A missing native library shows up as one of the latter; it may be repaired while we keep trying.
            closeSocket();
            return e.getMessage() == null ? e.toString() : e.getMessage();
        }
    }

    /** Reads until the daemon closes the connection or somebody ends it. The calling thread is the reader. */
    void serve() {
        Thread writer = new Thread(
                new Runnable() {
                    @Override
                    public void run() {
                        write();
                    }
                },
                "attribute-writer");
        writer.setDaemon(true);
        writer.start();
        synchronized (lock) {
            conversation.open(open, new Conversation.Result() {
                @Override
                public void ended(int status, byte[] none) {
                    openEnded(status);
                }
            });
            client.changed();
        }
        String reason = read();
        synchronized (lock) {
            process();
            end(reason);
            gone = true;
            lock.notifyAll();
        }
        closeSocket();
        boolean interrupted = false;
        while (writer.isAlive()) {
            try {
                writer.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            log.accept("attribute reader thread was interrupted, going on");
        }
        if (opened) {
            log.accept("disconnected from attrd: " + endReason);
            events.add(new EventQueue.Event() {
                @Override
                public void run() {
                    handler.disconnected(endReason);
                }
            });
        } else {
            log.accept("attrd did not accept this client: " + endReason);
        }
    }

    private void openEnded(int status) {
        if (status == AttributeStatus.OK.code()) {
            if (!ending) {
                opened = true;
                log.accept("connected to attrd, pid=" + peer.pid() + " uid=" + peer.uid() + " gid=" + peer.gid());
                events.add(new EventQueue.Event() {
                    @Override
                    public void run() {
                        handler.connected(peer);
                    }
                });
            }
        } else if (status == AttributeStatus.TIMEOUT.code()) {
            end("OPEN was not answered within " + Protocol.OPEN_TIMEOUT.toMillis() + " ms");
        } else {
            end("OPEN was refused with " + AttributeStatus.of(status) + " (" + status + ")");
        }
    }

    /** Does nothing but read: whatever took time here would let the daemon drop this client. */
    private String read() {
        byte[] buffer = new byte[READ_AT_ONCE];
        try {
            for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                if (arrived.add(buffer, count)) {
                    client.wake();
                }
            }
            return "attrd closed the connection";
        } catch (IOException | RuntimeException e) {
            return "cannot read from attrd: " + e.getMessage();
        } catch (InterruptedException e) {
            return "attribute reader thread was interrupted";
        }
    }

    /** Acts on what has arrived, with the lock held. */
    void process() {
        for (byte[] bytes = arrived.poll(); bytes != null; bytes = arrived.poll()) {
            // Once ended, what still comes is read only so that its sender does not write into a closed socket.
            if (!ending) {
                received(bytes, bytes.length);
            }
            client.changed();
        }
    }

    private void received(byte[] buffer, int count) {
        try {
            conversation.received(buffer, 0, count);
        } catch (FramingLostException e) {
            end(e.getMessage());
        }
    }

    private void write() {
        try {
            while (true) {
                byte[] message;
                synchronized (lock) {
                    while (unwritten.isEmpty() && !ending) {
                        lock.wait();
                    }
                    message = unwritten.peek();
                }
                if (message == null) {
                    socket.shutdownOutput();
                    return;
                }
                // One call per message: the original daemon does not reassemble (section 11).
                out.write(message);
                synchronized (lock) {
                    unwritten.poll();
                    bytesUnwritten -= message.length;
                    client.changed();
                }
            }
        } catch (IOException | RuntimeException e) {
            synchronized (lock) {
                if (!gone) {
                    end("cannot write to attrd: " + e.getMessage());
                }
                unwritten.clear();
            }
        } catch (InterruptedException e) {
            synchronized (lock) {
                end("attribute writer thread was interrupted");
            }
        }
    }

    /** Ends the connection in order; the reader closes the socket when the daemon has closed its side. */
    void end(String reason) {
        if (ending) {
            return;
        }
        ending = true;
        endReason = reason;
        Duration drain = conversation.isSettled() ? SHORT_DRAIN : LONGEST_DRAIN;
        drainUntil = nanoClock.getAsLong() + drain.toNanos();
        owed.clear();
        conversation.abandon(AttributeStatus.NO_DAEMON);
        lock.notifyAll();
    }

    /** Closes the socket without further ado; whoever is reading or writing it gets an error. */
    void closeSocket() {
        arrived.close();
        if (socket != null) {
            try {
                socket.close();
            } catch (IOException e) {
                log.accept("closing the socket to attrd: " + e.getMessage());
            }
        }
    }

    // ---- time ----

    /** How long until {@link #expire} has something to do. */
    long nanosToDeadline() {
        long now = nanoClock.getAsLong();
        if (ending) {
            return gone ? Long.MAX_VALUE : drainUntil - now;
        }
        long nearest = conversation.nanosToDeadline();
        for (Owed answer : owed) {
            nearest = Math.min(nearest, answer.deadline - now);
        }
        return nearest;
    }

    /** Does what is due and tells how long until the next time. */
    long expire() {
        long now = nanoClock.getAsLong();
        if (ending) {
            if (!gone && now - drainUntil >= 0) {
                gone = true;
                log.accept("attrd did not close its side of the connection, closing anyway");
                closeSocket();
            }
        } else {
            conversation.expire();
            for (Owed answer : List.copyOf(owed)) {
                if (now - answer.deadline >= 0) {
                    answer.tooLate();
                }
            }
        }
        return nanosToDeadline();
    }

    // ---- what the conversation says ----

    @Override
    public void send(byte[] message) {
        if (ending) {
            return;
        }
        unwritten.add(message);
        bytesUnwritten += message.length;
        lock.notifyAll();
        if (bytesUnwritten > MAX_UNWRITTEN) {
            end("attrd does not read, " + bytesUnwritten + " bytes are waiting for it");
        }
    }

    @Override
    public void wanted(int requestId, Message.Get get) {
        if (owed.size() >= MAX_OWED) {
            conversation.refuseGet(requestId, get, AttributeStatus.NO_SPACE.code());
            return;
        }
        OwedGet answer = new OwedGet(requestId, get);
        owed.add(answer);
        answers.add(answer);
    }

    @Override
    public void arrived(Opcode opcode, int operationId, int attributeId, byte[] value) {
        if (opcode == Opcode.SET && owed.size() >= MAX_OWED) {
            conversation.replySet(operationId, AttributeStatus.NO_SPACE.code());
            return;
        }
        if (opcode == Opcode.SET) {
            OwedSet answer = new OwedSet(operationId, attributeId, value);
            owed.add(answer);
            events.add(answer);
            return;
        }
        events.add(new EventQueue.Event() {
            @Override
            public void run() {
                handler.notified(attributeId, value);
            }

            @Override
            public int size() {
                return value.length + EventQueue.OVERHEAD;
            }
        });
    }

    @Override
    public boolean hasRoom(int size) {
        if (events.bytes() + size <= MAX_UNHANDLED) {
            return true;
        }
        lost();
        return false;
    }

    @Override
    public void lost() {
        if (!missed) {
            missed = true;
            // Comes after all that waits, when there is room again.
            events.add(new EventQueue.Event() {
                @Override
                public void run() {
                    synchronized (lock) {
                        missed = false;
                    }
                    handler.missed();
                }
            });
        }
    }

    @Override
    public void log(String line) {
        log.accept("attrd: " + line);
    }

    /** An answer which the handler owes the daemon. */
    private abstract class Owed implements EventQueue.Event {
        final int attributeId;
        final long deadline = nanoClock.getAsLong() + ANSWER_NANOS;

        Owed(int attributeId) {
            this.attributeId = attributeId;
        }

        /** With the lock held: the answer when the handler has none in time. */
        abstract void refuse();

        void tooLate() {
            owed.remove(this);
            log.accept("no answer from the handler in time for attribute " + Integer.toUnsignedString(attributeId));
            refuse();
        }

        /** With the lock held: whether the daemon still waits for this answer. */
        boolean claim() {
            return owed.remove(this);
        }
    }

    private final class OwedGet extends Owed {
        private final int requestId;
        private final Message.Get get;

        OwedGet(int requestId, Message.Get get) {
            super(get.attributeId());
            this.requestId = requestId;
            this.get = get;
        }

        @Override
        public void run() {
            Optional<byte[]> value = Optional.empty();
            try {
                value = Objects.requireNonNull(handler.read(attributeId), "read() returned null");
            } finally {
                synchronized (lock) {
                    if (claim()) {
                        answer(value);
                        client.changed();
                    }
                }
            }
        }

        private void answer(Optional<byte[]> value) {
            if (value.isPresent() && value.get().length <= Protocol.MAX_VALUE) {
                conversation.replyGet(requestId, get, value.get().clone());
                return;
            }
            if (value.isPresent()) {
                log.accept("the handler's value for attribute " + Integer.toUnsignedString(attributeId) + " has "
                        + value.get().length + " bytes, at most " + Protocol.MAX_VALUE + " can be sent");
            }
            refuse();
        }

        @Override
        void refuse() {
            conversation.refuseGet(requestId, get, AttributeStatus.NOT_IMPLEMENTED.code());
        }
    }

    private final class OwedSet extends Owed {
        private final int operationId;
        private final byte[] value;

        OwedSet(int operationId, int attributeId, byte[] value) {
            super(attributeId);
            this.operationId = operationId;
            this.value = value;
        }

        @Override
        public void run() {
            AttributeStatus status = AttributeStatus.UNSPECIFIED;
            try {
                status = Objects.requireNonNull(handler.written(attributeId, value), "written() returned null");
            } finally {
                synchronized (lock) {
                    if (claim()) {
                        conversation.replySet(operationId, status.code());
                        client.changed();
                    }
                }
            }
        }

        @Override
        public int size() {
            return value.length + EventQueue.OVERHEAD;
        }

        @Override
        void refuse() {
            conversation.replySet(operationId, AttributeStatus.TIMEOUT.code());
        }
    }
}
