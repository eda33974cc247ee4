// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.Timeouts;

/** The slots, through the device's own program for them, {@code ota-slot}. */
public final class Slots {
    private static final int MAX_LINES = 64;

    private final List<String> command;
    private final Programs programs;
    private final EventLog log;

    /**
     * What {@code ota-slot} answered.
     *
     * @param outcome how it ended
     * @param message its last word, in one line
     */
    public record Report(Programs.Outcome outcome, String message) {
        /**
         * Its exit status.
         *
         * @return the exit status, or -1 if it could not be started or took too long
         */
        public int exitStatus() {
            return outcome.exitStatus();
        }
    }

    /**
     * A look at the boot state.
     *
     * @param status what is known
     * @param outcome how {@code ota-slot} ended
     */
    public record Look(SlotStatus status, Programs.Outcome outcome) {}

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
        return look().status();
    }

    /**
     * Looks at the boot state.
     *
     * @return what is known, and how that was found out
     * @throws InterruptedException if the thread was interrupted
     */
    public Look look() throws InterruptedException {
        List<String> lines = new ArrayList<>();
        Report answer = run(List.of("status"), lines);
        return new Look(SlotStatus.parse(lines), answer.outcome());
    }

    /**
     * Writes a line into the journal.
     *
     * @param words the event, and {@code key=value} pairs
     * @return exit status 0 if it is written
     * @throws InterruptedException if the thread was interrupted
     */
    public Report note(List<String> words) throws InterruptedException {
        List<String> arguments = new ArrayList<>(List.of("note"));
        arguments.addAll(words);
        return run(arguments, new ArrayList<>());
    }

    /**
     * Commits the slot on trial; whether it deserves that is for {@link TrialDecision} to say.
     *
     * @return exit status 0 if it is committed
     * @throws InterruptedException if the thread was interrupted
     */
    Report commit() throws InterruptedException {
        return run(List.of("commit"), new ArrayList<>());
    }

    /**
     * Arms the inactive slot, if it holds a complete system, so that the next reboot starts it on trial.
     *
     * @return exit status 0 if it is armed, 5 if the inactive slot holds no complete system
     * @throws InterruptedException if the thread was interrupted
     */
    public Report rollback() throws InterruptedException {
        return run(List.of("rollback"), new ArrayList<>());
    }

    /** What was begun is left to end when the thread is interrupted: the boot state is not to be changed by halves. */
    private Report run(List<String> arguments, List<String> lines) throws InterruptedException {
        List<String> full = new ArrayList<>(command);
        full.addAll(arguments);
        List<String> said = new ArrayList<>();
        String[] last = {""};
        Programs.Outcome outcome = programs.run(
                full,
                Map.of(),
                Timeouts.OTA_SLOT,
                new Programs.Output() {
                    @Override
                    public void stdout(String line) {
                        synchronized (said) {
                            if (said.size() < MAX_LINES) {
                                said.add(line);
                            }
                        }
                    }

                    @Override
                    public void stderr(String line) {
                        log.info(Programs.messageOf("ota-slot", line));
                        synchronized (said) {
                            last[0] = Printable.of(line);
                        }
                    }
                },
                () -> false,
                Programs.Orphan.LEFT_ALONE);
        synchronized (said) {
            lines.addAll(said);
            String message = !last[0].isEmpty()
                    ? last[0]
                    : lines.isEmpty() ? outcome.toString() : Printable.of(lines.get(lines.size() - 1));
            return new Report(outcome, message);
        }
    }
}
