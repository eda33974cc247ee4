// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;

/**
 * The protocol on one connection, seen from one of its ends: numbers requests, matches answers, acknowledges and
 * reassembles values, cuts values into packets, and watches the time-outs. Takes received bytes and the time, gives
 * bytes to send; touches no socket and no thread.
 *
 * <p>Not thread-safe: the owner calls it under one lock. {@link Output}, {@link Listener} and {@link Result} are called
 * from inside the calls made by the owner, so they must not block.
 */
public final class Conversation {
    /**
     * Bytes of own requests that a client leaves unanswered. The original daemon reads 4096 bytes at a time and loses a
     * message that straddles the end of such a read (section 13, Q2), so never more than that may wait for it; the rest
     * of the 4096 bytes is for acks.
     */
    private static final int CLIENT_WINDOW = 3072;

    /**
     * How long an answer is still expected after its time-out. The peer's timers are as long as ours and started a
     * little later, so its own "timed out" tends to arrive just after we gave up; whoever closes the socket in that
     * moment kills the original daemon (section 13, Q4).
     */
    private static final Duration GRACE = Duration.ofSeconds(1);

    /** Takes complete messages, each to be written with a single call (section 11). */
    public interface Output {
        /**
         * Queues a message.
         *
         * @param message all of its bytes
         */
        void send(byte[] message);
    }

    /** What the peer asks for and tells. */
    public interface Listener {
        /**
         * A client introduces itself; happens at the daemon's end only. Answer with {@link Conversation#replyOpen}.
         *
         * @param requestId for the answer
         * @param open what it said
         */
        default void opened(int requestId, Message.Open open) {}

        /**
         * A value is wanted. Answer with {@link Conversation#replyGet} or {@link Conversation#refuseGet}.
         *
         * @param requestId for the answer
         * @param get what is wanted
         */
        void wanted(int requestId, Message.Get get);

        /**
         * A value arrived completely and has been acknowledged. Answer a SET with {@link Conversation#replySet}.
         *
         * @param opcode NOTIFY or SET
         * @param operationId of the SET
         * @param attributeId the attribute
         * @param value the value
         */
        void arrived(Opcode opcode, int operationId, int attributeId, byte[] value);

        /**
         * Whether a value can be taken now; if not, its first packet is refused with NO_SPACE.
         *
         * @param size of the value in bytes
         * @return true to take it
         */
        default boolean hasRoom(int size) {
            return true;
        }

        /**
         * A notification was refused for want of a place, or its sender fell silent in the middle of it: what it said is not known, and
         * will not be said again.
         */
        default void lost() {}

        /**
         * Something odd happened that needs no action.
         *
         * @param line for the log
         */
        void log(String line);
    }

    /** How an own request ended. */
    public interface Result {
        /**
         * Called exactly once per request.
         *
         * @param status 0 if it succeeded, else the peer's code; {@link AttributeStatus#TIMEOUT} also if the peer did
         *     not answer in time, {@link AttributeStatus#UNSPECIFIED} also if its answer was malformed
         * @param value of a GET that succeeded, else null
         */
        void ended(int status, byte[] value);
    }

    /**
     * Counters that all connections of a process share (sections 5.2 and 6).
     *
     * @param operations ids of GETs and SETs
     * @param transactions ids of arriving values
     */
    public record Ids(IdCounter operations, IdCounter transactions) {
        /** New counters. */
        public Ids() {
            this(new IdCounter(IdCounter.MAX_16_BIT), new IdCounter(IdCounter.MAX_16_BIT));
        }
    }

