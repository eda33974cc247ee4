// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;
import org.metaotamgr.wire.AttributeStatus;
import org.metaotamgr.wire.Conversation;
import org.metaotamgr.wire.FramingLostException;
import org.metaotamgr.wire.ListenRange;
import org.metaotamgr.wire.Message;
import org.metaotamgr.wire.Opcode;
import org.metaotamgr.wire.Protocol;
import org.newsclub.net.unix.AFUNIXServerSocket;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;

/**
 * Stands in for the attribute daemon (attribute protocol, sections 4 to 9): routes gets and sets to the owners of
 * attributes and tells listeners. Behaves like the original towards a client in good order, without its crashes; where
 * the original would have died of a client's early close, that is counted in {@link #writesIntoClosedSockets}.
 */
public final class Attrd implements AutoCloseable {
    private static final String ATTRC_AS_OWNER = "ATTRC.";
    private static final String OWNER_PREFIX = "IPC.";
    private static final String EDGE = "IPC.EDGED";

    /** What to do differently from a plain daemon; for tests of clients. */
    public static final class Options {
        private final List<Attribute> attributes = new ArrayList<>(Attribute.table());
        private Path rebootReason = Path.of("/afero_nv/reboot_reason");
        private int fragment = Integer.MAX_VALUE;
        private int coalesceMillis;
        private int backlog = 278;
        private LongSupplier nanoClock = new LongSupplier() {
            @Override
            public long getAsLong() {
                return System.nanoTime();
            }
        };

        /**
         * Adds an attribute to those of the update service.
         *
         * @param attribute its id must be new
         * @return this
         */
        public Options attribute(Attribute attribute) {
            attributes.add(attribute);
            return this;
        }

        /**
         * Where the reason of the last reboot is read from, for attribute 65019.
         *
         * @param file default {@code /afero_nv/reboot_reason}; need not exist
         * @return this
         */
        public Options rebootReason(Path file) {
            rebootReason = file;
            return this;
        }

        /**
         * Cuts everything that is sent into pieces, written one after the other with a pause of 1 ms.
         *
         * @param bytes size of a piece, at least 1
         * @return this
         */
        public Options fragment(int bytes) {
            fragment = bytes;
            return this;
        }

        /**
         * Collects messages and writes them glued together.
         *
         * @param millis how long to collect, 0 for not at all
         * @return this
         */
        public Options coalesce(int millis) {
            coalesceMillis = millis;
            return this;
        }

        /** Time for tests: monotonic nanoseconds. */
        Options nanoClock(LongSupplier clock) {
            nanoClock = clock;
            return this;
        }

        /**
         * How many messages may wait for a client that does not read, beyond what the kernel holds; one more and the
         * client is dropped (attribute protocol, section 13, Q3).
         *
         * @param messages default 278
         * @return this
         */
        public Options backlog(int messages) {
            backlog = messages;
            return this;
        }
    }

    private final Path path;
    private final Options options;
    private final Log log;
    private final Map<Integer, Attribute> attributes = new HashMap<>();
    private final Map<Integer, byte[]> setByOwner = new HashMap<>();

    /** Guards everything below and all sessions: like the original this daemon does one thing at a time. */
    private final Object lock = new Object();

    private final Conversation.Ids ids = new Conversation.Ids();
    private final List<Session> sessions = new ArrayList<>();
    private AFUNIXServerSocket server;
    private int lastClientId;
    private int debugLevel = 1;
    private int brokenWrites;
    private boolean closed;

    /**
     * A daemon that is not yet listening.
     *
     * @param socket where it will listen
     * @param options how it behaves
     * @param log where it tells what happens
     */
    public Attrd(Path socket, Options options, Log log) {
        path = socket;
        this.options = options;
        this.log = log;
        for (Attribute attribute : options.attributes) {
            attributes.put(attribute.id(), attribute);
        }
    }

