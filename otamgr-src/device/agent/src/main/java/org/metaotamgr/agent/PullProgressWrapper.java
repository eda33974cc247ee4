// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Objects;

/** Passes everything on to another progress; what a subclass wants to see or to refuse, it overrides. */
public abstract class PullProgressWrapper implements PullProgress {
    private final PullProgress progress;

    /**
     * Wraps a progress.
     *
     * @param progress receives everything
     */
    protected PullProgressWrapper(PullProgress progress) {
        this.progress = Objects.requireNonNull(progress);
    }

    @Override
    public void pulled(long bytes) throws SourceException {
        progress.pulled(bytes);
    }

    @Override
    public void fetched(long bytes) {
        progress.fetched(bytes);
    }

    @Override
    public void needed(long bytes) throws SourceException {
        progress.needed(bytes);
    }

    @Override
    public boolean counts() {
        return progress.counts();
    }
}
