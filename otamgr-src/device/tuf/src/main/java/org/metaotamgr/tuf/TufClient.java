// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.metaotamgr.tuf.Signed.Root;
import org.metaotamgr.tuf.Signed.Snapshot;
import org.metaotamgr.tuf.Signed.Targets;
import org.metaotamgr.tuf.Signed.Timestamp;
import org.metaotamgr.tuf.TufException.Reason;

/**
 * Follows the client workflow of the specification: the chain of roots, then timestamp, snapshot, targets, each
 * verified before it is stored, and delegated roles when a target is looked for. For one refresh and the look-ups after it;
 * not for several threads.
 *
 * <p>After each step the store holds what was verified so far, so a refresh that fails or is cut can always be repeated.
 */
public final class TufClient {
    /** Which roots the chain has passed: lines {@code VERSION SHA256}. Tells a shipped root of the same chain from another one. */
    private static final String HISTORY = "roots";

    private static final int MAX_HISTORY = 1 << 20;
    private static final String ROOT = "root";
    private static final String TIMESTAMP = "timestamp";
    private static final String SNAPSHOT = "snapshot";
    private static final String TARGETS = "targets";
    private static final List<String> REPLACEABLE = List.of(TIMESTAMP, SNAPSHOT);

    private final MetadataStore store;
    private final Transport transport;
    private final Optional<byte[]> shippedRoot;
    private final Time time;
    private final Limits limits;
    private final MetadataCache cache;

    private Instant now;

    private Root root;
    private Timestamp timestamp;
    private Snapshot snapshot;
    private Targets targets;
    private final Map<Pending, Targets> verified = new HashMap<>();

    /**
     * Makes a client; nothing is read yet.
     *
     * @param store what is trusted
     * @param transport the repository
     * @param shippedRoot the root that came with this client, out of reach of the repository. Without one the store has to
     *     hold it. One that belongs to another chain than the store's, or that is newer, replaces what is stored
     * @param time what is known of the time; it stands still for the whole refresh
     * @param limits how much the repository may ask
     * @param cache reads metadata and verifies signatures; best that of the client before this one
     */
    public TufClient(
            MetadataStore store,
            Transport transport,
            Optional<byte[]> shippedRoot,
            Time time,
            Limits limits,
            MetadataCache cache) {
        this.store = store;
        this.transport = transport;
        this.shippedRoot = shippedRoot;
        this.time = time;
        this.limits = limits;
        this.cache = cache;
    }

    /**
     * Brings what is trusted up to date.
     *
     * @throws TufException if that cannot be done; what was trusted before still is, and so is what was verified until then
     * @throws InterruptedException if the thread was interrupted
     */
    public void refresh() throws TufException, InterruptedException {
        root = trustedRoot();
        followRoots();
        now = time.judgedBy(root.expires());
        requireCurrent("root.json", root);
        refreshTimestamp();
        refreshSnapshot();
        targets = role(TARGETS, root.role(TARGETS));
    }

    /**
     * All targets that can be found, in whatever role.
     *
     * @return them, by path
     * @throws TufException if a role cannot be trusted or had
     * @throws InterruptedException if the thread was interrupted
     */
    public Map<String, TargetFile> all() throws TufException, InterruptedException {
        requireRefreshed();
        Set<String> paths = new TreeSet<>();
        Deque<Pending> pending = new ArrayDeque<>(List.of(new Pending(TARGETS, root.role(TARGETS))));
        Set<Pending> asked = new HashSet<>();
        while (!pending.isEmpty() && asked.size() <= limits.roles()) {
            Pending next = pending.pop();
            if (asked.add(next)) {
                Targets found = verified(next);
                paths.addAll(found.targets().keySet());
                found.delegations().forEach(delegation -> delegation
                        .scope()
                        .roles()
                        .forEach(name -> pending.add(new Pending(name, delegation.role()))));
            }
        }
        Map<String, TargetFile> all = new TreeMap<>();
        for (String path : paths) {
            // A role may name what was never delegated to it.
            find(path).ifPresent(target -> all.put(path, target));
        }
        return all;
    }

    /**
     * Until when all of what is trusted may be believed.
     *
     * @return the earliest end
     */
    public Instant expires() {
        requireRefreshed();
        return List.of(root, timestamp, snapshot, targets).stream()
                .map(Signed::expires)
                .min(Instant::compareTo)
                .orElseThrow();
    }

    /**
     * The time that all was judged by.
     *
     * @return the time of the refresh
     */
    public Instant now() {
        requireRefreshed();
        return now;
    }

    /**
     * When the timestamp was signed, by its signer's clock: a time that has passed, if that was right.
     *
     * @return the time, if the repository says it
     */
    public Optional<Instant> signedAt() {
        requireRefreshed();
        return timestamp.signed();
    }

