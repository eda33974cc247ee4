// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.metaotamgr.tuf.Transport;
import org.metaotamgr.tuf.TufException;
import org.metaotamgr.tuf.TufException.Reason;

/**
 * Metadata in a folder, for example on a stick.
 *
 * @param folder the folder of metadata
 */
record FolderTransport(Path folder) implements Transport {
    @Override
    public byte[] metadata(String name, int limit) throws TufException {
        Path file = folder.resolve(name);
        try (InputStream in = Files.newInputStream(file)) {
            byte[] content = in.readNBytes(limit + 1);
            if (content.length > limit) {
                throw new TufException(Reason.MALFORMED, file + ": expected at most " + limit + " bytes, found more");
            }
            return content;
        } catch (NoSuchFileException e) {
            throw new TufException(Reason.NOT_FOUND, file + ": expected a file, found none", e);
        } catch (IOException e) {
            throw new TufException(Reason.UNREACHABLE, file + ": " + e.getMessage(), e);
        }
    }
}
