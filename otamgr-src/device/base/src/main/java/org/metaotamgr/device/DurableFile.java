// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.IOException;
import java.nio.file.Path;

/** A small file which at any time is either the old one or the new one, also after a power cut. */
public final class DurableFile {
    private final Path file;
    private final FileOperations files;

    public DurableFile(Path file, FileOperations files) {
        this.file = file;
        this.files = files;
    }

    /**
     * Replaces the content; when it returns, the content is on the storage.
     *
     * @throws IOException if it cannot be written; the old content is kept then, unless only the folder could not be
     *     brought to the storage
     */
    public void write(byte[] content) throws IOException {
        Path temporary = file.resolveSibling(file.getFileName() + ".tmp");
        try {
            files.create(temporary, content);
            files.sync(temporary);
            files.rename(temporary, file);
        } catch (IOException e) {
            removeAfter(e, temporary);
            throw e;
        }
        files.syncFolder(file.toAbsolutePath().getParent());
    }

    private void removeAfter(IOException failure, Path temporary) {
        try {
            files.delete(temporary);
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }
}
