// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.ProgressLine;

/**
 * Reports to the product's callback each step of an update, with the messages and variables of aktualizr-lite, so that
 * a handler written for it works unchanged. No shell is involved: values reach the handler as they are. One handler runs
 * at a time.
 *
 * <p>Whatever the handler does, the update goes on: a handler that cannot be started, fails, crashes or takes too long is
 * logged, and killed in the last case together with what it started. Only if the configuration names an exit status for
 * it, a handler can put an update off.
 *
 * @see <a href="https://docs.foundries.io/latest/reference-manual/ota/aktualizr-lite.html">aktualizr-lite</a>
 */
public final class Callbacks {
    /** Lines of output that are logged for each call. */
    static final int MAX_LINES = 20;

    /** What is reported to the handler, in the order of a good update. */
    public enum Message {
        /** Before the source is asked. */
        CHECK_FOR_UPDATE_PRE("check-for-update-pre"),
        /** After the source was asked. */
        CHECK_FOR_UPDATE_POST("check-for-update-post"),
        /** Before a target is pulled. */
        DOWNLOAD_PRE("download-pre"),
        /** After the pull. */
        DOWNLOAD_POST("download-post"),
        /** Before a target is written into the inactive slot. */
        INSTALL_PRE("install-pre"),
        /** After that; and again after the reboot, when it is known whether the new system is kept. */
        INSTALL_POST("install-post"),
        /** After the reboot, before the update is finalised. */
        INSTALL_FINAL_PRE("install-final-pre");

        private final String text;

        Message(String text) {
            this.text = text;
        }

        /**
         * The text in the variable MESSAGE.
         *
         * @return the text
         */
        public String text() {
            return text;
        }

        /** Whether a handler may put off what comes after this message. */
        boolean canBePutOff() {
            return switch (this) {
                case CHECK_FOR_UPDATE_PRE, DOWNLOAD_PRE, INSTALL_PRE -> true;
                case CHECK_FOR_UPDATE_POST, DOWNLOAD_POST, INSTALL_POST, INSTALL_FINAL_PRE -> false;
            };
        }
    }

    /** How a step ended. */
    public sealed interface Result {
        /** It went well. */
        record Ok() implements Result {}

        /**
         * A pull went well.
         *
         * @param fetched how many bytes were fetched for it
         */
        record Pulled(long fetched) implements Result {}

        /** It went well, and a reboot has to complete it. */
        record NeedsCompletion() implements Result {}

        /**
         * It failed.
         *
         * @param reason why
         */
        record Failed(String reason) implements Result {}
    }

    /**
     * The configuration.
     *
     * @param program the handler and arguments for it; empty for none
     * @param timeout how long one call may take
     * @param vetoExitStatus the exit status with which a handler puts off what was reported to it; empty if it cannot
     * @param vetoWait how long an update that was put off waits
     * @param reasons whether RESULT is {@code FAILED: reason}, as aktualizr-lite's documentation says, or {@code FAILED}
     *     alone after downloads and installs, as its code says
     */
    public record Config(
            List<String> program, Duration timeout, OptionalInt vetoExitStatus, Duration vetoWait, boolean reasons) {
        /** Copies the list. */
        public Config {
            program = List.copyOf(program);
        }

        /**
         * No handler.
         *
         * @return what an absent configuration means
         */
        public static Config none() {
            return new Config(List.of(), Duration.ofSeconds(60), OptionalInt.empty(), Duration.ofMinutes(10), true);
        }
    }

    /** What whoever watches sees. */
    public sealed interface Event {
        /**
         * The handler is called with this, if there is one.
         *
         * @param message what happens
         * @param target the name of the target that it is about, if it is known
         * @param result how it went, for messages that tell about an end
         */
        record Step(Message message, Optional<String> target, Optional<Result> result) implements Event {}

        /**
         * A target is pulled, or the inactive slot is being written.
         *
         * @param target the name of the target
         * @param line how far that is
         */
        record Progress(String target, ProgressLine line) implements Event {}
    }

    /** Sees what happens from now on, until it is closed. Nobody waits for it: what it does not take in time is lost. */
    public final class Watch implements AutoCloseable {
        private final BlockingQueue<Event> waiting = new ArrayBlockingQueue<>(MAX_WAITING);
        private final AtomicInteger lost = new AtomicInteger();

        /**
         * Waits for what happens next.
         *
         * @param patience how long
         * @return what happened; empty if nothing did
         * @throws InterruptedException if the thread was interrupted
         */
        public Optional<Event> next(Duration patience) throws InterruptedException {
            return Optional.ofNullable(waiting.poll(patience.toMillis(), TimeUnit.MILLISECONDS));
        }

        /**
         * How many events were lost since this was asked.
         *
         * @return the number
         */
        public int lost() {
            return lost.getAndSet(0);
        }

        private void sees(Event event) {
            if (!waiting.offer(event)) {
                lost.incrementAndGet();
            }
        }

        @Override
        public void close() {
            synchronized (watches) {
                watches.remove(this);
            }
        }
    }

    /** Each keeps one of the connections of the control socket, and commands need some. */
    private static final int MAX_WATCHES = 2;

    private static final int MAX_WAITING = 256;

