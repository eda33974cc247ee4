// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.metaotamgr.device.ConfigException;

/**
 * When and how a source is asked by itself.
 *
 * @param automatic what the daemon does without a command
 * @param interval the time from one check to the next
 * @param jitterPercent by how much a wait after a failure is shortened or lengthened at random, 0 to 50. Unless it is 0, checks
 *     are at a place in each interval that the device draws when it starts, so that a fleet that was switched on together
 *     does not ask together
 * @param firstBackoff the wait after the first failure, doubled with each one
 * @param longestBackoff the longest such wait
 * @param windows when updates may be installed; empty for always
 * @param windowForPull whether they may only be pulled then, too
 * @param meteredInterfaces begins of the names of network interfaces whose traffic costs money, such as {@code wwan}
 * @param meteredBytes the largest update that is pulled over such an interface
 */
public record Polling(
        Automatic automatic,
        Duration interval,
        int jitterPercent,
        Duration firstBackoff,
        Duration longestBackoff,
        List<Window> windows,
        boolean windowForPull,
        List<String> meteredInterfaces,
        long meteredBytes) {
    private static final Set<String> KEYS = Set.of(
            "automatic",
            "intervalSeconds",
            "jitterPercent",
            "backoffSeconds",
            "longestBackoffSeconds",
            "windows",
            "windowForPull",
            "meteredInterfaces",
            "meteredMegabytes",
            Fetching.STREAMING,
            Fetching.LIMIT);
    private static final int LEAST_SECONDS = 5;
    private static final int MOST_SECONDS = 30 * 86400;
    private static final int MAX_JITTER_PERCENT = 50;
    private static final int MAX_MEGABYTES = 1 << 20;

    /** How far the daemon goes without a command. */
    public enum Automatic {
        /** Nothing happens without a command. */
        OFF,
        /** The source is asked. */
        CHECK,
        /** What it offers is pulled. */
        PULL,
        /** What was pulled is installed, and the device reboots. */
        INSTALL;

        private static Automatic of(ConfigObject polling) throws ConfigException {
            String word = polling.string("automatic", "install");
            return switch (word) {
                case "off" -> OFF;
                case "check" -> CHECK;
                case "pull" -> PULL;
                case "install" -> INSTALL;
                default -> throw polling.wrong("automatic", "off, check, pull or install", polling.get("automatic"));
            };
        }
    }

    /** Copies the lists. */
    public Polling {
        windows = List.copyOf(windows);
        meteredInterfaces = List.copyOf(meteredInterfaces);
    }

    static Polling of(ConfigObject polling) throws ConfigException {
        polling.warnAboutOthersThan(KEYS);
        List<Window> windows = new ArrayList<>();
        List<String> texts = polling.strings("windows", List.of());
        for (String text : texts) {
            windows.add(Window.parse(text)
                    .orElseThrow(() -> polling.wrong(
                            "windows",
                            "windows such as \"02:00-04:00\" or \"sat,sun 00:00-24:00\"",
                            polling.get("windows"))));
        }
        return new Polling(
                Automatic.of(polling),
                polling.seconds("intervalSeconds", LEAST_SECONDS, MOST_SECONDS, Duration.ofSeconds(300)),
                polling.number("jitterPercent", "percentage", 0, MAX_JITTER_PERCENT, 10),
                polling.seconds("backoffSeconds", 1, MOST_SECONDS, Duration.ofSeconds(30)),
                polling.seconds("longestBackoffSeconds", 1, MOST_SECONDS, Duration.ofHours(1)),
                windows,
                polling.flag("windowForPull", false),
                polling.strings("meteredInterfaces", List.of()),
                polling.number("meteredMegabytes", "number of megabytes", 0, MAX_MEGABYTES, 0) * 1_000_000L);
    }
}
