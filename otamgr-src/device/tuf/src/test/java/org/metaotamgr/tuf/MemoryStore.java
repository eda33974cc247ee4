// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** A store that a test looks into, and whose power fails when the test says so. */
final class MemoryStore implements MetadataStore {
    final Map<String, byte[]> files = new TreeMap<>();
    /** How many changes are made before all others fail. */
    int changesLeft = Integer.MAX_VALUE;

    @Override
    public Optional<byte[]> read(String name, int limit) {
        return Optional.ofNullable(files.get(name)).filter(content -> content.length <= limit);
    }

    @Override
    public void write(String name, byte[] content) throws IOException {
        change();
        files.put(name, content);
    }

    @Override
    public void remove(String name) throws IOException {
        if (files.containsKey(name)) {
            change();
            files.remove(name);
        }
    }

    private void change() throws IOException {
        if (changesLeft-- <= 0) {
            throw new IOException("no power");
        }
    }
}
