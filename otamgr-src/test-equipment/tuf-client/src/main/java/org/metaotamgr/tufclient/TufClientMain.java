// SPDX-License-Identifier: MIT
package org.metaotamgr.tufclient;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.device.Proxies;
import org.metaotamgr.http.Http;
import org.metaotamgr.http.HttpConfig;
import org.metaotamgr.repository.HttpTransport;
import org.metaotamgr.tuf.FolderStore;
import org.metaotamgr.tuf.Hashes;
import org.metaotamgr.tuf.Limits;
import org.metaotamgr.tuf.MetadataCache;
import org.metaotamgr.tuf.TargetFile;
import org.metaotamgr.tuf.Time;
import org.metaotamgr.tuf.TufClient;
import org.metaotamgr.tuf.TufException;

/**
 * The client of the device behind the command line that the public conformance suite of TUF asks for: {@code init},
 * {@code refresh}, {@code download}. Exit status 0 done, 1 refused.
 */
public final class TufClientMain {
    private static final int CHUNK = 1 << 16;
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    /** The suite's repositories are larger than those of devices. */
    private static final Limits LIMITS = new Limits(512_000, 16_384, 2_000_000, 5_000_000, 256, 32);

    private final Map<String, String> options;
    private final List<String> targets;

    private TufClientMain(Map<String, String> options, List<String> targets) {
        this.options = options;
        this.targets = targets;
    }

    /**
     * Runs one command.
     *
     * @param words the command line
     * @throws InterruptedException never
     */
    public static void main(String[] words) throws InterruptedException {
        Map<String, String> options = new HashMap<>();
        List<String> targets = new ArrayList<>();
        List<String> rest = new ArrayList<>();
        for (int i = 0; i < words.length; i++) {
            if (!words[i].startsWith("--")) {
                rest.add(words[i]);
            } else if (i + 1 == words.length) {
                System.err.println("tuf-client: expected a value behind " + words[i]);
                System.exit(2);
            } else if (words[i].equals("--target-name")) {
                targets.add(words[++i]);
            } else {
                options.put(words[i].substring(2), words[++i]);
            }
        }
        try {
            new TufClientMain(options, targets).run(rest);
        } catch (TufException | SourceException | IOException | IllegalArgumentException e) {
            System.err.println("tuf-client: " + e.getMessage());
            System.exit(1);
        }
    }

    private void run(List<String> words) throws TufException, SourceException, IOException, InterruptedException {
        switch (words.isEmpty() ? "" : words.get(0)) {
            case "init" -> Files.copy(
                    Path.of(words.get(1)),
                    Path.of(option("metadata-dir"), "root.json"),
                    StandardCopyOption.REPLACE_EXISTING);
            case "refresh", "download" -> {
                URI base = folder(option("metadata-url"));
                try (HttpTransport metadata = new HttpTransport(http(base), base)) {
                    TufClient client = refreshed(metadata);
                    if (words.get(0).equals("download")) {
                        download(client);
                    }
                }
            }
            default -> throw new IllegalArgumentException("expected init, refresh or download, found " + words);
        }
    }

    private String option(String name) {
        return Optional.ofNullable(options.get(name))
                .orElseThrow(() -> new IllegalArgumentException("expected the option --" + name + ", found none"));
    }

    private static URI folder(String url) {
        return URI.create(url.endsWith("/") ? url : url + "/");
    }

    private static Http http(URI base) {
        return new Http(
                new HttpConfig(
                        base,
                        Path.of("/etc/ssl/certs/ca-certificates.crt"),
                        Optional.empty(),
                        Optional.empty(),
                        PATIENCE,
                        PATIENCE,
                        PATIENCE,
                        Proxies.NONE),
                Optional.empty());
    }

    private TufClient refreshed(HttpTransport metadata) throws TufException, InterruptedException {
        TufClient client = new TufClient(
                new FolderStore(Path.of(option("metadata-dir"))),
                metadata,
                Optional.empty(),
                Time.of(Instant.now()),
                LIMITS,
                new MetadataCache());
        client.refresh();
        return client;
    }

    private void download(TufClient client) throws TufException, SourceException, IOException, InterruptedException {
        URI base = folder(option("target-base-url"));
        Path folder = Path.of(option("target-dir"));
        for (String name : targets) {
            TargetFile target = client.find(name)
                    .orElseThrow(() -> new TufException(
                            TufException.Reason.NOT_FOUND, name + ": expected it in the repository, found nothing"));
            Path file = folder.resolve(java.net.URLEncoder.encode(name, java.nio.charset.StandardCharsets.UTF_8));
            if (!isThere(target, file)) {
                bring(http(base), URI.create(base + client.remotePath(target)), target, file);
            }
        }
    }

    private static boolean isThere(TargetFile target, Path file) throws IOException, TufException {
        if (!Files.exists(file) || Files.size(file) != target.length()) {
            return false;
        }
        Hashes hashes = Hashes.of(target.hashes(), target.path());
        try (InputStream in = Files.newInputStream(file)) {
            copied(in, OutputStream.nullOutputStream(), hashes, target.length());
        }
        return hashes.hold();
    }

    private static void bring(Http http, URI uri, TargetFile target, Path file)
            throws TufException, SourceException, IOException, InterruptedException {
        Path part = Path.of(file + ".part");
        Hashes hashes = Hashes.of(target.hashes(), target.path());
        Http.Request request = new Http.Request(
                "GET", uri, Map.of(), Optional.empty(), Optional.empty(), SourceException.Reason.DOWNLOAD_FAILED);
        try {
            long bytes = http.exchange(request, response -> {
                if (response.status() != 200) {
                    throw Http.problem(request, response);
                }
                try (OutputStream out = Files.newOutputStream(part)) {
                    return copied(response.body(), out, hashes, target.length());
                }
            });
            if (bytes != target.length() || !hashes.hold()) {
                throw new TufException(
                        TufException.Reason.NOT_TRUSTED,
                        target.path() + ": expected the length and hash that metadata names, found others");
            }
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    /** Copies at most one byte more than expected. */
    private static long copied(InputStream in, OutputStream out, Hashes hashes, long length) throws IOException {
        byte[] chunk = new byte[CHUNK];
        long bytes = 0;
        while (bytes <= length) {
            int read = in.read(chunk, 0, (int) Math.min(CHUNK, length + 1 - bytes));
            if (read < 0) {
                break;
            }
            hashes.update(chunk, 0, read);
            out.write(chunk, 0, read);
            bytes += read;
        }
        return bytes;
    }
}
