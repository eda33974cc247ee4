// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.util.Map;
import java.util.OptionalLong;
import org.metaotamgr.tuf.TufException.Reason;

/**
 * What metadata says of another metadata file.
 *
 * @param version its version
 * @param length its length in bytes, if it is told
 * @param hashes its hashes in hex digits, by algorithm; may be empty
 */
record FileInfo(long version, OptionalLong length, Map<String, String> hashes) {
    FileInfo {
        hashes = Map.copyOf(hashes);
    }

    /** How many bytes may be read of it. */
    int limit(int otherwise) {
        return length.isPresent() ? (int) Math.min(length.getAsLong(), otherwise) : otherwise;
    }

    /** Refuses a file that is another one. */
    void require(String name, byte[] content) throws TufException {
        if (length.isPresent() && length.getAsLong() != content.length) {
            throw new TufException(
                    Reason.NOT_TRUSTED, name + ": expected " + length.getAsLong() + " bytes, found " + content.length);
        }
        if (!hashes.isEmpty() && !Hashes.of(hashes, name).hold(content)) {
            throw new TufException(
                    Reason.NOT_TRUSTED, name + ": expected the hash that the metadata above it names, found another");
        }
    }
}
