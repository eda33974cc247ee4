// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.Set;

/**
 * Verifies signatures, and those that were right before only once: that a key made a signature over some bytes stays true. A check
 * without news has four of them, which take a small device longer than all else but its connection. What may change, as the time
 * and which keys count, is no business of this. May be used by several threads, and by one client after the other.
 */
public final class Signatures {
    /** A repository with some delegations; more are verified each time. */
    private static final int MOST = 64;

    private final Set<ByteBuffer> right = new LinkedHashSet<>();

    /**
     * Whether a key made a signature.
     *
     * @param key the key
     * @param signature the signature
     * @param content what was signed
     * @return whether it did
     */
    synchronized boolean isRight(Key key, byte[] signature, byte[] content) {
        ByteBuffer digest = digest(key, signature, content);
        // The one that was needed last is the last one to go.
        if (right.remove(digest) || key.hasSigned(signature, content)) {
            right.add(digest);
            if (right.size() > MOST) {
                Iterator<ByteBuffer> oldest = right.iterator();
                oldest.next();
                oldest.remove();
            }
            return true;
        }
        return false;
    }

    /** Of all parts with their lengths, so that no two different ones are the same bytes one after the other. */
    private static ByteBuffer digest(Key key, byte[] signature, byte[] content) {
        byte[][] parts = {
            key.keytype().getBytes(StandardCharsets.UTF_8),
            key.scheme().getBytes(StandardCharsets.UTF_8),
            key.value().getBytes(StandardCharsets.UTF_8),
            signature,
            content
        };
        int bytes = 0;
        for (byte[] part : parts) {
            bytes += Integer.BYTES + part.length;
        }
        ByteBuffer all = ByteBuffer.allocate(bytes);
        for (byte[] part : parts) {
            all.putInt(part.length).put(part);
        }
        return ByteBuffer.wrap(Sha256.of(all.array()));
    }
}
