// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.Proxies;

/**
 * How a server is reached.
 *
 * @param base the URL of the server, ending in a slash
 * @param caFile the certificates of the authorities that may vouch for servers, PEM
 * @param clientCertificate the device's own certificate and those of its authorities, PEM, if the server asks for one
 * @param clientKey its private key, PKCS #8 in PEM
 * @param connectTimeout how long a connection may take
 * @param readTimeout how long the server may say nothing
 * @param requestTimeout how long a whole request may take, except for downloads
 * @param proxies through which proxies
 */
public record HttpConfig(
        URI base,
        Path caFile,
        Optional<Path> clientCertificate,
        Optional<Path> clientKey,
        Duration connectTimeout,
        Duration readTimeout,
        Duration requestTimeout,
        Proxies proxies) {
    /** The keys that are read here. */
    public static final Set<String> KEYS = Set.of(
            "url",
            "plainHttp",
            "caFile",
            "clientCertificate",
            "clientKey",
            "proxy",
            "noProxy",
            "connectTimeoutSeconds",
            "readTimeoutSeconds",
            "requestTimeoutSeconds");
    /** Where ca-certificates puts what everybody trusts. */
    private static final Path USUAL_CA_FILE = Path.of("/etc/ssl/certs/ca-certificates.crt");

    private static final int MAX_TIMEOUT_SECONDS = 600;
    private static final int MAX_SECRET = 4096;

    /**
     * Without proxies.
     *
     * @param base as above
     * @param caFile as above
     * @param clientCertificate as above
     * @param clientKey as above
     * @param connectTimeout as above
     * @param readTimeout as above
     * @param requestTimeout as above
     */
    public HttpConfig(
            URI base,
            Path caFile,
            Optional<Path> clientCertificate,
            Optional<Path> clientKey,
            Duration connectTimeout,
            Duration readTimeout,
            Duration requestTimeout) {
        this(base, caFile, clientCertificate, clientKey, connectTimeout, readTimeout, requestTimeout, Proxies.NONE);
    }

    /**
     * Reads it, and the environment of this process, which may name proxies.
     *
     * @param source the object {@code source} of the configuration
     * @return the configuration
     * @throws ConfigException if a value is missing or unusable
     */
    public static HttpConfig of(ConfigObject source) throws ConfigException {
        return of(source, System.getenv());
    }

    static HttpConfig of(ConfigObject source, Map<String, String> environment) throws ConfigException {
        Optional<Path> certificate = path(source, "clientCertificate");
        Optional<Path> key = path(source, "clientKey");
        if (certificate.isPresent() != key.isPresent()) {
            throw source.missing(
                    key.isEmpty() ? "clientKey" : "clientCertificate",
                    "the other half of the device's certificate and its key");
        }
        return new HttpConfig(
                base(source),
                source.path("caFile", USUAL_CA_FILE),
                certificate,
                key,
                source.seconds("connectTimeoutSeconds", 1, MAX_TIMEOUT_SECONDS, Duration.ofSeconds(20)),
                source.seconds("readTimeoutSeconds", 1, MAX_TIMEOUT_SECONDS, Duration.ofSeconds(30)),
                source.seconds("requestTimeoutSeconds", 1, MAX_TIMEOUT_SECONDS, Duration.ofSeconds(60)),
                source.has("proxy")
                        ? Proxies.of(source.string("proxy", ""), source.strings("noProxy", List.of()))
                        : Proxies.ofEnvironment(environment));
    }

    private static Optional<Path> path(ConfigObject source, String key) throws ConfigException {
        return source.has(key) ? Optional.of(source.path(key, Path.of("/"))) : Optional.empty();
    }

    private static URI base(ConfigObject source) throws ConfigException {
        String expected = "a URL such as \"https://updates.example.com/releases\"";
        String text = source.string("url", "");
        if (text.isEmpty()) {
            throw source.missing("url", expected);
        }
        boolean plainHttp = source.flag("plainHttp", false);
        // What may not stand in a URL is a mistake here, where somebody can correct it.
        boolean isClean = text.chars()
                        .allMatch(one -> one > ' ' && one < 0x7f && "\"<>[]\\^`{|}#?".indexOf(one) < 0
                                || one == '['
                                || one == ']')
                && !text.contains("@");
        URI uri = isClean ? Urls.parse(text.endsWith("/") ? text : text + "/").orElse(null) : null;
        if (uri == null) {
            throw source.wrong("url", expected + " without user, query and fragment", source.get("url"));
        }
        if (!"https".equals(uri.getScheme()) && !("http".equals(uri.getScheme()) && plainHttp)) {
            throw source.wrong(
                    "url",
                    "a URL that begins with https:// (\"plainHttp\": true allows http://, where anybody "
                            + "on the way can read, delay and hide updates)",
                    source.get("url"));
        }
        return uri;
    }

    /**
     * Reads a secret, such as a token: from a file, or from the configuration itself.
     *
     * @param source the object {@code source} of the configuration
     * @param key the key of the secret; with {@code File} behind it, that of the file
     * @return the secret, or empty if neither is there
     * @throws ConfigException if it cannot be read; the message does not tell it
     */
    public static Optional<String> secret(ConfigObject source, String key) throws ConfigException {
        String secret;
        if (source.has(key + "File")) {
            Path file = source.path(key + "File", Path.of("/"));
            try {
                secret = Files.size(file) > MAX_SECRET
                        ? ""
                        : Files.readString(file, StandardCharsets.UTF_8).strip();
            } catch (IOException e) {
                throw source.wrong(
                        key + "File",
                        "a text file that the user " + System.getProperty("user.name") + " can read",
                        source.get(key + "File"));
            }
        } else if (source.has(key)) {
            secret = source.string(key, "");
        } else {
            return Optional.empty();
        }
        if (!secret.matches("[!-~]{1," + MAX_SECRET + "}")) {
            throw source.missing(
                    source.has(key + "File") ? key + "File" : key, "a secret of printable ASCII without spaces");
        }
        return Optional.of(secret);
    }
}