    /**
     * The version of the timestamp: it grows with whatever changes in the repository.
     *
     * @return the version
     */
    public long version() {
        requireRefreshed();
        return timestamp.version();
    }

    /**
     * Looks for a target, in the top-level role and in those that it delegates to, in order.
     *
     * @param path its path
     * @return the target, or empty if no role that may name it does
     * @throws TufException if a role that has to be asked cannot be trusted or had
     * @throws InterruptedException if the thread was interrupted
     */
    public Optional<TargetFile> find(String path) throws TufException, InterruptedException {
        requireRefreshed();
        Deque<Pending> pending = new ArrayDeque<>();
        pending.push(new Pending(TARGETS, root.role(TARGETS)));
        Set<String> asked = new HashSet<>();
        while (!pending.isEmpty() && asked.size() <= limits.roles()) {
            Pending next = pending.pop();
            if (!asked.add(next.name())) {
                continue;
            }
            Targets found = verified(next);
            TargetFile target = found.targets().get(path);
            if (target != null) {
                return Optional.of(target);
            }
            Deque<Pending> children = new ArrayDeque<>();
            for (Delegation delegation : found.delegations()) {
                Optional<String> name = delegation.scope().roleFor(path);
                if (name.isPresent()) {
                    children.push(new Pending(name.get(), delegation.role()));
                    if (delegation.terminating()) {
                        pending.clear();
                        break;
                    }
                }
            }
            // The last one is on top of the children, so the first one ends on top here.
            children.forEach(pending::push);
        }
        return Optional.empty();
    }

    /**
     * Where a target is, below the folder of the targets.
     *
     * @param target a target of this repository
     * @return its path there
     */
    public String remotePath(TargetFile target) {
        requireRefreshed();
        if (!root.consistentSnapshot()) {
            return target.path();
        }
        String hash = target.hashes()
                .getOrDefault("sha256", target.hashes().values().iterator().next());
        int name = target.path().lastIndexOf('/') + 1;
        return target.path().substring(0, name) + hash + "." + target.path().substring(name);
    }

    /** A role on a way to it: verified with the keys of whoever delegated on this way; another way proves nothing for this one. */
    private record Pending(String name, Role role) {}

    private Targets verified(Pending wanted) throws TufException, InterruptedException {
        if (wanted.name().equals(TARGETS)) {
            return targets;
        }
        Targets found = verified.get(wanted);
        if (found == null) {
            found = role(wanted.name(), wanted.role());
            verified.put(wanted, found);
        }
        return found;
    }

    private void requireRefreshed() {
        if (targets == null) {
            throw new IllegalStateException("expected a refresh before, found none");
        }
    }

    // ---- root (5.2, 5.3) ----

    private Root trustedRoot() throws TufException {
        Optional<byte[]> content = store.read(file(ROOT), limits.rootBytes());
        Optional<Root> stored = content.flatMap(this::storedRoot);
        if (shippedRoot.isEmpty()) {
            return stored.orElseThrow(
                    () -> new TufException(
                            Reason.NOT_TRUSTED,
                            "root.json: expected a trusted root to begin with, found none, or one that is not signed by its own keys"));
        }
        // As long as there was no other root the stored one is the shipped one; a signature costs a slow device some
        // time.
        boolean isShipped = stored.isPresent() && Arrays.equals(content.get(), shippedRoot.get());
        Root shipped = isShipped ? stored.get() : selfSigned("the root of this system", shippedRoot.get());
        if (stored.isPresent()
                && stored.get().version() >= shipped.version()
                && history().contains(historyLine(shipped.version(), shippedRoot.get()))) {
            return stored.get();
        }
        startFrom(shippedRoot.get(), shipped);
        return shipped;
    }

    private Optional<Root> storedRoot(byte[] content) {
        try {
            return Optional.of(selfSigned("root.json", content));
        } catch (TufException e) {
            // Torn or lost: the shipped root and the repository's chain bring it back.
            return Optional.empty();
        }
    }

    private Root selfSigned(String name, byte[] content) throws TufException {
        Metadata<Root> read = cache.root(name, content);
        requireSigned(name, read, read.signed().role(ROOT));
        return read.signed();
    }

    /** The first root, or that of another repository: nothing that was trusted through another one counts any more. */
    private void startFrom(byte[] content, Root shipped) throws TufException {
        try {
            for (String role : List.of(TIMESTAMP, SNAPSHOT, TARGETS)) {
                store.remove(file(role));
            }
            store.write(HISTORY, (historyLine(shipped.version(), content) + "\n").getBytes(StandardCharsets.US_ASCII));
            store.write(file(ROOT), content);
        } catch (IOException e) {
            throw notStored("root.json", e);
        }
    }

