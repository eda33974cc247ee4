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
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.device.Printable;

/**
 * The layout of a bundle: an uncompressed ustar archive of {@code manifest}, its signature and what follows. Only where things
 * are is read here, by the same rules as {@code bundle.c} and {@code bundle.py}; whether they can be trusted is up to
 * {@code ota-verify}.
 *
 * @param file the bundle
 * @param manifest the bytes of the manifest
 * @param members where each member begins, and its length in bytes
 * @param length the length of the whole file in bytes
 */
record BundleFile(Path file, byte[] manifest, Map<String, Extent> members, long length) {
    private static final int BLOCK = 512;
    /** Keys of the manifest that are about images beside the root file system. */
    private static final String FURTHER = "image.";

    private static final int MAX_MANIFEST = 64 * 1024;
    private static final int MAX_SIGNATURE = 1024;
    private static final int MAX_CHAIN = 64 * 1024;
    private static final int MAX_INDEX = 192 << 20;
    private static final long MAX_BYTES = 999_999_999_999_999L;
    /** What eleven octal digits can say. */
    private static final long MAX_OCTAL = (1L << 33) - 1;

    private static final int MAX_NAME = 100;
    private static final int SIZE_AT = 124;
    private static final int SIZE_LENGTH = 12;
    private static final int CHECKSUM_AT = 148;
    private static final int CHECKSUM_LENGTH = 8;
    private static final int TYPE_AT = 156;
    private static final int PREFIX_AT = 345;
    private static final Set<String> NOT_AN_IMAGE = Set.of("manifest", "manifest.sig", "manifest.crt", "index");
    private static final Set<StandardOpenOption> READ = Set.of(StandardOpenOption.READ);

