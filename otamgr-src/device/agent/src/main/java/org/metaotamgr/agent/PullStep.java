// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.metaotamgr.agent.Callbacks.Message;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FreeRoom;
import org.metaotamgr.device.Printable;

/** Brings a target to the device, completely and verified. */
final class PullStep {
    private static final long REPORT_NANOS = TimeUnit.SECONDS.toNanos(5);
    /** What the file system needs beside the update. */
    /** How often a pull may bring something else than the update before its source hears that it failed: some two hours. */
    private static final int MAX_TRIES = 8;

    private final UpdateSource source;
    private final AgentStore store;
    private final Fetching fetching;
    private final Callbacks callbacks;
    private final Reports reports;
    private final EventLog log;
    private final LongSupplier nanoTime;

    PullStep(
            UpdateSource source,
            AgentStore store,
            Fetching fetching,
            Callbacks callbacks,
            Reports reports,
            EventLog log,
            LongSupplier nanoTime) {
        this.source = source;
        this.store = store;
        this.fetching = fetching;
        this.callbacks = callbacks;
        this.reports = reports;
        this.log = log;
        this.nanoTime = nanoTime;
    }

    Result run(Target target, PullProgress progress) throws InterruptedException {
        if (store.fileOf(target).isPresent()) {
            return new Result(ExitCode.OK, target.name() + " was pulled already");
        }
        if (source.isPushing()) {
            return handOver(target, progress);
        }
        if (!callbacks.call(Message.DOWNLOAD_PRE, Optional.of(target.name()), Optional.empty())) {
            return Result.putOff();
        }
        Result result;
        Counter counter = new Counter(target, progress);
        try {
            store.keepOnly(target);
            Path folder = store.folderFor(target);
            if (!source.looksForRoom()) {
                needRoom(target, folder);
            }
            reportBegin(target, folder, counter);
            PullProgress limited = limited(counter);
            Path file = brought(target, folder, limited);
            store.pulled(target, file);
            result = new Result(
                    ExitCode.OK,
                    target.name()
                            + (isStreamed(file)
                                    ? " is ready; its frames are fetched while it is installed"
                                    : " is pulled")
                            + (counter.fetched > 0 && counter.fetched < target.bytes()
                                    ? "; " + counter.fetched + " of its " + target.bytes() + " bytes were fetched"
                                    : ""));
            log.info("pulled:target=" + target.name() + ",bytes=" + target.bytes() + ",fetched=" + counter.fetched);
        } catch (SourceException e) {
            result = Result.of(e);
        } catch (IOException e) {
            result = new Result(ExitCode.DOWNLOAD_FAILED, store.folder() + ": " + Printable.of(e.toString()));
        }
        boolean isPulled = result.code() == ExitCode.OK;
        if (!isPulled) {
            log.warning("pull_failed:target=" + target.name() + ",code="
                    + result.code().status() + ",error=" + result.message());
        }
        callbacks.call(
                Message.DOWNLOAD_POST,
                Optional.of(target.name()),
                Optional.of(
                        isPulled
                                ? new Callbacks.Result.Pulled(counter.fetched)
                                : new Callbacks.Result.Failed(result.message())));
        if (isPulled) {
            reports.report(target, new UpdateEvent.Pulled());
        } else if (result.code() == ExitCode.CANCELLED) {
            store.remove(target);
            reports.report(target, new UpdateEvent.Cancelled());
        } else if (isOver(target, result)) {
            reports.report(target, new UpdateEvent.Failed(result.message()));
        }
        return result;
    }

    /**
     * How much of what is pulled in parts is there is known a moment later; until then it is not reported to a server
     * that it begins anew.
     */
    private void reportBegin(Target target, Path folder, Counter counter) throws SourceException, InterruptedException {
        if (Files.exists(folder.resolve(AgentStore.PARTS))) {
            counter.reportNext();
            return;
        }
        reports.report(
                target,
                new UpdateEvent.Pulling(Math.min(source.there(target, folder), target.bytes()), target.bytes()));
    }

    /** Whether a target's file lacks the frames, which are fetched when it is installed. */
    static boolean isStreamed(Path file) {
        return file.getFileName().toString().equals(AgentStore.STREAM);
    }

    /** Pulled, or what is needed for streaming it. */
    private Path brought(Target target, Path folder, PullProgress progress)
            throws SourceException, InterruptedException {
        Fetching.Streaming streaming = store.mayStream(target) ? fetching.streaming() : Fetching.Streaming.NEVER;
        if (streaming == Fetching.Streaming.ALWAYS) {
            Optional<Path> beginning = source.beginning(target, folder, progress);
            if (beginning.isPresent()) {
                return beginning.get();
            }
        }
        try {
            return source.pull(target, folder, progress);
        } catch (SourceException e) {
            if (e.reason() != SourceException.Reason.NO_SPACE || streaming != Fetching.Streaming.WITHOUT_ROOM) {
                throw e;
            }
            log.info("pull_without_room:target=" + target.name() + ",reason=" + e.getMessage());
            return source.beginning(target, folder, progress).orElseThrow(() -> e);
        }
    }