    /**
     * Removes a socket left over from before and listens.
     *
     * @throws IOException if that is not possible
     */
    public void start() throws IOException {
        Files.deleteIfExists(path);
        server = AFUNIXServerSocket.newInstance();
        server.setDeleteOnClose(false);
        server.bind(AFUNIXSocketAddress.of(path), 16);
        // As the real one makes it, under root's umask; the library would let everybody connect.
        Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwxr-xr-x"));
        log("listening on " + path);
        start("attrd-accept", new Runnable() {
            @Override
            public void run() {
                accept();
            }
        });
        start("attrd-timer", new Runnable() {
            @Override
            public void run() {
                watchTime();
            }
        });
    }

    private static void start(String name, Runnable body) {
        Thread thread = new Thread(body, name);
        thread.setDaemon(true);
        thread.start();
    }

    /** Drops all clients and stops listening; the socket file stays, as with the original. */
    @Override
    public void close() {
        synchronized (lock) {
            closed = true;
            for (Session session : List.copyOf(sessions)) {
                session.drop("attrd ends");
            }
            lock.notifyAll();
        }
        if (server != null) {
            try {
                server.close();
            } catch (IOException e) {
                log("closing the listening socket: " + e.getMessage());
            }
        }
    }

    /**
     * Closes the connection of a client, whatever is going on there.
     *
     * @param name what the client opened with, or {@code all}
     * @return how many were dropped
     */
    public int drop(String name) {
        synchronized (lock) {
            int dropped = 0;
            for (Session session : List.copyOf(sessions)) {
                if (name.equals("all") || name.equals(session.name)) {
                    session.drop("dropped on command");
                    dropped++;
                }
            }
            return dropped;
        }
    }

    /**
     * How often this daemon wrote to a client that had closed its socket. The original dies of the first time
     * (attribute protocol, section 13, Q4).
     *
     * @return 0 if all clients behaved
     */
    public int writesIntoClosedSockets() {
        synchronized (lock) {
            return brokenWrites;
        }
    }

    private void log(String line) {
        log.line("attrd", line);
    }

    private void accept() {
        while (true) {
            try {
                AFUNIXSocket socket = server.accept();
                synchronized (lock) {
                    if (closed) {
                        socket.close();
                        return;
                    }
                    new Session(socket, newClientId()).begin();
                }
            } catch (IOException e) {
                synchronized (lock) {
                    if (!closed) {
                        log("cannot accept any more clients: " + e.getMessage());
                    }
                    return;
                }
            }
        }
    }

    private int newClientId() {
        boolean used;
        do {
            lastClientId = lastClientId == 0xFFFF ? 1 : lastClientId + 1;
            used = false;
            for (Session session : sessions) {
                used |= session.id == lastClientId;
            }
        } while (used);
        return lastClientId;
    }

    private void watchTime() {
        synchronized (lock) {
            while (!closed) {
                long nearest = Long.MAX_VALUE;
                for (Session session : List.copyOf(sessions)) {
                    session.conversation.expire();
                    nearest = Math.min(nearest, session.conversation.nanosToDeadline());
                }
                try {
                    // Every time-out is a second or more: looking once a second while something is pending is enough
                    // and saves waking this thread for every message.
                    lock.wait(nearest == Long.MAX_VALUE ? 1000 : Math.max(1, Math.min(1000, nearest / 1_000_000 + 1)));
                } catch (InterruptedException e) {
                    return;
                }
            }
        }
    }

    /** Makes the timer thread look at the clock again; for tests that move it. */
    void clockMoved() {
        synchronized (lock) {
            lock.notifyAll();
        }
    }

    // ---- routing, with the lock held ----

    private Session owner(String name) {
        for (Session session : sessions) {
            if (name.equals(session.name)) {
                return session;
            }
        }
        return null;
    }

    private boolean isKnown(String name) {
        for (Attribute attribute : attributes.values()) {
            if (attribute.owner().equals(name)) {
                return true;
            }
        }
        return false;
    }