    private Set<String> history() {
        return store.read(HISTORY, MAX_HISTORY)
                .map(content -> Set.copyOf(Arrays.asList(new String(content, StandardCharsets.US_ASCII).split("\n"))))
                .orElse(Set.of());
    }

    private String historyLine(long version, byte[] content) {
        return version + " " + HexFormat.of().formatHex(cache.sha256(content));
    }

    private void followRoots() throws TufException, InterruptedException {
        for (int rotations = 0; rotations < limits.rootRotations() && root.version() < Long.MAX_VALUE; rotations++) {
            String name = root.version() + 1 + ".root.json";
            byte[] content;
            try {
                content = transport.metadata(name, limits.rootBytes());
            } catch (TufException e) {
                if (e.reason() == Reason.NOT_FOUND) {
                    return;
                }
                throw e;
            }
            Metadata<Root> read = cache.root(name, content);
            requireSigned(name, read, root.role(ROOT));
            requireSigned(name, read, read.signed().role(ROOT));
            if (read.signed().version() != root.version() + 1) {
                throw new TufException(
                        Reason.ROLLBACK,
                        name + ": expected version " + (root.version() + 1) + ", found "
                                + read.signed().version());
            }
            follow(name, content, read.signed());
        }
    }

    private void follow(String name, byte[] content, Root next) throws TufException {
        try {
            // New keys are the way back from versions that an attacker has driven up (5.3.11). First, so that a power
            // cut
            // between the two does both again.
            if (REPLACEABLE.stream()
                    .anyMatch(role ->
                            !root.role(role).keys().equals(next.role(role).keys()))) {
                for (String role : REPLACEABLE) {
                    store.remove(file(role));
                }
            }
            byte[] before = store.read(HISTORY, MAX_HISTORY).orElse(new byte[0]);
            byte[] line = (historyLine(next.version(), content) + "\n").getBytes(StandardCharsets.US_ASCII);
            byte[] after = Arrays.copyOf(before, before.length + line.length);
            System.arraycopy(line, 0, after, before.length, line.length);
            store.write(HISTORY, after);
            store.write(file(ROOT), content);
        } catch (IOException e) {
            throw notStored(name, e);
        }
        root = next;
    }

    // ---- timestamp (5.4) ----

    private void refreshTimestamp() throws TufException, InterruptedException {
        String name = file(TIMESTAMP);
        Optional<byte[]> stored = store.read(name, limits.timestampBytes());
        Optional<Timestamp> before = stored.flatMap(this::storedTimestamp);
        byte[] content = transport.metadata(name, limits.timestampBytes());
        if (before.isPresent() && Arrays.equals(stored.get(), content)) {
            // Nothing new, as nearly always: that its signatures are right is known.
            timestamp = before.get();
            requireCurrent(name, timestamp);
            return;
        }
        Metadata<Timestamp> read = cache.timestamp(name, content);
        requireSigned(name, read, root.role(TIMESTAMP));
        requireSameRepository(name, read.signed());
        timestamp = read.signed();
        if (before.isPresent()) {
            requireNotOlder(name, before.get().version(), timestamp.version());
            if (timestamp.version() == before.get().version()) {
                timestamp = before.get();
                requireCurrent(name, timestamp);
                return;
            }
            requireNotOlder(
                    "snapshot.json named by " + name,
                    before.get().snapshot().version(),
                    timestamp.snapshot().version());
        }
        requireCurrent(name, timestamp);
        keep(name, content);
    }

    private Optional<Timestamp> storedTimestamp(byte[] content) {
        try {
            Metadata<Timestamp> read = cache.timestamp(file(TIMESTAMP), content);
            requireSameRepository(TIMESTAMP, read.signed());
            return root.role(TIMESTAMP).hasSigned(read, cache) ? Optional.of(read.signed()) : Optional.empty();
        } catch (TufException e) {
            return Optional.empty();
        }
    }

    // ---- snapshot (5.5) ----

    private void refreshSnapshot() throws TufException, InterruptedException {
        String name = file(SNAPSHOT);
        FileInfo wanted = timestamp.snapshot();
        Optional<byte[]> stored = store.read(name, limits.snapshotBytes());
        Optional<Snapshot> before = stored.flatMap(this::storedSnapshot);
        if (before.isPresent() && before.get().version() == wanted.version() && isSame(name, wanted, stored.get())) {
            snapshot = before.get();
            requireCurrent(name, snapshot);
            return;
        }
        byte[] content = transport.metadata(prefixed(wanted.version(), name), wanted.limit(limits.snapshotBytes()));
        wanted.require(name, content);
        Metadata<Snapshot> read = cache.snapshot(name, content);
        requireSigned(name, read, root.role(SNAPSHOT));
        requireSameRepository(name, read.signed());
        requireVersion(name, wanted.version(), read.signed().version());
        if (before.isPresent()) {
            for (Map.Entry<String, FileInfo> file : before.get().files().entrySet()) {
                FileInfo now = read.signed().files().get(file.getKey());
                if (now == null) {
                    throw new TufException(
                            Reason.ROLLBACK,
                            name + ": expected it to name " + Text.printable(file.getKey())
                                    + " as the one before, found nothing");
                }
                requireNotOlder(
                        Text.printable(file.getKey()) + " named by " + name,
                        file.getValue().version(),
                        now.version());
            }
        }
        snapshot = read.signed();
        requireCurrent(name, snapshot);
        keep(name, content);
    }

