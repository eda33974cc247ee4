// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.metaotamgr.tuf.Signed.Root;
import org.metaotamgr.tuf.Signed.Snapshot;
import org.metaotamgr.tuf.Signed.Targets;
import org.metaotamgr.tuf.Signed.Timestamp;

/**
 * Reads metadata and verifies its signatures, and what it has seen before only once: what some bytes say, and that a key made a
 * signature over them, stays true. A check without news reads four files, which takes a small device longer than all else but its
 * connection. What may change, as the time and which keys count, is no business of this. May be used by several threads, and by
 * one client after the other.
 */
public final class MetadataCache {
    /** A repository with some delegations; what does not fit is read each time. */
    private static final int MOST_BYTES = 128 << 10;
    /** Signatures over what does not fit; more are verified each time. */
    private static final int MOST_LARGE = 32;

    /** By name; the one that was asked for last is the last one. */
    private final Map<String, Entry> entries = new LinkedHashMap<>(16, 0.75f, true);

    private int bytes;

    /** Who made signatures over what does not fit, by a digest of both. */
    private final Map<ByteBuffer, Key> large = new LinkedHashMap<>(16, 0.75f, true);

    private byte[] digested = new byte[0];
    private byte[] digest = Sha256.of(digested);

    /**
     * A file of before.
     *
     * @param content its bytes
     * @param read what they say
     * @param right the keys that were seen to have made a signature, by its id in the file
     */
    private record Entry(byte[] content, Metadata<?> read, Map<String, Key> right) {
        <T extends Signed> Optional<Metadata<T>> as(Class<T> type, byte[] wanted) {
            return type.isInstance(read.signed()) && Arrays.equals(content, wanted)
                    ? Optional.of(new Metadata<>(type.cast(read.signed()), read.signedBytes(), read.signatures()))
                    : Optional.empty();
        }

        /** The same parts, not equal ones: to compare them costs what is to be saved. */
        boolean isOf(Metadata<?> other) {
            return read.signedBytes() == other.signedBytes() && read.signatures() == other.signatures();
        }
    }

    /** Reads one kind of file. */
    @FunctionalInterface
    private interface Reader<T extends Signed> {
        Metadata<T> read(String name, byte[] content) throws TufException;
    }

    Metadata<Root> root(String name, byte[] content) throws TufException {
        return read(Root.class, name, content, MetadataReader::root);
    }

    Metadata<Timestamp> timestamp(String name, byte[] content) throws TufException {
        return read(Timestamp.class, name, content, MetadataReader::timestamp);
    }

    Metadata<Snapshot> snapshot(String name, byte[] content) throws TufException {
        return read(Snapshot.class, name, content, MetadataReader::snapshot);
    }

    Metadata<Targets> targets(String name, byte[] content) throws TufException {
        return read(Targets.class, name, content, MetadataReader::targets);
    }

    private synchronized <T extends Signed> Metadata<T> read(
            Class<T> type, String name, byte[] content, Reader<T> reader) throws TufException {
        Entry known = entries.get(name);
        Optional<Metadata<T>> before = known == null ? Optional.empty() : known.as(type, content);
        if (before.isPresent()) {
            return before.get();
        }
        Metadata<T> read = reader.read(name, content);
        keep(name, new Entry(content.clone(), read, new HashMap<>()));
        return read;
    }

    private void keep(String name, Entry entry) {
        Entry before = entries.remove(name);
        bytes -= before == null ? 0 : before.content().length;
        if (entry.content().length > MOST_BYTES) {
            return;
        }
        entries.put(name, entry);
        bytes += entry.content().length;
        for (Iterator<Entry> oldest = entries.values().iterator(); bytes > MOST_BYTES; ) {
            bytes -= oldest.next().content().length;
            oldest.remove();
        }
    }

    /**
     * Whether a key made a signature.
     *
     * @param read what was read here
     * @param id the id under which the file has the signature
     * @param key the key
     * @return whether it did; not if there is none
     */
    synchronized boolean isRight(Metadata<?> read, String id, Key key) {
        byte[] signature = read.signatures().get(id);
        if (signature == null) {
            return false;
        }
        for (Entry entry : entries.values()) {
            if (entry.isOf(read)) {
                return isRight(entry.right(), id, key, signature, read.signedBytes());
            }
        }
        boolean isRight = isRight(large, digest(signature, read.signedBytes()), key, signature, read.signedBytes());
        if (large.size() > MOST_LARGE) {
            Iterator<ByteBuffer> oldest = large.keySet().iterator();
            oldest.next();
            oldest.remove();
        }
        return isRight;
    }

    private static <T> boolean isRight(Map<T, Key> known, T what, Key key, byte[] signature, byte[] content) {
        if (key.equals(known.get(what))) {
            return true;
        }
        boolean isRight = key.hasSigned(signature, content);
        if (isRight) {
            known.put(what, key);
        }
        return isRight;
    }

    /** Of both with a length, so that no two different pairs are the same bytes one after the other. */
    private static ByteBuffer digest(byte[] signature, byte[] content) {
        ByteBuffer both = ByteBuffer.allocate(Integer.BYTES + signature.length + content.length)
                .putInt(signature.length)
                .put(signature)
                .put(content);
        return ByteBuffer.wrap(Sha256.of(both.array()));
    }

    /**
     * A SHA-256.
     *
     * @param content of what; the same as before, mostly
     * @return it
     */
    synchronized byte[] sha256(byte[] content) {
        if (!Arrays.equals(content, digested)) {
            digest = Sha256.of(content);
            digested = content.clone();
        }
        return digest.clone();
    }
}
