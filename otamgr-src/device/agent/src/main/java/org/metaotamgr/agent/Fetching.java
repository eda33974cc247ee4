// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.metaotamgr.device.ConfigException;

/**
 * How updates come to the device.
 *
 * @param streaming whether their frames go straight into the slot
 * @param bytesPerSecond the most that is fetched in a second from a source that is somewhere else; 0 for no limit
 */
public record Fetching(Streaming streaming, long bytesPerSecond) {
    /** The default: streamed if there is room or not, without a limit. */
    public static final Fetching DEFAULT = new Fetching(Streaming.ALWAYS, 0);

    static final String STREAMING = "streaming";
    static final String LIMIT = "downloadKilobytesPerSecond";
    private static final int MAX_KILOBYTES = 1 << 20;
    private static final long NANOS = TimeUnit.SECONDS.toNanos(1);

    /** Whether frames go straight into the slot when an update is installed, and nothing of them is stored before. */
    public enum Streaming {
        /** Whenever source and bundle allow it. */
        ALWAYS,
        /** When there is no room to store what is needed. */
        WITHOUT_ROOM,
        /** Never. */
        NEVER
    }

    /** Waits. */
    interface Pause {
        void nanos(long nanos) throws InterruptedException;
    }

    /**
     * Reads it. What is pulled to be installed at another time is stored: then there is a window, or installing is up to somebody else.
     *
     * @param polling the object that has the keys
     * @param isLater whether installing comes at another time than pulling
     */
    static Fetching of(ConfigObject polling, boolean isLater) throws ConfigException {
        String word = polling.string(STREAMING, "auto");
        Streaming streaming =
                switch (word) {
                    case "auto" -> isLater ? Streaming.WITHOUT_ROOM : Streaming.ALWAYS;
                    case "always" -> Streaming.ALWAYS;
                    case "never" -> Streaming.NEVER;
                    default -> throw polling.wrong(STREAMING, "auto, always or never", polling.get(STREAMING));
                };
        return new Fetching(
                streaming, polling.number(LIMIT, "number of kilobytes a second", 0, MAX_KILOBYTES, 0) * 1000L);
    }

    /** As another progress, but no faster than the limit. */
    PullProgress limited(PullProgress progress) {
        return limited(progress, System::nanoTime, TimeUnit.NANOSECONDS::sleep);
    }

    PullProgress limited(PullProgress progress, LongSupplier nanoTime, Pause pause) {
        return bytesPerSecond == 0 ? progress : new Limited(progress, nanoTime, pause);
    }

    /** What nobody takes waits with the sender. */
    private final class Limited extends PullProgressWrapper {
        private final LongSupplier nanoTime;
        private final Pause pause;
        /** When the next byte may come. */
        private long due;

        Limited(PullProgress progress, LongSupplier nanoTime, Pause pause) {
            super(progress);
            this.nanoTime = nanoTime;
            this.pause = pause;
            this.due = nanoTime.getAsLong();
        }

        @Override
        public void fetched(long bytes) {
            super.fetched(bytes);
            long now = nanoTime.getAsLong();
            // What was not fetched while nobody wanted anything is not made up for.
            due = Math.max(due, now) + bytes * NANOS / bytesPerSecond;
            try {
                if (due > now) {
                    pause.nanos(due - now);
                }
            } catch (InterruptedException e) {
                // Whoever fetches notices at the next step.
                Thread.currentThread().interrupt();
            }
        }
    }
}
