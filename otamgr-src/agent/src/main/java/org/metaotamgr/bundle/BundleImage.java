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

/** The image in a bundle, the member that the signature covers only by its hash in the manifest. */
public final class BundleImage {
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
     * Compares the image with what the manifest says.
     *
     * @param bundle the bundle, complete
     * @param name the value of {@code image} in its manifest
     * @param sha256 the value of {@code image-sha256} in its manifest, 64 lower case hex digits
     * @return what is wrong with the image, or empty if it is the one
     * @throws IOException if the bundle cannot be read, or is not laid out as one
     * @throws InterruptedException if the thread was interrupted
     */
    public static Optional<String> problem(Path bundle, String name, String sha256)
            throws IOException, InterruptedException {
        BundleFile.Extent image = BundleFile.open(bundle).members().get(name);
        if (image == null) {
            return Optional.of("expected the member " + name + ", found none");
        }
        String found = hash(bundle, image);
        return found.equals(sha256)
                ? Optional.empty()
                : Optional.of("expected an image with the SHA-256 " + sha256 + ", found " + found);
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
                    throw new IOException("expected " + left + " more bytes of the image, found the end of the file");
                }
                left -= read;
                digest.update(chunk.flip());
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }
}
