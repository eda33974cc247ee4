// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.metaotamgr.device.BoundedFile;
import org.metaotamgr.device.DurableFile;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.Printable;

/**
 * The folder of the agent, on storage that survives updates: {@value #STATE}, what the agent remembers;
 * {@value #CURRENT_TARGET}, what is installed, for callbacks, in the words of aktualizr-lite; and
 * {@value #UPDATES}, with one folder for each target that is being pulled or was pulled. May be used from any thread.
 */
public final class AgentStore {
    static final String STATE = "agent.json";
    static final String CURRENT_TARGET = "current-target";
    static final String UPDATES = "updates";
    /** In a target's folder: the bundle is to be pulled whole, and not in parts. */
    public static final String WHOLE = "update.whole";
    /** In a target's folder: what was pulled in parts so far. */
    public static final String PARTS = "update.blocks.part";

    /** In a target's folder: what comes before the frames of a bundle that is streamed, in a file of its length. */
    public static final String STREAM = "update.stream";

    /** In a target's folder: its source turned out to have no frames to be streamed. */
    private static final String NO_STREAM = "update.stored";

    private static final String TARGET = "target.json";
    private static final String COMPLETE = "complete";
    private static final String TRIES = "tries";
    private static final String LACKING = "lacking";
    /** How often more of a bundle may be needed than was pulled, before it is pulled whole. */
    private static final int MAX_LACKING = 3;

    private static final int MAX_FILE_SIZE = 1 << 20;

    private final Path folder;
    private final FileOperations files;
    private final EventLog log;
    /** What could not be saved; else the file is the memory, which another process may have written. */
    private Optional<AgentState> unsaved = Optional.empty();

    /**
     * Makes the store; nothing is read or written yet.
     *
     * @param folder the folder; its parent is where the file system for data is mounted
     * @param files the steps of durable writes
     * @param log where to tell about it
     */
    public AgentStore(Path folder, FileOperations files, EventLog log) {
        this.folder = folder;
        this.files = files;
        this.log = log;
    }

    /**
     * The folder.
     *
     * @return the folder, which may not exist yet
     */
    public Path folder() {
        return folder;
    }

    /**
     * The file that says what is installed.
     *
     * @return the file, which may not exist yet
     */
    public Path currentTarget() {
        return folder.resolve(CURRENT_TARGET);
    }

    synchronized AgentState state() {
        return unsaved.orElseGet(this::load);
    }

    private AgentState load() {
        Path file = folder.resolve(STATE);
        try {
            return AgentState.ofJson(BoundedFile.read(file, MAX_FILE_SIZE));
        } catch (NoSuchFileException e) {
            return AgentState.EMPTY;
        } catch (IOException e) {
            log.warning("agent_state:file=" + file + ",error=" + Printable.of(String.valueOf(e.getMessage()))
                    + ",meaning=what was pending is forgotten; the slots are not affected");
            return AgentState.EMPTY;
        }
    }

    /** Changes what is remembered; when it returns, that is on the storage, or an error is logged. */
    synchronized AgentState change(UnaryOperator<AgentState> change) {
        AgentState before = state();
        AgentState after = change.apply(before);
        if (!after.equals(before)) {
            try {
                makeFolder(folder);
                new DurableFile(folder.resolve(STATE), files).write(after.toJson());
                unsaved = Optional.empty();
            } catch (IOException e) {
                unsaved = Optional.of(after);
                log.error("agent_state:file=" + folder.resolve(STATE) + ",error=" + Printable.of(e.toString())
                        + ",meaning=what is pending is forgotten when otamgr ends");
            }
        }
        return after;
    }

    /** Parents are left alone: the folder's own is where the file system for data has to be mounted. */
    private static void makeFolder(Path made) throws IOException {
        if (!Files.isDirectory(made)) {
            Files.createDirectory(made);
        }
    }

