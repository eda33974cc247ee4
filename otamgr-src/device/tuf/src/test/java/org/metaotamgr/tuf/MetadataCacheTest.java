// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What was read and verified once is so again, and nothing else is right because of it. */
class MetadataCacheTest {
    private static final String NAME = "timestamp.json";

    private final RepositoryOnPaper repository = new RepositoryOnPaper();
    private final MetadataCache cache = new MetadataCache();
    private byte[] content;
    private Key key;
    private String id;

    @BeforeEach
    void publish() throws TufException {
        Map<String, Key> keys = MetadataReader.root("root.json", repository.publishRoot())
                .signed()
                .role("timestamp")
                .keys();
        id = keys.keySet().iterator().next();
        key = keys.get(id);
        repository.publish();
        content = repository.published.get(NAME);
    }

    private Key otherKey(String type) {
        byte[] encoded = RepositoryOnPaper.newKey().getPublic().getEncoded();
        return new Key(type, "ed25519", HexFormat.of().formatHex(encoded, encoded.length - 32, encoded.length));
    }

    @Test
    void whatDidNotChangeIsReadOnce() throws TufException {
        Signed.Timestamp first = cache.timestamp(NAME, content).signed();
        assertSame(first, cache.timestamp(NAME, content.clone()).signed());
        assertNotSame(first, MetadataReader.timestamp(NAME, content).signed());
    }

    @Test
    void aChangedByteIsNeverTakenForWhatWasThere() throws TufException {
        Metadata<Signed.Timestamp> read = cache.timestamp(NAME, content);
        assertTrue(cache.isRight(read, id, key));
        for (int at = 0; at < content.length; at++) {
            byte[] changed = content.clone();
            changed[at] ^= 1;
            boolean isTaken;
            try {
                Metadata<Signed.Timestamp> other = cache.timestamp(NAME, changed);
                // The signature in capital letters is the same one.
                isTaken = cache.isRight(other, id, key)
                        && !(Arrays.equals(other.signedBytes(), read.signedBytes())
                                && Arrays.equals(
                                        other.signatures().get(id),
                                        read.signatures().get(id)));
            } catch (TufException e) {
                isTaken = false;
            }
            assertFalse(isTaken, "byte " + at);
        }
    }

    @Test
    void whoeverChangesHisBytesLaterChangesNothingHere() throws TufException {
        byte[] his = content.clone();
        Signed.Timestamp first = cache.timestamp(NAME, his).signed();
        his[0] ^= 1;
        assertThrows(TufException.class, () -> cache.timestamp(NAME, his));
        assertSame(first, cache.timestamp(NAME, content).signed());
    }

    @Test
    void aSignatureThatWasRightIsSoOfItsKeyAlone() throws TufException {
        for (int time = 0; time < 2; time++) {
            Metadata<Signed.Timestamp> read = cache.timestamp(NAME, content);
            assertTrue(cache.isRight(read, id, key));
            assertFalse(cache.isRight(read, id, otherKey("ed25519")));
            // The same bytes under another name mean nothing.
            assertFalse(cache.isRight(read, id, new Key("ecdsa", key.scheme(), key.value())));
            assertFalse(cache.isRight(read, "other", key));
            byte[] changed = read.signatures().get(id).clone();
            changed[0] ^= 1;
            assertFalse(cache.isRight(new Metadata<>(read.signed(), read.signedBytes(), Map.of(id, changed)), id, key));
            assertFalse(cache.isRight(new Metadata<>(read.signed(), new byte[] {1}, read.signatures()), id, key));
        }
    }

    @Test
    void aFileOfOneKindIsNoneOfAnother() throws TufException {
        cache.timestamp(NAME, content);
        assertThrows(TufException.class, () -> cache.snapshot(NAME, content));
        assertThrows(TufException.class, () -> cache.root(NAME, content));
    }

    private byte[] padded(int bytes) {
        return new String(content, StandardCharsets.UTF_8)
                .concat(" ".repeat(bytes))
                .getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void moreThanItRemembersIsReadAnew() throws TufException {
        Signed.Timestamp first = cache.timestamp(NAME, content).signed();
        for (int round = 0; round < 3; round++) {
            for (String name : new String[] {"a", "b", "c"}) {
                Metadata<Signed.Timestamp> read = cache.timestamp(name, padded(60 << 10));
                assertEquals(first, read.signed());
                assertTrue(cache.isRight(read, id, key));
                assertFalse(cache.isRight(read, id, otherKey("ed25519")));
                assertSame(
                        read.signed(), cache.timestamp(name, padded(60 << 10)).signed());
            }
        }
        assertNotSame(first, cache.timestamp(NAME, content).signed());
    }

    @Test
    void ofWhatIsTooLargeASignatureIsThatOfItsKeyAndContentAlone() throws TufException {
        for (int round = 0; round < 40; round++) {
            Metadata<Signed.Timestamp> read = cache.timestamp(NAME, padded(200 << 10));
            assertNotSame(
                    read.signed(), cache.timestamp(NAME, padded(200 << 10)).signed());
            for (int time = 0; time < 2; time++) {
                assertTrue(cache.isRight(read, id, key));
                assertFalse(cache.isRight(read, id, otherKey("ed25519")));
                assertFalse(cache.isRight(
                        new Metadata<>(read.signed(), new byte[] {(byte) round}, read.signatures()), id, key));
                byte[] changed = read.signatures().get(id).clone();
                changed[round] ^= 1;
                assertFalse(
                        cache.isRight(new Metadata<>(read.signed(), read.signedBytes(), Map.of(id, changed)), id, key));
            }
            // Another one each round, so that the oldest have to go.
            repository.publish();
            content = repository.published.get(NAME);
        }
    }

    @Test
    void aDigestIsThatOfItsBytesWhateverCameBefore() {
        for (byte[] bytes : new byte[][] {content, content.clone(), {}, {1}, content}) {
            byte[] digest = cache.sha256(bytes);
            assertArrayEquals(Sha256.of(bytes), digest);
            digest[0] ^= 1;
        }
        byte[] his = content.clone();
        cache.sha256(his);
        his[0] ^= 1;
        assertArrayEquals(Sha256.of(his), cache.sha256(his));
    }
}
