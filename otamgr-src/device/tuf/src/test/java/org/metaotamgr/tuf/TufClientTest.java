// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.tuf.TufException.Reason;

/** A client trusts what the keys of its root have signed, never goes back, and always finds its way forward again. */
class TufClientTest {
    private static final Instant NOW = Instant.parse("2026-11-28T00:00:00Z");

    private final RepositoryOnPaper repository = new RepositoryOnPaper();
    private final MemoryStore store = new MemoryStore();
    private final MetadataCache cache = new MetadataCache();
    private byte[] shipped;
    private Instant now = NOW;
    private Instant built = Instant.EPOCH;

    @BeforeEach
    void publish() {
        repository.targets.put("board-1.0.bundle", "one");
        shipped = repository.publishRoot();
        repository.publish();
    }

    private TufClient client() {
        return new TufClient(store, repository, Optional.of(shipped), new Time(now, built), Limits.DEVICE, cache);
    }

    private TufClient refreshed() throws Exception {
        TufClient client = client();
        client.refresh();
        return client;
    }

    private Reason refused() {
        Map<String, byte[]> before = new TreeMap<>(store.files);
        Reason reason = assertThrows(TufException.class, client()::refresh).reason();
        assertEquals(before.keySet(), store.files.keySet());
        return reason;
    }

    @Test
    void aTargetIsFoundByItsPathAndNamedByItsHash() throws Exception {
        TufClient client = refreshed();
        TargetFile target = client.find("board-1.0.bundle").orElseThrow();
        assertEquals(3, target.length());
        assertEquals(target.hashes().get("sha256") + ".board-1.0.bundle", client.remotePath(target));
        assertEquals(Map.of("board-1.0.bundle", target), client.all());
        assertEquals(Optional.empty(), client.find("board-2.0.bundle"));
    }

    @Test
    void nothingNewCostsTheNextRootAndTheTimestampOnly() throws Exception {
        refreshed();
        repository.asked.clear();
        refreshed();
        assertEquals(List.of("2.root.json", "timestamp.json"), repository.asked);
    }

    @ParameterizedTest
    @ValueSource(strings = {"root.json", "roots", "timestamp.json", "snapshot.json", "targets.json"})
    void aStateFileThatIsTornEmptyOrLostNeverEndsUpdates(String file) throws Exception {
        for (byte[] damaged :
                List.of(new byte[0], "{\"signed\": {".getBytes(StandardCharsets.UTF_8), new byte[300_000])) {
            refreshed();
            store.files.put(file, damaged);
            assertTrue(refreshed().find("board-1.0.bundle").isPresent());
        }
        store.files.remove(file);
        assertTrue(refreshed().find("board-1.0.bundle").isPresent());
    }

    @Test
    void whereverThePowerFailsTheNextRefreshSucceeds() throws Exception {
        refreshed();
        for (int cut = 0; cut < 12; cut++) {
            repository.rotate("timestamp");
            repository.rotate("root");
            repository.publishRoot();
            repository.publish();
            store.changesLeft = cut;
            try {
                refreshed();
            } catch (TufException e) {
                assertEquals(Reason.STORAGE, e.reason());
            }
            store.changesLeft = Integer.MAX_VALUE;
            assertEquals(repository.versions.get("timestamp"), refreshed().version());
        }
    }

    @Test
    void theChainIsFollowedHoweverOftenTheRootKeyWasRotatedWhileTheDeviceSlept() throws Exception {
        refreshed();
        for (int i = 0; i < 20; i++) {
            repository.rotate("root");
            repository.publishRoot();
        }
        repository.publish();
        assertEquals(2, refreshed().version());
        assertArrayEquals(repository.published.get("21.root.json"), store.files.get("root.json"));
    }

    @Test
    void aStolenTimestampKeyFreezesNoLongerThanItsExpiry() throws Exception {
        repository.expires.put("timestamp", NOW.plus(Duration.ofHours(24)));
        repository.publishTimestamp();
        refreshed();
        now = NOW.plus(Duration.ofHours(23));
        refreshed();
        now = NOW.plus(Duration.ofHours(24));
        assertEquals(Reason.EXPIRED, refused());
        repository.expires.put("timestamp", now.plus(Duration.ofHours(24)));
        repository.publishTimestamp();
        refreshed();
    }

    @Test
    void oneStolenTargetsKeyBelowTheThresholdIsWorthNothing() throws Exception {
        repository.keys.get("targets").add(RepositoryOnPaper.newKey());
        repository.thresholds.put("targets", 2);
        repository.publishRoot();
        repository.publish();
        refreshed();
        var stolen = repository.keys.get("targets").remove(0);
        repository.keys.put("targets", new java.util.ArrayList<>(List.of(stolen)));
        repository.targets.put("board-2.0.bundle", "evil");
        repository.publish();
        assertEquals(
                Reason.NOT_TRUSTED,
                assertThrows(TufException.class, client()::refresh).reason());
    }

