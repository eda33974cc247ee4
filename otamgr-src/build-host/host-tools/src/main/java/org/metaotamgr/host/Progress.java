// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.time.Clock;
import java.util.Locale;

/** One line on a terminal that says how far something is, how fast it goes and how long it will take; silent elsewhere. */
final class Progress {

    private static final long BETWEEN_UPDATES_MS = 200;
    private static final int BAR = 16;

    private final ProcessContext context;
    private final boolean shown;
    private final String what;
    private final Unit unit;
    private final Clock clock;
    private final long started;
    private long lastShown = Long.MIN_VALUE;
    private int lastLength;

    /** What is counted. */
    enum Unit {
        BYTES,
        DEVICES
    }

    Progress(ProcessContext context, boolean shown, String what, Unit unit) {
        this.context = context;
        this.shown = shown;
        this.what = Output.plain(what).replace('\n', ' ');
        this.unit = unit;
        this.clock = context.clock();
        this.started = clock.millis();
    }

    synchronized void update(long done, long total) {
        long now = clock.millis();
        if (shown && (now - lastShown >= BETWEEN_UPDATES_MS || lastShown == Long.MIN_VALUE || done == total)) {
            lastShown = now;
            show(text(done, total, now - started, context.columns() - 1));
        }
    }

    private void show(String text) {
        context.err().print("\r" + text + " ".repeat(Math.max(0, lastLength - text.length())));
        context.err().flush();
        lastLength = text.length();
    }

    /** Leaves the last state on the screen and goes to the next line. */
    synchronized void end() {
        if (shown && lastLength > 0) {
            context.err().println();
            lastLength = 0;
        }
    }

    String text(long done, long total, long elapsedMs, int width) {
        double part = total == 0 ? 1 : (double) done / total;
        int filled = (int) (part * BAR);
        String bar = " [" + "#".repeat(filled) + ".".repeat(BAR - filled) + "]";
        double rate = elapsedMs == 0 ? 0 : done * 1000.0 / elapsedMs;
        String eta = done == total
                ? "in " + duration(elapsedMs / 1000)
                : rate == 0 ? "ETA -:--" : "ETA " + duration(Math.round((total - done) / rate));
        String numbers = String.format(
                Locale.ROOT,
                "%3d %%  %s  %s/s  %s",
                (int) (part * 100),
                unit == Unit.BYTES ? size(done) + " of " + size(total) : done + " of " + total,
                unit == Unit.BYTES ? size((long) rate) : String.format(Locale.ROOT, "%.0f", rate),
                eta);
        // On a narrow terminal the numbers say more than the bar.
        String text = what + (what.length() + bar.length() + 1 + numbers.length() <= width ? bar : "") + " " + numbers;
        return text.length() <= width ? text : numbers.substring(0, Math.min(numbers.length(), Math.max(0, width)));
    }

    static String size(long bytes) {
        if (bytes < 1000) {
            return bytes + " B";
        }
        double value = bytes;
        int step = 0;
        while (value >= 999.5 && step < 4) {
            value /= 1000;
            step++;
        }
        return String.format(
                Locale.ROOT,
                value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s",
                value,
                new String[] {"B", "kB", "MB", "GB", "TB"}[step]);
    }

    static String duration(long seconds) {
        long hours = seconds / 3600;
        return hours > 0
                ? String.format("%d:%02d:%02d", hours, seconds / 60 % 60, seconds % 60)
                : String.format("%d:%02d", seconds / 60, seconds % 60);
    }
}
