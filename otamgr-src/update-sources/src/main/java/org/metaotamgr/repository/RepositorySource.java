// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;

import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.Version;
import org.metaotamgr.http.BundleProof;
import org.metaotamgr.http.Download;
import org.metaotamgr.http.Http;
import org.metaotamgr.http.Json;
import org.metaotamgr.http.Urls;

/**
 * Offers the bundles of a folder on a web server. The server needs to be trusted with nothing: its list is signed by a key of
 * the device, says until when it holds, and has a number that never becomes smaller; a bundle is known by its hash, and is
 * signed as well.
 */
final class RepositorySource implements UpdateSource {
    static final String NAME = "repository";
    private static final String INDEX = "index.json";
    private static final String SIGNATURE = "index.json.sig";
    private static final int MAX_INDEX = 1 << 20;
    private static final int MAX_SIGNATURE = 4096;
    private static final DateTimeFormatter BUILD_TIME = DateTimeFormatter.ofPattern("uuuuMMddHHmmss");

    private final URI folder;
    private final String repository;
    private final Path buildTime;
    private final Http http;
    private final Download download;
    private final SourceContext context;

    /**
     * Makes it.
     *
     * @param folder the URL of the folder, ending in a slash
     * @param repository the name that the list has to have
     * @param buildTime the file with the time of the build, as OpenEmbedded's {@code /etc/timestamp}
     */
    RepositorySource(URI folder, String repository, Path buildTime, Http http, Download download,
            SourceContext context) {
        this.folder = folder;
        this.repository = repository;
        this.buildTime = buildTime;
        this.http = http;
        this.download = download;
        this.context = context;
    }

    /** A list and its signature, as they came. */
    private record Signed(byte[] index, byte[] signature) {
        boolean isSame(Signed other) {
            return Arrays.equals(index, other.index) && Arrays.equals(signature, other.signature);
        }
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public CheckResult check(InstalledSystem installed) throws SourceException, InterruptedException {
        Index index = trusted();
        List<Target> targets = new ArrayList<>();
        List<Target> foreign = new ArrayList<>();
        for (Index.Entry entry : index.entries()) {
            Target target = entry.target();
            if (installed.compatible().isPresent() && !target.compatible().equals(installed.compatible())) {
                foreign.add(target);
            } else if (entry.minimum().isPresent() && installed.version().isPresent()
                    && new Version(installed.version().get()).compareTo(new Version(entry.minimum().get())) < 0) {
                context.log().info("repository_step:target=" + target.name() + ",needs=" + entry.minimum().get()
                        + ",installed=" + installed.version().get()
                        + ",meaning=another version has to be installed first");
            } else {
                targets.add(target);
            }
        }
        // Those for other boards are nobody's business here, unless there is nothing else: then that is the mistake.
        List<Target> offered = targets.isEmpty() && index.entries().size() == foreign.size() ? foreign : targets;
        return offered.isEmpty() ? new CheckResult.Nothing(Optional.empty())
                : new CheckResult.Offers(offered, Optional.empty());
    }

    /** The list, if it can be believed. */
    private Index trusted() throws SourceException, InterruptedException {
        Signed signed = fetch();
        try {
            verify(signed);
        } catch (SourceException e) {
            // Somebody may be publishing right now: the one file is new, and the other one not yet.
            Signed again = fetch();
            if (again.isSame(signed)) {
                throw e;
            }
            verify(again);
            signed = again;
        }
        Index index;
        try {
            index = Index.parse(signed.index(), folder);
        } catch (Json.MalformedException e) {
            throw new SourceException(Reason.MALFORMED, e.getMessage());
        }
        if (!index.repository().equals(repository)) {
            throw new SourceException(Reason.NOT_TRUSTED, "index.json: expected the list of the repository " + repository
                    + ", found that of " + index.repository() + "; set \"repository\" if that is the one you want");
        }
        Path file = context.stateDirectory().resolve("repository-" + repository + ".json");
        try {
            Optional<Seen> before = Seen.read(file);
            Seen now = new Seen(index.generation(), sha256(signed.index()), index.created());
            refuseRollback(before, now);
            refuseExpired(index, before);
            if (!before.equals(Optional.of(now))) {
                now.write(file, context.files());
            }
        } catch (IOException e) {
            throw new SourceException(Reason.NOT_TRUSTED, file + ": expected what list was seen last, found " + e
                    + "; remove it only if you know that the list is no older one");
        }
        return index;
    }

