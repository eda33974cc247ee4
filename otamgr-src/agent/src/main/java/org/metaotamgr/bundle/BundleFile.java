// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;

import org.metaotamgr.device.Printable;

/**
 * The layout of a bundle: an uncompressed ustar archive whose first member is {@code manifest}. Only where things are is
 * read here; whether they can be trusted is up to {@code ota-verify}.
 *
 * @param file the bundle
 * @param manifest the bytes of the manifest
 * @param members where each member begins, and its length in bytes
 * @param length the length of the whole file in bytes
 */
record BundleFile(Path file, byte[] manifest, Map<String, Extent> members, long length) {
    private static final int BLOCK = 512;
    private static final int MAX_MANIFEST = 64 * 1024;
    /** manifest, manifest.sig, manifest.crt, and the image. */
    private static final int MAX_MEMBERS = 4;
    private static final Set<StandardOpenOption> READ = Set.of(StandardOpenOption.READ);

    /**
     * A piece of the file.
     *
     * @param offset its first byte
     * @param length its length in bytes
     */
    record Extent(long offset, long length) {
    }

    /**
     * Whether a file looks like a bundle.
     *
     * @throws IOException if it cannot be read
     */
    static boolean isBundle(Path file) throws IOException {
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) || Files.size(file) < 2 * BLOCK) {
            return false;
        }
        try (SeekableByteChannel channel = Files.newByteChannel(file, READ)) {
            byte[] header = read(channel, 0, BLOCK);
            return isUstar(header) && name(header).equals("manifest");
        }
    }

    /**
     * Reads the layout.
     *
     * @throws IOException if it cannot be read, or is not laid out as a bundle; the message says what was expected and
     *     found
     */
    static BundleFile open(Path file) throws IOException {
        try (SeekableByteChannel channel = Files.newByteChannel(file, READ)) {
            long length = channel.size();
            Map<String, Extent> members = new HashMap<>();
            byte[] manifest = new byte[0];
            long at = 0;
            while (at + BLOCK <= length) {
                byte[] header = read(channel, at, BLOCK);
                if (isZero(header)) {
                    break;
                }
                if (!isUstar(header) || members.size() == MAX_MEMBERS) {
                    throw new IOException("expected an archive of at most " + MAX_MEMBERS
                            + " members, found something else at byte " + at);
                }
                String name = name(header);
                long size = size(header, at);
                if (members.isEmpty()) {
                    if (!name.equals("manifest") || size > MAX_MANIFEST) {
                        throw new IOException("expected that it begins with a manifest of at most " + MAX_MANIFEST
                                + " bytes");
                    }
                    manifest = read(channel, at + BLOCK, (int) size);
                }
                if (at + BLOCK + size > length) {
                    throw new IOException("expected " + size + " bytes of " + Printable.of(name)
                            + ", found the end of the file");
                }
                members.put(name, new Extent(at + BLOCK, size));
                at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
            }
            if (members.isEmpty()) {
                throw new IOException("expected an archive that begins with a manifest, found an empty one");
            }
            return new BundleFile(file, manifest, members, length);
        }
    }

    /** What the bundle is known by: the hash of its manifest, which has the hash of everything else. */
    String id() {
        return HexFormat.of().formatHex(sha256().digest(manifest));
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    private static byte[] read(SeekableByteChannel channel, long offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length);
        channel.position(offset);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer) < 0) {
                throw new EOFException("expected " + length + " bytes at " + offset + ", found the end of the file");
            }
        }
        return buffer.array();
    }

    private static boolean isUstar(byte[] header) {
        return new String(header, 257, 5, StandardCharsets.ISO_8859_1).equals("ustar");
    }

    private static boolean isZero(byte[] header) {
        return Arrays.equals(header, new byte[BLOCK]);
    }

    private static String name(byte[] header) {
        int end = 0;
        while (end < 100 && header[end] != 0) {
            end++;
        }
        return new String(header, 0, end, StandardCharsets.UTF_8);
    }

    private static long size(byte[] header, long at) throws IOException {
        String octal = new String(header, 124, 12, StandardCharsets.ISO_8859_1).replace('\0', ' ').strip();
        try {
            return Long.parseLong(octal, 8);
        } catch (NumberFormatException e) {
            throw new IOException("expected a length in octal, found something else at byte " + (at + 124), e);
        }
    }
}
