// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.nio.file.Path;
import java.util.Optional;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.Target;
import org.metaotamgr.http.BundleProof;
import org.metaotamgr.tuf.Transport;

/** Where a repository is: two ways to the same files. */
interface Place {
    /** Whether the network is needed. */
    boolean isRemote();

    /**
     * Where its metadata is now.
     *
     * @return the metadata
     * @throws SourceException if the repository cannot be found
     */
    Transport metadata() throws SourceException;

    /**
     * What the device offers.
     *
     * @return it
     */
    SourceContext context();

    /**
     * Brings a target as it is, see {@link org.metaotamgr.agent.UpdateSource#pull}.
     *
     * @param target the target
     * @param file where it is, below the folder of targets
     * @param storage the folder it comes to
     * @param progress receives the progress
     * @return the file
     * @throws SourceException if it cannot be had
     * @throws InterruptedException if the thread was interrupted
     */
    Path whole(Target target, String file, Path storage, PullProgress progress)
            throws SourceException, InterruptedException;

    /**
     * Brings a target: what the device lacks of it if it can be had in parts, else all.
     *
     * @param target the target
     * @param file where it is, below the folder of targets
     * @param storage the folder it comes to
     * @param progress receives the progress
     * @return the file
     * @throws SourceException if it cannot be had
     * @throws InterruptedException if the thread was interrupted
     */
    default Path pull(Target target, String file, Path storage, PullProgress progress)
            throws SourceException, InterruptedException {
        Optional<String> manifest = Optional.ofNullable(target.details().get(Offer.MANIFEST));
        if (manifest.isPresent()) {
            Optional<Path> parts;
            try (Original original = original(target, file)) {
                parts = BundleProof.pull(target, storage, original, context(), progress)
                        .bring(manifest);
            }
            if (parts.isPresent()) {
                return parts.get();
            }
        }
        return whole(target, file, storage, progress);
    }

    /**
     * Brings what comes before its frames, see {@link org.metaotamgr.agent.UpdateSource#beginning}.
     *
     * @param target the target
     * @param file where it is, below the folder of targets
     * @param storage the folder it comes to
     * @param progress receives the progress
     * @return the file; empty if it cannot be streamed
     * @throws SourceException if it cannot be had
     * @throws InterruptedException if the thread was interrupted
     */
    default Optional<Path> beginning(Target target, String file, Path storage, PullProgress progress)
            throws SourceException, InterruptedException {
        Optional<String> manifest = Optional.ofNullable(target.details().get(Offer.MANIFEST));
        if (manifest.isEmpty()) {
            return Optional.empty();
        }
        try (Original original = original(target, file)) {
            return BundleProof.pull(target, storage, original, context(), progress)
                    .bringBeginning(manifest);
        }
    }

    /**
     * The bundle where it lies.
     *
     * @param target the target
     * @param file where it is, below the folder of targets
     * @return the bundle
     * @throws SourceException if it cannot be had
     */
    Original original(Target target, String file) throws SourceException;

    /**
     * How much of a target an earlier pull has left.
     *
     * @param storage its folder
     * @return the number of bytes
     */
    long there(Path storage);
}
