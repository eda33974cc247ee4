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
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.CopyOnWriteArrayList;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.agent.Needs;
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
        makeFileSystem("image-" + version, Map.of("content", random(bytes, version.hashCode())));
        return bundleOf("image-" + version, key, compatible, version);
    }

    /** An ext4 file system with these files, NAME.ext4; the same files give the same bytes. */
    public Path makeFileSystem(String name, Map<String, byte[]> files) throws IOException, InterruptedException {
        Path tree = Files.createDirectories(folder.resolve("tree-" + name));
        long bytes = 0;
        for (String file : new TreeSet<>(files.keySet())) {
            Files.write(tree.resolve(file), files.get(file));
            bytes += files.get(file).length;
        }
        Path image = folder.resolve(name + ".ext4");
        run(
                "mke2fs",
                "-q",
                "-t",
                "ext4",
                "-b",
                "4096",
                "-d",
                tree.toString(),
                image.toString(),
                (4 + bytes / 500_000) + "M");
        return image;
    }

    /**
     * A system of some hundred files of text, NAME.ext4, changed: "byte" in one byte of each hundredth file, "grown" each of
     * them by up to 8 KiB, "new" likewise and with a new file of 60 kB before the others; "" for not at all.
     */
    public Path makeSystem(String name, String change) throws IOException, InterruptedException {
        Random random = new Random(11);
        Path tree = Files.createDirectories(folder.resolve("tree-" + name));
        String[] words = new String[3000];
        for (int i = 0; i < words.length; i++) {
            words[i] = Long.toString(random.nextLong() >>> 1, 36).substring(0, 3 + i % 7) + " ";
        }
        for (int at = 0; at < 700; at++) {
            StringBuilder text = new StringBuilder();
            int length = 2000 + random.nextInt(36_000);
            while (text.length() < length) {
                text.append(words[(int) (Math.pow(random.nextDouble(), 3) * words.length)]);
            }
            if (at % 100 == 50 && change.equals("byte")) {
                text.setCharAt(length / 2, '#');
            } else if (at % 100 == 50 && !change.isEmpty()) {
                text.append(words[at].repeat(random(1, at)[0] + 200));
            }
            Files.writeString(tree.resolve("file-" + at), text);
        }
        if (change.equals("new")) {
            Files.write(tree.resolve("a-new-one"), random(60_000, 5));
        }
        String uuid = "6f7a2c1e-58d4-4b3a-9d10-2f6c1d4e7a90";
        Path image = folder.resolve(name + ".ext4");
        run(
                "sh",
                "-euc",
                "find \"$1\" -exec touch -h -d @1000000000 {} + ; rm -f \"$2\"; truncate -s 24M \"$2\"; "
                        + "E2FSPROGS_FAKE_TIME=1000000000 mke2fs -q -F -t ext4 -b 4096 -U $3 "
                        + "-E hash_seed=$3,lazy_itable_init=0 -O ^metadata_csum -d \"$1\" \"$2\"",
                "sh",
                tree.toString(),
                image.toString(),
                uuid);
        return image;
    }

    /** The bundle of format 2 of a file system that was made. */
    public Path bundleOf(String name, String key, String compatible, String version, String... more)
            throws IOException, InterruptedException {
        Path bundle = folder.resolve(compatible + "-" + version + "-" + key + ".blocks.bundle");
        List<String> command = new ArrayList<>(List.of(
                script("ota-bundle"),
                "create",
                "--format",
                "2",
                "--key",
                "keys/" + key + ".key",
                "--compatible",
                compatible,
                "--version",
                version));
        command.addAll(List.of(more));
        command.addAll(List.of(name + ".ext4", bundle.toString()));
        run(command.toArray(String[]::new));
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
        return context(clock, verifier, part -> Optional.empty());
    }

    public SourceContext context(Clock clock, Verifier verifier, Needs needs) throws IOException {
        Path state = Files.createDirectories(folder.resolve("state"));
        return new SourceContext(eventLog, clock, new FileOperations.Real(), state, verifier, needs);
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
