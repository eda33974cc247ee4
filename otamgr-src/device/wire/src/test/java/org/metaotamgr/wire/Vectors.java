// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;

/** Messages recorded from the original programs on a little-endian host. */
final class Vectors {
    /** Recordings that belong to the project. */
    static final Path OWN = Path.of("src/test/resources/attr-vectors");

    /** One message. */
    record Vector(Path file, String name, String direction, String connection, byte[] bytes, JsonNode decoded) {
        boolean isMalformed() {
            return decoded.path("malformed").asBoolean();
        }

        boolean toClient() {
            return direction.equals("attrd->client");
        }
    }

    private Vectors() {}

    /** The folder to test with: {@code -Dattr.vectors=DIR}, relative to where mvn was started, or the project's own. */
    static Path folder() {
        String wanted = System.getProperty("attr.vectors", "");
        return wanted.isEmpty()
                ? OWN
                : Path.of(System.getProperty("attr.vectors.base", "")).resolve(wanted);
    }

    static List<Vector> read(Path folder) throws IOException {
        List<Path> files = new ArrayList<>();
        try (DirectoryStream<Path> found = Files.newDirectoryStream(folder, "*.json")) {
            found.forEach(files::add);
        }
        Collections.sort(files);
        List<Vector> vectors = new ArrayList<>();
        for (Path file : files) {
            for (JsonNode node : new ObjectMapper().readTree(file.toFile())) {
                vectors.add(new Vector(
                        file,
                        node.required("name").asText(),
                        node.required("direction").asText(),
                        node.required("connection").asText(),
                        HexFormat.of().parseHex(node.required("hex").asText()),
                        node.required("decoded")));
            }
        }
        if (vectors.isEmpty()) {
            throw new IOException("no vectors in " + folder.toAbsolutePath() + ": expected *.json files with arrays of "
                    + "{name, direction, connection, hex, decoded}");
        }
        return vectors;
    }
}
