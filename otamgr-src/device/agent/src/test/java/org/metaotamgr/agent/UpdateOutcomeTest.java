// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SlotStatus;
import org.metaotamgr.device.SystemProcessRunner;

/** Every boot state has one answer to what has become of an update, and all who act on it agree. */
class UpdateOutcomeTest {
    private static final String MINE = "T1";

    @TempDir
    private Path folder;

    /** One state of the world in which somebody asks. */
    private record World(String fromSlot, SlotStatus status) {}

    /** All that {@code ota-slot status} can say, for an update started in slot a, in slot b, or in an unknown one. */
    private static List<World> worlds() {
        List<World> worlds = new ArrayList<>();
        for (SlotStatus.State state : SlotStatus.State.values()) {
            for (String running : List.of("a", "b")) {
                for (String txn : List.of(MINE, "T0", "")) {
                    for (String failed : List.of(MINE, "T0", "")) {
                        for (String fromSlot : List.of("a", "b", "")) {
                            if (!txn.isEmpty() && txn.equals(failed)) {
                                // The boot loader moves an id from one variable to the other, in one write.
                                if (state == SlotStatus.State.ARMED || state == SlotStatus.State.TRIAL) {
                                    continue;
                                }
                            }
                            worlds.add(new World(fromSlot, status(state, running, txn, failed)));
                        }
                    }
                }
            }
        }
        return worlds;
    }

    private static SlotStatus status(SlotStatus.State state, String running, String txn, String failed) {
        String other = running.equals("a") ? "b" : "a";
        return switch (state) {
            case COMMITTED -> new SlotStatus(state, running, running, "", txn, failed, "", Optional.empty());
            case TRIAL -> new SlotStatus(state, running, other, running, txn, failed, "", Optional.empty());
            case ARMED, INTERRUPTED -> new SlotStatus(
                    state, running, running, other, txn, failed, "", Optional.empty());
            case MISMATCH -> new SlotStatus(state, running, other, "", txn, failed, "", Optional.empty());
            case UNKNOWN -> new SlotStatus(state, "", "", "", txn, failed, "", Optional.empty());
        };
    }

    @Test
    void everyStateOfTheWorldHasOneAnswerForAllWhoAct() throws Exception {
        List<World> worlds = worlds();
        assertTrue(worlds.size() >= 264, "found " + worlds.size());
        Map<UpdateOutcome, Integer> counts = new EnumMap<>(UpdateOutcome.class);
        for (World world : worlds) {
            UpdateOutcome outcome = UpdateOutcome.of(MINE, world.fromSlot(), world.status());
            counts.merge(outcome, 1, Integer::sum);
            assertEquals(outcome, asTheSourceIsTold(world), () -> "the source in " + world);
            assertEquals(outcome.isEnd() ? outcome : null, asFailuresAreCounted(world), () -> "the memory in " + world);
        }
        assertEquals(
                worlds.size(),
                counts.values().stream().mapToInt(Integer::intValue).sum());
        assertEquals(UpdateOutcome.values().length, counts.size(), counts.toString());
    }

    /** What the part that follows an update across the reboot makes of it; what it leaves pending says nothing. */
    private UpdateOutcome asTheSourceIsTold(World world) throws Exception {
        Path storage = Files.createTempDirectory(folder, "agent");
        List<String> log = new ArrayList<>();
        AgentStore store = new AgentStore(storage, new FileOperations.Real(), (severity, line) -> log.add(line));
        Finalisation finalisation = new Finalisation(
                store,
                new Callbacks(
                        Callbacks.Config.none(),
                        new Programs(new SystemProcessRunner((severity, line) -> {})),
                        storage,
                        Optional::empty,
                        (severity, line) -> {}),
                "boot-2",
                (severity, line) -> log.add(line));
        store.change(state -> state.withPending(Optional.of(
                new AgentState.Pending(ScriptedSource.target("2.0"), MINE, world.fromSlot(), "scripted", "boot-1"))));
        boolean isSettled = finalisation.settle(world.status());
        UpdateOutcome outcome = UpdateOutcome.of(MINE, world.fromSlot(), world.status());
        if (!isSettled) {
            return outcome.isEnd() || outcome == UpdateOutcome.NEVER_ARMED ? null : outcome;
        }
        Optional<AgentState.Last> last = store.state().last();
        return last.isEmpty()
                ? UpdateOutcome.NEVER_ARMED
                : last.get().rolledBack() ? UpdateOutcome.ROLLED_BACK : UpdateOutcome.COMMITTED;
    }

    private UpdateOutcome asFailuresAreCounted(World world) throws IOException {
        Path memory = Files.createTempDirectory(folder, "memory");
        FailedUpdates failures = new FailedUpdates(
                new RetryPolicy(memory, 3, Duration.ZERO),
                new FileOperations.Real(),
                Clock.systemUTC(),
                new BootClock.Kernel(),
                (severity, line) -> {});
        failures.starting(MINE, "a".repeat(64), world.fromSlot());
        failures.settle(world.status());
        FailureMemory after = FailureMemory.ofJson(Files.readAllBytes(memory.resolve(FailedUpdates.FILE_NAME)));
        if (after.startedAs(MINE).isPresent()) {
            assertTrue(after.failed().isEmpty());
            return null;
        }
        return after.failed().isEmpty() ? UpdateOutcome.COMMITTED : UpdateOutcome.ROLLED_BACK;
    }

    /** The table of docs/health-and-retries.md: the first line that fits counts. */
    @ParameterizedTest
    @CsvSource({
        "UNKNOWN,     a, T1, ,   a, UNKNOWN",
        "COMMITTED,   a, '', T1, a, ROLLED_BACK",
        "ARMED,       a, T2, T1, a, ROLLED_BACK",
        "COMMITTED,   a, T2, ,   a, NEVER_ARMED",
        "COMMITTED,   b, T2, ,   a, NEVER_ARMED",
        "TRIAL,       b, T2, ,   a, NEVER_ARMED",
        "ARMED,       a, T1, ,   a, ARMED",
        "TRIAL,       b, T1, ,   a, ON_TRIAL",
        "INTERRUPTED, a, T1, ,   a, ROLLED_BACK",
        "COMMITTED,   b, T1, ,   a, COMMITTED",
        "COMMITTED,   a, T1, ,   a, ROLLED_BACK",
        "COMMITTED,   a, T1, ,   '', UNKNOWN",
        "MISMATCH,    b, T1, ,   a, UNKNOWN",
        "MISMATCH,    b, T1, T1, a, ROLLED_BACK"
    })
    void theTableIsRight(
            SlotStatus.State state, String running, String txn, String failed, String fromSlot, UpdateOutcome outcome) {
        assertEquals(
                outcome, UpdateOutcome.of(MINE, fromSlot, status(state, running, txn, failed == null ? "" : failed)));
        assertFalse(outcome == UpdateOutcome.NEVER_ARMED && outcome.isEnd());
    }
}