    private final boolean daemon;
    private final int clientId;
    private final int window;
    private final ByteOrder order;
    private final LongSupplier nanoClock;
    private final Ids ids;
    private final Output output;
    private final Listener listener;
    private final MessageCodec codec;
    private final MessageReader reader;
    private final IncomingTransactions incoming;
    private final IdCounter sequenceIds = new IdCounter(Sequence.MAX_ID);
    private final Deque<Exchange> unsent = new ArrayDeque<>();
    private final Map<Integer, Exchange> unanswered = new HashMap<>();
    private final Map<Integer, GetExchange> gets = new HashMap<>();
    private final Map<Integer, SetOperation> sets = new HashMap<>();
    private int bytesUnanswered;
    private AttributeStatus abandonedWith;

    private Conversation(
            boolean daemon,
            int clientId,
            ByteOrder order,
            LongSupplier nanoClock,
            Ids ids,
            Output output,
            Listener listener) {
        this.daemon = daemon;
        this.clientId = clientId;
        this.window = daemon ? Integer.MAX_VALUE : CLIENT_WINDOW;
        this.order = order;
        this.nanoClock = nanoClock;
        this.ids = ids;
        this.output = output;
        this.listener = listener;
        codec = new MessageCodec(order);
        reader = new MessageReader(order);
        incoming = new IncomingTransactions(ids.transactions());
    }

    /**
     * The client's end of a new connection.
     *
     * @param order byte order of the host
     * @param nanoClock monotonic, in nanoseconds
     * @param ids shared by all connections of this process
     * @param output where messages go
     * @param listener who is told
     * @return a conversation in which nothing was said yet
     */
    public static Conversation client(
            ByteOrder order, LongSupplier nanoClock, Ids ids, Output output, Listener listener) {
        return new Conversation(false, 0, order, nanoClock, ids, output, listener);
    }

    /**
     * The daemon's end of a new connection. Unlike a client it sends whatever there is at once.
     *
     * @param clientId the daemon's number for the connection, 1 to 65535
     * @param order byte order of the host
     * @param nanoClock monotonic, in nanoseconds
     * @param ids shared by all connections of this process
     * @param output where messages go
     * @param listener who is told
     * @return a conversation in which nothing was said yet
     */
    public static Conversation daemon(
            int clientId, ByteOrder order, LongSupplier nanoClock, Ids ids, Output output, Listener listener) {
        return new Conversation(true, clientId, order, nanoClock, ids, output, listener);
    }

    // ---- receiving ----

    /**
     * Takes bytes from the peer and acts on every message that is complete.
     *
     * @param bytes holds them; copied
     * @param offset where they start
     * @param length how many
     * @throws FramingLostException if the stream cannot be understood any more; messages before that were acted upon
     */
    public void received(byte[] bytes, int offset, int length) throws FramingLostException {
        reader.append(bytes, offset, length);
        for (Frame frame = reader.next(); frame != null; frame = reader.next()) {
            dispatch(codec.classify(frame));
        }
    }

    private void dispatch(Incoming message) {
        if (message instanceof Incoming.Request request) {
            request(request.id(), request.message());
        } else if (message instanceof Incoming.Response response) {
            response(response.id(), response.body());
        } else if (message instanceof Incoming.Unsolicited unsolicited) {
            setEnded(unsolicited.message());
        } else if (message instanceof Incoming.BadRequest bad) {
            if (isWrongWay(bad.opcode())) {
                ignoredWrongWay(bad.opcode());
            } else {
                listener.log("malformed " + bad.opcode() + " refused: " + bad.reason());
                respond(bad.id(), bad.answer());
            }
        } else if (message instanceof Incoming.Ignored ignored) {
            listener.log("message ignored: " + ignored.reason());
        }
    }

    private boolean isWrongWay(Opcode opcode) {
        return opcode == (daemon ? Opcode.NOTIFY : Opcode.OPEN);
    }

    private void ignoredWrongWay(Opcode opcode) {
        listener.log("message ignored: " + opcode + " sent to a " + (daemon ? "daemon" : "client"));
    }

