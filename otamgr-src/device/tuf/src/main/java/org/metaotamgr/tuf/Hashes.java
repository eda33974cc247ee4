// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.metaotamgr.tuf.TufException.Reason;

/** Compares content with hashes, piece by piece. */
public final class Hashes {
    private static final Map<String, String> ALGORITHMS = Map.of("sha256", "SHA-256", "sha512", "SHA-512");

    private final List<MessageDigest> digests = new ArrayList<>();
    private final List<byte[]> wanted = new ArrayList<>();

    private Hashes() {}

    /**
     * Begins.
     *
     * @param hashes hex digits by algorithm, at least one of which is {@code sha256} or {@code sha512}; all known ones have to hold
     * @param name what it is of, for messages
     * @return the comparison
     * @throws TufException if none can be checked
     */
    public static Hashes of(Map<String, String> hashes, String name) throws TufException {
        Hashes made = new Hashes();
        for (Map.Entry<String, String> hash : hashes.entrySet()) {
            String algorithm = ALGORITHMS.get(hash.getKey());
            if (algorithm != null) {
                try {
                    made.wanted.add(HexFormat.of().parseHex(hash.getValue()));
                    made.digests.add(MessageDigest.getInstance(algorithm));
                } catch (IllegalArgumentException e) {
                    throw StrictJson.malformed(name, "a hash in hex digits", hash.getValue());
                } catch (NoSuchAlgorithmException e) {
                    throw new IllegalStateException("every Java has " + algorithm, e);
                }
            }
        }
        if (made.digests.isEmpty()) {
            throw new TufException(
                    Reason.NOT_TRUSTED,
                    name + ": expected a hash by sha256 or sha512, found "
                            + Text.printable(hashes.keySet().toString()));
        }
        return made;
    }

    /**
     * Goes on.
     *
     * @param content what comes next
     * @param from where it begins in the array
     * @param length how many bytes
     */
    public void update(byte[] content, int from, int length) {
        digests.forEach(digest -> digest.update(content, from, length));
    }

    /**
     * Ends.
     *
     * @return whether all hashes are those of what came
     */
    public boolean hold() {
        boolean all = true;
        for (int i = 0; i < digests.size(); i++) {
            all &= MessageDigest.isEqual(digests.get(i).digest(), wanted.get(i));
        }
        return all;
    }

    boolean hold(byte[] content) {
        update(content, 0, content.length);
        return hold();
    }
}