    private Optional<Snapshot> storedSnapshot(byte[] content) {
        try {
            Metadata<Snapshot> read = cache.snapshot(file(SNAPSHOT), content);
            return root.role(SNAPSHOT).hasSigned(read, cache) ? Optional.of(read.signed()) : Optional.empty();
        } catch (TufException e) {
            return Optional.empty();
        }
    }

    private static boolean isSame(String name, FileInfo wanted, byte[] content) {
        try {
            wanted.require(name, content);
            return true;
        } catch (TufException e) {
            return false;
        }
    }

    // ---- targets and delegated roles (5.6) ----

    private Targets role(String role, Role signers) throws TufException, InterruptedException {
        String name = file(role);
        FileInfo wanted = snapshot.files().get(role + ".json");
        if (wanted == null) {
            throw new TufException(
                    Reason.NOT_TRUSTED,
                    "snapshot.json: expected it to name " + Text.printable(role) + ".json, found nothing");
        }
        Optional<byte[]> stored = store.read(name, limits.targetsBytes());
        if (stored.isPresent()) {
            try {
                return verifiedTargets(role, wanted, signers, stored.get());
            } catch (TufException e) {
                // Older than what is wanted, damaged, or of other keys: the repository has the right one.
            }
        }
        byte[] content = transport.metadata(prefixed(wanted.version(), name), wanted.limit(limits.targetsBytes()));
        Targets read = verifiedTargets(role, wanted, signers, content);
        keep(name, content);
        return read;
    }

    private Targets verifiedTargets(String role, FileInfo wanted, Role signers, byte[] content) throws TufException {
        String name = Text.printable(role) + ".json";
        wanted.require(name, content);
        Metadata<Targets> read = cache.targets(name, content);
        requireSigned(name, read, signers);
        if (role.equals(TARGETS)) {
            requireSameRepository(name, read.signed());
        }
        requireVersion(name, wanted.version(), read.signed().version());
        requireCurrent(name, read.signed());
        return read.signed();
    }

    // ---- what all have in common ----

    private static String file(String role) {
        return Text.encoded(role) + ".json";
    }

    private String prefixed(long version, String name) {
        return root.consistentSnapshot() ? version + "." + name : name;
    }

    private void requireSigned(String name, Metadata<?> read, Role signers) throws TufException {
        if (!signers.hasSigned(read, cache)) {
            throw new TufException(
                    Reason.NOT_TRUSTED,
                    name + ": expected signatures of " + signers.threshold() + " of "
                            + signers.keys().size() + " keys, found fewer");
        }
    }

    private void requireSameRepository(String name, Signed read) throws TufException {
        if (root.repository().isPresent() && !root.repository().equals(read.repository())) {
            throw new TufException(
                    Reason.NOT_TRUSTED,
                    name + ": expected metadata of the repository "
                            + Text.printable(root.repository().get()) + ", found that of "
                            + Text.printable(read.repository().orElse("another one, which does not say which")));
        }
    }

    private static void requireNotOlder(String name, long trusted, long found) throws TufException {
        if (found < trusted) {
            throw new TufException(
                    Reason.ROLLBACK,
                    name + ": expected at least version " + trusted + ", which was trusted before, found " + found);
        }
    }

    private static void requireVersion(String name, long wanted, long found) throws TufException {
        if (found != wanted) {
            throw new TufException(Reason.NOT_TRUSTED, name + ": expected version " + wanted + ", found " + found);
        }
    }

    private void requireCurrent(String name, Signed read) throws TufException {
        if (!now.isBefore(read.expires())) {
            throw new TufException(
                    Reason.EXPIRED,
                    name + ": expected metadata that holds at " + now + ", found version " + read.version()
                            + " that expired at " + read.expires());
        }
    }

    private void keep(String name, byte[] content) throws TufException {
        try {
            store.write(name, content);
        } catch (IOException e) {
            throw notStored(name, e);
        }
    }

    private static TufException notStored(String name, IOException e) {
        return new TufException(Reason.STORAGE, name + ": expected room for it, found " + e, e);
    }
}
