// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The configuration, {@code partner-ota-conf.json} ("OTA service", section 2), after all checks that need no network.
 *
 * @param description for administrators, or null
 * @param image the image file, for an upload only
 */
record Conf(
        Path file,
        String name,
        String description,
        String version,
        String username,
        Secret userpw,
        Secret authString,
        String partnerId,
        String deviceTypeId,
        Optional<Path> image,
        List<String> tags) {

    static final String FILE_NAME = "partner-ota-conf.json";
    static final String PASSWORD_VARIABLE = "OTA_USERPW";
    static final String AUTH_VARIABLE = "OTA_AUTH_STRING";

    private static final int MAX_FILE_SIZE = 1024 * 1024;
    private static final int LONGEST_NAME = 35;
    private static final int LONGEST_DESCRIPTION = 500;
    private static final int LONGEST_TAG = 35;
    private static final Map<String, String> SAMPLES = Map.of(
            "username",
            "dummy@afero.io",
            "userpw",
            "password for dummy account",
            "name",
            "Your name for this product",
            "partnerId",
            "4f7de484-cf23-478d-90a7-412104d5120b",
            "deviceTypeId",
            "a6542896-8464-48e1-b12f-664a57e4e703");
    private static final String SAMPLE_AUTH_SHA256 = "03f006b56131b2c3900c091dda15c58431435d7534f2f744eab856e9267232d8";

    /** What the configuration is read for: each needs different keys. */
    enum Use {
        ACCOUNT,
        RECORD,
        UPLOAD
    }

    /** A value that never shows itself. */
    record Secret(String value) {
        @Override
        public String toString() {
            return "***";
        }
    }

    /** The version text of a build: {@code 1.0}, build 2 and debug give {@code 1.0.2d}. */
    String version(String buildNumber, boolean debug) {
        return version + "." + buildNumber + (debug ? "d" : "");
    }

    static Conf load(Path file, Use use, ServiceUrl url, ProcessContext context, Secrets secrets, Output output)
            throws OtaException {
        return new Reader(file, use, url, context, secrets, output).read();
    }

    private static final class Reader {
        private final Path file;
        private final Use use;
        private final ServiceUrl url;
        private final ProcessContext context;
        private final Secrets secrets;
        private final Output output;
        private final List<String> problems = new ArrayList<>();
        private JsonNode json;

        private Reader(Path file, Use use, ServiceUrl url, ProcessContext context, Secrets secrets, Output output) {
            this.file = file;
            this.use = use;
            this.url = url;
            this.context = context;
            this.secrets = secrets;
            this.output = output;
        }

        /** Names all that is wrong at once. */
        private Conf read() throws OtaException {
            json = parse();
            boolean needsRecord = use != Use.ACCOUNT;
            String userpw = secret("userpw", PASSWORD_VARIABLE);
            String authString = secret("auth-string", AUTH_VARIABLE);
            if (authString.startsWith("Basic ")) {
                output.warning(file + ": auth-string: the word Basic does not belong there");
                authString = authString.substring(6).strip();
            }
            secrets.add(userpw);
            secrets.add(authString);
            String clientId = clientId(authString);
            String username = required("username");
            String partnerId = segment("partnerId");
            String deviceTypeId = segment("deviceTypeId");
            if (!clientId.isEmpty() && !partnerId.isEmpty() && !clientId.equals(partnerId)) {
                output.warning(file + ": partnerId is not the client id inside auth-string");
            }
            if (!partnerId.isEmpty() && !partnerId.matches("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")) {
                output.warning(file + ": partnerId: expected a UUID, found " + partnerId);
            }
            String name = needsRecord ? limited("name", required("name"), LONGEST_NAME) : "";
            String version = needsRecord ? inPath("version", required("version")) : "";
            inPath("name", name);
            String description = needsRecord ? optional("description") : null;
            if (description != null) {
                limited("description", description, LONGEST_DESCRIPTION);
            }
            List<String> tags = needsRecord ? tags() : List.of();
            Optional<Path> image = use == Use.UPLOAD ? image() : Optional.empty();
            samples(authString);
            if (!problems.isEmpty()) {
                throw new OtaException(
                        ExitStatus.CONFIGURATION, file + ": " + String.join("\n" + file + ": ", problems));
            }
            return new Conf(
                    file,
                    name,
                    description,
                    version,
                    username,
                    new Secret(userpw),
                    new Secret(authString),
                    partnerId,
                    deviceTypeId,
                    image,
                    tags);
        }

        private JsonNode parse() throws OtaException {
            try {
                if (!Files.exists(file)) {
                    throw new OtaException(
                            ExitStatus.CONFIGURATION,
                            file + ": there is no such file; name the configuration with --conf FILE");
                }
                warnIfReadable();
                if (Files.size(file) > MAX_FILE_SIZE) {
                    throw new OtaException(
                            ExitStatus.CONFIGURATION, file + ": expected at most " + MAX_FILE_SIZE + " bytes");
                }
                String text = StandardCharsets.UTF_8
                        .newDecoder()
                        .decode(ByteBuffer.wrap(Files.readAllBytes(file)))
                        .toString();
                ObjectMapper mapper = JsonMapper.builder()
                        .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                        .build();
                JsonNode node = mapper.readTree(text);
                if (!node.isObject()) {
                    throw new OtaException(ExitStatus.CONFIGURATION, file + ": expected a JSON object");
                }
                return node;
            } catch (JsonProcessingException e) {
                // Its own message quotes the file, and the file holds passwords.
                throw new OtaException(
                        ExitStatus.CONFIGURATION,
                        file + ": is not JSON: line " + e.getLocation().getLineNr() + ", column "
                                + e.getLocation().getColumnNr());
            } catch (CharacterCodingException e) {
                throw new OtaException(ExitStatus.CONFIGURATION, file + ": is not UTF-8");
            } catch (IOException e) {
                throw new OtaException(ExitStatus.CONFIGURATION, file + ": cannot be read");
            }
        }

        private void warnIfReadable() throws IOException {
            if (!Files.getFileStore(file).supportsFileAttributeView("posix")) {
                return;
            }
            Set<PosixFilePermission> permissions = Files.getPosixFilePermissions(file);
            if (permissions.contains(PosixFilePermission.GROUP_READ)
                    || permissions.contains(PosixFilePermission.OTHERS_READ)) {
                output.warning(file + ": others can read it (" + PosixFilePermissions.toString(permissions)
                        + ") and it may hold passwords; chmod 600 it");
            }
        }

        private String required(String key) {
            JsonNode value = json.path(key);
            if (value.isMissingNode() || value.isNull()) {
                problems.add(key + ": is missing");
                return "";
            }
            if (!value.isTextual()) {
                problems.add(key + ": expected a string in quotes, found " + kind(value));
                return "";
            }
            String text = value.textValue();
            if (text.isBlank()) {
                problems.add(key + ": is empty");
            }
            if (text.codePoints().anyMatch(Character::isISOControl)) {
                problems.add(key + ": holds control characters");
            }
            return text;
        }

        private String optional(String key) {
            JsonNode value = json.path(key);
            if (value.isMissingNode() || value.isNull()) {
                return null;
            }
            if (!value.isTextual()) {
                problems.add(key + ": expected a string in quotes, found " + kind(value));
                return null;
            }
            return value.textValue();
        }

        private static String kind(JsonNode value) {
            return "a JSON " + value.getNodeType().toString().toLowerCase(java.util.Locale.ROOT);
        }

        private String secret(String key, String variable) {
            String given = context.environment().get(variable);
            return given != null && !given.isEmpty() ? given : required(key);
        }

        private String limited(String key, String text, int longest) {
            int length = text.codePointCount(0, text.length());
            if (length > longest) {
                problems.add(key + ": expected at most " + longest + " characters, found " + length);
            }
            return text;
        }

        private String inPath(String key, String text) {
            if (text.contains("/") || text.contains("\\")) {
                problems.add(key + ": / and \\ cannot be used, because the text becomes a part of an address");
            }
            return text;
        }

        private String segment(String key) {
            String text = required(key);
            if (text.contains("/") || text.contains("\\") || text.chars().anyMatch(Character::isWhitespace)) {
                problems.add(key + ": expected an id without / and blanks");
            }
            return text;
        }

        private String clientId(String authString) {
            if (authString.isEmpty()) {
                return "";
            }
            try {
                String pair = new String(Base64.getDecoder().decode(authString), StandardCharsets.UTF_8);
                int colon = pair.indexOf(':');
                if (colon > 0) {
                    secrets.add(pair.substring(colon + 1));
                    return pair.substring(0, colon);
                }
            } catch (IllegalArgumentException e) {
                // The same answer: what is in the value must not be shown.
            }
            problems.add("auth-string: expected the Base64 of CLIENT_ID:CLIENT_SECRET");
            return "";
        }

        private List<String> tags() {
            JsonNode value = json.path("tags");
            List<String> tags = new ArrayList<>();
            if (value.isMissingNode() || value.isNull()) {
                return tags;
            }
            if (!value.isArray()) {
                problems.add("tags: expected an array of strings");
                return tags;
            }
            for (JsonNode tag : value) {
                if (!tag.isTextual()
                        || tag.textValue().isBlank()
                        || tag.textValue().contains(",")) {
                    problems.add("tags: expected strings without commas");
                } else {
                    tags.add(limited("tags", tag.textValue(), LONGEST_TAG));
                }
            }
            return tags;
        }

        private Optional<Path> image() {
            JsonNode files = json.path("imageFiles");
            List<String> keys = new ArrayList<>();
            files.fieldNames().forEachRemaining(keys::add);
            if (!files.isObject() || keys.size() != 1 || !keys.get(0).equalsIgnoreCase("a")) {
                problems.add("imageFiles: expected {\"A\": \"FILE\"} and nothing else, found "
                        + (files.isObject() ? "keys " + keys : kind(files)));
                return Optional.empty();
            }
            JsonNode value = files.path(keys.get(0));
            if (!value.isTextual() || value.textValue().isBlank()) {
                problems.add("imageFiles: " + keys.get(0) + ": expected the name of a file");
                return Optional.empty();
            }
            return Optional.ofNullable(image(value.textValue()));
        }

        private Path image(String text) {
            Path beside = file.toAbsolutePath().getParent().resolve(text).normalize();
            Path here = context.folder().resolve(text).normalize();
            Path image = Files.exists(beside) ? beside : here;
            String found = imageProblem(image);
            if (found != null) {
                problems.add("imageFiles: " + image + ": " + found
                        + (image.equals(beside) ? "" : " (nor is there " + beside + ")"));
                return null;
            }
            return image;
        }

        private static String imageProblem(Path image) {
            try {
                if (!Files.exists(image)) {
                    return "there is no such file";
                }
                if (!Files.isRegularFile(image)) {
                    return "expected a regular file";
                }
                if (!Files.isReadable(image)) {
                    return "cannot be read";
                }
                return Files.size(image) == 0 ? "is empty" : null;
            } catch (IOException e) {
                return "cannot be read";
            }
        }

        /** The values of the published sample, and templates such as {@code <your password>}: nobody means them. */
        private void samples(String authString) {
            List<String> found = new ArrayList<>();
            for (String key : List.of(
                    "username",
                    "userpw",
                    "name",
                    "partnerId",
                    "deviceTypeId",
                    "auth-string",
                    "version",
                    "description")) {
                boolean used =
                        switch (key) {
                            case "name", "version", "description" -> use != Use.ACCOUNT;
                            case "userpw" -> context.environment()
                                    .getOrDefault(PASSWORD_VARIABLE, "")
                                    .isEmpty();
                            case "auth-string" -> context.environment()
                                    .getOrDefault(AUTH_VARIABLE, "")
                                    .isEmpty();
                            default -> true;
                        };
                String value = json.path(key).asText();
                boolean sample = value.equals(SAMPLES.get(key))
                        || value.matches("<[^<>]*>")
                        || key.equals("auth-string") && sha256(authString).equals(SAMPLE_AUTH_SHA256);
                if (used && sample) {
                    found.add(key);
                }
            }
            for (String key : found) {
                String text = key + ": is still the value of the sample configuration";
                if (url.production()) {
                    problems.add(text);
                } else {
                    output.warning(file + ": " + text);
                }
            }
        }

        private static String sha256(String text) {
            try {
                return HexFormat.of()
                        .formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException("every Java runtime has SHA-256", e);
            }
        }
    }
}
