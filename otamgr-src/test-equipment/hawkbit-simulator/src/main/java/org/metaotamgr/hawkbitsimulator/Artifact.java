// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbitsimulator;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;

/** The content of an artifact, of any size, with the hashes that hawkBit tells. */
public final class Artifact {
    private static final String[] ALGORITHMS = {"SHA-1", "MD5", "SHA-256"};
    private static final int BLOCK = 1 << 16;

    private final Opener opener;
    private final long size;
    private final Map<String, String> hashes = new HashMap<>();

    @FunctionalInterface
    private interface Opener {
        InputStream open() throws IOException;
    }

    private Artifact(Opener opener) throws IOException {
        this.opener = opener;
        MessageDigest[] digests = new MessageDigest[ALGORITHMS.length];
        for (int i = 0; i < digests.length; i++) {
            try {
                digests[i] = MessageDigest.getInstance(ALGORITHMS[i]);
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException("every Java has " + ALGORITHMS[i], e);
            }
        }
        long length = 0;
        try (InputStream in = opener.open()) {
            byte[] block = new byte[BLOCK];
            for (int count = in.read(block); count >= 0; count = in.read(block)) {
                for (MessageDigest digest : digests) {
                    digest.update(block, 0, count);
                }
                length += count;
            }
        }
        size = length;
        for (int i = 0; i < digests.length; i++) {
            hashes.put(ALGORITHMS[i], HexFormat.of().formatHex(digests[i].digest()));
        }
    }

    /**
     * One in memory.
     *
     * @param content the content
     * @return the artifact
     */
    public static Artifact of(byte[] content) {
        byte[] copy = content.clone();
        try {
            return new Artifact(() -> new ByteArrayInputStream(copy));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * One in a file.
     *
     * @param file the file; it must not change
     * @return the artifact
     * @throws IOException if it cannot be read
     */
    public static Artifact of(Path file) throws IOException {
        return new Artifact(() -> Files.newInputStream(file));
    }

    long size() {
        return size;
    }

    /**
     * Its hash.
     *
     * @param algorithm MD5, SHA-1 or SHA-256
     * @return hex digits
     */
    public String hash(String algorithm) {
        return hashes.get(algorithm);
    }

    /**
     * Its content.
     *
     * @return a new stream of it
     * @throws IOException if it cannot be read
     */
    public InputStream open() throws IOException {
        return opener.open();
    }
}
