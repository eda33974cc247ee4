// SPDX-License-Identifier: MIT
package org.metaotamgr.testing;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Verifier;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.http.HttpConfig;

/** What tests of sources need: real bundles and keys by the host tools, certificates, a context, a recording log. */
public final class Workshop {
    private static final char[] PASSWORD = "changeit".toCharArray();

    private final Path folder;
    /** What was logged, one line each. */
    public final List<String> log = new CopyOnWriteArrayList<>();
    /** What is logged there. */
    public final EventLog eventLog = (severity, line) -> log.add(line);

    public Workshop(Path folder) {
        this.folder = folder;
    }

    public Path folder() {
        return folder;
    }

    /** Runs a program of the host, which has to succeed; returns what it printed. */
    public String run(String... command) throws IOException, InterruptedException {
        return run(0, command);
    }

    public String run(int expected, String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int status = process.waitFor();
        if (status != expected) {
            throw new AssertionError(
                    Arrays.toString(command) + ": exit status " + status + ", expected " + expected + "\n" + output);
        }
        return output;
    }

    /** A program of this project's folder scripts. */
    public static String script(String name) {
        for (Path place = Path.of("").toAbsolutePath(); place != null; place = place.getParent()) {
            if (Files.exists(place.resolve("scripts").resolve(name))) {
                return place.resolve("scripts").resolve(name).toString();
            }
        }
        throw new AssertionError("no scripts/" + name);
    }

    /** A key pair keys/NAME.key and keys/NAME.pem. */
    public void makeKey(String name) throws IOException, InterruptedException {
        run(script("ota-bundle"), "keygen", "keys/" + name + ".key");
    }

    /** A bundle of random content, signed. */
    public Path makeBundle(String key, String compatible, String version, int bytes)
            throws IOException, InterruptedException {
        byte[] content = new byte[bytes];
        new Random(version.hashCode()).nextBytes(content);
        // An archive of one file, about as large: what devices would refuse is not made into a bundle.
        Files.write(folder.resolve("content"), content);
        run("tar", "--format=ustar", "-b", "1", "--mtime=@0", "-cf", "image.tar", "content");
        Path bundle = folder.resolve(compatible + "-" + version + "-" + key + ".bundle");
        run(
                script("ota-bundle"),
                "create",
                "--key",
                "keys/" + key + ".key",
                "--compatible",
                compatible,
                "--version",
                version,
                "image.tar",
                bundle.toString());
        return bundle;
    }

    /** A bundle of format 2: an ext4 file system with a random file of this many bytes. */
    public Path makeFileSystemBundle(String key, String compatible, String version, int bytes)
            throws IOException, InterruptedException {
        Path tree = Files.createDirectories(folder.resolve("tree-" + version));
        Files.write(tree.resolve("content"), random(bytes, version.hashCode()));
        String image = "image-" + version + ".ext4";
        run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", tree.toString(), image, Math.max(2, bytes >> 19) + "M");
        Path bundle = folder.resolve(compatible + "-" + version + "-" + key + ".blocks.bundle");
        run(
                script("ota-bundle"),
                "create",
                "--format",
                "2",
                "--key",
                "keys/" + key + ".key",
                "--compatible",
                compatible,
                "--version",
                version,
                image,
                bundle.toString());
        return bundle;
    }