    private AttributeStatus opened(Session session, Message.Open open) {
        String name = open.name();
        if (name.isEmpty() || name.length() > Protocol.MAX_NAME) {
            return AttributeStatus.UNSPECIFIED;
        }
        if (open.ranges().size() > Protocol.MAX_RANGES) {
            return AttributeStatus.TOO_MANY_RANGES;
        }
        if (name.startsWith(ATTRC_AS_OWNER)) {
            name = OWNER_PREFIX + name.substring(ATTRC_AS_OWNER.length());
            if (owner(name) != null) {
                return AttributeStatus.FORBIDDEN;
            }
        }
        Session earlier = owner(name);
        if (earlier != null && isKnown(name) && !name.equals(Attribute.ATTRC)) {
            earlier.drop("evicted: another client opened as " + name);
        }
        session.name = name;
        session.ranges = open.ranges();
        return AttributeStatus.OK;
    }

    private void wanted(Session asker, int requestId, Message.Get get) {
        Attribute attribute = attributes.get(get.attributeId());
        if (attribute == null) {
            asker.conversation.refuseGet(requestId, get, AttributeStatus.ATTR_ID_NOT_FOUND.code());
        } else if (attribute.hidden() && EDGE.equals(asker.name)) {
            asker.conversation.refuseGet(requestId, get, AttributeStatus.FORBIDDEN.code());
        } else if (attribute.owner().equals(Attribute.ATTRD)) {
            asker.conversation.replyGet(requestId, get, ownValue(get.attributeId()));
        } else {
            Session owner = owner(attribute.owner());
            if (owner == null) {
                asker.conversation.refuseGet(requestId, get, AttributeStatus.OWNER_NOT_AVAILABLE.code());
                return;
            }
            owner.conversation.get(get.attributeId(), new Conversation.Result() {
                @Override
                public void ended(int status, byte[] value) {
                    if (!asker.gone && status == AttributeStatus.OK.code()) {
                        asker.conversation.replyGet(requestId, get, value);
                    } else if (!asker.gone) {
                        asker.conversation.refuseGet(requestId, get, forAsker(status));
                    }
                }
            });
        }
    }

    /** The owner going away is a local condition with a code of its own for everybody else. */
    private static int forAsker(int status) {
        return status == AttributeStatus.NO_DAEMON.code() ? AttributeStatus.OWNER_NOT_AVAILABLE.code() : status;
    }

    private void setArrived(Session setter, int operationId, int attributeId, byte[] value) {
        Attribute attribute = attributes.get(attributeId);
        if (setter.name == null) {
            setter.conversation.replySet(operationId, AttributeStatus.NOT_OPEN.code());
        } else if (attribute == null) {
            setter.conversation.replySet(operationId, AttributeStatus.ATTR_ID_NOT_FOUND.code());
        } else if (attribute.owner().equals(setter.name)) {
            // Who says the same over and over is heard once.
            if (!Arrays.equals(value, setByOwner.put(attributeId, value))) {
                log("client_set_own_attribute:" + describe(attribute, value));
            }
            setter.conversation.replySet(operationId, AttributeStatus.OK.code());
            changed(attribute, value);
        } else if (!attribute.writable()) {
            log("set refused, only the owner may: " + describe(attribute, value));
            setter.conversation.replySet(operationId, AttributeStatus.FORBIDDEN.code());
        } else if (attribute.owner().equals(Attribute.ATTRD)) {
            log("client_set_attrd_attribute:" + describe(attribute, value));
            setter.conversation.replySet(operationId, setOwn(value).code());
        } else {
            log("client_set_another_clients_attribute:" + describe(attribute, value));
            Session owner = owner(attribute.owner());
            if (owner == null) {
                setter.conversation.replySet(operationId, AttributeStatus.OWNER_NOT_AVAILABLE.code());
                return;
            }
            owner.conversation.set(attributeId, value, new Conversation.Result() {
                @Override
                public void ended(int status, byte[] none) {
                    if (!setter.gone) {
                        setter.conversation.replySet(operationId, forAsker(status));
                    }
                    if (status == AttributeStatus.OK.code()) {
                        changed(attribute, value);
                    }
                }
            });
        }
    }

    private static String describe(Attribute attribute, byte[] value) {
        return "attrId=" + attribute.id() + ",name=" + attribute.name() + ",owner=" + attribute.owner() + ",value["
                + value.length + "]=" + Hex.of(value, 32);
    }

