// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.ProgressLine;
import org.metaotamgr.device.SysupgradeExit;
import org.metaotamgr.device.Timeouts;

/** Writes updates into the inactive slot, with the device's own program for it, {@code sysupgrade}. */
public final class Installer {
    private static final Map<String, String> ENVIRONMENT = Map.of("SYSUPGRADE_PROGRESS", "/dev/stdout");

    /** As the kernel's SIGKILL: it took too long. */
    private static final int KILLED = 128 + 9;

    private final List<String> command;
    private final Programs programs;
    private final EventLog log;

    /**
     * How an install ended.
     *
     * @param exitStatus the exit status of sysupgrade, or -1 if it could not be started
     * @param reason why it failed, in one line, else empty
     */
    public record Outcome(int exitStatus, String reason) {
        /**
         * Whether the update is written and armed.
         *
         * @return whether it is
         */
        public boolean isArmed() {
            return exitStatus == SysupgradeExit.ARMED.status();
        }
    }

    /**
     * Makes one.
     *
     * @param command the program, usually {@code /sbin/sysupgrade}
     * @param programs runs it
     * @param log where to tell about it
     */
    public Installer(List<String> command, Programs programs, EventLog log) {
        this.command = List.copyOf(command);
        this.programs = programs;
        this.log = log;
    }

    /**
     * Which bytes of a bundle are still to be fetched, as {@code sysupgrade --needs} says.
     *
     * @param bundle a bundle of format 2 that is fetched in parts
     * @return the pieces; empty if sysupgrade cannot say it, or not now
     * @throws SourceException if the bundle is nothing for this device
     * @throws InterruptedException if the thread was interrupted
     */
    public Optional<List<Needs.Span>> needs(Path bundle) throws SourceException, InterruptedException {
        List<String> full = new ArrayList<>(command);
        full.addAll(List.of("--needs", "-q", bundle.toString()));
        Asked asked = new Asked();
        Programs.Outcome outcome = programs.run(full, Map.of(), Timeouts.SYSUPGRADE, asked);
        return outcome.isSuccess() ? asked.spans(bundle) : asked.refused(bundle, outcome);
    }

    /** What {@code sysupgrade --needs} says; it comes on two threads. */
    private final class Asked implements Programs.Output {
        private static final Pattern RANGE = Pattern.compile("range=([0-9]{1,15}) ([1-9][0-9]{0,14})");
        private static final int MAX_RANGES = 4096;

        private final List<Needs.Span> spans = new ArrayList<>();
        private String complaint = "";
        private boolean isWrong;

        @Override
        public synchronized void stdout(String line) {
            Matcher range = RANGE.matcher(line);
            if (range.matches()) {
                Needs.Span span = new Needs.Span(Long.parseLong(range.group(1)), Long.parseLong(range.group(2)));
                isWrong |= spans.size() == MAX_RANGES
                        || !spans.isEmpty() && spans.get(spans.size() - 1).end() >= span.offset();
                if (!isWrong) {
                    spans.add(span);
                }
            } else {
                isWrong |= line.startsWith("range=");
            }
        }

        @Override
        public synchronized void stderr(String line) {
            complaint = Printable.of(line);
        }

        synchronized Optional<List<Needs.Span>> spans(Path bundle) {
            if (isWrong) {
                log.warning("needs:file=" + bundle + ",error=expected ascending ranges, found others");
                return Optional.empty();
            }
            return Optional.of(List.copyOf(spans));
        }

        synchronized Optional<List<Needs.Span>> refused(Path bundle, Programs.Outcome outcome) throws SourceException {
            log.info("needs:file=" + bundle + "," + outcome + ",reason=" + complaint);
            Optional<SourceException.Reason> reason = SysupgradeExit.of(outcome.exitStatus())
                    .map(exit -> switch (exit) {
                        case SIGNATURE, IMAGE_UNKNOWN, TOO_LARGE -> SourceException.Reason.BAD_BUNDLE;
                        case IMAGE_CORRUPT -> SourceException.Reason.DAMAGED;
                        case WRONG_BOARD, NO_KEY, NO_TARGET -> SourceException.Reason.FOREIGN;
                        case TOO_OLD -> SourceException.Reason.DOWNGRADE;
                            // An older sysupgrade, a trial, or another one that runs.
                        default -> null;
                    });
            if (reason.isPresent()) {
                throw new SourceException(reason.get(), complaint);
            }
            return Optional.empty();
        }
    }