    private void request(int id, Message.Request request) {
        if (request instanceof Message.Open open) {
            if (daemon) {
                listener.opened(id, open);
            } else {
                ignoredWrongWay(Opcode.OPEN);
            }
        } else if (request instanceof Message.Get get) {
            listener.wanted(id, get);
        } else if (request instanceof Message.Packet packet) {
            if (isWrongWay(packet.opcode())) {
                ignoredWrongWay(packet.opcode());
            } else {
                packet(id, packet);
            }
        }
    }

    private void packet(int id, Message.Packet packet) {
        if (packet.transactionId() == 0 && !listener.hasRoom(packet.size())) {
            listener.log(packet.opcode() + " of attribute " + Integer.toUnsignedString(packet.attributeId())
                    + " refused: no room for " + packet.size() + " bytes");
            respond(id, new Message.Ack(AttributeStatus.NO_SPACE.code(), 0));
            return;
        }
        IncomingTransactions.Received received = incoming.receive(packet, nanoClock.getAsLong());
        // Acknowledge first, act later (section 6).
        respond(id, received.ack());
        if (received.ack().status() != AttributeStatus.OK.code()) {
            listener.log("packet of " + packet.opcode() + " of attribute "
                    + Integer.toUnsignedString(packet.attributeId()) + " refused: "
                    + AttributeStatus.of(received.ack().status()));
            if (packet.opcode() == Opcode.NOTIFY
                    && received.ack().status() == AttributeStatus.TOO_MANY_TRANSACTIONS.code()) {
                listener.lost();
            }
        } else if (packet.opcode() == Opcode.GET_REPLY) {
            getReplyPacket(packet, received.value());
        } else if (received.value() != null) {
            listener.arrived(packet.opcode(), packet.operationId(), packet.attributeId(), received.value());
        }
    }

    private void getReplyPacket(Message.Packet packet, byte[] completeValue) {
        GetExchange get = gets.get(packet.operationId());
        if (get == null || get.attributeId != packet.attributeId()) {
            listener.log("value of attribute " + Integer.toUnsignedString(packet.attributeId()) + " for operation "
                    + packet.operationId() + ", which nobody waits for");
        } else if (completeValue != null) {
            get.finish(AttributeStatus.OK.code(), completeValue);
        } else {
            get.deadline = Math.max(get.deadline, nanoClock.getAsLong() + Protocol.PACKET_TIMEOUT.toNanos());
        }
    }

    private void response(int id, byte[] body) {
        Exchange exchange = unanswered.remove(id);
        if (exchange == null) {
            listener.log("answer to request " + id + ", which is not outstanding");
            return;
        }
        bytesUnanswered -= exchange.bytes.length;
        if (!exchange.expired) {
            try {
                exchange.answered(body);
            } catch (MalformedMessageException e) {
                listener.log("malformed answer to " + exchange.name() + ": " + e.getMessage());
                exchange.failed(AttributeStatus.UNSPECIFIED.code());
            }
        }
        sendUnsent();
    }

    private void setEnded(Message.SetReply reply) {
        SetOperation set = sets.remove(reply.operationId());
        if (set == null) {
            listener.log("SET_REPLY for operation " + reply.operationId() + ", which is not outstanding");
        } else {
            set.finish(reply.status());
        }
    }

    // ---- answering ----

    /**
     * Answers an OPEN.
     *
     * @param requestId from {@link Listener#opened}
     * @param status whether the client is accepted
     */
    public void replyOpen(int requestId, AttributeStatus status) {
        respond(requestId, new Message.OpenReply(status.code()));
    }

    /**
     * Answers a GET with a value, in the response itself or, if it is too large for that, as a transaction.
     *
     * @param requestId from {@link Listener#wanted}
     * @param get from there too
     * @param value at most {@link Protocol#MAX_VALUE} bytes
     */
    public void replyGet(int requestId, Message.Get get, byte[] value) {
        if (value.length <= Protocol.MAX_CHUNK) {
            respond(requestId, new Message.GetValue(value));
            return;
        }
        OutgoingTransaction transaction =
                new OutgoingTransaction(Opcode.GET_REPLY, get.operationId(), get.attributeId(), value);
        respond(requestId, new Message.GetLater(get.operationId()));
        submit(new PacketExchange(transaction, null));
    }

