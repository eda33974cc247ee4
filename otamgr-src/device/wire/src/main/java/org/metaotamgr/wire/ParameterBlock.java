// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The body of a message: a length and typed parameters, all big-endian whatever the host is (attribute protocol,
 * section 3).
 */
final class ParameterBlock {
    private static final int LENGTH_SIZE = 2;
    private static final int TYPE_SIZE = 2;
    private static final int INTEGER_BIT = 0x8000;
    private static final int TEXT_BIT = 0x4000;

    private ParameterBlock() {}

    /**
     * Encodes a body.
     *
     * @param parameters its parameters in order
     * @return the bytes with their length in front
     */
    public static byte[] encode(List<Parameter> parameters) {
        int size = LENGTH_SIZE;
        for (Parameter parameter : parameters) {
            size += TYPE_SIZE
                    + (parameter instanceof Parameter.Int number
                            ? number.type().size
                            : ((Parameter.Blob) parameter).bytes().length);
        }
        ByteBuffer out = ByteBuffer.allocate(size);
        out.putShort((short) size);
        for (Parameter parameter : parameters) {
            if (parameter instanceof Parameter.Int number) {
                out.putShort((short) number.type().word);
                for (int shift = (number.type().size - 1) * 8; shift >= 0; shift -= 8) {
                    out.put((byte) (number.value() >> shift));
                }
            } else if (parameter instanceof Parameter.Blob blob) {
                out.putShort((short) (blob.bytes().length | (blob.text() ? TEXT_BIT : 0)));
                out.put(blob.bytes());
            }
        }
        return out.array();
    }

    /**
     * Decodes a body. The block must fill the body exactly.
     *
     * @param body the bytes after the message header
     * @return its parameters in order; how many there must be is up to the message
     * @throws MalformedMessageException if the length does not match, a type is not known, or a value is cut off
     */
    public static List<Parameter> decode(byte[] body) throws MalformedMessageException {
        Cursor cursor = new Cursor(body);
        if (cursor.declared != body.length) {
            throw new MalformedMessageException("the parameter block says " + cursor.declared
                    + " bytes, the message has " + body.length + " for it");
        }
        List<Parameter> parameters = new ArrayList<>(8);
        for (Parameter next = cursor.next(); next != null; next = cursor.next()) {
            parameters.add(next);
        }
        return parameters;
    }

    /**
     * What can still be read from the start of a body which as a whole is malformed: enough to find out what its sender
     * asked for, so that it can be told.
     *
     * @param body the bytes after the message header
     * @return the parameters in front of the first mistake, none if the block does not even fit the message
     */
    static List<Parameter> decodeReadable(byte[] body) {
        List<Parameter> parameters = new ArrayList<>(8);
        try {
            Cursor cursor = new Cursor(body);
            for (Parameter next = cursor.next(); next != null; next = cursor.next()) {
                parameters.add(next);
            }
        } catch (MalformedMessageException e) {
            // what was read so far is the answer
            return parameters;
        }
        return parameters;
    }

    private static final class Cursor {
        private final byte[] body;
        private final int declared;
        private int at = LENGTH_SIZE;

        Cursor(byte[] body) throws MalformedMessageException {
            this.body = body;
            if (body.length < LENGTH_SIZE) {
                throw new MalformedMessageException("the message ends inside the length of its parameter block");
            }
            declared = unsigned(0, LENGTH_SIZE);
            if (declared < LENGTH_SIZE || declared > body.length) {
                throw new MalformedMessageException(
                        "the parameter block says " + declared + " bytes, the message has " + body.length + " for it");
            }
        }

        /** The next parameter, null at the end of the block. */
        Parameter next() throws MalformedMessageException {
            if (at == declared) {
                return null;
            }
            need(TYPE_SIZE, "type");
            int word = unsigned(at, TYPE_SIZE);
            at += TYPE_SIZE;
            if ((word & INTEGER_BIT) == 0) {
                int size = word & Parameter.Blob.MAX_SIZE;
                need(size, "blob");
                Parameter blob = new Parameter.Blob(Arrays.copyOfRange(body, at, at + size), (word & TEXT_BIT) != 0);
                at += size;
                return blob;
            }
            Parameter.IntType type = Parameter.IntType.of(word);
            if (type == null) {
                throw new MalformedMessageException("0x" + Integer.toHexString(word) + " is no parameter type");
            }
            need(type.size, "integer");
            int bits = unsigned(at, type.size);
            at += type.size;
            if (!type.signed) {
                return new Parameter.Int(type, Integer.toUnsignedLong(bits));
            }
            int unused = 32 - type.size * 8;
            return new Parameter.Int(type, bits << unused >> unused);
        }

        private void need(int size, String what) throws MalformedMessageException {
            if (declared - at < size) {
                throw new MalformedMessageException("the parameter block ends inside a parameter: its " + what
                        + " needs " + size + " bytes, " + (declared - at) + " are left");
            }
        }

        private int unsigned(int offset, int size) {
            int value = 0;
            for (int i = 0; i < size; i++) {
                value = value << 8 | Byte.toUnsignedInt(body[offset + i]);
            }
            return value;
        }
    }
}
