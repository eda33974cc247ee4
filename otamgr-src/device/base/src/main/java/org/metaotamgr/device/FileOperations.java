// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/** The steps of which a durable write is made. */
public interface FileOperations {
    /** Creates a file that everybody may read, whatever the umask; an old one with that name is removed before. */
    void create(Path file, byte[] content) throws IOException;

    /** Brings the content of a file to the storage. */
    void sync(Path file) throws IOException;

    /** Gives a file another name, in place of any file that has it, at one instant. */
    void rename(Path from, Path to) throws IOException;

    /** Brings the names in a folder to the storage. */
    void syncFolder(Path folder) throws IOException;

    /** Removes a file if it exists. */
    void delete(Path file) throws IOException;

    /** The operations of the real file system. */
    final class Real implements FileOperations {
        @Override
        public void create(Path file, byte[] content) throws IOException {
            Files.deleteIfExists(file);
            // CREATE_NEW does not follow a link that somebody put there in between.
            try (FileChannel channel = FileChannel.open(
                    file, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS))) {
                ByteBuffer buffer = ByteBuffer.wrap(content);
                while (buffer.hasRemaining()) {
                    channel.write(buffer);
                }
            }
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
        }

        @Override
        public void sync(Path file) throws IOException {
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.force(true);
            }
        }

        @Override
        public void rename(Path from, Path to) throws IOException {
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
        }

        @Override
        public void syncFolder(Path folder) throws IOException {
            try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
                channel.force(true);
            }
        }

        @Override
        public void delete(Path file) throws IOException {
            Files.deleteIfExists(file);
        }
    }
}
