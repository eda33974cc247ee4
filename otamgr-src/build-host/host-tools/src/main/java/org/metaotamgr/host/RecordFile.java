// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** The file in which the record travels from its creation to the image recipe and to the upload. */
record RecordFile(Path path) {

    static final String NAME = "full_ota_record.json";
    private static final String NAME_IN_SOME_DOCUMENTS = "full-ota-record.json";

    /** Checks that the file can be written, before anything is created that could not be written down. */
    void checkWritable() throws OtaException {
        Path folder = path.toAbsolutePath().getParent();
        if (!Files.isDirectory(folder)) {
            throw new OtaException(ExitStatus.LOCAL, folder + ": there is no such folder for " + path.getFileName());
        }
        try {
            Files.delete(Files.createTempFile(folder, NAME, ".part"));
        } catch (IOException e) {
            throw new OtaException(ExitStatus.LOCAL, folder + ": cannot be written to");
        }
        if (Files.exists(path) && !Files.isRegularFile(path)) {
            throw new OtaException(ExitStatus.LOCAL, path + ": expected a regular file or none");
        }
    }

    /** Replaces the file as a whole: a reader sees the old one or the new one. */
    void write(OtaRecord record) throws IOException {
        Path part = path.resolveSibling(path.getFileName() + ".part");
        try (FileChannel channel = FileChannel.open(
                part, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
            ByteBuffer bytes = ByteBuffer.wrap(PythonJson.write(record.json()).getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true);
        }
        Files.move(part, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    OtaRecord read(Output output) throws OtaException {
        Path present = path;
        Path other = path.resolveSibling(NAME_IN_SOME_DOCUMENTS);
        if (!Files.exists(path) && path.getFileName().toString().equals(NAME) && Files.exists(other)) {
            output.warning(other + ": used, because there is no " + NAME
                    + "; image recipes look for the name with underscores only");
            present = other;
        }
        try {
            return OtaRecord.parse(present.toString(), Files.readString(present), ExitStatus.LOCAL);
        } catch (IOException e) {
            throw new OtaException(
                    ExitStatus.LOCAL,
                    present
                            + ": there is no readable record; create one with ota record create, or get it back with ota record recover");
        }
    }
}
