// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.metaotamgr.device.DurableFile;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.device.Printable;

/**
 * How far this device is with the last few actions, in a file, so that after a reboot a cancel gets the right answer and no
 * action is closed twice.
 */
final class ActionLog {
    private static final int MAX_ACTIONS = 8;
    private static final int MAX_FILE_SIZE = 16384;

    private final Path file;
    private final FileOperations files;
    private final EventLog log;

    /** How far. */
    enum Stage {
        /** Not written to a slot, as far as is known. */
        OFFERED,
        /** It was going to be written to a slot. */
        INSTALLING,
        /** It is written, and on trial since the next reboot. */
        ARMED,
        /** It was only to be pulled, is, and the server has ended it. */
        PULLED,
        /** The server has withdrawn it, and knows that this device has stopped. */
        CANCELLED,
        /** The server knows how it ended. */
        CLOSED;

        boolean isOver() {
            return this == CANCELLED || this == CLOSED || this == PULLED;
        }

        String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    ActionLog(Path file, FileOperations files, EventLog log) {
        this.file = file;
        this.files = files;
        this.log = log;
    }

    Stage of(String action) {
        return read().getOrDefault(action, Stage.OFFERED);
    }

    void set(String action, Stage stage) {
        Map<String, Stage> all = read();
        if (stage == all.getOrDefault(action, Stage.OFFERED)) {
            return;
        }
        all.remove(action);
        all.put(action, stage);
        ObjectNode root = JsonFields.newObject();
        ArrayNode actions = root.putArray("actions");
        all.entrySet().stream().skip(Math.max(0, all.size() - MAX_ACTIONS)).forEach(entry -> actions.addObject()
                .put("id", entry.getKey())
                .put("stage", entry.getValue().word()));
        try {
            new DurableFile(file, files).write(JsonFields.bytes(root));
        } catch (IOException e) {
            log.error("hawkbit_state:file=" + file + ",error=" + Printable.of(e.toString())
                    + ",meaning=the server may be told something twice");
        }
    }

    private Map<String, Stage> read() {
        Map<String, Stage> all = new LinkedHashMap<>();
        try (InputStream in = Files.newInputStream(file)) {
            for (JsonFields action :
                    JsonFields.of(file.toString(), in.readNBytes(MAX_FILE_SIZE)).objects("actions", MAX_ACTIONS)) {
                for (Stage stage : Stage.values()) {
                    if (stage.word().equals(action.string("stage"))) {
                        all.put(action.string("id"), stage);
                    }
                }
            }
        } catch (NoSuchFileException e) {
            return all;
        } catch (IOException e) {
            log.warning("hawkbit_state:file=" + file + ",error=" + Printable.of(String.valueOf(e.getMessage()))
                    + ",meaning=how far actions are is forgotten");
        }
        return all;
    }
}