    /**
     * Answers a GET without a value.
     *
     * @param requestId from {@link Listener#wanted}
     * @param get from there too
     * @param status why, not 0
     */
    public void refuseGet(int requestId, Message.Get get, int status) {
        respond(requestId, new Message.GetFailed(status, get.operationId()));
    }

    /**
     * Tells how a SET ended.
     *
     * @param operationId from {@link Listener#arrived}
     * @param status 0 if the value was taken
     */
    public void replySet(int operationId, int status) {
        output.send(codec.encode(Sequence.UNSOLICITED, new Message.SetReply(status, operationId)));
    }

    private void respond(int requestId, Message.Response response) {
        output.send(codec.encode(Sequence.response(requestId, clientId), response));
    }

    // ---- asking ----

    /**
     * Introduces this client. Exactly once per connection, before anything else (section 11).
     *
     * @param open who and what
     * @param result how it ended
     */
    public void open(Message.Open open, Result result) {
        submit(new OpenExchange(open, result));
    }

    /**
     * Asks for a value.
     *
     * @param attributeId the attribute
     * @param result how it ended
     */
    public void get(int attributeId, Result result) {
        int operationId = newOperationId();
        GetExchange get = new GetExchange(new Message.Get(attributeId, operationId), result);
        gets.put(operationId, get);
        submit(get);
    }

    /**
     * Sets an attribute.
     *
     * @param attributeId the attribute
     * @param value at most {@link Protocol#MAX_VALUE} bytes
     * @param result how it ended, after the peer's SET_REPLY
     * @throws IllegalArgumentException if the value is too large
     */
    public void set(int attributeId, byte[] value, Result result) {
        int operationId = newOperationId();
        OutgoingTransaction transaction = new OutgoingTransaction(Opcode.SET, operationId, attributeId, value);
        SetOperation set = new SetOperation(operationId, attributeId, result);
        sets.put(operationId, set);
        submit(new PacketExchange(transaction, set));
    }

    /**
     * Tells a client about a change; at the daemon's end only.
     *
     * @param attributeId the attribute
     * @param value at most {@link Protocol#MAX_VALUE} bytes
     * @throws IllegalArgumentException if the value is too large
     */
    public void notifyPeer(int attributeId, byte[] value) {
        submit(new PacketExchange(new OutgoingTransaction(Opcode.NOTIFY, 0, attributeId, value), null));
    }

    private int newOperationId() {
        int id = ids.operations().next();
        while (gets.containsKey(id) || sets.containsKey(id)) {
            id = ids.operations().next();
        }
        return id;
    }

    private void submit(Exchange exchange) {
        if (abandonedWith != null) {
            exchange.failed(abandonedWith.code());
            return;
        }
        exchange.bytes = codec.encode(0, exchange.message());
        unsent.add(exchange);
        sendUnsent();
    }

    private void sendUnsent() {
        while (!unsent.isEmpty() && unanswered.size() < Sequence.MAX_ID) {
            Exchange exchange = unsent.peek();
            if (bytesUnanswered > 0 && bytesUnanswered > window - exchange.bytes.length) {
                return;
            }
            unsent.remove();
            int id = sequenceIds.next();
            while (unanswered.containsKey(id)) {
                id = sequenceIds.next();
            }
            ByteBuffer.wrap(exchange.bytes).order(order).putInt(Sequence.request(id));
            exchange.deadline = nanoClock.getAsLong() + exchange.timeout().toNanos();
            bytesUnanswered += exchange.bytes.length;
            unanswered.put(id, exchange);
            output.send(exchange.bytes);
        }
    }

    // ---- time and end ----

