// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/**
 * Time as a device without a clock of its own knows it: since power-on, which no time server changes, and which goes on
 * when the daemon is restarted.
 */
public interface BootClock {
    /** The time since power-on. */
    Duration uptime();

    /** A name of this boot that no other boot has; empty if the kernel does not tell. */
    String bootId();

    /** What the kernel says. */
    final class Kernel implements BootClock {
        private static final Path UPTIME = Path.of("/proc/uptime");
        private static final Path BOOT_ID = Path.of("/proc/sys/kernel/random/boot_id");

        private final long start = System.nanoTime();

        @Override
        public Duration uptime() {
            try {
                String text = Files.readString(UPTIME, StandardCharsets.US_ASCII);
                return Duration.ofMillis((long) (Double.parseDouble(text.split(" ", 2)[0]) * 1000));
            } catch (IOException | NumberFormatException e) {
                // Without /proc little works, but nothing here shall be what fails: the time since the daemon started
                // is shorter, so that deadlines and waits become longer.
                return Duration.ofNanos(System.nanoTime() - start);
            }
        }

        @Override
        public String bootId() {
            try {
                return Printable.of(
                        Files.readString(BOOT_ID, StandardCharsets.US_ASCII).strip());
            } catch (IOException e) {
                return "";
            }
        }
    }
}
