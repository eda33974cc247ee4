// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.Printable;

/**
 * Reads configuration files: one JSON object, every key optional; then the files {@code conf.d/*.json} beside it, in the
 * order of their names. What they say replaces what was said before, key by key.
 */
public final class ConfigFiles {
    /** Where the configuration is when nobody names another file. */
    public static final Path USUAL = Path.of("/etc/otamgr/otamgr.json");

    private static final int MAX_FILE_SIZE = 64 * 1024;

    private final String source;
    private final Consumer<String> warnings;
    private final ObjectNode tree = JsonNodeFactory.instance.objectNode();

    /**
     * Begins with an empty configuration.
     *
     * @param source what messages name as the place of a wrong value
     * @param warnings takes one line for each key that nobody knows
     */
    public ConfigFiles(String source, Consumer<String> warnings) {
        this.source = source;
        this.warnings = warnings;
    }

    /**
     * Reads a file and those in {@code conf.d} beside it.
     *
     * @param file the file, at most 64 KiB
     * @param warnings takes one line for each key that nobody knows
     * @return the configuration
     * @throws ConfigException if a file cannot be read, or is not JSON
     */
    public static ConfigObject read(Path file, Consumer<String> warnings) throws ConfigException {
        return read(Optional.of(file), file.resolveSibling("conf.d"), warnings);
    }

    /**
     * Reads the files in the usual place, where {@code otamgr.json} itself may be missing.
     *
     * @param warnings takes one line for each key that nobody knows
     * @return the configuration
     * @throws ConfigException if a file cannot be read, or is not JSON
     */
    public static ConfigObject readUsual(Consumer<String> warnings) throws ConfigException {
        boolean isThere = Files.exists(USUAL);
        if (!isThere) {
            warnings.accept(USUAL + " does not exist, using the defaults");
        }
        return read(isThere ? Optional.of(USUAL) : Optional.empty(), USUAL.resolveSibling("conf.d"), warnings);
    }

    private static ConfigObject read(Optional<Path> file, Path more, Consumer<String> warnings) throws ConfigException {
        ConfigFiles files = new ConfigFiles(file.orElse(more).toString(), warnings);
        if (file.isPresent()) {
            files.add(file.get().toString(), content(file.get()));
        }
        TreeSet<Path> others = new TreeSet<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(more, "*.json")) {
            entries.forEach(others::add);
        } catch (NoSuchFileException | NotDirectoryException e) {
            // Most systems have none.
            return files.read();
        } catch (IOException e) {
            throw new ConfigException(more + ": cannot be read (" + e + ")");
        }
        for (Path one : others) {
            files.add(one.toString(), content(one));
        }
        return files.read();
    }

    private static byte[] content(Path file) throws ConfigException {
        byte[] content;
        try (InputStream in = Files.newInputStream(file)) {
            content = in.readNBytes(MAX_FILE_SIZE + 1);
        } catch (IOException e) {
            throw new ConfigException(file + ": cannot be read (" + e + "); give the configuration with --config FILE");
        }
        if (content.length > MAX_FILE_SIZE) {
            throw new ConfigException(file + ": expected at most " + MAX_FILE_SIZE + " bytes, found more");
        }
        return content;
    }

    /**
     * Adds a file: what it says replaces what was said before.
     *
     * @param name its name, for messages
     * @param json its content
     * @throws ConfigException if it is not a JSON object
     */
    public void add(String name, byte[] json) throws ConfigException {
        JsonNode more = parse(name, json);
        // For its message, should it be no object.
        ConfigObject.of(name, more, warnings);
        replace(tree, more);
    }

    private static void replace(ObjectNode before, JsonNode more) {
        for (Map.Entry<String, JsonNode> entry : more.properties()) {
            if (entry.getValue().isObject() && before.get(entry.getKey()) instanceof ObjectNode inner) {
                replace(inner, entry.getValue());
            } else {
                before.set(entry.getKey(), entry.getValue());
            }
        }
    }

    /**
     * The configuration so far.
     *
     * @return the outermost object
     * @throws ConfigException never, as only objects were added
     */
    public ConfigObject read() throws ConfigException {
        return ConfigObject.of(source, tree, warnings);
    }

    private static JsonNode parse(String source, byte[] json) throws ConfigException {
        JsonMapper mapper = JsonMapper.builder()
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                .build();
        try {
            return mapper.readTree(json);
        } catch (JsonProcessingException e) {
            JsonLocation at = e.getLocation();
            String where = at == null ? "" : " (line " + at.getLineNr() + ", column " + at.getColumnNr() + ")";
            throw new ConfigException(
                    source + ": expected JSON, found: " + Printable.of(e.getOriginalMessage()) + where);
        } catch (IOException e) {
            throw new ConfigException(source + ": expected JSON, found: " + Printable.of(e.toString()));
        }
    }
}
