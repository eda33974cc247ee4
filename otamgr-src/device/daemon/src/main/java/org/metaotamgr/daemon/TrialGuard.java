// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;

/** What otamgr has to know about {@code ota-trial-guard}, which ends trials that otamgr does not. */
final class TrialGuard {
    static final Path CONFIGURATION = Path.of("/etc/otamgr/trial.conf");
    /** What the guard uses if nothing, or no such number, is configured. */
    static final Duration DEFAULT_DEADLINE = Duration.ofSeconds(300);

    private static final int MAX_DEADLINE_SECONDS = 86400;
    private static final Pattern LINE =
            Pattern.compile("^[ \\t]*COMMIT_DEADLINE=([\"']?)([1-9][0-9]{0,8})\\1[ \\t]*$", Pattern.MULTILINE);

    private TrialGuard() {}

    /** The time since power-on at which the guard reboots. */
    static Duration deadline(Path configuration) throws IOException {
        String text;
        try {
            text = Files.readString(configuration, StandardCharsets.ISO_8859_1);
        } catch (NoSuchFileException e) {
            return DEFAULT_DEADLINE;
        }
        Duration deadline = DEFAULT_DEADLINE;
        for (Matcher line = LINE.matcher(text); line.find(); ) {
            int seconds = Integer.parseInt(line.group(2));
            deadline = seconds > MAX_DEADLINE_SECONDS ? DEFAULT_DEADLINE : Duration.ofSeconds(seconds);
        }
        return deadline;
    }

    /** Warns if the guard reboots before otamgr can tell what was missing. */
    static void warnIfEarlier(Path configuration, Duration own, EventLog log) {
        try {
            Duration guard = deadline(configuration);
            if (own.compareTo(guard) >= 0) {
                log.warning("health_deadline:expected that commit.deadlineSeconds is less than COMMIT_DEADLINE of "
                        + configuration + ", found " + own.toSeconds() + " and " + guard.toSeconds()
                        + ",meaning=the trial guard reboots before otamgr can name the health check that fails");
            }
        } catch (IOException e) {
            log.warning("health_deadline:file=" + configuration + ",error=" + Printable.of(e.toString()));
        }
    }
}
