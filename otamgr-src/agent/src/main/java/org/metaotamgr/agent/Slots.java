// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SlotStatus;

/** The slots, through the device's own program for them, {@code ota-slot}. */
public final class Slots {
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    private final List<String> command;
    private final Programs programs;
    private final EventLog log;

    /**
     * What {@code ota-slot} answered.
     *
     * @param exitStatus its exit status, or -1 if it could not be started or took too long
     * @param message its last word, in one line
     */
    public record Answer(int exitStatus, String message) {
    }

    /**
     * Makes one.
     *
     * @param command the program, usually {@code /sbin/ota-slot}
     * @param programs runs it
     * @param log where to tell about it
     */
    public Slots(List<String> command, Programs programs, EventLog log) {
        this.command = List.copyOf(command);
        this.programs = programs;
        this.log = log;
    }

    /**
     * Looks at the boot state.
     *
     * @return what is known
     * @throws InterruptedException if the thread was interrupted
     */
    public SlotStatus status() throws InterruptedException {
        List<String> lines = new ArrayList<>();
        run("status", lines);
        return SlotStatus.parse(lines);
    }

    /**
     * Commits the slot on trial.
     *
     * @return exit status 0 if it is committed
     * @throws InterruptedException if the thread was interrupted
     */
    public Answer commit() throws InterruptedException {
        return run("commit", new ArrayList<>());
    }

    /**
     * Arms the other slot, if it holds a complete system, so that the next reboot starts it on trial.
     *
     * @return exit status 0 if it is armed, 5 if the other slot holds no complete system
     * @throws InterruptedException if the thread was interrupted
     */
    public Answer rollback() throws InterruptedException {
        return run("rollback", new ArrayList<>());
    }

    private Answer run(String word, List<String> lines) throws InterruptedException {
        List<String> full = new ArrayList<>(command);
        full.add(word);
        String[] last = {""};
        Programs.Outcome outcome = programs.run(full, TIMEOUT, lines, line -> {
            log.info(Printable.of(line));
            synchronized (last) {
                last[0] = Printable.of(line);
            }
        });
        synchronized (last) {
            String message = !last[0].isEmpty() ? last[0] : lines.isEmpty() ? outcome.toString()
                    : Printable.of(lines.get(lines.size() - 1));
            return new Answer(outcome.exitStatus(), message);
        }
    }
}