    private Signed fetch() throws SourceException, InterruptedException {
        // Conditional requests would save little, and a cache on the way must not give one old and one new file.
        Map<String, String> headers = Map.of("Cache-Control", "no-cache");
        byte[] index = http.get(folder.resolve(INDEX), headers, MAX_INDEX);
        return new Signed(index, http.get(folder.resolve(SIGNATURE), headers, MAX_SIGNATURE));
    }

    private void verify(Signed signed) throws SourceException, InterruptedException {
        Path index = context.stateDirectory().resolve("repository-index.new");
        Path signature = context.stateDirectory().resolve("repository-index.sig.new");
        try {
            try {
                Files.write(index, signed.index());
                Files.write(signature, signed.signature());
                context.verifier().verifyFile(index, signature);
            } finally {
                Files.deleteIfExists(index);
                Files.deleteIfExists(signature);
            }
        } catch (IOException e) {
            throw new SourceException(Reason.NO_SPACE, context.stateDirectory() + ": expected room for the list, found "
                    + e);
        }
    }

    private static void refuseRollback(Optional<Seen> before, Seen now) throws SourceException {
        if (before.isEmpty() || now.generation() > before.get().generation()) {
            return;
        }
        if (now.generation() < before.get().generation()) {
            throw new SourceException(Reason.NOT_TRUSTED, "index.json: expected at least generation "
                    + before.get().generation() + ", which this device has seen, found " + now.generation());
        }
        if (!now.sha256().equals(before.get().sha256())) {
            throw new SourceException(Reason.NOT_TRUSTED, "index.json: expected the generation " + now.generation()
                    + " that this device has seen, found another one with the same number; sign it again");
        }
    }

    private void refuseExpired(Index index, Optional<Seen> before) throws SourceException {
        Instant now = notEarlierThan(before);
        if (now.isAfter(index.expires())) {
            throw new SourceException(Reason.EXPIRED, "index.json: expected a list that holds, found one that expired at "
                    + index.expires() + "; it is at least " + now + "; sign it again, or correct the clock of this device");
        }
    }

    /**
     * The time, as far as a device without a battery knows it: its clock, but never before the build of its system, nor before
     * the newest list that it has believed. It can be too early, never too late, as long as nobody sets the clock forward.
     */
    private Instant notEarlierThan(Optional<Seen> before) {
        Instant now = context.clock().instant();
        Instant least = before.map(Seen::created).orElse(Instant.EPOCH);
        try {
            Instant built = LocalDateTime.parse(Files.readString(buildTime, StandardCharsets.US_ASCII).strip(), BUILD_TIME)
                    .toInstant(ZoneOffset.UTC);
            least = built.isAfter(least) ? built : least;
        } catch (IOException | DateTimeException e) {
            // A build that does not say when it was made protects a little less.
            context.log().info("repository_time:file=" + buildTime + ",meaning=the time of the build is unknown");
        }
        return least.isAfter(now) ? least : now;
    }

    private static String sha256(byte[] content) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    @Override
    public Path pull(Target target, Path storage, PullProgress progress) throws SourceException, InterruptedException {
        URI uri = Urls.parse(target.details().getOrDefault("url", "")).orElse(URI.create(""));
        if (!uri.toString().startsWith(folder.toString())) {
            throw new SourceException(Reason.NOT_FOUND, target.name() + ": expected a bundle in " + Http.text(folder)
                    + ", found one from elsewhere; check for updates again");
        }
        return download.bring(new Download.Wanted(uri, target.bytes(), target.id()), storage, progress,
                file -> BundleProof.check(file, target, context.verifier(), false));
    }

    @Override
    public long there(Target target, Path storage) {
        return Download.there(storage);
    }

    @Override
    public boolean isStillOffered(Target target) throws SourceException, InterruptedException {
        return trusted().entries().stream().anyMatch(entry -> entry.target().id().equals(target.id()));
    }
}