    /**
     * How long until {@link #expire} has something to do.
     *
     * @return nanoseconds, 0 or less if it is due now, {@link Long#MAX_VALUE} if nothing is waited for
     */
    public long nanosToDeadline() {
        long now = nanoClock.getAsLong();
        long nearest = incoming.nanosToDeadline(now);
        for (Exchange exchange : unanswered.values()) {
            nearest = Math.min(nearest, exchange.deadline - now);
        }
        for (GetExchange get : gets.values()) {
            if (get.accepted) {
                nearest = Math.min(nearest, get.deadline - now);
            }
        }
        for (SetOperation set : sets.values()) {
            if (set.waiting) {
                nearest = Math.min(nearest, set.deadline - now);
            }
        }
        return nearest;
    }

    /** Ends what waited too long. */
    public void expire() {
        long now = nanoClock.getAsLong();
        for (IncomingTransactions.Abandoned abandoned : incoming.expire(now)) {
            listener.log(abandoned.line());
            if (abandoned.opcode() == Opcode.NOTIFY) {
                listener.lost();
            }
        }
        for (Map.Entry<Integer, Exchange> entry : List.copyOf(unanswered.entrySet())) {
            Exchange exchange = entry.getValue();
            if (now - exchange.deadline < 0) {
                continue;
            }
            if (exchange.expired) {
                unanswered.remove(entry.getKey());
                bytesUnanswered -= exchange.bytes.length;
            } else {
                exchange.expired = true;
                exchange.deadline = now + GRACE.toNanos();
                listener.log(exchange.name() + " was not answered within "
                        + exchange.timeout().toMillis() + " ms");
                exchange.failed(AttributeStatus.TIMEOUT.code());
            }
        }
        for (GetExchange get : List.copyOf(gets.values())) {
            if (get.accepted && now - get.deadline >= 0) {
                listener.log("the value announced for " + get.name() + " did not come");
                get.finish(AttributeStatus.TIMEOUT.code(), null);
            }
        }
        for (SetOperation set : List.copyOf(sets.values())) {
            if (set.waiting && now - set.deadline >= 0) {
                set.expire(now);
            }
        }
        sendUnsent();
    }

    /**
     * Whether closing the connection now leaves nobody in the middle of something: no own request without its answer,
     * no value half arrived.
     *
     * @return true if so
     */
    public boolean isSettled() {
        return unsent.isEmpty() && unanswered.isEmpty() && gets.isEmpty() && sets.isEmpty() && incoming.isEmpty();
    }

    /**
     * The connection is gone: ends every request of this side, those still to come included.
     *
     * @param status what they end with
     */
    public void abandon(AttributeStatus status) {
        abandonedWith = status;
        List<Exchange> exchanges = new ArrayList<>(unanswered.values());
        exchanges.addAll(unsent);
        unanswered.clear();
        unsent.clear();
        bytesUnanswered = 0;
        incoming.clear();
        for (Exchange exchange : exchanges) {
            if (!exchange.expired) {
                exchange.failed(status.code());
            }
        }
        for (GetExchange get : List.copyOf(gets.values())) {
            get.finish(status.code(), null);
        }
        for (SetOperation set : List.copyOf(sets.values())) {
            set.finish(status.code());
        }
        sets.clear();
    }

    /** A request of this side, from its submission until its answer, or until nobody expects one any more. */
    private abstract static class Exchange {
        byte[] bytes;
        long deadline;
        boolean expired;

        abstract Message.Request message();

        abstract Duration timeout();

        abstract String name();

        abstract void answered(byte[] body) throws MalformedMessageException;

        abstract void failed(int status);
    }

    private final class OpenExchange extends Exchange {
        private final Message.Open open;
        private final Result result;

        OpenExchange(Message.Open open, Result result) {
            this.open = open;
            this.result = result;
        }

        @Override
        Message.Request message() {
            return open;
        }

        @Override
        Duration timeout() {
            return Protocol.OPEN_TIMEOUT;
        }

        @Override
        String name() {
            return "OPEN";
        }