    /** Signatures are checked with openssl, those of bundles by their manifest alone, as ota-verify does it on a device. */
    public Verifier verifier(String key) {
        String publicKey = folder.resolve("keys/" + key + ".pem").toString();
        return new Verifier() {
            @Override
            public void verifyFile(Path file, Path signature) throws SourceException, InterruptedException {
                try {
                    run(
                            "openssl",
                            "pkeyutl",
                            "-verify",
                            "-pubin",
                            "-inkey",
                            publicKey,
                            "-rawin",
                            "-in",
                            file.toString(),
                            "-sigfile",
                            signature.toString());
                } catch (IOException | AssertionError e) {
                    throw new SourceException(Reason.NOT_TRUSTED, "the signature is by none of the keys");
                }
            }

            @Override
            public Manifest verifyBundle(Path bundle) throws SourceException, InterruptedException {
                try {
                    Path members = Files.createDirectories(folder.resolve("members"));
                    run("tar", "-xf", bundle.toString(), "-C", members.toString(), "manifest", "manifest.sig");
                    verifyFile(members.resolve("manifest"), members.resolve("manifest.sig"));
                    return Manifest.of(Files.readAllLines(members.resolve("manifest")));
                } catch (IOException | AssertionError | SourceException e) {
                    throw new SourceException(Reason.BAD_BUNDLE, "the bundle is by none of the keys");
                }
            }
        };
    }

    public SourceContext context(Clock clock, Verifier verifier) throws IOException {
        Path state = Files.createDirectories(folder.resolve("state"));
        return new SourceContext(eventLog, clock, new FileOperations.Real(), state, verifier);
    }

    /** A configuration's object "source". */
    public static ConfigObject config(String json) throws ConfigException {
        try {
            return ConfigObject.of("test.json", new ObjectMapper().readTree(json.replace('\'', '"')), line -> {
                throw new AssertionError(line);
            });
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    public static HttpConfig http(URI base) {
        return new HttpConfig(
                base,
                Path.of("/nowhere"),
                Optional.empty(),
                Optional.empty(),
                Duration.ofSeconds(5),
                Duration.ofSeconds(2),
                Duration.ofSeconds(4));
    }

    // ---- TLS ----

    /** A certificate that vouches for itself, NAME.p12, NAME.crt and NAME.key in PEM; EC as servers have it today. */
    public void makeCertificate(String name, String host) throws Exception {
        String keytool =
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        run(
                keytool,
                "-genkeypair",
                "-alias",
                "one",
                "-keyalg",
                "EC",
                "-groupname",
                "secp256r1",
                "-dname",
                "CN=" + host,
                "-ext",
                "san=dns:" + host,
                "-validity",
                "3650",
                "-storetype",
                "PKCS12",
                "-keystore",
                name + ".p12",
                "-storepass",
                new String(PASSWORD));
        KeyStore store = store(name);
        Files.writeString(
                folder.resolve(name + ".crt"),
                pem("CERTIFICATE", store.getCertificate("one").getEncoded()));
        Files.writeString(
                folder.resolve(name + ".key"),
                pem("PRIVATE KEY", store.getKey("one", PASSWORD).getEncoded()));
    }

    private static String pem(String kind, byte[] content) {
        return "-----BEGIN " + kind + "-----\n"
                + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(content) + "\n-----END " + kind
                + "-----\n";
    }

    private KeyStore store(String name) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(folder.resolve(name + ".p12"))) {
            store.load(in, PASSWORD);
        }
        return store;
    }

    /** What a server with this certificate needs, which trusts clients with that one. */
    public SSLContext serverTls(String name, String client) throws Exception {
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store(name), PASSWORD);
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        KeyStore clients = KeyStore.getInstance("PKCS12");
        clients.load(null, null);
        clients.setCertificateEntry("client", store(client).getCertificate("one"));
        trust.init(clients);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    public static InetSocketAddress anyPort() {
        return new InetSocketAddress("localhost", 0);
    }

    // ---- files ----

    /** All files below a folder, with their content: to see that nothing changed. */
    public static List<String> snapshot(Path folder) throws IOException {
        List<String> files = new ArrayList<>();
        try (var all = Files.walk(folder)) {
            for (Path file : all.filter(Files::isRegularFile).sorted().toList()) {
                files.add(folder.relativize(file) + " " + Arrays.hashCode(Files.readAllBytes(file)));
            }
        }
        return files;
    }

    public static byte[] random(int length, long seed) {
        byte[] content = new byte[length];
        new Random(seed).nextBytes(content);
        return content;
    }
}
