// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ServiceLoader;
import java.util.TreeSet;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.Printable;

/** Finds the source that the configuration names, among those whose jars are there. */
public final class Sources {
    private Sources() {}

    /**
     * Opens the source.
     *
     * @param config the configuration; its source is not hubby, which is no source that can be asked
     * @param device the device
     * @return the source
     * @throws ConfigException if there is no such source, or if its configuration is unusable
     */
    public static UpdateSource open(AgentConfig config, AgentDevice device) throws ConfigException {
        String type = config.sourceType();
        TreeSet<String> names = new TreeSet<>();
        names.add(AgentConfig.HUBBY);
        for (UpdateSourceProvider provider : ServiceLoader.load(UpdateSourceProvider.class)) {
            if (provider.name().equals(type)) {
                return provider.open(config.source(), context(config, device));
            }
            names.add(provider.name());
        }
        throw config.source()
                .wrong(
                        "type",
                        "one of " + names + " (others need their jar in /usr/share/java)",
                        config.source().get("type"));
    }

    private static SourceContext context(AgentConfig config, AgentDevice device) {
        try {
            // Its parent is left alone: that is where the file system for data has to be mounted.
            if (!Files.isDirectory(config.storage())) {
                Files.createDirectory(config.storage());
            }
        } catch (IOException e) {
            device.log()
                    .error("agent_storage:folder=" + config.storage() + ",error=" + Printable.of(e.toString())
                            + ",meaning=nothing can be pulled");
        }
        return new SourceContext(
                device.log(),
                device.clock(),
                new FileOperations.Real(),
                config.storage(),
                device.verifier(),
                device.installer()::needs);
    }
}
