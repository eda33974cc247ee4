// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

/** Receives the progress of a pull. */
@FunctionalInterface
public interface PullProgress {
    /**
     * Called after each piece of at most about 256 KiB; cheap.
     *
     * @param bytes how many bytes of the whole are in the folder now, those of an earlier call included; it may fall back
     *     when a part turns out to be useless
     * @throws SourceException to end the pull, for example because the link costs money now; the source passes it on
     *     and keeps the part
     */
    void pulled(long bytes) throws SourceException;

    /**
     * Called after each piece that was fetched, before {@link #pulled}: what is there may also be left from an earlier pull, or
     * not be needed on this device. The default is to do nothing.
     *
     * @param bytes how many bytes were fetched since the last call
     */
    default void fetched(long bytes) {}

    /**
     * Called when it is known how many bytes are still to be fetched, before they are. The default is to do nothing.
     *
     * @param bytes how many
     * @throws SourceException to end the pull before that
     */
    default void needed(long bytes) throws SourceException {}

    /**
     * Whether {@link #needed} should be called even where it costs some seconds to find that out. The default is no.
     *
     * @return whether it should
     */
    default boolean counts() {
        return false;
    }
}
