// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Every secret value this process has seen. Whatever it writes anywhere passes through {@link #mask}. */
final class Secrets {

    /** Shorter values would turn unrelated text into masks; nobody has such a password on a real service. */
    private static final int SHORTEST = 4;

    private final List<String> values = new CopyOnWriteArrayList<>();

    void add(String value) {
        addOne(value);
        addOne(URLEncoder.encode(value, StandardCharsets.UTF_8));
    }

    private void addOne(String value) {
        if (value.length() >= SHORTEST && !values.contains(value)) {
            values.add(value);
            // The longest first, so that one secret inside another does not leave the rest of it readable.
            values.sort(Comparator.comparingInt(String::length).reversed());
        }
    }

    String mask(String text) {
        String masked = text;
        for (String value : values) {
            masked = masked.replace(value, "***");
        }
        return masked;
    }
}
