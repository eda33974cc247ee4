// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.metaotamgr.device.DurableFile;
import org.metaotamgr.device.FileOperations;

/**
 * The file that tells after a reboot why it happened; attrd serves it as attribute 65019. It holds one word without line
 * end, as attrd passes every byte on. At any time it is either the old file or the new one, also after a power cut.
 */
final class RebootReason {
    /** The device reboots into an update. */
    static final String FULL_OTA = "full_ota";
    /** The device was told to reboot. */
    static final String REBOOT_COMMAND = "reboot_command";
    /** The system on trial is not healthy, and gives up one of its boots. */
    static final String HEALTH_FAILED = "ota_health_failed";

    private final DurableFile file;

    RebootReason(Path file, FileOperations files) {
        this.file = new DurableFile(file, files);
    }

    /**
     * Writes a reason; when it returns, the reason is on the storage.
     *
     * @param reason one word
     * @throws IOException if it cannot be written; the old reason is kept then
     */
    void write(String reason) throws IOException {
        file.write(reason.getBytes(StandardCharsets.UTF_8));
    }
}