    @Test
    void theSameKeyUnderTwoIdsCountsOnce() throws Exception {
        String root = new String(repository.published.get("1.root.json"), StandardCharsets.UTF_8);
        Metadata<Signed.Root> read = MetadataReader.root("root.json", root.getBytes(StandardCharsets.UTF_8));
        Key key = read.signed().role("timestamp").keys().values().iterator().next();
        Metadata<Signed.Timestamp> timestamp =
                MetadataReader.timestamp("t", repository.published.get("timestamp.json"));
        byte[] signature = timestamp.signatures().values().iterator().next();
        Role two = new Role(Map.of("a", key, "b", key), 2);
        assertFalse(two.hasSigned(
                new Metadata<>(timestamp.signed(), timestamp.signedBytes(), Map.of("a", signature, "b", signature)),
                cache));
    }

    @Test
    void theLargestVersionIsRecoveredFromByNewKeys() throws Exception {
        for (String role : List.of("targets", "snapshot", "timestamp")) {
            repository.versions.put(role, Long.MAX_VALUE - 1);
        }
        repository.publish();
        assertEquals(Long.MAX_VALUE, refreshed().version());
        for (String role : List.of("targets", "snapshot", "timestamp")) {
            repository.versions.put(role, 1L);
        }
        repository.publish();
        assertEquals(Reason.ROLLBACK, refused());
        repository.rotate("timestamp");
        repository.rotate("snapshot");
        repository.publishRoot();
        repository.publish();
        assertEquals(3, refreshed().version());
    }

    @Test
    void metadataOfAnotherRepositoryWithTheSameKeysIsRefusedAndNotRemembered() throws Exception {
        RepositoryOnPaper other = new RepositoryOnPaper();
        other.keys.putAll(repository.keys);
        other.name = Optional.of("other");
        other.versions.put("timestamp", 499L);
        other.publish();
        repository.name = Optional.of("main");
        repository.versions.put("root", 0L);
        shipped = repository.publishRoot();
        repository.publish();
        refreshed();
        byte[] own = repository.published.put("timestamp.json", other.published.get("timestamp.json"));
        assertEquals(Reason.NOT_TRUSTED, refused());
        repository.published.put("timestamp.json", own);
        refreshed();
        repository.publish();
        assertEquals(3, refreshed().version());
    }

    @Test
    void aTimestampOfASignerWhoseClockIsAheadIsNoLowerLimitForAnything() throws Exception {
        repository.expires.put("timestamp", RepositoryOnPaper.FAR);
        repository.publishTimestamp();
        refreshed();
        repository.expires.put("timestamp", NOW.plus(Duration.ofDays(1)));
        repository.publishTimestamp();
        assertEquals(3, refreshed().version());
    }

    @Test
    void aTimestampThatWasSignedAfterItsEndIsRefused() throws Exception {
        refreshed();
        repository.expires.put("timestamp", NOW.plus(Duration.ofDays(1)));
        repository.signedAt = Optional.of(NOW.plus(Duration.ofDays(2)));
        repository.publishTimestamp();
        assertEquals(Reason.MALFORMED, refused());
        repository.signedAt = Optional.of(NOW);
        repository.publishTimestamp();
        assertEquals(Optional.of(NOW), refreshed().signedAt());
    }

    @Test
    void aSystemThatComesWithTheRootOfAnotherRepositoryStartsAnew() throws Exception {
        for (int i = 0; i < 5; i++) {
            repository.publishRoot();
            repository.publish();
        }
        refreshed();
        RepositoryOnPaper moved = new RepositoryOnPaper();
        byte[] root = moved.publishRoot();
        moved.publish();
        TufClient client = new TufClient(store, moved, Optional.of(root), Time.of(NOW), Limits.DEVICE, cache);
        client.refresh();
        assertEquals(1, client.version());
    }

    @Test
    void aSystemThatComesWithALaterRootOfTheSameRepositoryForgetsNothing() throws Exception {
        repository.publish();
        refreshed();
        byte[] later = repository.publishRoot();
        refreshed();
        shipped = later;
        repository.asked.clear();
        assertEquals(2, refreshed().version());
        assertEquals(List.of("3.root.json", "timestamp.json"), repository.asked);
    }

    @Test
    void aClockAt1970IsNotBeforeTheBuild() throws Exception {
        repository.expires.put("timestamp", NOW);
        repository.publishTimestamp();
        now = Instant.EPOCH;
        refreshed();
        built = NOW;
        assertEquals(Reason.EXPIRED, refused());
    }

    @Test
    void aBuildWhoseClockWasFarAheadNeverEndsUpdates() throws Exception {
        repository.expires.put("timestamp", NOW.plus(Duration.ofDays(1)));
        repository.publishTimestamp();
        built = RepositoryOnPaper.FAR.plus(Duration.ofDays(1));
        assertEquals(NOW, refreshed().now());
        now = NOW.plus(Duration.ofDays(1));
        assertEquals(Reason.EXPIRED, refused());
    }

    @Test
    void anOlderTimestampIsRefused() throws Exception {
        byte[] old = repository.published.get("timestamp.json");
        repository.publish();
        refreshed();
        repository.published.put("timestamp.json", old);
        assertEquals(Reason.ROLLBACK, refused());
    }
}
