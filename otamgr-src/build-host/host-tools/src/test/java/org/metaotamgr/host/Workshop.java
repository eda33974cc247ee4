// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertFalse;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.metaotamgr.cloudsimulator.Credentials;
import org.metaotamgr.cloudsimulator.OtaServiceSimulator;
import org.metaotamgr.cloudsimulator.RecordedRequest;
import org.metaotamgr.cloudsimulator.Settings;

/**
 * A build host for a test: a folder with a configuration and an image, a service, and the command. When it closes it
 * looks for secrets in all that was said.
 */
final class Workshop implements AutoCloseable {

    static final String PARTNER = "11111111-2222-4333-8444-555555555555";
    static final String DEVICE_TYPE = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
    static final Credentials CREDENTIALS = new Credentials(
            PARTNER, "placeholder-secret-1", "dev+test@example.org", "placeholder pw &1", List.of(DEVICE_TYPE));
    static final String POOL = "/v1/ota/partners/" + PARTNER + "/pool";

    final Path folder;
    final OtaServiceSimulator service;
    final ObjectNode conf = new ObjectMapper().createObjectNode();
    final Map<String, String> environment = new HashMap<>();
    final List<Duration> pauses = Collections.synchronizedList(new ArrayList<>());
    private final StringBuilder transcript = new StringBuilder();
    private String input = "";
    private boolean closed;

    record Result(int exit, String out, String err) {
        JsonNode json() throws IOException {
            return new ObjectMapper().readTree(out);
        }

        @Override
        public String toString() {
            return "exit " + exit + "\n" + out + err;
        }
    }

    Workshop(Path folder) throws IOException {
        this(folder, settings -> settings);
    }

    Workshop(Path folder, UnaryOperator<Settings> change) throws IOException {
        this.folder = folder.resolve("work");
        Files.createDirectories(this.folder);
        service = OtaServiceSimulator.start(change.apply(Settings.of(folder.resolve("service"), CREDENTIALS)));
        service.addDevices(DEVICE_TYPE, List.of("device-00001", "device-00002", "device-00003"));
        environment.put("OTA_SERVICE_URL", service.uri().toString());
        environment.put("PATH", "");
        conf.put("name", "Potenco-test")
                .put("description", "OTA description")
                .put("version", "1.0")
                .put("username", CREDENTIALS.username())
                .put("userpw", CREDENTIALS.userpw())
                .put("auth-string", CREDENTIALS.authString())
                .put("partnerId", PARTNER)
                .put("deviceTypeId", DEVICE_TYPE);
        conf.putObject("imageFiles").put("A", "hub_update.bin");
        writeConf();
        image(100_000);
    }

    void writeConf() throws IOException {
        conf(conf.toString());
    }

    void conf(String text) throws IOException {
        Path file = folder.resolve("partner-ota-conf.json");
        Files.writeString(file, text);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
    }

    byte[] image(int size) throws IOException {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        Files.write(folder.resolve("hub_update.bin"), bytes);
        return bytes;
    }

    void input(String text) {
        input = text;
    }

    ProcessContext context(PrintStream out, PrintStream err) {
        return new ProcessContext(
                environment,
                folder,
                new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)),
                out,
                err,
                false,
                100,
                Clock.systemUTC(),
                pauses::add,
                Optional.empty());
    }

    Result run(String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int exit = Ota.run(
                context(
                        new PrintStream(out, true, StandardCharsets.UTF_8),
                        new PrintStream(err, true, StandardCharsets.UTF_8)),
                args);
        Result result = new Result(exit, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
        said(Arrays.toString(args) + "\n" + result);
        return result;
    }

    void said(String text) {
        synchronized (transcript) {
            transcript.append(text).append('\n');
        }
    }

    /** Runs what must succeed. */
    Result good(String... args) {
        Result result = run(args);
        if (result.exit() != 0) {
            throw new AssertionError(Arrays.toString(args) + ": " + result);
        }
        return result;
    }

    /** A record and its image on the service; returns the image id. */
    String uploaded(int build) throws IOException {
        good("record", "create", "-n", Integer.toString(build), "-s");
        return good("image", "upload", "-n", Integer.toString(build), "-s", "--json")
                .json()
                .path("imageId")
                .asText();
    }

    /** Puts so many images without bytes on the service, quickly. Their versions are 1.0.1 and so on. */
    void seed(int count) throws IOException, InterruptedException {
        HttpClient client = HttpClient.newHttpClient();
        String form =
                "grant_type=password&username=" + URLEncoder.encode(CREDENTIALS.username(), StandardCharsets.UTF_8)
                        + "&password=" + URLEncoder.encode(CREDENTIALS.userpw(), StandardCharsets.UTF_8);
        String token = new ObjectMapper()
                .readTree(client.send(
                                HttpRequest.newBuilder(service.uri().resolve("/oauth/token"))
                                        .header("Content-Type", "application/x-www-form-urlencoded")
                                        .header("Authorization", "Basic " + CREDENTIALS.authString())
                                        .POST(HttpRequest.BodyPublishers.ofString(form))
                                        .build(),
                                HttpResponse.BodyHandlers.ofString())
                        .body())
                .path("access_token")
                .asText();
        for (int build = 1; build <= count; build++) {
            String body = new ObjectMapper()
                    .createObjectNode()
                    .put("name", "seeded")
                    .put("version", "1.0." + build)
                    .put("type", 5)
                    .put("url", "")
                    .toString();
            for (String path :
                    List.of(POOL, "/v1/ota/partners/" + PARTNER + "/deviceTypes/" + DEVICE_TYPE + "/firmwareImages")) {
                body = client.send(
                                HttpRequest.newBuilder(service.uri().resolve(path))
                                        .header("Content-Type", "application/json")
                                        .header("Authorization", "Bearer " + token)
                                        .POST(HttpRequest.BodyPublishers.ofString(body))
                                        .build(),
                                HttpResponse.BodyHandlers.ofString())
                        .body();
            }
        }
    }

    /** What each request was for, in the order of the answers. */
    List<String> routes() {
        return service.requests().stream().map(RecordedRequest::route).toList();
    }

    long count(String route) {
        return routes().stream().filter(route::equals).count();
    }

    int records() throws IOException {
        return new ObjectMapper().readTree(service.state()).path("imageCount").asInt();
    }

    JsonNode state() throws IOException {
        return new ObjectMapper().readTree(service.state());
    }

    List<String> secrets() {
        List<String> secrets = new ArrayList<>(service.issuedTokens());
        for (String secret : List.of(CREDENTIALS.userpw(), CREDENTIALS.authString(), CREDENTIALS.clientSecret())) {
            secrets.add(secret);
            secrets.add(URLEncoder.encode(secret, StandardCharsets.UTF_8));
        }
        return secrets;
    }

    void assertNoSecretIn(String what, String text) {
        for (String secret : secrets()) {
            assertFalse(
                    text.contains(secret),
                    () -> "a secret is in " + what + ": " + text.replace(secret, "<<<SECRET>>>"));
        }
    }

    @Override
    public void close() throws IOException {
        if (!closed) {
            closed = true;
            service.close();
            assertNoSecretIn("what the commands said", transcript.toString());
            try (var files = Files.list(folder)) {
                for (Path file : files.filter(Files::isRegularFile).toList()) {
                    if (!file.getFileName().toString().matches(".*conf\\.json|other\\.json|wrong\\.json|.*\\.bin")) {
                        assertNoSecretIn(file.toString(), Files.readString(file, StandardCharsets.ISO_8859_1));
                    }
                }
            }
        }
    }
}
