// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

/** One typed value in the body of a message (attribute protocol, section 3). */
sealed interface Parameter permits Parameter.Int, Parameter.Blob {

    /** The integer types. */
    enum IntType {
        /** Unsigned, one byte. */
        U8(0x9000, 1, false),
        /** Unsigned, two bytes. */
        U16(0xA000, 2, false),
        /** Unsigned, four bytes. */
        U32(0xB000, 4, false),
        /** Signed, one byte. */
        S8(0xD000, 1, true),
        /** Signed, two bytes. */
        S16(0xE000, 2, true),
        /** Signed, four bytes. */
        S32(0xF000, 4, true);

        final int word;
        final int size;
        final boolean signed;

        IntType(int word, int size, boolean signed) {
            this.word = word;
            this.size = size;
            this.signed = signed;
        }

        /**
         * The type that a type word names.
         *
         * @return null if the word is none of an integer
         */
        static IntType of(int word) {
            switch (word) {
                case 0x9000:
                    return U8;
                case 0xA000:
                    return U16;
                case 0xB000:
                    return U32;
                case 0xD000:
                    return S8;
                case 0xE000:
                    return S16;
                case 0xF000:
                    return S32;
                default:
                    return null;
            }
        }

        long min() {
            return signed ? -(1L << (size * 8 - 1)) : 0;
        }

        long max() {
            return (1L << (signed ? size * 8 - 1 : size * 8)) - 1;
        }
    }

    /**
     * An integer.
     *
     * @param type its type on the wire
     * @param value its value, within the range of the type
     */
    record Int(IntType type, long value) implements Parameter {
        /**
         * Checks the range.
         *
         * @throws IllegalArgumentException if the type cannot hold the value
         */
        public Int {
            if (value < type.min() || value > type.max()) {
                throw new IllegalArgumentException(
                        "a " + type + " holds " + type.min() + " to " + type.max() + ", not " + value);
            }
        }
    }

    /**
     * A string of bytes.
     *
     * @param bytes at most {@link #MAX_SIZE}; not copied
     * @param text whether the sender flagged it as a printable, NUL-terminated string. Receivers treat both alike
     */
    record Blob(byte[] bytes, boolean text) implements Parameter {
        /** Most bytes that a type word can announce. */
        public static final int MAX_SIZE = 0x3FFF;

        /**
         * Checks the size.
         *
         * @throws IllegalArgumentException if there are too many bytes
         */
        public Blob {
            if (bytes.length > MAX_SIZE) {
                throw new IllegalArgumentException("a blob holds up to " + MAX_SIZE + " bytes, not " + bytes.length);
            }
        }
    }

    /** Makes an unsigned 8-bit integer. */
    static Parameter u8(int value) {
        return new Int(IntType.U8, value);
    }

    /** Makes an unsigned 16-bit integer. */
    static Parameter u16(int value) {
        return new Int(IntType.U16, value);
    }

    /** Makes an unsigned 32-bit integer out of the 32 bits of an int. */
    static Parameter u32(int value) {
        return new Int(IntType.U32, Integer.toUnsignedLong(value));
    }

    /** Makes a string of bytes. */
    static Parameter blob(byte[] bytes) {
        return new Blob(bytes, false);
    }
}
