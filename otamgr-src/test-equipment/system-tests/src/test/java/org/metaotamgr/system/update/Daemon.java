// SPDX-License-Identifier: MIT
package org.metaotamgr.system.update;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** A daemon in a process of its own, whose log can be waited for. */
final class Daemon implements AutoCloseable {
    private static final int PATIENCE_SECONDS = 60;

    private final Process process;
    private final Thread reader;
    private final List<String> lines = new ArrayList<>();
    private boolean ended;

    Daemon(ProcessBuilder builder) throws IOException {
        process = builder.redirectErrorStream(true).start();
        reader = new Thread(this::read, "daemon-log");
        reader.setDaemon(true);
        reader.start();
    }

    private void read() {
        try (BufferedReader in = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                synchronized (lines) {
                    lines.add(line);
                    lines.notifyAll();
                }
            }
        } catch (IOException e) {
            synchronized (lines) {
                lines.add("the test could not read the log: " + e);
            }
        }
        synchronized (lines) {
            ended = true;
            lines.notifyAll();
        }
    }

    /** Waits until so many lines begin like this. */
    void awaitLog(String prefix, int count) throws InterruptedException {
        await(line -> line.startsWith(prefix), count, prefix);
    }

    /** Waits until a line begins like this. */
    void awaitLog(String prefix) throws InterruptedException {
        awaitLog(prefix, 1);
    }

    private void await(Predicate<String> wanted, int count, String what) throws InterruptedException {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        synchronized (lines) {
            while (lines.stream().filter(wanted).count() < count) {
                long left = TimeUnit.NANOSECONDS.toMillis(until - System.nanoTime());
                if (ended || left <= 0) {
                    throw new AssertionError(
                            "expected " + count + " x \"" + what + "\" in the log, found " + String.join("\n", lines));
                }
                lines.wait(left);
            }
        }
    }

    List<String> log() {
        synchronized (lines) {
            return List.copyOf(lines);
        }
    }

    long count(String prefix) {
        return log().stream().filter(line -> line.startsWith(prefix)).count();
    }

    long pid() {
        return process.pid();
    }

    /** SIGKILL, and waits for the end. */
    void kill() throws InterruptedException {
        process.toHandle().destroyForcibly();
        waitFor();
    }

    /** SIGTERM, and waits for the end. */
    int stop() throws InterruptedException {
        process.toHandle().destroy();
        return waitFor();
    }

    /** Waits for the end, and until all that was said by then is in the log. */
    int waitFor() throws InterruptedException {
        if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
            throw new AssertionError("expected the daemon to end, found it running: " + String.join("\n", log()));
        }
        reader.join(TimeUnit.SECONDS.toMillis(PATIENCE_SECONDS));
        if (reader.isAlive()) {
            throw new AssertionError("expected the end of the daemon's log, found " + String.join("\n", log()));
        }
        return process.exitValue();
    }

    @Override
    public void close() {
        process.toHandle().destroyForcibly();
    }
}
