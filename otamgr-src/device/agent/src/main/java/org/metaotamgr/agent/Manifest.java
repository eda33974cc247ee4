// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.metaotamgr.device.KeyValueLines;

/**
 * The manifest of a bundle: {@code KEY=VALUE} lines, as {@code ota-verify bundle} prints them after it has checked the
 * signature.
 *
 * @param values the lines
 */
public record Manifest(Map<String, String> values) {
    /** Copies the map. */
    public Manifest {
        values = Map.copyOf(values);
    }

    /**
     * Reads lines.
     *
     * @param lines {@code KEY=VALUE}; others are ignored
     * @return the manifest
     */
    public static Manifest of(List<String> lines) {
        return new Manifest(KeyValueLines.read(lines));
    }

    /**
     * One value.
     *
     * @param key for example {@code version} or {@code compatible}
     * @return the value, or empty if it is missing or empty
     */
    public Optional<String> value(String key) {
        return Optional.ofNullable(values.get(key)).filter(value -> !value.isEmpty());
    }
}
