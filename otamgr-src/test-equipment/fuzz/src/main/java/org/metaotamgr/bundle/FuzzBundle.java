// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Path;
import org.metaotamgr.fuzz.Input;

/** Any file is a bundle whose members lie inside it, or is refused; checksums are put right, so that more than those is tried. */
public final class FuzzBundle {
    private static final int BLOCK = 512;

    private FuzzBundle() {}

    public static void fuzzerTestOneInput(byte[] data) {
        byte[] file = data.clone();
        for (int at = 0; at + BLOCK <= file.length; at += BLOCK) {
            if (file[at + 257] == 'u' && file[at + 148] == '!') {
                sum(file, at);
            }
        }
        try {
            BundleFile bundle = BundleFile.read(new Memory(file), Path.of("fuzz.bundle"));
            bundle.members()
                    .forEach((name, extent) -> Input.require(
                            extent.offset() >= BLOCK
                                    && extent.length() > 0
                                    && extent.offset() + extent.length() <= file.length,
                            "members inside of it: " + name));
            Input.require(bundle.manifest().length <= 65_536 && bundle.id().length() == 64, "a manifest");
        } catch (IOException e) {
            Input.require(e.getMessage().startsWith("expected"), "a reason: " + e.getMessage());
        }
    }

    private static void sum(byte[] file, int header) {
        long sum = 8 * ' ';
        for (int i = 0; i < BLOCK; i++) {
            sum += i >= 148 && i < 156 ? 0 : file[header + i] & 0xff;
        }
        byte[] digits = String.format("%06o\0 ", sum).getBytes(java.nio.charset.StandardCharsets.US_ASCII);
        System.arraycopy(digits, 0, file, header + 148, 8);
    }

    /** A file in memory. */
    private static final class Memory implements SeekableByteChannel {
        private final byte[] content;
        private long position;

        Memory(byte[] content) {
            this.content = content;
        }

        @Override
        public int read(ByteBuffer target) {
            if (position >= content.length) {
                return -1;
            }
            int count = (int) Math.min(target.remaining(), content.length - position);
            target.put(content, (int) position, count);
            position += count;
            return count;
        }

        @Override
        public long position() {
            return position;
        }

        @Override
        public SeekableByteChannel position(long next) {
            Input.require(next >= 0 && next <= content.length, "a place in the file");
            position = next;
            return this;
        }

        @Override
        public long size() {
            return content.length;
        }

        @Override
        public int write(ByteBuffer source) {
            throw new IllegalStateException("nothing is written");
        }

        @Override
        public SeekableByteChannel truncate(long size) {
            throw new IllegalStateException("nothing is written");
        }

        @Override
        public boolean isOpen() {
            return true;
        }

        @Override
        public void close() {}
    }
}
