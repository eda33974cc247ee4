// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.metaotamgr.agent.ConfigFiles;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;

/** Starts the daemon from the command line; see {@code otamgr --help}. */
public final class OtamgrMain {
    private static final Duration LONGEST_START = Duration.ofSeconds(10);
    /** How long the end waits for whoever reads the log. */
    private static final long LAST_LINES_MILLIS = 1000;

    private static final int EXIT_OK = 0;
    private static final int EXIT_INTERNAL = 1;
    private static final int EXIT_USAGE = 2;
    private static final int EXIT_CONFIG = 3;

    private OtamgrMain() {}

    /**
     * Runs the daemon until a signal ends it.
     *
     * @param arguments the command line
     */
    public static void main(String[] arguments) {
        // System.err would write in the character set of the locale, which is ASCII on most devices.
        PrintStream err = new PrintStream(new FileOutputStream(FileDescriptor.err), false, StandardCharsets.UTF_8);
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        Arguments parsed;
        try {
            parsed = Arguments.parse(List.of(arguments));
        } catch (Arguments.UsageException e) {
            err.print("otamgr: " + Printable.of(e.getMessage()) + "\n" + Arguments.USAGE);
            err.flush();
            System.exit(EXIT_USAGE);
            return;
        }
        if (parsed.help() || parsed.version()) {
            out.print(parsed.help() ? Arguments.USAGE : "otamgr " + version() + "\n");
            out.flush();
            return;
        }
        StandardErrorLog log =
                new StandardErrorLog(err, parsed.syslogPrefix() || System.getenv("JOURNAL_STREAM") != null);
        try {
            if (!parsed.command().isEmpty()) {
                exit(OneCommand.run(config(parsed, log), parsed.command(), out, err, log), log);
            }
            run(parsed, log);
        } catch (ConfigException e) {
            log.error("config_error:" + e.getMessage());
            exit(EXIT_CONFIG, log);
        } catch (RuntimeException e) {
            log.error("internal_error:" + Printable.of(e.toString()));
            exit(EXIT_INTERNAL, log);
        }
    }

    private static void exit(int status, StandardErrorLog log) {
        log.flush(LAST_LINES_MILLIS);
        System.exit(status);
    }

    private static void run(Arguments arguments, StandardErrorLog log) throws ConfigException {
        OtamgrConfig config = config(arguments, log);
        log.info("otamgr_start:version=" + version() + ",pid="
                + ProcessHandle.current().pid() + ",socket=" + config.attrdSocket());
        CompletableFuture<Otamgr> started = new CompletableFuture<>();
        // Before the start, which takes its time: a signal may come at any moment. What has begun is ended in order.
        Runtime.getRuntime()
                .addShutdownHook(new Thread(
                        () -> {
                            try {
                                started.get(LONGEST_START.toSeconds(), TimeUnit.SECONDS)
                                        .close();
                            } catch (ExecutionException e) {
                                // This is the end of a start that failed, with a status of its own.
                                return;
                            } catch (TimeoutException | InterruptedException e) {
                                log.warning("otamgr_stop:the daemon did not start within " + LONGEST_START.toSeconds()
                                        + " s");
                            }
                            log.info("otamgr_stop:");
                            log.flush(LAST_LINES_MILLIS);
                            // Otherwise Java reports the signal as status 143, which supervisors take for a failure.
                            Runtime.getRuntime().halt(EXIT_OK);
                        },
                        "otamgr-stop"));
        try {
            started.complete(Otamgr.start(config, log));
        } catch (RuntimeException e) {
            started.completeExceptionally(e);
            throw e;
        }
        waitForEver();
    }

    private static OtamgrConfig config(Arguments arguments, EventLog log) throws ConfigException {
        Consumer<String> warnings = warning -> log.warning("config:" + warning);
        return OtamgrConfig.of(
                arguments.config().isPresent()
                        ? ConfigFiles.read(arguments.config().get(), warnings)
                        : ConfigFiles.readUsual(warnings));
    }

    /** The threads of the daemon do not keep Java running. */
    private static void waitForEver() {
        try {
            new CountDownLatch(1).await();
        } catch (InterruptedException e) {
            throw new IllegalStateException("nobody interrupts the main thread", e);
        }
    }

    private static String version() {
        Properties properties = new Properties();
        try (InputStream in = OtamgrMain.class.getResourceAsStream("version.properties")) {
            properties.load(in);
        } catch (IOException e) {
            throw new IllegalStateException("version.properties is part of the program", e);
        }
        return properties.getProperty("version");
    }
}