    /** Writes the file for callbacks, in the form of aktualizr-lite: a shell may source it. */
    void writeCurrentTarget(Target target) {
        String text = "TARGET_NAME=" + quoted(target.name()) + "\nCUSTOM_VERSION=" + quoted(target.version()) + "\n"
                + target.compatible()
                        .map(board -> "HARDWARE_ID=" + quoted(board) + "\n")
                        .orElse("");
        try {
            makeFolder(folder);
            new DurableFile(currentTarget(), files).write(text.getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            log.error("current_target:file=" + currentTarget() + ",error=" + Printable.of(e.toString()));
        }
    }

    /** Names and versions consist of harmless characters; this holds even if that changes. */
    private static String quoted(String text) {
        return "\"" + text.replaceAll("[\"\\\\$`]", "\\\\$0") + "\"";
    }

    // ---- what was pulled ----

    /** The folder for a target; it exists. Its name is the target's id. */
    Path folderFor(Target target) throws IOException {
        Path updates = folder.resolve(UPDATES);
        makeFolder(folder);
        makeFolder(updates);
        Path own = updates.resolve(target.id());
        makeFolder(own);
        return own;
    }

    /** Notes that a target is in its folder completely. */
    void pulled(Target target, Path file) throws IOException {
        Path own = folderFor(target);
        new DurableFile(own.resolve(TARGET), files).write(AgentState.toJson(target));
        forgetTries(target);
        new DurableFile(own.resolve(COMPLETE), files)
                .write(file.getFileName().toString().getBytes(StandardCharsets.UTF_8));
    }

    /** The file of a target that was pulled completely. */
    Optional<Path> fileOf(Target target) {
        Path own = folder.resolve(UPDATES).resolve(target.id());
        try {
            byte[] name = BoundedFile.read(own.resolve(COMPLETE), MAX_FILE_SIZE);
            Path file = own.resolve(new String(name, StandardCharsets.UTF_8));
            return Files.isRegularFile(file) ? Optional.of(file) : Optional.empty();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /**
     * All targets that were pulled completely.
     *
     * @return the targets
     */
    public List<Target> pulled() {
        List<Target> all = new ArrayList<>();
        try (DirectoryStream<Path> folders = Files.newDirectoryStream(folder.resolve(UPDATES))) {
            for (Path own : folders) {
                if (Files.exists(own.resolve(COMPLETE))) {
                    Target target = AgentState.targetOfJson(BoundedFile.read(own.resolve(TARGET), MAX_FILE_SIZE));
                    if (fileOf(target).isPresent()) {
                        all.add(target);
                    }
                }
            }
        } catch (NoSuchFileException e) {
            return List.of();
        } catch (IOException e) {
            log.warning("agent_updates:folder=" + folder.resolve(UPDATES) + ",error=" + Printable.of(e.toString()));
        }
        return all;
    }

    /** Counts a pull that brought something else than the target; returns how many there were. */
    int failedAgain(Target target) {
        int tries = 1;
        try {
            tries = counted(folderFor(target).resolve(TRIES));
        } catch (IOException e) {
            log.warning("agent_updates:folder=" + folder.resolve(UPDATES) + ",error=" + Printable.of(e.toString()));
        }
        return tries;
    }

    void forgetTries(Target target) {
        try {
            Files.deleteIfExists(folder.resolve(UPDATES).resolve(target.id()).resolve(TRIES));
        } catch (IOException e) {
            log.warning("agent_updates:folder=" + folder.resolve(UPDATES) + ",error=" + Printable.of(e.toString()));
        }
    }

    /**
     * Notes that a target has to be pulled again, because blocks are needed that were not when it was pulled. What is there
     * stays; after some times it is to be pulled whole.
     */
    void lacks(Target target) throws IOException {
        Path own = folderFor(target);
        Files.deleteIfExists(own.resolve(COMPLETE));
        if (counted(own.resolve(LACKING)) >= MAX_LACKING) {
            new DurableFile(own.resolve(WHOLE), files).write(new byte[0]);
        }
        files.syncFolder(own);
    }

    /** Notes that a target cannot be streamed from where it is, and has to be pulled. */
    void cannotStream(Target target) throws IOException {
        Path own = folderFor(target);
        Files.deleteIfExists(own.resolve(COMPLETE));
        Files.deleteIfExists(own.resolve(STREAM));
        new DurableFile(own.resolve(NO_STREAM), files).write(new byte[0]);
        files.syncFolder(own);
    }

    boolean mayStream(Target target) {
        return !Files.exists(folder.resolve(UPDATES).resolve(target.id()).resolve(NO_STREAM));
    }

    private int counted(Path file) throws IOException {
        int count = 1;
        if (Files.exists(file)) {
            String text = new String(BoundedFile.read(file, MAX_FILE_SIZE), StandardCharsets.US_ASCII).strip();
            count = text.matches("[0-9]{1,3}") ? Integer.parseInt(text) + 1 : 1;
        }
        new DurableFile(file, files).write((count + "\n").getBytes(StandardCharsets.US_ASCII));
        return count;
    }

    /** Removes what was pulled of a target. */
    void remove(Target target) {
        removeOthersThan(target.id(), true);
    }

    /** Removes what was pulled of all other targets: storage is small, and one update at a time is installed. */
    void keepOnly(Target target) {
        removeOthersThan(target.id(), false);
    }

    private void removeOthersThan(String id, boolean instead) {
        try (DirectoryStream<Path> folders = Files.newDirectoryStream(folder.resolve(UPDATES))) {
            for (Path own : folders) {
                if (own.getFileName().toString().equals(id) == instead) {
                    // First the word that it is complete.
                    Files.deleteIfExists(own.resolve(COMPLETE));
                    try (DirectoryStream<Path> parts = Files.newDirectoryStream(own)) {
                        for (Path part : parts) {
                            Files.delete(part);
                        }
                    }
                    Files.delete(own);
                }
            }
        } catch (NoSuchFileException e) {
            return;
        } catch (IOException e) {
            log.warning("agent_updates:folder=" + folder.resolve(UPDATES) + ",error=" + Printable.of(e.toString()));
        }
    }
}
