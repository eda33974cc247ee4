// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.util.Optional;

/**
 * Where updates come from. A source knows a server or a folder, and nothing about slots, policies, or when to ask:
 * which offer is taken, and when, is up to the {@link Agent}.
 *
 * <p>All calls come from one thread, one at a time, and may take as long as they need: a source waits for its server here,
 * and does nothing in threads of its own. A call ends early with {@link InterruptedException} when that thread is
 * interrupted. A source remembers nothing that would be lost with the process, except in files of its own in
 * {@link SourceContext#stateDirectory()}: the process may be another one, on another slot, at any next call.
 */
public interface UpdateSource extends AutoCloseable {
    /**
     * The name of this kind of source, as in the configuration.
     *
     * @return lower case letters, digits and hyphens: {@code bundle}, {@code repository}, {@code hawkbit}
     */
    String name();

    /**
     * Asks what is offered now. Everything that can be verified without the whole update is verified here: the signature of
     * the list, its age, the signature of a manifest.
     *
     * @param installed what runs on the device
     * @return what is offered; targets that the device cannot or must not take are included, as the agent says which
     *     and why
     * @throws SourceException if that cannot be found out, or cannot be trusted
     * @throws InterruptedException if the thread was interrupted
     */
    CheckResult check(InstalledSystem installed) throws SourceException, InterruptedException;

    /**
     * Whether a server decides what this device shall run: then its offer is taken although it is not newer than what
     * runs, as long as the device's floor allows it. The default is no: only what is newer is taken, the newest first.
     *
     * @return whether an offer is an assignment
     */
    default boolean isAssigning() {
        return false;
    }

    /**
     * Whether the network is needed: then limits for links that cost money hold, and a system on trial is only kept once
     * this source has answered it. The default is yes.
     *
     * @return whether this source is somewhere else
     */
    default boolean isRemote() {
        return true;
    }

    /**
     * Whether somebody else asks and pulls, and judges which update is right, as hubby does: then nobody is told of the begin
     * of a check or pull, what is offered lies on the device already, and its name and version are no measure. The default is
     * no.
     *
     * @return whether offers are pushed
     */
    default boolean isPushing() {
        return false;
    }

    /**
     * Where the header of a target lies, which is to be placed in the new system. The default is that there is none.
     *
     * @param target one that this source offered
     * @return the file, or empty
     */
    default Optional<Path> header(Target target) {
        return Optional.empty();
    }

    /**
     * Brings the complete update into a folder, and verifies that it is the one that was offered.
     *
     * <p>A part that an earlier call left in the folder, perhaps before a power cut, is used: nothing is loaded twice
     * that is there and can be trusted after the whole was hashed. The complete file gets its name by a rename when its
     * content is on the storage; a part has another name. What was pulled completely before is not pulled again.
     *
     * @param target one that this kind of source offered, perhaps in an earlier process
     * @param storage the folder; it exists, is on storage that survives updates, and belongs to this target alone
     * @param progress receives the progress; what it throws ends the pull, and the part is kept
     * @return the complete file in the folder, of the length and hash that were offered
     * @throws SourceException if it cannot be had. What failed its proof is removed from the folder
     * @throws InterruptedException if the thread was interrupted; the part is kept
     */
    Path pull(Target target, Path storage, PullProgress progress) throws SourceException, InterruptedException;

    /**
     * Brings what comes before the frames of a bundle that will be streamed: manifest, signature and block index, verified. The
     * default is that nothing can be streamed.
     *
     * @param target one that this kind of source offered, perhaps in an earlier process
     * @param storage the folder, as for {@link #pull}
     * @param progress receives the progress; what it throws ends it
     * @return the file, {@link AgentStore#STREAM} in the folder, as long as the whole bundle; empty if the target has to be pulled
     * @throws SourceException if it cannot be had
     * @throws InterruptedException if the thread was interrupted
     */
    default Optional<Path> beginning(Target target, Path storage, PullProgress progress)
            throws SourceException, InterruptedException {
        return Optional.empty();
    }

    /**
     * Where the frames of a target are that is streamed. Only asked for one whose {@link #beginning} was brought.
     *
     * @param target the target
     * @return the whole bundle, to be closed
     * @throws SourceException if it cannot be had now
     */
    default Original original(Target target) throws SourceException {
        throw new SourceException(
                SourceException.Reason.NOT_FOUND, target.name() + " cannot be streamed; pull it again");
    }

    /**
     * How much of a target an earlier pull has left; its progress goes on there. The default is nothing.
     *
     * @param target the target
     * @param storage its folder
     * @return the number of bytes
     */
    default long there(Target target, Path storage) {
        return 0;
    }

    /**
     * Whether a pull looks by itself whether there is room for what it fetches, which may be less than the target has, and
     * tells {@link PullProgress#needed} how much it is. The default is no: there has to be room for the whole target, and
     * it counts where links cost money.
     *
     * @return whether it does
     */
    default boolean looksForRoom() {
        return false;
    }

    /**
     * Whether a target is still wanted, asked right before it is installed, which may be long after it was offered.
     * The default is yes.
     *
     * @param target what is about to be installed
     * @return false if whoever offered it has withdrawn it
     * @throws SourceException if that cannot be found out; the agent then goes on with the install if
     *     {@link SourceException.Reason#isTransient()}, as a device without a link has to be able to install what it
     *     pulled; or, with {@link SourceException.Reason#DEFERRED}, if it is wanted, but not now
     * @throws InterruptedException if the thread was interrupted
     */
    default boolean isStillOffered(Target target) throws SourceException, InterruptedException {
        return true;
    }

    /**
     * The progress of a stream of a target into a slot, which may also notice there that the target was withdrawn. The default is to
     * notice nothing.
     *
     * @param target what is being installed
     * @param progress receives how much came
     * @return receives it instead; it throws {@link SourceException.Reason#WITHDRAWN} to end the stream
     * @throws SourceException if the target is none of this source
     */
    default PullProgress watched(Target target, PullProgress progress) throws SourceException {
        return progress;
    }

    /**
     * Tells whoever offered a target what became of it. The default is to tell nobody.
     *
     * <p>An event that ends an update is kept by the agent until this has returned once, also across reboots, and so may
     * come twice.
     *
     * @param target the target
     * @param event what happened
     * @throws SourceException if it could not be reported; for an event that ends an update the agent tries again later
     * @throws InterruptedException if the thread was interrupted
     */
    default void report(Target target, UpdateEvent event) throws SourceException, InterruptedException {}

    /**
     * What people have to know about what it said last, for {@code otamgr status}; asked by any thread. The default is nothing.
     *
     * @return a sentence
     */
    default Optional<String> remark() {
        return Optional.empty();
    }

    /** Lets go of connections. */
    @Override
    default void close() {}
}