    private final List<Watch> watches = new ArrayList<>();
    private final Config config;
    private final Programs programs;
    private final Path currentTarget;
    private final Supplier<Optional<String>> currentName;
    private final EventLog log;

    /**
     * Makes callbacks.
     *
     * @param config what to call
     * @param programs runs the handler
     * @param currentTarget the file that describes what is installed, for the variable CURRENT_TARGET
     * @param currentName the name of what is installed, for the variable CURRENT_TARGET_NAME
     * @param log where to tell about it
     */
    public Callbacks(
            Config config,
            Programs programs,
            Path currentTarget,
            Supplier<Optional<String>> currentName,
            EventLog log) {
        this.config = config;
        this.programs = programs;
        this.currentTarget = currentTarget;
        this.currentName = currentName;
        this.log = log;
    }

    /**
     * Whether there is no handler, so that a call does nothing.
     *
     * @return whether there is none
     */
    public boolean isNone() {
        return config.program().isEmpty();
    }

    /**
     * How long an update that a handler put off waits.
     *
     * @return the time
     */
    public Duration vetoWait() {
        return config.vetoWait();
    }

    /**
     * Begins to watch.
     *
     * @return what sees all that happens; empty if as many watch as may
     */
    public Optional<Watch> watch() {
        synchronized (watches) {
            if (watches.size() == MAX_WATCHES) {
                return Optional.empty();
            }
            Watch watch = new Watch();
            watches.add(watch);
            return Optional.of(watch);
        }
    }

    private void happened(Event event) {
        synchronized (watches) {
            watches.forEach(watch -> watch.sees(event));
        }
    }

    /** As another progress, and whoever watches sees each percent of it, too. */
    PullProgress watched(Target target, PullProgress progress) {
        return new PullProgressWrapper(progress) {
            private long percent = -1;

            @Override
            public void pulled(long bytes) throws SourceException {
                long now = bytes * 100 / target.bytes();
                if (now != percent) {
                    percent = now;
                    happened(new Event.Progress(target.name(), new ProgressLine("pull", (int) now, "")));
                }
                super.pulled(bytes);
            }
        };
    }

    /** As another progress, and whoever watches sees it, too. */
    Consumer<ProgressLine> watched(String target, Consumer<ProgressLine> progress) {
        return line -> {
            happened(new Event.Progress(target, line));
            progress.accept(line);
        };
    }

    /**
     * Calls the handler and waits for it.
     *
     * @param message what happens
     * @param target the name of the target that it is about, if it is known
     * @param result how it went, for messages that tell about an end
     * @return whether to go on; false only if the handler may put this off, and did
     * @throws InterruptedException if the thread was interrupted; the handler is killed then
     */
    public synchronized boolean call(Message message, Optional<String> target, Optional<Result> result)
            throws InterruptedException {
        happened(new Event.Step(message, target, result));
        if (isNone()) {
            return true;
        }
        Map<String, String> environment = new HashMap<>();
        environment.put("MESSAGE", message.text());
        environment.put("CURRENT_TARGET", currentTarget.toString());
        currentName.get().ifPresent(name -> environment.put("CURRENT_TARGET_NAME", Printable.of(name)));
        target.ifPresent(name -> environment.put("INSTALL_TARGET_NAME", Printable.of(name)));
        result.ifPresent(how -> environment.put("RESULT", text(message, how)));
        if (result.isPresent() && result.get() instanceof Result.Pulled pulled) {
            environment.put("FETCHED_BYTES", Long.toString(pulled.fetched()));
        }
        log.info("callback:message=" + message.text()
                + target.map(name -> ",target=" + Printable.of(name)).orElse("")
                + result.map(how -> ",result=" + text(message, how)).orElse(""));
        Programs.Outcome outcome = programs.run(config.program(), environment, config.timeout(), new Lines());
        if (message.canBePutOff()
                && config.vetoExitStatus().isPresent()
                && outcome.problem().isEmpty()
                && outcome.exitStatus() == config.vetoExitStatus().getAsInt()) {
            log.info("callback_put_off:message=" + message.text() + ",seconds="
                    + config.vetoWait().toSeconds());
            return false;
        }
        if (!outcome.isSuccess()) {
            log.warning("callback_failed:message=" + message.text() + "," + outcome + ",meaning=the update goes on");
        }
        return true;
    }

    private String text(Message message, Result result) {
        if (result instanceof Result.Ok || result instanceof Result.Pulled) {
            return "OK";
        } else if (result instanceof Result.NeedsCompletion) {
            return "NEEDS_COMPLETION";
        } else if (result instanceof Result.Failed failed) {
            return config.reasons() || message == Message.CHECK_FOR_UPDATE_POST
                    ? "FAILED: " + Printable.of(failed.reason())
                    : "FAILED";
        }
        throw new IllegalArgumentException(result.toString());
    }

    /** Logs what the handler writes, as far as it is bearable. */
    private final class Lines implements Programs.Output {
        private int count;

        @Override
        public void stdout(String line) {
            line(line);
        }

        @Override
        public void stderr(String line) {
            line(line);
        }

        private synchronized void line(String line) {
            count++;
            if (count <= MAX_LINES) {
                log.info("callback: " + Printable.of(line));
            } else if (count == MAX_LINES + 1) {
                log.info("callback: (more lines are not logged)");
            }
        }
    }
}
