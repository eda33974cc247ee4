// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.UpdateSourceProvider;
import org.metaotamgr.device.ConfigException;

/** Makes the source {@value BundleSource#NAME}. */
public final class BundleSourceProvider implements UpdateSourceProvider {
    private static final Set<String> KEYS = Set.of("type", "directories");
    /** Where media are mounted by udev rules, udisks, and people. */
    private static final List<Path> USUAL = List.of(Path.of("/run/media"), Path.of("/media"), Path.of("/mnt"));

    /** Makes the provider; for the service loader. */
    public BundleSourceProvider() {}

    @Override
    public String name() {
        return BundleSource.NAME;
    }

    @Override
    public UpdateSource open(ConfigObject configuration, SourceContext context) throws ConfigException {
        configuration.warnAboutOthersThan(KEYS);
        List<Path> directories = configuration.paths("directories", USUAL);
        if (directories.isEmpty()) {
            throw configuration.wrong(
                    "directories", "a list of at least one absolute path", configuration.get("directories"));
        }
        return new BundleSource(directories, context);
    }
}
