// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Turns messages into frames and back (attribute protocol, sections 5 and 6).
 *
 * <p>Every message must have exactly its parameters, of exactly their types, and nothing behind them. The one exception
 * is a transaction packet with parameters after the seventh: the receivers in the field accept it (recorded from the
 * original implementation, section 13, Q9), so a sender may rely on that, and refusing a notification would mean missing
 * an update. The surplus is ignored. A blob may carry the text flag wherever a blob is expected (section 3).
 */
public final class MessageCodec {
    private static final int RANGE_SIZE = 8;
    private static final int PACKET_PARAMETERS = 7;

    private final ByteOrder order;

    /**
     * A codec.
     *
     * @param order the byte order of the host, which headers and listen ranges are in
     */
    public MessageCodec(ByteOrder order) {
        this.order = order;
    }

    /**
     * Encodes a message.
     *
     * @param sequence its sequence number, see {@link Sequence}
     * @param message the message
     * @return the complete bytes, to be written with one call
     * @throws IllegalArgumentException if a value does not fit its field or the message would be too large
     */
    public byte[] encode(int sequence, Message message) {
        return new Frame(sequence, 0, ParameterBlock.encode(parameters(message))).encode(order);
    }

    private List<Parameter> parameters(Message message) {
        List<Parameter> out = new ArrayList<>(PACKET_PARAMETERS);
        if (message instanceof Message.Packet packet) {
            out.add(Parameter.u8(packet.opcode().code()));
            out.add(Parameter.u16(packet.transactionId()));
            out.add(Parameter.u16(packet.operationId()));
            out.add(Parameter.u32(packet.attributeId()));
            out.add(Parameter.u16(packet.size()));
            out.add(Parameter.u16(packet.position()));
            out.add(Parameter.blob(packet.chunk()));
        } else if (message instanceof Message.Ack ack) {
            out.add(Parameter.u8(ack.status()));
            out.add(Parameter.u16(ack.transactionId()));
        } else if (message instanceof Message.Get get) {
            out.add(Parameter.u8(Opcode.GET.code()));
            out.add(Parameter.u32(get.attributeId()));
            out.add(Parameter.u16(get.operationId()));
        } else if (message instanceof Message.GetValue reply) {
            out.add(Parameter.u8(0));
            out.add(Parameter.u16(0));
            out.add(Parameter.blob(reply.value()));
        } else if (message instanceof Message.GetLater reply) {
            out.add(Parameter.u8(0));
            out.add(Parameter.u16(reply.operationId()));
        } else if (message instanceof Message.GetFailed reply) {
            out.add(Parameter.u8(reply.status()));
            out.add(Parameter.u16(reply.operationId()));
        } else if (message instanceof Message.SetReply reply) {
            out.add(Parameter.u8(Opcode.SET_REPLY.code()));
            out.add(Parameter.u8(reply.status()));
            out.add(Parameter.u16(reply.operationId()));
        } else if (message instanceof Message.OpenReply reply) {
            out.add(Parameter.u8(reply.status()));
        } else if (message instanceof Message.Open open) {
            out.add(Parameter.u8(Opcode.OPEN.code()));
            out.add(Parameter.blob(open.name().getBytes(StandardCharsets.ISO_8859_1)));
            out.add(Parameter.u16(open.ranges().size()));
            if (!open.ranges().isEmpty()) {
                out.add(Parameter.blob(encodeRanges(open.ranges())));
            }
        }
        return out;
    }

    private byte[] encodeRanges(List<ListenRange> ranges) {
        ByteBuffer out = ByteBuffer.allocate(ranges.size() * RANGE_SIZE).order(order);
        for (ListenRange range : ranges) {
            out.putInt(range.first()).putInt(range.last());
        }
        return out.array();
    }

    /**
     * Finds out what a received message is. Never fails: what cannot be understood is classified as such.
     *
     * @param frame the message
     * @return what to do with it
     */
    public Incoming classify(Frame frame) {
        Sequence.Kind kind = Sequence.kind(frame.sequence());
        int id = Sequence.id(frame.sequence());
        if (kind == Sequence.Kind.RESPONSE) {
            return new Incoming.Response(id, frame.body());
        }
        List<Parameter> readable = ParameterBlock.decodeReadable(frame.body());
        if (readable.isEmpty() || !isInt(readable.get(0), Parameter.IntType.U8)) {
            return new Incoming.Ignored("message without a readable opcode: " + reason(frame.body()));
        }
        long code = ((Parameter.Int) readable.get(0)).value();
        Opcode opcode = Opcode.of(code);
        if (opcode == null) {
            return new Incoming.Ignored("unknown opcode " + code);
        }
        if ((opcode == Opcode.SET_REPLY) != (kind == Sequence.Kind.UNSOLICITED)) {
            return new Incoming.Ignored(
                    opcode + (kind == Sequence.Kind.UNSOLICITED ? " without a sequence number" : " as a request"));
        }
        try {
            Reader in = new Reader(ParameterBlock.decode(frame.body()));
            in.u8();
            if (opcode == Opcode.SET_REPLY) {
                Message.SetReply reply = new Message.SetReply(in.u8(), in.u16());
                in.end();
                return new Incoming.Unsolicited(reply);
            }
            return new Incoming.Request(id, decodeRequest(opcode, in));
        } catch (MalformedMessageException e) {
            if (opcode == Opcode.SET_REPLY) {
                return new Incoming.Ignored("malformed SET_REPLY: " + e.getMessage());
            }
            return new Incoming.BadRequest(id, opcode, badTlv(opcode, readable), e.getMessage());
        }
    }

