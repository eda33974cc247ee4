// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What the build, or the update that made it, wrote into the running system.
 *
 * @param folder usually {@code /etc/otamgr}, with {@code manifest} and {@code compatible}
 */
public record SystemFacts(Path folder) {
    /** Where they are on a device. */
    public static final SystemFacts OF_DEVICE = new SystemFacts(Path.of("/etc/otamgr"));

    Optional<String> version() {
        return Manifest.of(lines("manifest")).value("version").filter(Target::isVersion);
    }

    Optional<String> compatible() {
        return lines("compatible").stream()
                .map(String::strip)
                .filter(Target::isName)
                .findFirst();
    }

    private List<String> lines(String name) {
        try {
            return Files.readAllLines(folder.resolve(name), StandardCharsets.UTF_8);
        } catch (IOException e) {
            // A build without it works; it only says less.
            return List.of();
        }
    }
}
