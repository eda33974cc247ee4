// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * The image to upload, as it was when it was hashed.
 *
 * @param size in bytes, at least 1
 * @param sha256 in lower case
 */
record ImageFile(Path path, long size, String sha256) {

    private static final int BLOCK = 128 * 1024;

    /** Reads the whole file once. Hashing while sending would slow a fast network down: both want the same processor. */
    static ImageFile of(Path path, ProcessContext context, boolean showProgress) throws OtaException {
        Progress progress =
                new Progress(context, showProgress, "SHA-256 of " + path.getFileName(), Progress.Unit.BYTES);
        try (InputStream in = Files.newInputStream(path)) {
            long expected = Files.size(path);
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            byte[] block = new byte[BLOCK];
            long size = 0;
            for (int length = in.read(block); length >= 0; length = in.read(block)) {
                digest.update(block, 0, length);
                size += length;
                progress.update(size, Math.max(size, expected));
            }
            if (size == 0) {
                throw new OtaException(ExitStatus.LOCAL, path + ": is empty");
            }
            return new ImageFile(path, size, HexFormat.of().formatHex(digest.digest()));
        } catch (IOException e) {
            throw new OtaException(ExitStatus.LOCAL, path + ": cannot be read");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java runtime has SHA-256", e);
        } finally {
            progress.end();
        }
    }
}