    /** What was pushed lies on the device already, and stays where it is. */
    private Result handOver(Target target, PullProgress progress) throws InterruptedException {
        Result result;
        try {
            source.pull(target, store.folder(), progress);
            result = new Result(ExitCode.OK, target.name() + " is pulled");
        } catch (SourceException e) {
            result = Result.of(e);
        }
        callbacks.call(
                Message.DOWNLOAD_POST,
                Optional.of(target.name()),
                Optional.of(
                        result.code() == ExitCode.OK
                                ? new Callbacks.Result.Ok()
                                : new Callbacks.Result.Failed(result.message())));
        return result;
    }

    /** The file of a target that was pulled, or pushed. */
    Optional<Path> fileOf(Target target) throws InterruptedException {
        if (!source.isPushing()) {
            return store.fileOf(target);
        }
        try {
            return Optional.of(source.pull(target, store.folder(), bytes -> {}));
        } catch (SourceException e) {
            log.warning("pull_failed:target=" + target.name() + ",error=" + e.getMessage());
            return Optional.empty();
        }
    }

    private PullProgress limited(PullProgress progress) {
        return source.isRemote() ? fetching.limited(progress) : progress;
    }

    /** The frames of a target of which only the beginning was pulled, as sysupgrade asks for them. */
    StreamFeed frames(Target target, PullProgress progress) throws SourceException {
        return new StreamFeed(source.original(target), source.watched(target, limited(progress)));
    }

    void remove(Target target) {
        store.remove(target);
    }

    /** More of it is needed than was pulled. */
    void lacks(Target target) {
        kept(target, () -> store.lacks(target));
    }

    /** It has to be pulled whole. */
    void cannotStream(Target target) {
        kept(target, () -> store.cannotStream(target));
    }

    private interface Change {
        void make() throws IOException;
    }

    /** What cannot be noted of a target is made up for by pulling all of it again. */
    private void kept(Target target, Change change) {
        try {
            change.make();
        } catch (IOException e) {
            log.warning("agent_updates:target=" + target.name() + ",error=" + Printable.of(e.toString()));
            store.remove(target);
        }
    }

    /** Whether a pull that failed is not worth another try. */
    boolean isOver(Target target, Result failed) {
        if (failed.problem().isEmpty()) {
            return true;
        }
        SourceException.Reason reason = failed.problem().get().reason();
        if (!reason.isCounted()) {
            return !reason.isTransient();
        }
        int tries = store.failedAgain(target);
        log.info("pull_again:target=" + target.name() + ",tries=" + tries + ",most=" + MAX_TRIES + ",reason=" + reason);
        if (tries < MAX_TRIES) {
            return false;
        }
        // Should it be offered once more, it gets as many tries.
        store.forgetTries(target);
        return true;
    }

    private static void needRoom(Target target, Path folder) throws IOException, SourceException {
        long there = 0;
        try (var parts = Files.newDirectoryStream(folder)) {
            for (Path part : parts) {
                there += Files.size(part);
            }
        }
        Optional<String> problem = FreeRoom.problem(folder, target.bytes() - there);
        if (problem.isPresent()) {
            throw new SourceException(SourceException.Reason.NO_SPACE, target.name() + ": " + problem.get());
        }
    }

    /** Passes on how far a pull is, tells the source's server now and then, and counts what was fetched. */
    private final class Counter extends PullProgressWrapper {
        private final Target target;
        private long reported = nanoTime.getAsLong();
        private long fetched;

        Counter(Target target, PullProgress progress) {
            super(progress);
            this.target = target;
        }

        void reportNext() {
            reported -= REPORT_NANOS;
        }

        @Override
        public void pulled(long bytes) throws SourceException {
            super.pulled(bytes);
            if (nanoTime.getAsLong() - reported >= REPORT_NANOS) {
                reported = nanoTime.getAsLong();
                reportWhilePulling(target, bytes);
            }
        }

        @Override
        public void fetched(long bytes) {
            fetched += bytes;
            super.fetched(bytes);
        }
    }

    /** In the middle of a pull the source speaks to its server by itself, and a failed word is not worth a pull. */
    private void reportWhilePulling(Target target, long bytes) throws SourceException {
        try {
            reports.report(target, new UpdateEvent.Pulling(bytes, target.bytes()));
        } catch (InterruptedException e) {
            // The source notices at its next step.
            Thread.currentThread().interrupt();
        }
    }
}
