// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Values that are arriving from one peer, packet by packet (attribute protocol, section 6).
 *
 * <p>Like the receivers in the field this one appends later packets in the order of their arrival and does not look at
 * their position (section 13, Q10); the sizes still have to add up.
 */
final class IncomingTransactions {
    /**
     * Values half-arrived at the same time. A peer in good order needs one per operation; the bound keeps a broken one
     * from filling the memory.
     */
    static final int MAX_OPEN = 16;

    private final IdCounter transactionIds;
    private final long timeoutNanos = Protocol.PACKET_TIMEOUT.toNanos();
    private final Map<Integer, Partial> open = new HashMap<>();

    /** What to tell the sender, and the value if it is complete. */
    record Received(Message.Ack ack, byte[] value) {}

    /** A value whose sender fell silent, and what the log says of it. */
    record Abandoned(Opcode opcode, String line) {}

    private static final class Partial {
        final Message.Packet first;
        final byte[] value;
        int filled;
        long lastPacket;

        Partial(Message.Packet first) {
            this.first = first;
            this.value = new byte[first.size()];
        }
    }

    IncomingTransactions(IdCounter transactionIds) {
        this.transactionIds = transactionIds;
    }

    /**
     * Takes a packet.
     *
     * @param now nanoseconds of a monotonic clock
     */
    Received receive(Message.Packet packet, long now) {
        int id = packet.transactionId();
        Partial partial;
        if (id == 0) {
            if (packet.position() != 0 || packet.size() > Protocol.MAX_VALUE) {
                return error(AttributeStatus.BAD_DATA);
            }
            // A value that is whole needs no place: half-arrived ones must not keep it away.
            if (open.size() == MAX_OPEN && packet.chunk().length != packet.size()) {
                return error(AttributeStatus.TOO_MANY_TRANSACTIONS);
            }
            partial = new Partial(packet);
        } else {
            partial = open.remove(id);
            if (partial == null || isDead(partial, now)) {
                return error(AttributeStatus.TRANSACTION_NOT_FOUND);
            }
            Message.Packet first = partial.first;
            if (packet.opcode() != first.opcode()
                    || packet.attributeId() != first.attributeId()
                    || packet.size() != first.size()) {
                return error(AttributeStatus.BAD_DATA);
            }
        }
        byte[] chunk = packet.chunk();
        int missing = partial.value.length - partial.filled;
        if (chunk.length > missing || chunk.length == 0 && missing > 0) {
            return error(AttributeStatus.BAD_DATA);
        }
        System.arraycopy(chunk, 0, partial.value, partial.filled, chunk.length);
        partial.filled += chunk.length;
        if (id == 0) {
            id = nextId();
        }
        Message.Ack ack = new Message.Ack(AttributeStatus.OK.code(), id);
        if (partial.filled == partial.value.length) {
            return new Received(ack, partial.value);
        }
        partial.lastPacket = now;
        open.put(id, partial);
        return new Received(ack, null);
    }

    private int nextId() {
        int id = transactionIds.next();
        while (open.containsKey(id)) {
            id = transactionIds.next();
        }
        return id;
    }

    private static Received error(AttributeStatus status) {
        return new Received(new Message.Ack(status.code(), 0), null);
    }

    private boolean isDead(Partial partial, long now) {
        return now - partial.lastPacket >= timeoutNanos;
    }

    /**
     * Forgets values whose sender fell silent.
     *
     * @return what was forgotten
     */
    List<Abandoned> expire(long now) {
        List<Integer> dead = new ArrayList<>();
        List<Abandoned> abandoned = new ArrayList<>();
        for (Map.Entry<Integer, Partial> entry : open.entrySet()) {
            Partial partial = entry.getValue();
            if (isDead(partial, now)) {
                dead.add(entry.getKey());
                Message.Packet first = partial.first;
                abandoned.add(new Abandoned(
                        first.opcode(),
                        first.opcode() + " of attribute " + Integer.toUnsignedString(first.attributeId())
                                + " was abandoned by its sender after " + partial.filled + " of "
                                + partial.value.length + " bytes"));
            }
        }
        for (Integer id : dead) {
            open.remove(id);
        }
        return abandoned;
    }

    /**
     * When {@link #expire} has something to do.
     *
     * @return nanoseconds from now, 0 or less if it is due, {@link Long#MAX_VALUE} if nothing is arriving
     */
    long nanosToDeadline(long now) {
        long nearest = Long.MAX_VALUE;
        for (Partial partial : open.values()) {
            nearest = Math.min(nearest, partial.lastPacket + timeoutNanos - now);
        }
        return nearest;
    }

    boolean isEmpty() {
        return open.isEmpty();
    }

    void clear() {
        open.clear();
    }
}
