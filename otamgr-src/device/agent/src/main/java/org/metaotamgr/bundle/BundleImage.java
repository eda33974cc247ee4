// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Optional;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.device.Printable;

/** The members of a bundle that the signature covers only by their hash in the manifest. */
public final class BundleImage {
    private static final String FORMAT_1 = "otamgr-bundle-1";
    private static final String FORMAT_2 = "otamgr-bundle-2";
    private static final String INDEX = "index";
    private static final int CHUNK = 64 * 1024;

    private BundleImage() {}

    /**
     * Tells a bundle from an image that is none.
     *
     * @param file the file
     * @return whether the file looks like a bundle; nothing is verified
     * @throws IOException if it cannot be read
     */
    public static boolean isBundle(Path file) throws IOException {
        return BundleFile.isBundle(file);
    }

    /**
     * Compares what the manifest speaks of, the image and in format 2 its block index, with what it says.
     *
     * @param bundle the bundle, complete
     * @param manifest its manifest, verified
     * @return what is wrong, or empty if they are those that were signed
     * @throws IOException if the bundle cannot be read, or is not laid out as one
     * @throws InterruptedException if the thread was interrupted
     */
    public static Optional<String> problem(Path bundle, Manifest manifest) throws IOException, InterruptedException {
        BundleFile file = BundleFile.open(bundle);
        Optional<String> problem = indexProblem(file, manifest);
        return problem.isPresent()
                ? problem
                : problem(
                        file,
                        manifest.value("image").orElse(""),
                        manifest.value("image-bytes").orElse(""),
                        manifest.value("image-sha256").orElse(""));
    }

    /**
     * Compares what comes before the image with what the manifest says, for a bundle of format 2 that is pulled in parts.
     *
     * @param bundle the bundle, of its full length
     * @param manifest its manifest, verified
     * @return what is wrong, or empty if it is what was signed
     * @throws IOException if the bundle cannot be read, or is not laid out as one
     * @throws InterruptedException if the thread was interrupted
     */
    public static Optional<String> problemBeforeImage(Path bundle, Manifest manifest)
            throws IOException, InterruptedException {
        return indexProblem(BundleFile.open(bundle), manifest);
    }

    private static Optional<String> indexProblem(BundleFile file, Manifest manifest)
            throws IOException, InterruptedException {
        String format = manifest.value("format").orElse("");
        return switch (format) {
            case FORMAT_1 -> file.members().containsKey(INDEX)
                    ? Optional.of("expected no index in a bundle of format 1, found one")
                    : Optional.empty();
            case FORMAT_2 -> problem(
                    file,
                    INDEX,
                    manifest.value("index-bytes").orElse(""),
                    manifest.value("index-sha256").orElse(""));
            default -> Optional.of("expected the format " + FORMAT_1 + " or " + FORMAT_2 + ", found "
                    + (format.isEmpty() ? "none" : Printable.of(format)));
        };
    }

    private static Optional<String> problem(BundleFile file, String name, String bytes, String sha256)
            throws IOException, InterruptedException {
        BundleFile.Extent member = file.members().get(name);
        if (member == null) {
            return Optional.of("expected the member " + Printable.of(name) + ", found none");
        }
        if (!bytes.equals(Long.toString(member.length()))) {
            return Optional.of("expected " + name + " of " + Printable.of(bytes) + " bytes, found " + member.length());
        }
        String found = hash(file.file(), member);
        return found.equals(sha256)
                ? Optional.empty()
                : Optional.of("expected " + name + " with the SHA-256 " + Printable.of(sha256) + ", found " + found);
    }

    private static String hash(Path file, BundleFile.Extent extent) throws IOException, InterruptedException {
        MessageDigest digest = BundleFile.sha256();
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ)) {
            in.position(extent.offset());
            ByteBuffer chunk = ByteBuffer.allocate(CHUNK);
            for (long left = extent.length(); left > 0; ) {
                if (Thread.interrupted()) {
                    throw new InterruptedException();
                }
                chunk.clear().limit((int) Math.min(CHUNK, left));
                int read = in.read(chunk);
                if (read < 0) {
                    throw new IOException("expected " + left + " more bytes, found the end of the file");
                }
                left -= read;
                digest.update(chunk.flip());
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }
}
