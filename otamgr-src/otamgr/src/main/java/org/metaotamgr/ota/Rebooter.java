// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.time.Duration;
import java.util.List;

import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;

/**
 * Reboots the device: writes why, pushes logs, reboots. It goes on until the device is gone: what fails before the
 * reboot command is logged and does not keep a device from rebooting into its update.
 */
final class Rebooter {
    private static final Duration LOGS_TIMEOUT = Duration.ofSeconds(30);
    private static final Duration REBOOT_TIMEOUT = Duration.ofSeconds(60);
    /** A system may take its time to go down; after this time, the reboot command is given again. */
    static final Duration AGAIN = Duration.ofSeconds(120);

    private final EventLoop loop;
    private final Commands commands;
    private final OtamgrConfig config;
    private final RebootReason reasons;
    private final EventLog log;
    private boolean pending;

    Rebooter(EventLoop loop, Commands commands, OtamgrConfig config, RebootReason reasons, EventLog log) {
        this.loop = loop;
        this.commands = commands;
        this.config = config;
        this.reasons = reasons;
        this.log = log;
    }

    /** Whether the device is about to reboot; this never ends. */
    boolean isPending() {
        return pending;
    }

    /** Reboots into an update. The reason is written first, as from now on any reboot is one into the update. */
    void rebootIntoUpdate() {
        if (begin(RebootReason.FULL_OTA)) {
            writeReason(RebootReason.FULL_OTA);
            pushLogs(() -> loop.schedule(config.rebootDelay(), this::reboot));
        }
    }

    /** Reboots because the device was told to. */
    void rebootOnCommand() {
        rebootInPlace(RebootReason.REBOOT_COMMAND);
    }

    /** Reboots because the system on trial is not healthy. */
    void rebootFromTrial() {
        rebootInPlace(RebootReason.HEALTH_FAILED);
    }

    /** The reason is written last: until then, another cause may win. */
    private void rebootInPlace(String reason) {
        if (begin(reason)) {
            loop.schedule(config.rebootDelay(), () -> {
                writeReason(reason);
                pushLogs(this::reboot);
            });
        }
    }

    private boolean begin(String reason) {
        if (pending) {
            return false;
        }
        pending = true;
        log.info("reboot_scheduled:reason=" + reason + ",seconds=" + config.rebootDelay().toSeconds());
        return true;
    }

    private void writeReason(String reason) {
        try {
            reasons.write(reason);
            log.info("reboot_reason:reason=" + reason);
        } catch (IOException e) {
            log.error("set_reboot_reason:error=" + Printable.of(e.toString()) + ",rebooting without it");
        }
    }

    private void pushLogs(Runnable then) {
        if (config.pushLogs().isEmpty()) {
            then.run();
            return;
        }
        commands.run(config.pushLogs(), LOGS_TIMEOUT, outcome -> {
            if (!outcome.isSuccess()) {
                log.warning("otamgr_logpush:" + outcome + ",rebooting without it");
            }
            then.run();
        });
    }

    private void reboot() {
        List<String> command = config.reboot();
        log.info("reboot:command=" + command.get(0));
        commands.run(command, REBOOT_TIMEOUT, outcome -> {
            if (!outcome.isSuccess()) {
                log.error("reboot_failed:" + outcome + ",again_in_seconds=" + AGAIN.toSeconds());
            }
            loop.schedule(AGAIN, () -> {
                log.error("reboot_overdue:the system still runs " + AGAIN.toSeconds() + " s after the reboot command");
                reboot();
            });
        });
    }
}