    private void changed(Attribute attribute, byte[] value) {
        if (!attribute.notifying()) {
            return;
        }
        for (Session session : List.copyOf(sessions)) {
            // An owner that listens to its own attribute is not told (section 5.1).
            if (session.listensTo(attribute.id()) && !attribute.owner().equals(session.name)) {
                session.conversation.notifyPeer(attribute.id(), value);
            }
        }
    }

    // ---- attrd's own attributes ----

    private AttributeStatus setOwn(byte[] value) {
        if (value.length != 1) {
            return AttributeStatus.BAD_PARAM;
        }
        debugLevel = value[0];
        return AttributeStatus.OK;
    }

    private byte[] ownValue(int attributeId) {
        if (attributeId == Attribute.ATTRD_DEBUG_LEVEL) {
            return new byte[] {(byte) debugLevel};
        }
        if (attributeId == Attribute.ATTRD_REVISION) {
            return "simulator\0".getBytes(StandardCharsets.US_ASCII);
        }
        return rebootReason();
    }

    private byte[] rebootReason() {
        try {
            if (!Files.exists(options.rebootReason)) {
                return new byte[1];
            }
            ZonedDateTime when =
                    Files.getLastModifiedTime(options.rebootReason).toInstant().atZone(ZoneId.systemDefault());
            String reason = new String(Files.readAllBytes(options.rebootReason), StandardCharsets.UTF_8);
            return (ctime(when) + ":" + reason).getBytes(StandardCharsets.UTF_8);
        } catch (IOException e) {
            log("cannot read " + options.rebootReason + ": " + e.getMessage());
            return new byte[1];
        }
    }

    /** As C's ctime() writes it, without the line end: {@code Sun Nov 22 01:13:15 2026}. */
    static String ctime(ZonedDateTime when) {
        StringBuilder out = new StringBuilder(24);
        out.append(
                        "MonTueWedThuFriSatSun",
                        when.getDayOfWeek().ordinal() * 3,
                        when.getDayOfWeek().ordinal() * 3 + 3)
                .append(' ')
                .append("JanFebMarAprMayJunJulAugSepOctNovDec", when.getMonthValue() * 3 - 3, when.getMonthValue() * 3)
                .append(when.getDayOfMonth() < 10 ? "  " : " ")
                .append(when.getDayOfMonth());
        char before = ' ';
        for (int part : new int[] {when.getHour(), when.getMinute(), when.getSecond()}) {
            out.append(before).append((char) ('0' + part / 10)).append((char) ('0' + part % 10));
            before = ':';
        }
        return out.append(' ').append(when.getYear()).toString();
    }

    /** One client. All but the threads' own loops runs with the lock held. */
    private final class Session implements Conversation.Output, Conversation.Listener {
        final int id;
        final Conversation conversation;
        private final AFUNIXSocket socket;
        private final InputStream in;
        private final OutputStream out;
        private final Deque<byte[]> unwritten = new ArrayDeque<>();
        /** What the client opened with; null before that. */
        String name;

        List<ListenRange> ranges = List.of();
        /** Not routed to any more. */
        boolean gone;

        private boolean dropped;

        Session(AFUNIXSocket socket, int id) throws IOException {
            this.socket = socket;
            this.id = id;
            in = socket.getInputStream();
            out = socket.getOutputStream();
            conversation = Conversation.daemon(id, ByteOrder.nativeOrder(), options.nanoClock, ids, this, this);
        }

        void begin() {
            sessions.add(this);
            start("attrd-read-" + id, new Runnable() {
                @Override
                public void run() {
                    read();
                }
            });
            start("attrd-write-" + id, new Runnable() {
                @Override
                public void run() {
                    write();
                }
            });
        }

        boolean listensTo(int attributeId) {
            for (ListenRange range : ranges) {
                if (range.contains(attributeId)) {
                    return true;
                }
            }
            return false;
        }

        private String title() {
            return name == null ? "client " + id : name + " (client " + id + ")";
        }

