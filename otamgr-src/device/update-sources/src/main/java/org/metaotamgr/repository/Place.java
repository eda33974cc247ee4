// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.nio.file.Path;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.Target;
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
     * Brings a target, see {@link org.metaotamgr.agent.UpdateSource#pull}.
     *
     * @param target the target
     * @param file where it is, below the folder of targets
     * @param storage the folder it comes to
     * @param progress told how far it is
     * @return the file
     * @throws SourceException if it cannot be had
     * @throws InterruptedException if the thread was interrupted
     */
    Path pull(Target target, String file, Path storage, PullProgress progress)
            throws SourceException, InterruptedException;

    /**
     * How much of a target an earlier pull has left.
     *
     * @param storage its folder
     * @return the number of bytes
     */
    long there(Path storage);
}
