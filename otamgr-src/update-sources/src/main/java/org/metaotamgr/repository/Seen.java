// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;

import org.metaotamgr.agent.Target;
import org.metaotamgr.device.DurableFile;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.http.Json;

/**
 * The newest list of a repository that this device has seen.
 *
 * @param generation its number
 * @param sha256 the SHA-256 of its bytes: a number is signed once
 * @param created when it was signed: it is not earlier than that
 */
record Seen(long generation, String sha256, Instant created) {
    private static final int MAX_FILE_SIZE = 4096;

    /**
     * Reads it; empty if no list was ever seen.
     *
     * @throws IOException if it cannot be read. It is not taken for missing, as it would then protect from nothing
     */
    static Optional<Seen> read(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            Json json = Json.object(file.toString(), in.readNBytes(MAX_FILE_SIZE));
            String sha256 = json.string("sha256");
            if (!Target.isSha256(sha256)) {
                throw json.wrong("sha256", "64 lower case hex digits");
            }
            return Optional.of(new Seen(json.number("generation", 1), sha256,
                    Instant.ofEpochSecond(json.number("created", 0))));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (Json.MalformedException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    /** Writes it; when this returns, it is on the storage. */
    void write(Path file, FileOperations files) throws IOException {
        byte[] content = Json.bytes(Json.newObject().put("generation", generation).put("sha256", sha256)
                .put("created", Math.max(created.getEpochSecond(), 0)));
        new DurableFile(file, files).write((new String(content, StandardCharsets.UTF_8) + "\n")
                .getBytes(StandardCharsets.UTF_8));
    }
}