        @Override
        void answered(byte[] body) throws MalformedMessageException {
            result.ended(codec.openReply(body).status(), null);
        }

        @Override
        void failed(int status) {
            result.ended(status, null);
        }
    }

    private final class GetExchange extends Exchange {
        private final Message.Get get;
        private final Result result;
        final int attributeId;
        /** The peer said that the value comes as a transaction: no answer is outstanding, but the value is. */
        boolean accepted;

        GetExchange(Message.Get get, Result result) {
            this.get = get;
            this.result = result;
            attributeId = get.attributeId();
        }

        @Override
        Message.Request message() {
            return get;
        }

        @Override
        Duration timeout() {
            return Protocol.GET_TIMEOUT;
        }

        @Override
        String name() {
            return "GET of attribute " + Integer.toUnsignedString(attributeId);
        }

        @Override
        void answered(byte[] body) throws MalformedMessageException {
            Message.GetReply reply = codec.getReply(body);
            if (reply instanceof Message.GetValue inline) {
                finish(AttributeStatus.OK.code(), inline.value());
            } else if (reply instanceof Message.GetFailed refused) {
                finish(refused.status(), null);
            } else {
                accepted = true;
            }
        }

        @Override
        void failed(int status) {
            finish(status, null);
        }

        /** Does nothing if the result is known already: the value may come before the response that announces it. */
        void finish(int status, byte[] value) {
            if (gets.remove(get.operationId(), this)) {
                result.ended(status, value);
            }
        }
    }

    /** A SET until its SET_REPLY; its packets are exchanges of their own. */
    private final class SetOperation {
        private final int operationId;
        private final int attributeId;
        private final Result result;
        private boolean ended;
        /** All packets are acknowledged, only the SET_REPLY is missing. */
        boolean waiting;

        long deadline;

        SetOperation(int operationId, int attributeId, Result result) {
            this.operationId = operationId;
            this.attributeId = attributeId;
            this.result = result;
        }

        void delivered() {
            waiting = true;
            deadline = nanoClock.getAsLong() + Protocol.SET_TIMEOUT.toNanos();
        }

        void expire(long now) {
            if (ended) {
                sets.remove(operationId, this);
                return;
            }
            listener.log("SET of attribute " + Integer.toUnsignedString(attributeId) + " was acknowledged, but its end "
                    + "was not told within " + Protocol.SET_TIMEOUT.toMillis() + " ms");
            deadline = now + GRACE.toNanos();
            finish(AttributeStatus.TIMEOUT.code());
        }

        void packetFailed(int status) {
            sets.remove(operationId, this);
            finish(status);
        }

        void finish(int status) {
            if (!ended) {
                ended = true;
                result.ended(status, null);
            }
        }
    }

    private final class PacketExchange extends Exchange {
        private final OutgoingTransaction transaction;
        private final SetOperation set;
        private final Message.Packet packet;

        PacketExchange(OutgoingTransaction transaction, SetOperation setOrNull) {
            this.transaction = transaction;
            set = setOrNull;
            packet = transaction.packet();
        }

        @Override
        Message.Request message() {
            return packet;
        }

        @Override
        Duration timeout() {
            return Protocol.PACKET_TIMEOUT;
        }

        @Override
        String name() {
            return "packet of " + packet.opcode() + " of attribute " + Integer.toUnsignedString(packet.attributeId());
        }

        @Override
        void answered(byte[] body) throws MalformedMessageException {
            Message.Ack ack = codec.ack(body);
            if (ack.status() != AttributeStatus.OK.code()) {
                listener.log(name() + " was refused: " + AttributeStatus.of(ack.status()));
                failed(ack.status());
            } else if (!transaction.acknowledged(ack)) {
                submit(new PacketExchange(transaction, set));
            } else if (set != null) {
                set.delivered();
            }
        }

        @Override
        void failed(int status) {
            if (set != null) {
                set.packetFailed(status);
            }
        }
    }
}
