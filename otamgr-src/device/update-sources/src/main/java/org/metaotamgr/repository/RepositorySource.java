// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.Version;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.tuf.FolderStore;
import org.metaotamgr.tuf.Limits;
import org.metaotamgr.tuf.MetadataCache;
import org.metaotamgr.tuf.TargetFile;
import org.metaotamgr.tuf.Time;
import org.metaotamgr.tuf.Transport;
import org.metaotamgr.tuf.TufClient;
import org.metaotamgr.tuf.TufException;

/**
 * Offers the bundles of a TUF repository, on a web server or in a folder. Whoever holds the files needs to be trusted with nothing:
 * what they offer is signed by the keys of the root that came with the system, or of those that followed it.
 */
final class RepositorySource implements UpdateSource {
    static final String NAME = "repository";
    private static final DateTimeFormatter BUILD_TIME = DateTimeFormatter.ofPattern("uuuuMMddHHmmss");
    private static final String TIMESTAMP = "timestamp.json";
    private static final int MAX_BUILD_TIME = 64;
    /** A clock that is before this program was made stands still, or began with the system. */
    private static final Instant CLOCK_STANDS = Instant.parse("2026-01-01T00:00:00Z");

    private final Place place;
    private final Path root;
    private final Path buildTime;
    private final Optional<String> device;
    private final SourceContext context;
    private final MetadataCache cache = new MetadataCache();
    private volatile Optional<String> remark = Optional.empty();

