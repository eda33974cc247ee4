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
     * @param cache what verifies the signatures
     * @return whether the threshold is reached
     */
    boolean hasSigned(Metadata<?> metadata, MetadataCache cache) {
        Set<Key> signers = new HashSet<>();
        for (String id : metadata.signatures().keySet()) {
            Key key = keys.get(id);
            if (key != null && !signers.contains(key) && cache.isRight(metadata, id, key)) {
                signers.add(key);
                if (signers.size() >= threshold) {
                    return true;
                }
            }
        }
        return false;
    }
}
