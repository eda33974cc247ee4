// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import java.util.Optional;

/**
 * A file that a repository offers.
 *
 * @param path its path, as metadata names it
 * @param length its length in bytes
 * @param hashes its hashes in hex digits, by algorithm; never empty
 * @param custom what else its publisher says of it, if anything: an object
 */
public record TargetFile(String path, long length, Map<String, String> hashes, Optional<JsonNode> custom) {
    /** Copies. */
    public TargetFile {
        hashes = Map.copyOf(hashes);
    }
}
