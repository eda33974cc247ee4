// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.metaotamgr.agent.AgentStore;
import org.metaotamgr.agent.Needs.Span;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.device.FreeRoom;
import org.metaotamgr.device.Printable;

/**
 * Pulls of a bundle of format 2 what this device lacks: first what comes before the frames, which is verified, and then the frames
 * of blocks that neither slot has. What comes is {@value #PART}, a file of the bundle's full length; what was not fetched
 * are zeros in it, which take no room. It is the only state: as long as it is shorter than the bundle, its beginning is
 * still on its way, and afterwards sysupgrade says what it lacks, and finds what came damaged. So after a cut at any moment at
 * most {@value #SYNC_EVERY} bytes are fetched again.
 */
public final class PullInParts {
    static final String PART = AgentStore.PARTS;
    static final String FILE = "update.blocks";
    /** Names of those who pull it whole; who has begun so, ends so. */
    private static final List<String> WHOLE = List.of(AgentStore.WHOLE, "update.part", "update.bundle");

    private static final int FIRST = 64 * 1024;
    private static final long SYNC_EVERY = 256 * 1024;
    /** Rounds of asking what is lacking, and fetching it. */
    private static final int MAX_ROUNDS = 4;

    private final Target target;
    private final Path folder;
    private final Original original;
    private final Proof proof;
    private final SourceContext context;
    private final PullProgress progress;
    private final Path part;
    /** Bytes that were written since the last of them were known to be on the storage. */
    private long unsynced;

    /** Says whether what comes before the frames is that of the target. */
    @FunctionalInterface
    public interface Proof {
        /**
         * Checks it.
         *
         * @param part the bundle; its frames may not be there
         * @throws SourceException if it is not the one
         * @throws InterruptedException if the thread was interrupted
         */
        void check(Path part) throws SourceException, InterruptedException;
    }

    /**
     * Makes a pull.
     *
     * @param target the target
     * @param folder its folder; it exists, and nobody else uses it
     * @param original where the bundle is
     * @param proof judges what comes before the frames
     * @param context what the device offers
     * @param progress receives the progress
     */
    public PullInParts(
            Target target, Path folder, Original original, Proof proof, SourceContext context, PullProgress progress) {
        this.target = target;
        this.folder = folder;
        this.original = original;
        this.proof = proof;
        this.context = context;
        this.progress = progress;
        this.part = folder.resolve(PART);
    }

    /**
     * Brings what is lacking.
     *
     * @param manifest the SHA-256 of the bundle's manifest, if somebody trusted has said it
     * @return the file, which sysupgrade takes; empty if the bundle has to be pulled whole
     * @throws SourceException if it cannot be had; the part is kept unless it is of no use
     * @throws InterruptedException if the thread was interrupted; the part is kept
     */
    public Optional<Path> bring(Optional<String> manifest) throws SourceException, InterruptedException {
        return brought(List.of(AgentStore.STREAM, FILE), this::allFrames, manifest);
    }

    /**
     * Brings what comes before the frames, and images beside the root file system, for a bundle that will be streamed.
     *
     * @param manifest the SHA-256 of the bundle's manifest, if somebody trusted has said it
     * @return the file, as long as the bundle, without its frames; empty if it cannot be streamed
     * @throws SourceException if it cannot be had; the part is kept unless it is of no use
     * @throws InterruptedException if the thread was interrupted; the part is kept
     */
    public Optional<Path> bringBeginning(Optional<String> manifest) throws SourceException, InterruptedException {
        return brought(List.of(FILE, AgentStore.STREAM), this::noFrames, manifest);
    }

    /** What follows once the beginning is there and verified. */
    private interface Rest {
        void bring(FileChannel channel, Optional<String> manifest)
                throws Original.OnlyWholeException, IOException, SourceException, InterruptedException;
    }

