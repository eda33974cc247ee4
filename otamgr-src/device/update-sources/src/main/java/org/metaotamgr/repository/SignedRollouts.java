// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.util.Optional;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.Target;
import org.metaotamgr.device.ConfigException;

/** The roll-outs that a repository signs, for updates that another source brings. */
public final class SignedRollouts {
    private final RepositorySource repository;

    private SignedRollouts(RepositorySource repository) {
        this.repository = repository;
    }

    /**
     * Opens the repository.
     *
     * @param configuration the keys of the source {@value RepositorySource#NAME}
     * @param context what the device offers
     * @return its roll-outs
     * @throws ConfigException if the configuration is wrong
     */
    public static SignedRollouts open(ConfigObject configuration, SourceContext context) throws ConfigException {
        return new SignedRollouts(RepositorySourceProvider.repository(configuration, context));
    }

    /**
     * Whether it is this device's turn.
     *
     * @param target an update of another source
     * @param isForced whether it was meant for this very device, so that its place in the phases does not matter
     * @return the answer; empty if the repository does not have this update
     * @throws SourceException if the repository cannot be had, or not be trusted
     * @throws InterruptedException if the thread was interrupted
     */
    public Optional<Turn> turn(Target target, boolean isForced) throws SourceException, InterruptedException {
        return repository.turn(target, isForced);
    }

    /**
     * The same right before an install: by what the repository said last, if it cannot be had.
     *
     * @param target an update of another source
     * @param isForced whether it was meant for this very device, so that its place in the phases does not matter
     * @return the answer; empty if the repository does not have this update
     * @throws SourceException {@code DEFERRED} if what it said last does not hold any more
     * @throws InterruptedException if the thread was interrupted
     */
    public Optional<Turn> turnForInstall(Target target, boolean isForced) throws SourceException, InterruptedException {
        return repository.turnForInstall(target, isForced);
    }
}
