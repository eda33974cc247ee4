// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.Timeouts;
import org.metaotamgr.device.Waiting;

/**
 * Reboots the device: writes why, pushes logs, reboots. It goes on until the device is gone: what fails before the
 * reboot command is logged and does not keep a device from rebooting into its update.
 */
final class Rebooter {
    /** A system may take its time to go down; after this time, the reboot command is given again. */
    static final Duration AGAIN = Duration.ofSeconds(120);

    private final Programs programs;
    private final Waiting waiting;
    private final OtamgrConfig config;
    private final RebootReason reasons;
    private final EventLog log;

    Rebooter(Programs programs, Waiting waiting, OtamgrConfig config, RebootReason reasons, EventLog log) {
        this.programs = programs;
        this.waiting = waiting;
        this.config = config;
        this.reasons = reasons;
        this.log = log;
    }

    /** Reboots into an update. The reason is written first, as from now on any reboot is one into the update. */
    void intoUpdate() throws InterruptedException {
        scheduled(RebootReason.FULL_OTA);
        writeReason(RebootReason.FULL_OTA);
        pushLogs();
        pause(config.rebootDelay());
        reboot();
    }

    /** Reboots the system that runs. The reason is written last: until then, another cause may win. */
    void inPlace(String reason) throws InterruptedException {
        scheduled(reason);
        pause(config.rebootDelay());
        writeReason(reason);
        pushLogs();
        reboot();
    }

    private void scheduled(String reason) {
        log.info("reboot_scheduled:reason=" + reason + ",seconds="
                + config.rebootDelay().toSeconds());
    }

    private void pause(Duration time) throws InterruptedException {
        waiting.await(() -> false, time);
    }

    private void writeReason(String reason) throws InterruptedException {
        if (config.rootHelper().isPresent()) {
            Programs.Outcome outcome = run(config.rootHelper().get().asked("reason", reason), Timeouts.OTA_SLOT);
            log.info("reboot_reason:reason=" + reason
                    + (outcome.isSuccess() ? "" : "," + outcome + ",rebooting without it"));
            return;
        }
        try {
            reasons.write(reason);
            log.info("reboot_reason:reason=" + reason);
        } catch (IOException e) {
            log.error("set_reboot_reason:error=" + Printable.of(e.toString()) + ",rebooting without it");
        }
    }

    private void pushLogs() throws InterruptedException {
        if (config.pushLogs().isEmpty()) {
            return;
        }
        Programs.Outcome outcome = run(config.pushLogs(), Timeouts.LOGS);
        if (!outcome.isSuccess()) {
            log.warning("otamgr_logpush:" + outcome + ",rebooting without it");
        }
    }

    private void reboot() throws InterruptedException {
        while (true) {
            log.info("reboot:command=" + config.reboot().get(0));
            Programs.Outcome outcome = run(config.reboot(), Timeouts.REBOOT);
            if (!outcome.isSuccess()) {
                log.error("reboot_failed:" + outcome + ",again_in_seconds=" + AGAIN.toSeconds());
            }
            pause(AGAIN);
            log.error("reboot_overdue:the system still runs " + AGAIN.toSeconds() + " s after the reboot command");
        }
    }

    private Programs.Outcome run(List<String> command, Duration timeout) throws InterruptedException {
        String name = command.get(0).substring(command.get(0).lastIndexOf('/') + 1);
        return programs.run(
                command,
                Map.of(),
                timeout,
                new Programs.Output() {
                    @Override
                    public void stdout(String line) {}

                    @Override
                    public void stderr(String line) {
                        log.info(Programs.messageOf(name, line));
                    }
                },
                () -> false,
                Programs.Orphan.LEFT_ALONE);
    }
}