    /** names: under which it may be complete; the last one is wanted. */
    private Optional<Path> brought(List<String> names, Rest rest, Optional<String> manifest)
            throws SourceException, InterruptedException {
        try {
            if (WHOLE.stream().anyMatch(name -> Files.exists(folder.resolve(name)))) {
                discard();
                return Optional.empty();
            }
            Path file = folder.resolve(names.get(names.size() - 1));
            for (String name : names) {
                if (Files.exists(folder.resolve(name))) {
                    // It was complete once. What is lacking now is seen below.
                    context.files().rename(folder.resolve(name), part);
                }
            }
            try (FileChannel channel = FileChannel.open(
                    part, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
                beginning(channel, manifest);
                verify(manifest);
                rest.bring(channel, manifest);
            } catch (Original.OnlyWholeException e) {
                return whole(e.getMessage());
            }
            context.files().rename(part, file);
            context.files().syncFolder(folder);
            return Optional.of(file);
        } catch (IOException e) {
            // An interrupt closes the file.
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            throw new SourceException(Reason.DOWNLOAD_FAILED, "pulling " + target.name() + " to " + folder + ": " + e);
        }
    }

    private void allFrames(FileChannel channel, Optional<String> manifest)
            throws Original.OnlyWholeException, IOException, SourceException, InterruptedException {
        if (!frames(channel)) {
            throw new Original.OnlyWholeException("the device cannot say what it lacks");
        }
        channel.force(true);
    }

    private void noFrames(FileChannel channel, Optional<String> manifest)
            throws Original.OnlyWholeException, IOException, SourceException, InterruptedException {
        // Frames of a pull that was to be stored.
        withoutFrames(channel, begun(channel, manifest));
        if (progress.counts()) {
            Optional<List<Span>> lacking = lacking();
            if (lacking.isPresent()) {
                progress.needed(lacking.get().stream().mapToLong(Span::length).sum());
            }
        }
        furtherImages(channel);
    }

    /** Images beside the root file system are not streamed: sysupgrade takes them from the file. */
    private void furtherImages(FileChannel channel)
            throws Original.OnlyWholeException, IOException, SourceException, InterruptedException {
        BundleFile.Extent images = BundleFile.open(part).furtherImages();
        if (images.length() > 0) {
            needRoom(images.length());
            fetch(channel, images.offset(), images.length(), images.length());
            channel.force(true);
        }
    }

    private Optional<Path> whole(String reason) throws IOException {
        context.log().info("pull_whole:target=" + target.name() + ",reason=" + Printable.of(reason));
        discard();
        return Optional.empty();
    }

    private void discard() throws IOException {
        context.files().delete(part);
        context.files().delete(folder.resolve(FILE));
        context.files().delete(folder.resolve(AgentStore.STREAM));
    }

    // ---- what comes before the frames ----

    private void beginning(FileChannel channel, Optional<String> manifest)
            throws Original.OnlyWholeException, IOException, SourceException, InterruptedException {
        if (channel.size() > target.bytes() || !isStillTheSame(channel, manifest)) {
            channel.truncate(0);
        }
        if (channel.size() == target.bytes()) {
            return;
        }
        grow(channel, Math.min(FIRST, target.bytes()));
        BundleFile.Beginning found = begun(channel, manifest);
        while (!found.isComplete()) {
            grow(channel, Math.min(found.bytes(), target.bytes()));
            found = begun(channel, manifest);
        }
        if (!found.hasIndex()) {
            throw new Original.OnlyWholeException("it has no block index");
        }
        // Of the frames nothing is there yet.
        withoutFrames(channel, found);
    }

    private void withoutFrames(FileChannel channel, BundleFile.Beginning found) throws IOException {
        channel.truncate(Math.min(channel.size(), found.bytes()));
        channel.force(true);
        channel.write(ByteBuffer.allocate(1), target.bytes() - 1);
        channel.force(true);
    }

    private BundleFile.Beginning begun(FileChannel channel, Optional<String> manifest)
            throws Original.OnlyWholeException, IOException, SourceException {
        try {
            BundleFile.Beginning found = BundleFile.beginning(channel);
            if (found.bytes() <= target.bytes()) {
                return found;
            }
            throw new IOException("expected an image within " + target.bytes() + " bytes, found none");
        } catch (IOException e) {
            if (manifest.isEmpty()) {
                throw new Original.OnlyWholeException("it is no bundle of format 2: " + e.getMessage());
            }
            discard();
            throw new SourceException(Reason.VERIFICATION_FAILED, target.name() + ": " + e.getMessage());
        }
    }

    /** Where nobody trusted says which bundle it is, the first bytes show whether the original is still the one of before. */
    private boolean isStillTheSame(FileChannel channel, Optional<String> manifest)
            throws Original.OnlyWholeException, IOException, SourceException, InterruptedException {
        int length = (int) Math.min(FIRST, channel.size());
        if (manifest.isPresent() || length == 0) {
            return true;
        }
        byte[] there = bytes(channel, length);
        byte[] now = new byte[length];
        int[] at = {0};
        original.fetch(0, length, (bytes, count) -> {
            System.arraycopy(bytes, 0, now, at[0], count);
            at[0] += count;
            progress.fetched(count);
        });
        // Behind its beginning there may be frames that were fetched, or not.
        BundleFile.Beginning found = begun(channel, manifest);
        int compared = (int) Math.min(length, found.isComplete() ? found.bytes() : length);
        return Arrays.equals(there, 0, compared, now, 0, compared);
    }

    private static byte[] bytes(FileChannel channel, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, buffer.position()) < 0) {
                throw new IOException("expected " + length + " bytes, found " + buffer.position());
            }
        }
        return buffer.array();
    }

    private void grow(FileChannel channel, long length)
            throws Original.OnlyWholeException, IOException, SourceException, InterruptedException {
        if (channel.size() < length) {
            needRoom(length - channel.size());
            fetch(channel, channel.size(), length - channel.size(), 0);
        }
    }

    private void verify(Optional<String> manifest) throws IOException, SourceException, InterruptedException {
        try {
            String found = BundleFile.open(part).id();
            if (manifest.isPresent() && !found.equals(manifest.get())) {
                throw new SourceException(
                        Reason.VERIFICATION_FAILED,
                        target.name() + ": expected a manifest with the SHA-256 " + manifest.get() + ", found "
                                + found);
            }
            proof.check(part);
        } catch (SourceException e) {
            discard();
            boolean isOfTransfer = e.reason() == Reason.BAD_BUNDLE || e.reason() == Reason.DAMAGED;
            // A bit that was changed on the way looks like a bundle that was never right.
            throw isOfTransfer ? new SourceException(Reason.VERIFICATION_FAILED, e.getMessage()) : e;
        } catch (IOException e) {
            discard();
            throw new SourceException(Reason.VERIFICATION_FAILED, target.name() + ": " + e.getMessage());
        }
    }

    // ---- frames ----

    /** Fetches frames until none is lacking; returns false if it cannot be said which are. */
    private boolean frames(FileChannel channel)
            throws Original.OnlyWholeException, IOException, SourceException, InterruptedException {
        long before = Long.MAX_VALUE;
        for (int round = 0; round < MAX_ROUNDS; round++) {
            Optional<List<Span>> lacking = lacking();
            if (lacking.isEmpty() || !lacking.get().stream().allMatch(span -> span.end() <= target.bytes())) {
                return false;
            }
            long left = lacking.get().stream().mapToLong(Span::length).sum();
            progress.pulled(target.bytes() - left);
            progress.needed(left);
            if (left == 0) {
                return true;
            }
            context.log()
                    .info("pull_in_parts:target=" + target.name() + ",bytes=" + left + ",ranges="
                            + lacking.get().size() + ",of=" + target.bytes());
            if (left >= before) {
                break;
            }
            before = left;
            needRoom(left);
            for (Span span : lacking.get()) {
                fetch(channel, span.offset(), span.length(), left);
                left -= span.length();
            }
        }
        discard();
        throw new SourceException(
                Reason.VERIFICATION_FAILED,
                target.name() + ": expected the frames that its index speaks of, found others, also when they were "
                        + "fetched again");
    }

    private Optional<List<Span>> lacking() throws IOException, SourceException, InterruptedException {
        try {
            return context.needs().of(part);
        } catch (SourceException e) {
            discard();
            throw e;
        }
    }

    /** Fetches a piece to its place; left: how much is lacking before it. */
    private void fetch(FileChannel channel, long offset, long length, long left)
            throws Original.OnlyWholeException, IOException, SourceException, InterruptedException {
        long[] at = {offset};
        try {
            original.fetch(offset, length, (bytes, count) -> {
                if (count > offset + length - at[0]) {
                    throw new IOException("expected " + length + " bytes at " + offset + ", found more");
                }
                ByteBuffer buffer = ByteBuffer.wrap(bytes, 0, count);
                while (buffer.hasRemaining()) {
                    at[0] += channel.write(buffer, at[0]);
                }
                progress.fetched(count);
                progress.pulled(left == 0 ? at[0] : target.bytes() - left + at[0] - offset);
                unsynced += count;
                if (unsynced >= SYNC_EVERY) {
                    channel.force(false);
                    unsynced = 0;
                }
            });
        } catch (SourceException e) {
            // What came before a break counts as well.
            channel.force(false);
            throw e;
        }
        if (at[0] != offset + length) {
            throw new IOException("expected " + length + " bytes at " + offset + ", found " + (at[0] - offset));
        }
    }

    private void needRoom(long bytes) throws IOException, SourceException {
        Optional<String> problem = FreeRoom.problem(folder, bytes);
        if (problem.isPresent()) {
            throw new SourceException(Reason.NO_SPACE, problem.get());
        }
    }
}
