// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Asks BitBake for {@code TMPDIR}, where the image recipe looks for the record. */
final class BitBake {

    private static final Pattern ASSIGNMENT = Pattern.compile("TMPDIR=\"((?:[^\"\\\\]|\\\\.)*)\"");
    private static final String ADVICE =
            "; source oe-init-build-env first, or say where with --tmpdir DIR, --record FILE or -s for the current directory";

    private final ProcessContext context;
    private final Duration patience;

    BitBake(ProcessContext context, Duration patience) {
        this.context = context;
        this.patience = patience;
    }

    Path tmpdir() throws OtaException {
        Path program = onPath().orElseThrow(
                        () -> new OtaException(ExitStatus.LOCAL, "bitbake: there is no such program on PATH" + ADVICE));
        ProcessBuilder builder = new ProcessBuilder(program.toString(), "-e")
                .directory(context.folder().toFile())
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
        builder.environment().clear();
        builder.environment().putAll(context.environment());
        // bitbake -e and its server have no use for them.
        builder.environment().remove(Conf.PASSWORD_VARIABLE);
        builder.environment().remove(Conf.AUTH_VARIABLE);
        try {
            return run(builder);
        } catch (IOException e) {
            throw new OtaException(ExitStatus.LOCAL, "bitbake -e: cannot be run" + ADVICE);
        }
    }

    private Optional<Path> onPath() {
        for (String folder : context.environment().getOrDefault("PATH", "").split(":")) {
            Path candidate = context.folder().resolve(folder).resolve("bitbake");
            if (!folder.isEmpty() && Files.isRegularFile(candidate) && Files.isExecutable(candidate)) {
                return Optional.of(candidate);
            }
        }
        return Optional.empty();
    }

    private Path run(ProcessBuilder builder) throws IOException, OtaException {
        Process process = builder.start();
        AtomicBoolean late = new AtomicBoolean();
        ScheduledExecutorService watch = Executors.newSingleThreadScheduledExecutor(task -> {
            Thread thread = new Thread(task, "bitbake-watch");
            thread.setDaemon(true);
            return thread;
        });
        try (BufferedReader lines =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            watch.schedule(
                    () -> {
                        late.set(true);
                        process.descendants().forEach(ProcessHandle::destroyForcibly);
                        process.destroyForcibly();
                    },
                    patience.toMillis(),
                    TimeUnit.MILLISECONDS);
            Set<String> found = search(lines);
            int exit = process.waitFor();
            if (late.get()) {
                throw new OtaException(
                        ExitStatus.LOCAL, "bitbake -e: no end after " + patience.toSeconds() + " s" + ADVICE);
            }
            if (exit != 0) {
                throw new OtaException(ExitStatus.LOCAL, "bitbake -e: failed with exit status " + exit + ADVICE);
            }
            if (found.size() != 1) {
                throw new OtaException(
                        ExitStatus.LOCAL,
                        "bitbake -e: expected one TMPDIR, found " + (found.isEmpty() ? "none" : found) + ADVICE);
            }
            return context.folder().resolve(found.iterator().next());
        } catch (IOException e) {
            if (late.get()) {
                throw new OtaException(
                        ExitStatus.LOCAL, "bitbake -e: no end after " + patience.toSeconds() + " s" + ADVICE);
            }
            throw e;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new OtaException(ExitStatus.LOCAL, "bitbake -e: interrupted");
        } finally {
            watch.shutdownNow();
            process.destroyForcibly();
        }
    }

    /**
     * The values of lines that are exactly an assignment of TMPDIR. BitBake writes a comment before each variable; a line in
     * the middle of a shell function only looks like an assignment, so those after a comment win.
     */
    private static Set<String> search(BufferedReader lines) throws IOException {
        Set<String> afterComment = new LinkedHashSet<>();
        Set<String> all = new LinkedHashSet<>();
        boolean comment = false;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Matcher assignment = ASSIGNMENT.matcher(line);
            if (assignment.matches()) {
                String value = assignment.group(1).replaceAll("\\\\(.)", "$1");
                all.add(value);
                if (comment) {
                    afterComment.add(value);
                }
            }
            comment = line.startsWith("#");
        }
        return afterComment.isEmpty() ? all : afterComment;
    }
}
