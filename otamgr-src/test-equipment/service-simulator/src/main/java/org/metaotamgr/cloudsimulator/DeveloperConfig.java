// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.UUID;

/** The account of a service that somebody starts by hand: made once, kept as the configuration file that the host tools read. */
final class DeveloperConfig {

    static final String FILE = "partner-ota-conf.json";

    private DeveloperConfig() {}

    /** Reads the file in a folder, or writes one with new passwords that only its owner can read. */
    static Credentials in(Path folder) throws IOException {
        Files.createDirectories(folder);
        Path file = folder.resolve(FILE);
        ObjectMapper json = new ObjectMapper();
        if (!Files.exists(file)) {
            SecureRandom random = new SecureRandom();
            byte[] secret = new byte[16];
            byte[] password = new byte[15];
            random.nextBytes(secret);
            random.nextBytes(password);
            Credentials fresh = new Credentials(
                    UUID.randomUUID().toString(),
                    HexFormat.of().formatHex(secret),
                    "developer@example.org",
                    Base64.getUrlEncoder().encodeToString(password),
                    List.of(UUID.randomUUID().toString()));
            ObjectNode config = json.createObjectNode();
            config.put("Comments", "For the service simulator in this folder only")
                    .put("name", "emulated-board")
                    .put("description", "core-image-minimal")
                    .put("version", "1.0")
                    .put("username", fresh.username())
                    .put("userpw", fresh.userpw())
                    .put("auth-string", fresh.authString())
                    .put("partnerId", fresh.partnerId())
                    .put("deviceTypeId", fresh.deviceTypeIds().get(0));
            config.putObject("imageFiles").put("A", "hub_update.bin");
            PrivateFiles.write(
                    file,
                    (json.writerWithDefaultPrettyPrinter().writeValueAsString(config) + "\n")
                            .getBytes(StandardCharsets.UTF_8));
            return fresh;
        }
        try {
            JsonNode config = json.readTree(Files.readString(file));
            String client =
                    new String(Base64.getDecoder().decode(text(file, config, "auth-string")), StandardCharsets.UTF_8);
            return new Credentials(
                    text(file, config, "partnerId"),
                    client.substring(client.indexOf(':') + 1),
                    text(file, config, "username"),
                    text(file, config, "userpw"),
                    List.of(text(file, config, "deviceTypeId")));
        } catch (JsonProcessingException | IllegalArgumentException e) {
            // Without the cause: it may quote the file, and the file holds passwords.
            throw new IOException(file + ": cannot be understood; remove it to get a new one");
        }
    }

    private static String text(Path file, JsonNode config, String key) throws IOException {
        if (!config.path(key).isTextual()) {
            throw new IOException(file + ": " + key + " is missing; remove the file to get a new one");
        }
        return config.path(key).textValue();
    }
}
