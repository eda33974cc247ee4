// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

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

    /** Makes the provider; for the service loader. */
    public RepositorySourceProvider() {
    }

    @Override
    public String name() {
        return RepositorySource.NAME;
    }

    @Override
    public UpdateSource open(ConfigObject configuration, SourceContext context) throws ConfigException {
        Set<String> keys = new HashSet<>(HttpConfig.KEYS);
        keys.addAll(Set.of("type", "repository", "token", "tokenFile", "buildTime"));
        configuration.warnAboutOthersThan(keys);
        String repository = configuration.string("repository", "main");
        if (!Index.isName(repository)) {
            throw configuration.wrong("repository", "a name of 1 to 64 letters, digits and . _ -",
                    configuration.get("repository"));
        }
        HttpConfig config = HttpConfig.of(configuration);
        Optional<String> token = HttpConfig.secret(configuration, "token");
        Http http = new Http(config, token.map(text -> "Bearer " + text));
        Programs programs = new Programs(new SystemProcessRunner(context.log()));
        return new RepositorySource(config.base(), repository, configuration.path("buildTime", BUILD_TIME), http,
                new Download(http, Hasher.ofProgram(programs), context.files(), context.log()), context);
    }
}
