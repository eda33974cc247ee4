// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Tables in memory, and a file to which every change is appended as one line, so that a service which is killed knows
 * after its restart all that it has answered for. Not safe for threads: {@link ServiceState} guards it.
 */
final class Store implements Closeable {

    private static final int LINES_WORTH_COMPACTING = 1000;

    private final ObjectMapper json = new ObjectMapper();
    private final Path file;
    private final FileChannel lockChannel;
    private final FileLock lock;
    private final Map<String, Map<String, JsonNode>> loaded = new LinkedHashMap<>();
    private final FileChannel out;
    /** Where the last change ends that was written whole. */
    private long end;

    Store(Path folder) throws IOException {
        Files.createDirectories(folder);
        file = folder.resolve("state.jsonl");
        Path lockFile = folder.resolve("lock");
        lockChannel = FileChannel.open(lockFile, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            lock = lock(folder);
            long lines = replay();
            long live = loaded.values().stream().mapToLong(Map::size).sum();
            if (lines > 2 * live + LINES_WORTH_COMPACTING) {
                compact();
            }
            out = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            end = out.size();
        } catch (IOException | RuntimeException e) {
            lockChannel.close();
            throw e;
        }
    }

    private FileLock lock(Path folder) throws IOException {
        try {
            FileLock got = lockChannel.tryLock();
            if (got != null) {
                return got;
            }
        } catch (OverlappingFileLockException e) {
            // Held by another service in this process: the same answer as for another process.
        }
        throw new IOException(
                folder + ": another service simulator uses this folder; stop it or give another --folder");
    }

    private long replay() throws IOException {
        if (!Files.exists(file)) {
            return 0;
        }
        byte[] content = Files.readAllBytes(file);
        int whole = content.length;
        while (whole > 0 && content[whole - 1] != '\n') {
            whole--;
        }
        if (whole < content.length) {
            // The service was killed while it wrote the last line, so it has not answered for that change.
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.truncate(whole);
            }
        }
        long number = 0;
        for (String line : new String(content, 0, whole, StandardCharsets.UTF_8).split("\n")) {
            number++;
            if (line.isEmpty()) {
                continue;
            }
            try {
                JsonNode change = json.readTree(line);
                Map<String, JsonNode> table =
                        loaded.computeIfAbsent(change.path("table").asText(), name -> new LinkedHashMap<>());
                String key = change.path("key").asText();
                if (change.has("value")) {
                    table.put(key, change.get("value"));
                } else {
                    table.remove(key);
                }
            } catch (JsonProcessingException e) {
                throw new IOException(file + ": line " + number
                        + " is not JSON; restore the file or remove the folder to start afresh");
            }
        }
        return number;
    }

    private void compact() throws IOException {
        Path part = file.resolveSibling("state.jsonl.part");
        try {
            try (FileChannel channel = FileChannel.open(
                    part, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
                OutputStream lines = new BufferedOutputStream(Channels.newOutputStream(channel));
                for (var table : loaded.entrySet()) {
                    for (var entry : table.getValue().entrySet()) {
                        lines.write(line(table.getKey(), entry.getKey(), entry.getValue())
                                .getBytes(StandardCharsets.UTF_8));
                    }
                }
                lines.flush();
                channel.force(true);
            }
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            // A disk without room for a second file keeps the long one.
            Files.deleteIfExists(part);
        }
    }

    private String line(String table, String key, Object value) {
        var node = json.createObjectNode().put("table", table).put("key", key);
        if (value != null) {
            node.set("value", json.valueToTree(value));
        }
        return node + "\n";
    }

    <V> Table<V> table(String name, Class<V> type) {
        Map<String, V> values = new LinkedHashMap<>();
        loaded.getOrDefault(name, Map.of()).forEach((key, value) -> values.put(key, json.convertValue(value, type)));
        loaded.remove(name);
        return new Table<>(name, values);
    }

    @Override
    public void close() throws IOException {
        try (lockChannel;
                out) {
            lock.release();
        }
    }

    /** Values by key, in the order in which the keys came. */
    final class Table<V> {
        private final String name;
        private final Map<String, V> values;

        private Table(String name, Map<String, V> values) {
            this.name = name;
            this.values = values;
        }

        V get(String key) {
            return values.get(key);
        }

        Collection<V> all() {
            return values.values();
        }

        int size() {
            return values.size();
        }

        void put(String key, V value) {
            append(List.of(line(name, key, value)));
            values.put(key, value);
        }

        /** Many at once, with one write to the file. */
        void putAll(Map<String, V> more) {
            append(more.entrySet().stream()
                    .map(entry -> line(name, entry.getKey(), entry.getValue()))
                    .toList());
            values.putAll(more);
        }

        /** Changes what is shown now and is not worth keeping over a restart. */
        void putFleeting(String key, V value) {
            values.put(key, value);
        }

        V remove(String key) {
            append(List.of(line(name, key, null)));
            return values.remove(key);
        }

        private void append(List<String> lines) {
            byte[] bytes = String.join("", lines).getBytes(StandardCharsets.UTF_8);
            try {
                // What a full disk has left of a change goes first: the next one must not follow it in the same line.
                if (out.size() > end) {
                    out.truncate(end);
                }
                ByteBuffer buffer = ByteBuffer.wrap(bytes);
                while (buffer.hasRemaining()) {
                    out.write(buffer, end + buffer.position());
                }
                end += bytes.length;
            } catch (IOException e) {
                cutOff();
                throw new UncheckedIOException(file + ": cannot be written: " + e.getMessage(), e);
            }
        }

        private void cutOff() {
            try {
                out.truncate(end);
            } catch (IOException e) {
                // The next change or the next start does it.
                return;
            }
        }
    }
}