    private Message.Request decodeRequest(Opcode opcode, Reader in) throws MalformedMessageException {
        if (opcode == Opcode.OPEN) {
            String name = new String(in.blob(), StandardCharsets.ISO_8859_1);
            int count = in.u16();
            List<ListenRange> ranges = count == 0 ? List.of() : decodeRanges(count, in.blob());
            in.end();
            return new Message.Open(name, ranges);
        }
        if (opcode == Opcode.GET) {
            Message.Get get = new Message.Get(in.u32(), in.u16());
            in.end();
            return get;
        }
        // parameters after the seventh are ignored, see the class comment
        return new Message.Packet(opcode, in.u16(), in.u16(), in.u32(), in.u16(), in.u16(), in.blob());
    }

    private List<ListenRange> decodeRanges(int count, byte[] bytes) throws MalformedMessageException {
        if (bytes.length != count * RANGE_SIZE) {
            throw new MalformedMessageException("OPEN announces " + count + " listen ranges of " + RANGE_SIZE
                    + " bytes, but carries " + bytes.length + " bytes of them");
        }
        ByteBuffer in = ByteBuffer.wrap(bytes).order(order);
        List<ListenRange> ranges = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            ranges.add(new ListenRange(in.getInt(), in.getInt()));
        }
        return ranges;
    }

    private static Message.Response badTlv(Opcode opcode, List<Parameter> readable) {
        int status = AttributeStatus.BAD_TLV.code();
        if (opcode == Opcode.OPEN) {
            return new Message.OpenReply(status);
        }
        if (opcode == Opcode.GET) {
            // The asker's id is echoed if it is where it should be, even when something else is wrong.
            int operationId = readable.size() > 2 && isInt(readable.get(2), Parameter.IntType.U16)
                    ? (int) ((Parameter.Int) readable.get(2)).value()
                    : 0;
            return new Message.GetFailed(status, operationId);
        }
        return new Message.Ack(status, 0);
    }

    private static String reason(byte[] body) {
        try {
            return ParameterBlock.decode(body).isEmpty() ? "no parameters" : "its first parameter is no u8";
        } catch (MalformedMessageException e) {
            return e.getMessage();
        }
    }

    private static boolean isInt(Parameter parameter, Parameter.IntType type) {
        return parameter instanceof Parameter.Int number && number.type() == type;
    }

    /**
     * Decodes the answer to an OPEN.
     *
     * @param body of the response
     * @return the answer
     * @throws MalformedMessageException if it is none
     */
    public Message.OpenReply openReply(byte[] body) throws MalformedMessageException {
        Reader in = new Reader(ParameterBlock.decode(body));
        Message.OpenReply reply = new Message.OpenReply(in.u8());
        in.end();
        return reply;
    }

    /**
     * Decodes the answer to a GET.
     *
     * @param body of the response
     * @return the answer
     * @throws MalformedMessageException if it is none
     */
    public Message.GetReply getReply(byte[] body) throws MalformedMessageException {
        Reader in = new Reader(ParameterBlock.decode(body));
        int status = in.u8();
        int operationId = in.u16();
        Message.GetReply reply;
        if (status != 0) {
            reply = new Message.GetFailed(status, operationId);
        } else if (operationId != 0) {
            reply = new Message.GetLater(operationId);
        } else {
            reply = new Message.GetValue(in.blob());
        }
        in.end();
        return reply;
    }

    /**
     * Decodes the answer to a transaction packet.
     *
     * @param body of the response
     * @return the answer
     * @throws MalformedMessageException if it is none
     */
    public Message.Ack ack(byte[] body) throws MalformedMessageException {
        Reader in = new Reader(ParameterBlock.decode(body));
        Message.Ack ack = new Message.Ack(in.u8(), in.u16());
        in.end();
        return ack;
    }

    /** Takes parameters one after the other and insists on their types. */
    private static final class Reader {
        private final List<Parameter> parameters;
        private int at;

        Reader(List<Parameter> parameters) {
            this.parameters = parameters;
        }

        int u8() throws MalformedMessageException {
            return integer(Parameter.IntType.U8);
        }

        int u16() throws MalformedMessageException {
            return integer(Parameter.IntType.U16);
        }

        int u32() throws MalformedMessageException {
            return integer(Parameter.IntType.U32);
        }

        byte[] blob() throws MalformedMessageException {
            Parameter next = next("blob");
            if (next instanceof Parameter.Blob blob) {
                return blob.bytes();
            }
            throw new MalformedMessageException("parameter " + at + " must be a blob, it is " + name(next));
        }

        private int integer(Parameter.IntType type) throws MalformedMessageException {
            Parameter next = next(type.name());
            if (next instanceof Parameter.Int number && number.type() == type) {
                return (int) number.value();
            }
            throw new MalformedMessageException("parameter " + at + " must be " + type + ", it is " + name(next));
        }

        private Parameter next(String expected) throws MalformedMessageException {
            if (at == parameters.size()) {
                throw new MalformedMessageException("parameter " + (at + 1) + " is missing, it must be " + expected);
            }
            return parameters.get(at++);
        }

        void end() throws MalformedMessageException {
            if (at != parameters.size()) {
                throw new MalformedMessageException("expected " + at + " parameters, found " + parameters.size());
            }
        }

        private static String name(Parameter parameter) {
            return parameter instanceof Parameter.Int number ? number.type().name() : "blob";
        }
    }
}
