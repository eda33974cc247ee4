// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.metaotamgr.device.FileOperations;

/** Real file operations which are written down, and of which one can fail. */
final class RecordingFiles implements FileOperations {
    private final FileOperations real = new FileOperations.Real();
    private final List<String> events;
    private String failing = "";

    RecordingFiles(List<String> events) {
        this.events = events;
    }

    void fails(String operation) {
        failing = operation;
    }

    private void record(String operation, Path file) throws IOException {
        events.add(operation + " " + file.getFileName());
        if (operation.equals(failing)) {
            throw new IOException(operation + ": No space left on device");
        }
    }

    @Override
    public void create(Path file, byte[] content) throws IOException {
        record("create", file);
        real.create(file, content);
    }

    @Override
    public void sync(Path file) throws IOException {
        record("sync", file);
        real.sync(file);
    }

    @Override
    public void rename(Path from, Path to) throws IOException {
        record("rename", to);
        real.rename(from, to);
    }

    @Override
    public void syncFolder(Path folder) throws IOException {
        record("syncFolder", folder);
        real.syncFolder(folder);
    }

    @Override
    public void delete(Path file) throws IOException {
        record("delete", file);
        real.delete(file);
    }
}