    /**
     * A piece of the file.
     *
     * @param offset its first byte
     * @param length its length in bytes
     */
    record Extent(long offset, long length) {}

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
            return read(channel, file);
        }
    }

    static BundleFile read(SeekableByteChannel channel, Path file) throws IOException {
        return new Reader(channel).read(file);
    }

    /**
     * What comes before the image.
     *
     * @param bytes up to where the image begins; or, if that is not known yet, how many bytes have to be there to go on
     * @param isComplete whether the image begins there, and all before it is there
     * @param hasIndex whether there is a block index among it
     */
    record Beginning(long bytes, boolean isComplete, boolean hasIndex) {}

    /**
     * Looks how far the beginning of a bundle goes that is still on its way.
     *
     * @throws IOException if it is not laid out as a bundle
     */
    static Beginning beginning(SeekableByteChannel channel) throws IOException {
        Reader reader = new Reader(channel);
        boolean hasIndex = false;
        for (int members = 0; members <= NOT_AN_IMAGE.size(); members++) {
            if (reader.at > reader.length - BLOCK) {
                return new Beginning(reader.at + BLOCK, false, hasIndex);
            }
            byte[] header = reader.header();
            String name = name(header);
            if (!NOT_AN_IMAGE.contains(name)) {
                return new Beginning(reader.at + BLOCK, true, hasIndex);
            }
            if (size(header) < 1 || size(header) > MAX_INDEX) {
                throw new IOException("expected " + name + " of 1 to " + MAX_INDEX + " bytes at byte " + reader.at
                        + ", found " + size(header));
            }
            hasIndex |= name.equals("index");
            reader.member(name, header);
        }
        throw new IOException("expected an image after at most " + NOT_AN_IMAGE.size() + " members, found none");
    }

    /** Goes from member to member. */
    private static final class Reader {
        private final SeekableByteChannel channel;
        private final long length;
        private final Map<String, Extent> members = new HashMap<>();
        private long at;

        Reader(SeekableByteChannel channel) throws IOException {
            this.channel = channel;
            this.length = channel.size();
        }

        BundleFile read(Path file) throws IOException {
            Extent manifest = small("manifest", header(), MAX_MANIFEST);
            small("manifest.sig", header(), MAX_SIGNATURE);
            byte[] header = header();
            for (Map.Entry<String, Integer> perhaps :
                    List.of(Map.entry("manifest.crt", MAX_CHAIN), Map.entry("index", MAX_INDEX))) {
                if (name(header).equals(perhaps.getKey())) {
                    small(perhaps.getKey(), header, perhaps.getValue());
                    header = header();
                }
            }
            String image = name(header);
            if (NOT_AN_IMAGE.contains(image)) {
                throw new IOException("expected an image at byte " + at + ", found " + image);
            }
            Extent payload = member(image, header);
            if (payload.length() < 1 || at > length - 2 * BLOCK) {
                throw new IOException("expected an image and the end of the archive, found " + Printable.of(image)
                        + " with " + payload.length() + " bytes in a file of " + length);
            }
            if (!isZero(BundleFile.read(channel, at, 2 * BLOCK))) {
                throw new IOException("expected nothing behind the image, found more at byte " + at);
            }
            return new BundleFile(
                    file,
                    BundleFile.read(channel, manifest.offset(), (int) manifest.length()),
                    Map.copyOf(members),
                    length);
        }

        private byte[] header() throws IOException {
            if (at > length - BLOCK) {
                throw new IOException(
                        "expected manifest, manifest.sig, perhaps manifest.crt, perhaps index, and an image, found "
                                + "the end of the file at byte " + at);
            }
            byte[] header = BundleFile.read(channel, at, BLOCK);
            String wrong = !isUstar(header) || octal(header, CHECKSUM_AT, CHECKSUM_LENGTH) != checksum(header)
                    ? "no header of an archive, or one whose checksum is wrong"
                    : header[TYPE_AT] != '0' && header[TYPE_AT] != 0
                            ? "something else than a plain file"
                            : header[PREFIX_AT] != 0 || !isPlainName(name(header))
                                    ? "a name that members of a bundle do not have"
                                    : size(header) < 0 ? "a size that is no number, or not written as tar does" : "";
            if (!wrong.isEmpty()) {
                throw new IOException("expected a member of a bundle at byte " + at + ", found " + wrong);
            }
            return header;
        }

        private Extent small(String name, byte[] header, int most) throws IOException {
            long size = size(header);
            if (!name(header).equals(name) || size < 1 || size > most) {
                throw new IOException("expected " + name + " of 1 to " + most + " bytes at byte " + at + ", found "
                        + Printable.of(name(header)) + " of " + size);
            }
            Extent extent = member(name, header);
            if (extent.length() > length - extent.offset()) {
                throw new IOException(
                        "expected " + extent.length() + " bytes of " + name + ", found the end of the file");
            }
            return extent;
        }

        private Extent member(String name, byte[] header) {
            Extent extent = new Extent(at + BLOCK, size(header));
            members.put(name, extent);
            at = extent.offset() + (extent.length() + BLOCK - 1) / BLOCK * BLOCK;
            return extent;
        }
    }

    /**
     * Where the images beside the root file system lie: behind the frames, up to the end of the image.
     *
     * @throws IOException if the manifest speaks of other sizes than it can
     */
    Extent furtherImages() throws IOException {
        Manifest values = Manifest.of(
                new String(manifest, StandardCharsets.US_ASCII).lines().toList());
        Extent image = members.get(values.value("image").orElse(""));
        long bytes = 0;
        for (Map.Entry<String, String> line : values.values().entrySet()) {
            if (line.getKey().startsWith(FURTHER)) {
                String size = line.getValue().split(" ", 2)[0];
                if (!size.matches("[1-9][0-9]{0,14}")) {
                    throw new IOException("expected a number of bytes as " + line.getKey() + ", found "
                            + Printable.of(line.getValue()));
                }
                bytes += Long.parseLong(size);
            }
        }
        if (image == null || bytes >= image.length()) {
            throw new IOException("expected an image with more than " + bytes + " bytes, found none");
        }
        return new Extent(image.offset() + image.length() - bytes, bytes);
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

    private static boolean isZero(byte[] blocks) {
        return Arrays.equals(blocks, new byte[blocks.length]);
    }

    private static String name(byte[] header) {
        int end = 0;
        while (end < MAX_NAME && header[end] != 0) {
            end++;
        }
        return new String(header, 0, end, StandardCharsets.ISO_8859_1);
    }

    private static boolean isPlainName(String name) {
        for (int at = 0; at < name.length(); at++) {
            char one = name.charAt(at);
            boolean isLetterOrDigit = one >= 'a' && one <= 'z' || one >= 'A' && one <= 'Z' || one >= '0' && one <= '9';
            if (!isLetterOrDigit && (at == 0 || "._+-".indexOf(one) < 0)) {
                return false;
            }
        }
        return !name.isEmpty();
    }

    private static long checksum(byte[] header) {
        long sum = 0;
        for (int at = 0; at < BLOCK; at++) {
            sum += at >= CHECKSUM_AT && at < CHECKSUM_AT + CHECKSUM_LENGTH ? ' ' : header[at] & 0xff;
        }
        return sum;
    }

    /** A size, in octal digits or, if they cannot say it, in base 256; negative if it is none. */
    private static long size(byte[] header) {
        if ((header[SIZE_AT] & 0xff) != 0x80) {
            long size = octal(header, SIZE_AT, SIZE_LENGTH);
            return size <= MAX_BYTES ? size : -1;
        }
        long size = 0;
        for (int at = SIZE_AT + 1; at < SIZE_AT + SIZE_LENGTH; at++) {
            if (size > MAX_BYTES) {
                return -1;
            }
            size = size << 8 | header[at] & 0xff;
        }
        return size > MAX_OCTAL && size <= MAX_BYTES ? size : -1;
    }

    /** Octal digits between blanks before, and blanks and zeros behind; negative if it is something else. */
    private static long octal(byte[] header, int from, int length) {
        int at = from;
        int end = from + length;
        while (at < end && header[at] == ' ') {
            at++;
        }
        if (at == end || header[at] < '0' || header[at] > '7') {
            return -1;
        }
        long number = 0;
        for (; at < end && header[at] >= '0' && header[at] <= '7'; at++) {
            number = number * 8 + header[at] - '0';
        }
        for (; at < end; at++) {
            if (header[at] != 0 && header[at] != ' ') {
                return -1;
            }
        }
        return number;
    }
}
