// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.UpdateSourceProvider;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SystemProcessRunner;
import org.metaotamgr.http.Download;
import org.metaotamgr.http.Hasher;
import org.metaotamgr.http.Http;
import org.metaotamgr.http.HttpConfig;

/** Makes the source {@value RepositorySource#NAME}. */
public final class RepositorySourceProvider implements UpdateSourceProvider {
    private static final Path BUILD_TIME = Path.of("/etc/timestamp");
    private static final Path ROOT = Path.of("/etc/otamgr/tuf/root.json");
    private static final Path MACHINE_ID = Path.of("/etc/machine-id");
    private static final Pattern DEVICE = Pattern.compile("[!-~]{1,256}");
    /** What systemd's file says until the first boot is over, or of a system that was copied with nothing in it. */
    private static final Set<String> NO_DEVICE = Set.of("uninitialized", "0".repeat(32));

    /** Makes the provider; for the service loader. */
    public RepositorySourceProvider() {}

    @Override
    public String name() {
        return RepositorySource.NAME;
    }

    @Override
    public UpdateSource open(ConfigObject configuration, SourceContext context) throws ConfigException {
        return repository(configuration, context);
    }

    static RepositorySource repository(ConfigObject configuration, SourceContext context) throws ConfigException {
        Set<String> keys = new HashSet<>(HttpConfig.KEYS);
        keys.addAll(Set.of("type", "root", "token", "tokenFile", "buildTime", "directories", "deviceIdFile"));
        configuration.warnAboutOthersThan(keys);
        Hasher hasher = Hasher.ofProgram(new Programs(new SystemProcessRunner(context.log())));
        return new RepositorySource(
                place(configuration, hasher, context),
                configuration.path("root", ROOT),
                configuration.path("buildTime", BUILD_TIME),
                device(configuration.path("deviceIdFile", MACHINE_ID)),
                context);
    }

    private static Place place(ConfigObject configuration, Hasher hasher, SourceContext context)
            throws ConfigException {
        if (configuration.has("directories")) {
            if (configuration.has("url")) {
                throw configuration.wrong("directories", "either url or directories", configuration.get("directories"));
            }
            return new FolderPlace(configuration.paths("directories", List.of()), hasher, context);
        }
        HttpConfig config = HttpConfig.of(configuration);
        Optional<String> token = HttpConfig.secret(configuration, "token");
        Http http = new Http(config, token.map(text -> "Bearer " + text));
        return new ServerPlace(
                http, config.base(), new Download(http, hasher, context.files(), context.log()), context);
    }

    private static Optional<String> device(Path file) {
        try {
            String name = Files.readString(file, StandardCharsets.UTF_8).strip();
            return DEVICE.matcher(name).matches() && !NO_DEVICE.contains(name) ? Optional.of(name) : Optional.empty();
        } catch (IOException e) {
            return Optional.empty();
        }
    }
}