        private void read() {
            byte[] buffer = new byte[2 * Protocol.MAX_MESSAGE];
            try {
                for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                    synchronized (lock) {
                        if (gone) {
                            return;
                        }
                        conversation.received(buffer, 0, count);
                    }
                }
                synchronized (lock) {
                    // What is queued is still written: the original wrote it before it got to see the end.
                    leave("closed by the client");
                }
            } catch (IOException e) {
                synchronized (lock) {
                    drop(e instanceof FramingLostException ? e.getMessage() : "cannot read: " + e.getMessage());
                }
            }
        }

        private void write() {
            try {
                while (true) {
                    synchronized (lock) {
                        while (unwritten.isEmpty() && !gone) {
                            lock.wait();
                        }
                        if (unwritten.isEmpty()) {
                            break;
                        }
                    }
                    if (options.coalesceMillis > 0) {
                        Thread.sleep(options.coalesceMillis);
                    }
                    byte[] bytes;
                    synchronized (lock) {
                        bytes = take();
                    }
                    write(bytes);
                }
            } catch (IOException e) {
                synchronized (lock) {
                    if (!dropped) {
                        brokenWrites++;
                        log("WRITE INTO A CLOSED SOCKET, the original attrd dies of that: " + e.getMessage());
                        drop("it does not read any more");
                    }
                }
            } catch (InterruptedException e) {
                synchronized (lock) {
                    drop("interrupted");
                }
            }
            closeSocket();
        }

        /** The next message, or when coalescing all that wait; none if the client was dropped in the meantime. */
        private byte[] take() {
            if (options.coalesceMillis == 0 && !unwritten.isEmpty()) {
                return unwritten.remove();
            }
            int size = 0;
            for (byte[] message : unwritten) {
                size += message.length;
            }
            byte[] all = new byte[size];
            int at = 0;
            for (byte[] message : unwritten) {
                System.arraycopy(message, 0, all, at, message.length);
                at += message.length;
            }
            unwritten.clear();
            return all;
        }

        private void write(byte[] bytes) throws IOException, InterruptedException {
            if (bytes.length <= options.fragment) {
                out.write(bytes);
                return;
            }
            for (int at = 0; at < bytes.length; at += options.fragment) {
                out.write(Arrays.copyOfRange(bytes, at, Math.min(bytes.length, at + options.fragment)));
                Thread.sleep(1);
            }
        }

        /** From now on this client is not there for anybody. */
        private void leave(String reason) {
            if (gone) {
                return;
            }
            gone = true;
            sessions.remove(this);
            log("gone: " + reason);
            lock.notifyAll();
            conversation.abandon(AttributeStatus.NO_DAEMON);
        }

        void drop(String reason) {
            leave(reason);
            dropped = true;
            unwritten.clear();
            closeSocket();
        }

        private void closeSocket() {
            try {
                socket.close();
            } catch (IOException e) {
                log("closing the socket: " + e.getMessage());
            }
        }

        @Override
        public void send(byte[] message) {
            if (gone) {
                return;
            }
            if (unwritten.size() >= options.backlog) {
                drop("it does not read, " + unwritten.size() + " messages are waiting for it");
                return;
            }
            unwritten.add(message);
            lock.notifyAll();
        }

        @Override
        public void opened(int requestId, Message.Open open) {
            if (name != null) {
                // The original closes the connection here too, and corrupts its memory (section 13, Q15).
                drop("it sent OPEN twice");
                return;
            }
            AttributeStatus status = Attrd.this.opened(this, open);
            log("client_open:name=" + open.name() + ",client=" + id + ",ranges="
                    + open.ranges().size() + ",status=" + status);
            conversation.replyOpen(requestId, status);
        }

        @Override
        public void wanted(int requestId, Message.Get get) {
            Attrd.this.wanted(this, requestId, get);
        }

        @Override
        public void arrived(Opcode opcode, int operationId, int attributeId, byte[] value) {
            setArrived(this, operationId, attributeId, value);
        }

        @Override
        public void log(String line) {
            Attrd.this.log(title() + ": " + line);
        }
    }
}
