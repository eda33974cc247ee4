// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.metaotamgr.device.Printable;

/**
 * An update that may be handed to sysupgrade: both of its files are there and lie where updates may lie. Two
 * candidates are the same update if they are equal.
 *
 * @param path where it is
 * @param headerSha256 the hash of its header, lower case hex; the header is unique for each build of an image
 */
record UpdateCandidate(UpdatePath path, String headerSha256) {
    /** Real headers have a few hundred bytes; otamgr's heap is small. */
    static final int MAX_HEADER_SIZE = 64 * 1024;

    /**
     * Looks at the files of an update.
     *
     * @param path where it should be
     * @param allowedPrefixes folders in which an update may lie
     * @return the candidate
     * @throws UpdateRefusedException if the path is outside of the allowed prefixes, before or after following symbolic
     *     links, or if a file is missing, not a regular file, or empty, or if the header is too large
     */
    static UpdateCandidate examine(UpdatePath path, List<String> allowedPrefixes) throws UpdateRefusedException {
        Path image;
        Path header;
        try {
            image = Path.of(path.image());
            header = Path.of(path.header());
        } catch (InvalidPathException e) {
            throw new UpdateRefusedException(
                    "the path cannot be expressed in the character set of this system: " + e.getReason());
        }
        refuseOutside(image.getParent(), allowedPrefixes);
        if (examineFile(image) == 0) {
            throw new UpdateRefusedException(image + " is empty");
        }
        long headerSize = examineFile(header);
        if (headerSize == 0) {
            throw new UpdateRefusedException(header + " is empty");
        }
        return new UpdateCandidate(path, sha256(read(header)));
    }

    private static void refuseOutside(Path folder, List<String> allowedPrefixes) throws UpdateRefusedException {
        if (allowedPrefixes.stream().noneMatch(folder::startsWith)) {
            throw new UpdateRefusedException("expected a path inside " + allowedPrefixes);
        }
        Path real;
        try {
            real = folder.toRealPath();
        } catch (IOException e) {
            throw new UpdateRefusedException(folder + " cannot be examined: " + Printable.of(e.toString()));
        }
        for (String prefix : allowedPrefixes) {
            try {
                // The prefix itself may be a link: /tmp is one to /var/volatile/tmp on many systems.
                if (real.startsWith(Path.of(prefix).toRealPath())) {
                    return;
                }
            } catch (IOException e) {
                // A prefix that does not exist holds nothing.
                continue;
            }
        }
        throw new UpdateRefusedException("expected a path inside " + allowedPrefixes + ", found that " + folder
                + " leads to " + Printable.of(real.toString()));
    }

    private static long examineFile(Path file) throws UpdateRefusedException {
        BasicFileAttributes attributes;
        try {
            attributes = Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        } catch (NoSuchFileException e) {
            throw new UpdateRefusedException(file + " does not exist");
        } catch (IOException e) {
            throw new UpdateRefusedException(file + " cannot be examined: " + Printable.of(e.toString()));
        }
        if (!attributes.isRegularFile()) {
            throw new UpdateRefusedException("expected a regular file, found that " + file + " is "
                    + (attributes.isSymbolicLink()
                            ? "a symbolic link"
                            : attributes.isDirectory() ? "a folder" : "a special file"));
        }
        return attributes.size();
    }

    private static byte[] read(Path header) throws UpdateRefusedException {
        byte[] content;
        try (InputStream in = Files.newInputStream(header, LinkOption.NOFOLLOW_LINKS)) {
            content = in.readNBytes(MAX_HEADER_SIZE + 1);
        } catch (IOException e) {
            throw new UpdateRefusedException(header + " cannot be read: " + Printable.of(e.toString()));
        }
        if (content.length > MAX_HEADER_SIZE) {
            throw new UpdateRefusedException(
                    "expected a header of at most " + MAX_HEADER_SIZE + " bytes, found that " + header + " has more");
        }
        return content;
    }

    private static String sha256(byte[] content) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
