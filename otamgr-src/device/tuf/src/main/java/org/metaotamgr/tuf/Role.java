// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Who may sign for a role.
 *
 * @param keys the keys that may, by their ids
 * @param threshold how many of them have to, at least 1
 */
record Role(Map<String, Key> keys, int threshold) {
    Role {
        keys = Map.copyOf(keys);
    }

    /**
     * Whether enough keys have signed. A key counts once, under however many ids it stands.
     *
     * @param metadata what was signed
     * @param verifier what verifies the signatures
     * @return whether the threshold is reached
     */
    boolean hasSigned(Metadata<?> metadata, Signatures verifier) {
        Set<Key> signers = new HashSet<>();
        for (Map.Entry<String, byte[]> signature : metadata.signatures().entrySet()) {
            Key key = keys.get(signature.getKey());
            if (key != null
                    && !signers.contains(key)
                    && verifier.isRight(key, signature.getValue(), metadata.signedBytes())) {
                signers.add(key);
                if (signers.size() >= threshold) {
                    return true;
                }
            }
        }
        return false;
    }
}