    /**
     * Writes a bundle while it is fetched, and arms it, as {@link #install} does. If the thread is interrupted, sysupgrade sees the end of
     * what it is fed, and ends.
     *
     * @param beginning what comes before the frames, in a file of the bundle's length
     * @param header its header, if it came with one
     * @param txn its id
     * @param progress receives the progress
     * @param feed gives it the frames
     * @return how it ended
     * @throws InterruptedException if the thread was interrupted
     */
    Outcome stream(Path beginning, Optional<Path> header, String txn, Consumer<ProgressLine> progress, StreamFeed feed)
            throws InterruptedException {
        List<String> full = new ArrayList<>(command);
        full.add("--stream");
        full.addAll(arguments(beginning, header, txn));
        Told told = new Told(txn, progress, feed);
        return told.outcome(programs.runFed(full, ENVIRONMENT, Timeouts.SYSUPGRADE, told, feed));
    }

    private static List<String> arguments(Path file, Optional<Path> header, String txn) {
        List<String> arguments = new ArrayList<>(List.of("--no-reboot", "--txn", txn));
        header.ifPresent(path -> arguments.addAll(List.of("--header", path.toString())));
        arguments.add(file.toString());
        return arguments;
    }

    /** What a sysupgrade that writes says. */
    private final class Told implements Programs.Output {
        private final String txn;
        private final Consumer<ProgressLine> progress;
        private final Optional<StreamFeed> feed;
        private final AtomicReference<String> reason = new AtomicReference<>("");

        Told(String txn, Consumer<ProgressLine> progress) {
            this(txn, progress, Optional.empty());
        }

        Told(String txn, Consumer<ProgressLine> progress, StreamFeed feed) {
            this(txn, progress, Optional.of(feed));
        }

        private Told(String txn, Consumer<ProgressLine> progress, Optional<StreamFeed> feed) {
            this.txn = txn;
            this.progress = progress;
            this.feed = feed;
        }

        @Override
        public void started(long pid) {
            log.info("ota_upgrade_started:txn=" + txn + ",pid=" + pid);
        }

        @Override
        public void stdout(String line) {
            ProgressLine parsed = ProgressLine.parse(line).orElse(null);
            if (parsed == null) {
                log.info(Programs.messageOf("sysupgrade", line));
            } else if (parsed.isFailure()) {
                reason.set(parsed.message());
            } else if (feed.isEmpty() || !feed.get().asks(parsed)) {
                log.info("ota_progress:phase=" + parsed.phase() + ",percent=" + parsed.number());
                progress.accept(parsed);
            }
        }

        @Override
        public void stderr(String line) {
            log.info(Programs.messageOf("sysupgrade", line));
        }

        @Override
        public void ended() {
            feed.ifPresent(StreamFeed::ended);
        }

        Outcome outcome(Programs.Outcome outcome) {
            if (outcome.isSuccess()) {
                return new Outcome(0, "");
            }
            String why = !reason.get().isEmpty()
                    ? reason.get()
                    : !outcome.problem().isEmpty()
                            ? "sysupgrade " + outcome.problem()
                            : SysupgradeExit.meaning(outcome.exitStatus());
            boolean isKilled = outcome.exitStatus() < 0 && !outcome.problem().startsWith("cannot be started");
            return new Outcome(isKilled ? KILLED : outcome.exitStatus(), why);
        }
    }

    /**
     * Writes an update and arms it. The device does not reboot. If the thread is interrupted, sysupgrade goes on: it is safe
     * to kill at any time, but what it has written would be lost, and the next agent finds what it armed.
     *
     * @param file the update
     * @param header its header, if it came with one
     * @param txn its id: at most 40 letters, digits and {@code . _ -}
     * @param progress receives the progress
     * @return how it ended
     * @throws InterruptedException if the thread was interrupted
     */
    public Outcome install(Path file, Optional<Path> header, String txn, Consumer<ProgressLine> progress)
            throws InterruptedException {
        List<String> full = new ArrayList<>(command);
        full.addAll(arguments(file, header, txn));
        Told told = new Told(txn, progress);
        return told.outcome(
                programs.run(full, ENVIRONMENT, Timeouts.SYSUPGRADE, told, () -> false, Programs.Orphan.LEFT_ALONE));
    }
}