    /**
     * Makes it.
     *
     * @param place where the repository is
     * @param root the file with the root that came with the system
     * @param buildTime the file with the time of the build, as OpenEmbedded's {@code /etc/timestamp}
     * @param device the name by which this device draws its place in roll-outs, if it has one
     */
    RepositorySource(Place place, Path root, Path buildTime, Optional<String> device, SourceContext context) {
        this.place = place;
        this.root = root;
        this.buildTime = buildTime;
        this.device = device;
        this.context = context;
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public Optional<String> remark() {
        return remark;
    }

    @Override
    public boolean isRemote() {
        return place.isRemote();
    }

    @Override
    public CheckResult check(InstalledSystem installed) throws SourceException, InterruptedException {
        Contents contents = contents();
        List<Target> targets = new ArrayList<>();
        List<Target> foreign = new ArrayList<>();
        for (Offer offer : contents.offers()) {
            Target target = offer.target();
            if (installed.compatible().isPresent() && !target.compatible().equals(installed.compatible())) {
                foreign.add(target);
            } else if (offer.minimum().isPresent()
                    && installed.version().isPresent()
                    && new Version(installed.version().get())
                                    .compareTo(new Version(offer.minimum().get()))
                            < 0) {
                context.log()
                        .info("repository_step:target=" + target.name() + ",needs="
                                + offer.minimum().get()
                                + ",installed=" + installed.version().get()
                                + ",meaning=another version has to be installed first");
            } else if (isBelowFloor(target, contents)) {
                // Said there.
                continue;
            } else if (mayHave(offer, contents.client())) {
                targets.add(target);
            }
        }
        // Those for other boards are nobody's business here, unless there is nothing else: then that is the mistake.
        List<Target> offered = foreign.size() == contents.offers().size() ? foreign : targets;
        return offered.isEmpty()
                ? new CheckResult.Nothing(Optional.empty())
                : new CheckResult.Offers(offered, Optional.empty());
    }

    @Override
    public boolean looksForRoom() {
        return true;
    }

    @Override
    public Path pull(Target target, Path storage, PullProgress progress) throws SourceException, InterruptedException {
        return place.pull(target, file(target), storage, progress);
    }

    @Override
    public Optional<Path> beginning(Target target, Path storage, PullProgress progress)
            throws SourceException, InterruptedException {
        return place.beginning(target, file(target), storage, progress);
    }

    @Override
    public Original original(Target target) throws SourceException {
        return place.original(target, file(target));
    }

    private static String file(Target target) throws SourceException {
        String file = target.details().get(Offer.FILE);
        if (file == null || !target.details().containsKey(Offer.PATH)) {
            throw new SourceException(
                    Reason.NOT_FOUND,
                    target.name()
                            + ": expected a target of the repository, found one from elsewhere; check for updates again");
        }
        return file;
    }

    @Override
    public long there(Target target, Path storage) {
        return place.there(storage);
    }

    @Override
    public boolean isStillOffered(Target target) throws SourceException, InterruptedException {
        Contents contents = currentOrRemembered();
        for (Offer offer : contents.offers()) {
            if (offer.target().id().equals(target.id())) {
                if (isBelowFloor(offer.target(), contents)) {
                    return false;
                }
                Turn turn = turn(offer, contents.client(), false);
                if (turn == Turn.CLOSED) {
                    throw closed(target);
                }
                return turn == Turn.NOW;
            }
        }
        return false;
    }

    private static SourceException closed(Target target) {
        return new SourceException(
                Reason.DEFERRED, target.name() + ": its roll-out has windows for the install, and none is open now");
    }

    /**
     * What the repository says now.
     *
     * @param client what verified it
     * @param offers what it offers that this program understands
     */
    private record Contents(TufClient client, List<Offer> offers) {}

    /** Whether the repository says of another target for the same board that nothing so old is installed any more. */
    private boolean isBelowFloor(Target target, Contents contents) {
        Version version = new Version(target.version());
        for (Offer offer : contents.offers()) {
            if (offer.floor().isPresent()
                    && offer.target().compatible().equals(target.compatible())
                    && version.compareTo(new Version(offer.floor().get())) < 0) {
                context.log()
                        .info("repository_floor:target=" + target.name() + ",floor="
                                + offer.floor().get() + ",of=" + offer.target().name()
                                + ",meaning=so old a version is not installed any more");
                return true;
            }
        }
        return false;
    }

    private Contents contents() throws SourceException, InterruptedException {
        return contents(place.metadata());
    }

    /**
     * What was pulled is installed without the repository, but never against what it said last; and what it said last holds until
     * its timestamp expires, as it would if somebody served an old one.
     */
    private Contents currentOrRemembered() throws SourceException, InterruptedException {
        SourceException unreachable;
        try {
            return contents();
        } catch (SourceException e) {
            if (!e.reason().isTransient()) {
                throw e;
            }
            unreachable = e;
        }
        try {
            Contents contents = contents(this::remembered);
            context.log()
                    .warning("repository_remembered:error=" + unreachable.getMessage() + ",expires="
                            + contents.client().expires() + ",meaning=judged by what was read before");
            return contents;
        } catch (SourceException e) {
            throw new SourceException(
                    Reason.DEFERRED,
                    "expected the signed roll-outs before an install, found that they cannot be read ("
                            + unreachable.getMessage() + "), and that what was read before does not hold ("
                            + e.getMessage() + "); it is installed once they can be read");
        }
    }

    /** The timestamp that was read last, as a repository that has nothing newer; all else is stored beside it. */
    private byte[] remembered(String name, int limit) throws TufException {
        return Optional.of(name)
                .filter(TIMESTAMP::equals)
                .flatMap(one -> new FolderStore(context.stateDirectory().resolve(NAME)).read(one, limit))
                .orElseThrow(() -> new TufException(TufException.Reason.NOT_FOUND, name + ": was not read before"));
    }

    private Contents contents(Transport transport) throws SourceException, InterruptedException {
        Path state = context.stateDirectory().resolve(NAME);
        try (Transport metadata = transport) {
            Files.createDirectories(state);
            byte[] shipped = Files.readAllBytes(root);
            Instant built = built();
            TufClient client = new TufClient(
                    new FolderStore(state),
                    metadata,
                    Optional.of(shipped),
                    new Time(context.clock().instant(), built),
                    Limits.DEVICE,
                    cache);
            client.refresh();
            remark = client.now().isBefore(CLOCK_STANDS)
                    ? Optional.of("nobody knows whether what the repository says has expired, as the clock says "
                            + context.clock().instant().truncatedTo(ChronoUnit.SECONDS)
                            + "; nothing older than what runs is installed")
                    : Optional.empty();
            if (built.isAfter(client.now())) {
                context.log()
                        .warning("repository_time:build=" + built + ",clock=" + client.now()
                                + ",meaning=the time of the build is after the end of the root and not believed");
            }
            return new Contents(client, offers(client));
        } catch (TufException e) {
            throw refusal(e);
        } catch (JsonFields.MalformedException e) {
            throw new SourceException(Reason.MALFORMED, e.getMessage());
        } catch (IOException e) {
            throw new SourceException(
                    Reason.NOT_TRUSTED,
                    root + ": expected the root of the repository (root.json), found " + e
                            + "; build it into the image (OTA_TUF_ROOT)");
        }
    }

    private static List<Offer> offers(TufClient client)
            throws TufException, JsonFields.MalformedException, InterruptedException {
        List<Offer> offers = new ArrayList<>();
        for (TargetFile file : client.all().values()) {
            Offer.of(file, client.remotePath(file)).ifPresent(offers::add);
        }
        return offers;
    }

    private static SourceException refusal(TufException e) {
        if (e.getCause() instanceof SourceException cause) {
            return cause;
        }
        return new SourceException(
                switch (e.reason()) {
                    case MALFORMED -> Reason.MALFORMED;
                    case NOT_TRUSTED, ROLLBACK -> Reason.NOT_TRUSTED;
                    case EXPIRED -> Reason.EXPIRED;
                    case NOT_FOUND -> Reason.NOT_FOUND;
                    case UNREACHABLE -> Reason.FETCH_FAILED;
                    case STORAGE -> Reason.NO_SPACE;
                },
                e.reason() == TufException.Reason.EXPIRED
                        ? e.getMessage() + "; sign the repository again, or correct the clock of this device"
                        : e.getMessage());
    }

    /**
     * What the roll-out of an update says that came from elsewhere.
     *
     * @param target the update
     * @param isForced whether its place in the phases does not matter
     * @return what it says to this device; empty if this repository has no such update
     * @throws SourceException if the repository cannot be had, or not be trusted
     * @throws InterruptedException if the thread was interrupted
     */
    Optional<Turn> turn(Target target, boolean isForced) throws SourceException, InterruptedException {
        return turn(target, isForced, contents());
    }

    /**
     * The same right before an install: by what the repository said last, if it cannot be had.
     *
     * @param target the update
     * @param isForced whether its place in the phases does not matter
     * @return what it says to this device; empty if this repository has no such update
     * @throws SourceException {@code DEFERRED} if what it said last does not hold any more
     * @throws InterruptedException if the thread was interrupted
     */
    Optional<Turn> turnForInstall(Target target, boolean isForced) throws SourceException, InterruptedException {
        return turn(target, isForced, currentOrRemembered());
    }

    private Optional<Turn> turn(Target target, boolean isForced, Contents contents) {
        for (Offer offer : contents.offers()) {
            if (offer.isOf(target)) {
                return Optional.of(
                        isBelowFloor(offer.target(), contents)
                                ? Turn.RECALLED
                                : turn(offer, contents.client(), isForced));
            }
        }
        return isBelowFloor(target, contents) ? Optional.of(Turn.RECALLED) : Optional.empty();
    }

    /** Whether this device may pull it; outside of its windows it does not begin with it. */
    private boolean mayHave(Offer offer, TufClient client) {
        Turn turn = turn(offer, client, false);
        return turn == Turn.NOW || turn == Turn.CLOSED;
    }

    private Turn turn(Offer offer, TufClient client, boolean isForced) {
        if (offer.rollout().isEmpty()) {
            return Turn.NOW;
        }
        Rollout rollout = offer.rollout().get();
        Instant now = client.now();
        if (now.isBefore(CLOCK_STANDS) || context.clock().instant().isBefore(built())) {
            // Without a clock the newest time that is surely over is that of the signature, where the repository says
            // it.
            now = client.signedAt().orElse(now);
        }
        // Whoever has no name is among the last.
        double drawn =
                device.map(name -> Rollout.place(name, offer.target().id())).orElse(Math.nextDown(1.0));
        // What the signature says of the time is no time of the day.
        LocalDateTime local = LocalDateTime.now(context.clock());
        Turn turn = rollout.turn(isForced || drawn < rollout.share(now), local);
        if (turn != Turn.NOW) {
            context.log()
                    .info("repository_rollout:target=" + offer.target().name() + ",state="
                            + rollout.state().name().toLowerCase(java.util.Locale.ROOT) + ",share="
                            + Math.round(rollout.share(now) * 1e5) / 1e3 + ",place="
                            + Math.round(drawn * 1e5) / 1e3 + ",time=" + now + ",local=" + local.withNano(0)
                            + ",meaning="
                            + (turn == Turn.CLOSED ? "no window is open" : "not yet for this device"));
        }
        return turn;
    }

    /** When this system was built, as far as it is known. */
    private Instant built() {
        try {
            byte[] content = Files.readAllBytes(buildTime);
            if (content.length <= MAX_BUILD_TIME) {
                return LocalDateTime.parse(new String(content, StandardCharsets.US_ASCII).strip(), BUILD_TIME)
                        .toInstant(ZoneOffset.UTC);
            }
        } catch (IOException | DateTimeException e) {
            // A build that does not say when it was made protects a little less.
            context.log().info("repository_time:file=" + buildTime + ",meaning=the time of the build is unknown");
        }
        return Instant.EPOCH;
    }
}
