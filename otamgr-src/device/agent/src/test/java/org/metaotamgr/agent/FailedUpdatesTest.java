// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.SlotStatus;

/** The memory alone; what the daemon makes of it is RetryTest. */
class FailedUpdatesTest {
    private static final String ONE = "a".repeat(64);
    private static final String OTHER = "b".repeat(64);

    @TempDir
    private Path folder;

    private final List<String> log = new ArrayList<>();
    private final List<String> events = new ArrayList<>();
    private String failing = "";
    private Duration uptime = Duration.ZERO;
    private String bootId = "one";

    private Path file() {
        return folder.resolve("memory/failed-updates.json");
    }

    private FailureMemory memory() throws IOException {
        return FailureMemory.ofJson(Files.readAllBytes(file()));
    }

    /** As each start of the daemon makes it. */
    private FailedUpdates failures(int attempts, long backoff) {
        return failures(folder.resolve("memory"), attempts, backoff);
    }

    private FailedUpdates failures(Path directory, int attempts, long backoff) {
        return new FailedUpdates(
                new RetryPolicy(directory, attempts, Duration.ofSeconds(backoff)),
                recordedFiles(),
                Clock.fixed(Instant.parse("2026-01-31T23:59:59.7Z"), ZoneOffset.UTC),
                new BootClock() {
                    @Override
                    public Duration uptime() {
                        return uptime;
                    }

                    @Override
                    public String bootId() {
                        return bootId;
                    }
                },
                (severity, line) -> log.add(severity + " " + line));
    }

    /** Real files; what is done is written down, and one kind of it can fail. */
    private FileOperations recordedFiles() {
        FileOperations real = new FileOperations.Real();
        return (FileOperations) Proxy.newProxyInstance(
                FileOperations.class.getClassLoader(),
                new Class<?>[] {FileOperations.class},
                (proxy, method, values) -> {
                    events.add(method.getName() + " "
                            + ((Path) values[method.getName().equals("rename") ? 1 : 0]).getFileName());
                    if (method.getName().equals(failing)) {
                        throw new IOException(failing + ": No space left on device");
                    }
                    try {
                        return method.invoke(real, values);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    private FailedUpdates failed(int times, int attempts, long backoff) {
        FailedUpdates failures = failures(attempts, backoff);
        for (int i = 0; i < times; i++) {
            failures.starting("T" + i, ONE, "a");
            failures.refused("T" + i, "it is no good");
        }
        return failures;
    }

    private static SlotStatus slots(String... lines) {
        return SlotStatus.parse(List.of(lines));
    }

    private static SlotStatus rolledBack(String txn) {
        return slots(
                "running=a",
                "committed=a",
                "txn=" + txn,
                "failed=" + txn,
                "failed_why=tries-used-up",
                "state=committed");
    }

    private static SlotStatus committed(String txn) {
        return slots("running=b", "committed=b", "txn=" + txn, "state=committed");
    }

    @Nested
    class Waits {
        @ParameterizedTest
        @CsvSource({
            "1, 600, 600",
            "2, 600, 1200",
            "3, 600, 2400",
            "8, 600, 76800",
            "9, 600, 86400",
            "99, 600, 86400",
            "1, 86400, 86400",
            "2, 86400, 86400",
            "99, 1, 86400",
            "5, 0, 0"
        })
        void theyDoubleUpToADay(int times, long backoff, long seconds) {
            assertEquals(
                    Duration.ofSeconds(seconds),
                    failed(times, 100, backoff).verdict(ONE).remaining());
        }

        @Test
        void theyGoOnWhenTheDaemonIsRestarted() {
            uptime = Duration.ofSeconds(1000);
            failed(1, 3, 600);
            uptime = Duration.ofSeconds(1400);
            assertEquals(Duration.ofSeconds(200), failures(3, 600).verdict(ONE).remaining());
        }

        @Test
        void aRebootNeverShortensThem() {
            uptime = Duration.ofSeconds(1000);
            failed(1, 3, 600);
            bootId = "two";
            uptime = Duration.ofSeconds(500);
            assertEquals(Duration.ofSeconds(100), failures(3, 600).verdict(ONE).remaining());
            uptime = Duration.ofSeconds(600);
            assertEquals(
                    FailedUpdates.Decision.INSTALL,
                    failures(3, 600).verdict(ONE).decision());
        }

        @ParameterizedTest
        @CsvSource({"1, 1, REFUSE", "1, 2, WAIT", "4, 5, WAIT", "5, 5, REFUSE", "6, 5, REFUSE"})
        void theyEndWithTheAttempts(int times, int attempts, FailedUpdates.Decision decision) {
            assertEquals(decision, failed(times, attempts, 600).verdict(ONE).decision());
        }
    }

    @Nested
    class Ends {
        @Test
        void aRollbackIsCountedOnceWithWhatTheTrialLacked() throws IOException {
            uptime = Duration.ofSeconds(77);
            FailedUpdates failures = failures(3, 600);
            failures.starting("T", ONE, "a");
            failures.trialLacks("T", "health check attrd: no\nanswer");
            assertTrue(failures.settle(rolledBack("T")));
            assertFalse(failures.settle(rolledBack("T")));
            String reason = "rolled back (tries-used-up), health check attrd: no\\u000aanswer";
            assertEquals(
                    List.of(new FailureMemory.Failed(ONE, 1, reason, "2026-01-31T23:59:59Z", "one", uptime)),
                    memory().failed());
            assertEquals(List.of(), memory().started());
            assertEquals(
                    List.of("WARNING ota_trial_failed:txn=T,header_sha256=" + ONE + ",failures=1,reason=" + reason),
                    log);
            assertEquals(
                    "this update failed 1 time, last: " + reason,
                    failures.verdict(ONE).reason());
        }

        @Test
        void aCommitForgetsThatUpdateOnly() throws IOException {
            FailedUpdates failures = failed(1, 3, 0);
            failures.starting("U", OTHER, "a");
            failures.refused("U", "too big");
            failures.starting("V", OTHER, "a");
            assertTrue(failures.settle(committed("V")));
            assertEquals(
                    List.of(ONE),
                    memory().failed().stream()
                            .map(FailureMemory.Failed::headerSha256)
                            .toList());
            assertEquals(List.of(), memory().started());
            assertEquals(List.of("INFO ota_succeeded:txn=V,header_sha256=" + OTHER), log);
        }

        @Test
        void whatIsNotOverStaysStarted() throws IOException {
            FailedUpdates failures = failures(3, 600);
            failures.starting("T", ONE, "a");
            assertFalse(failures.settle(slots("running=b", "committed=a", "trial=b", "txn=T", "state=trial")));
            assertFalse(failures.settle(slots("running=a", "committed=a", "txn=another", "state=committed")));
            assertFalse(failures.settle(SlotStatus.unknown()));
            assertEquals(1, memory().started().size());
            assertEquals(List.of(), log);
        }

        @Test
        void whatWasNotArmedForAnotherReasonIsForgotten() throws IOException {
            FailedUpdates failures = failures(3, 600);
            failures.starting("T", ONE, "a");
            failures.notArmed("T");
            assertEquals(FailureMemory.EMPTY, memory());
        }

        @Test
        void nothingIsRememberedOfAnUpdateThatWasNotStarted() {
            FailedUpdates failures = failures(3, 600);
            failures.refused("T", "it is no good");
            failures.trialLacks("T", "a check");
            failures.notArmed("T");
            assertFalse(Files.exists(file()));
        }

        @Test
        void theFailuresOfOneUpdateAreCountedOn() throws IOException {
            failed(2, 3, 600).starting("U", OTHER, "a");
            assertEquals(2, memory().failed().get(0).failures());
        }
    }

    @Nested
    class Memory {
        @Test
        void itSurvivesAsWritten() throws IOException {
            FailureMemory memory = new FailureMemory(
                    List.of(new FailureMemory.Failed(
                            "0".repeat(64),
                            7,
                            "é \"x\" \\u000a",
                            "2026-01-31T23:59:59Z",
                            "id",
                            Duration.ofSeconds(77))),
                    List.of(
                            new FailureMemory.Started("T-1._x", "f".repeat(64), "a", ""),
                            new FailureMemory.Started("T2", "e".repeat(64), "", "health check x: y")));
            assertEquals(memory, FailureMemory.ofJson(memory.toJson()));
            assertEquals(FailureMemory.EMPTY, FailureMemory.ofJson(FailureMemory.EMPTY.toJson()));
        }

        @ParameterizedTest
        @ValueSource(
                strings = {
                    "",
                    "\0\0\0\0",
                    "[]",
                    "null",
                    "{}",
                    "{\"failed\":[],\"started\":{}}",
                    "{\"failed\":[{}],\"started\":[]}",
                    "{\"failed\":[5],\"started\":[]}",
                    "{\"failed\":[],\"started\":[{\"txn\":\"a b\",\"headerSha256\":\"\",\"fromSlot\":\"a\",\"problem\":\"\"}]}",
                    "{\"failed\":[],\"started\":[]} {}",
                    "{\"failed\":[],"
                })
        void aFileThatIsDamagedIsWarnedAboutOnceAndStartedAfresh(String content) throws IOException {
            Files.createDirectory(folder.resolve("memory"));
            Files.writeString(file(), content);
            FailedUpdates failures = failures(3, 600);
            assertEquals(FailedUpdates.Decision.INSTALL, failures.verdict(ONE).decision());
            failures.verdict(OTHER);
            assertEquals(1, log.size(), log.toString());
            assertTrue(log.get(0).startsWith("WARNING ota_memory:file=" + file() + ",error="), log.get(0));
            failures.starting("T", ONE, "a");
            failures.refused("T", "it is no good");
            assertEquals(1, memory().failed().size());
        }

        @Test
        void aFileThatIsHugeOrNoneIsStartedAfresh() throws IOException {
            Files.createDirectory(folder.resolve("memory"));
            Files.writeString(file(), " ".repeat(256 * 1024 + 1));
            assertEquals(
                    FailedUpdates.Decision.INSTALL,
                    failures(3, 600).verdict(ONE).decision());
            assertEquals(1, log.size());
            Files.delete(file());
            Files.createDirectory(file());
            assertEquals(
                    FailedUpdates.Decision.INSTALL,
                    failures(3, 600).verdict(ONE).decision());
            assertEquals(2, log.size());
        }

        @ParameterizedTest
        @ValueSource(strings = {"create", "sync", "rename", "syncFolder"})
        void aStorageThatFailsIsLoudAndCountsInThisProcessNevertheless(String operation) throws IOException {
            failing = operation;
            FailedUpdates failures = failed(1, 3, 600);
            assertTrue(log.get(0).startsWith("ERROR ota_memory:file=" + file() + ",error="), log.get(0));
            assertEquals(Duration.ofSeconds(600), failures.verdict(ONE).remaining());
            failing = "";
            failures.starting("U", OTHER, "a");
            assertEquals(1, memory().failed().size());
        }

        @Test
        void itIsWrittenDurablyAndOnlyIfItChanges() {
            failed(1, 3, 600);
            assertEquals(
                    List.of(
                            "create failed-updates.json.tmp",
                            "sync failed-updates.json.tmp",
                            "rename failed-updates.json",
                            "syncFolder memory"),
                    events.subList(0, 4));
            int written = events.size();
            failures(3, 600).notArmed("unknown");
            assertEquals(written, events.size());
        }

        @Test
        void aMissingParentIsNotCreated() throws IOException {
            Path data = Files.createDirectory(folder.resolve("data"));
            failures(data.resolve("not-mounted/otamgr"), 3, 0).starting("T", ONE, "a");
            assertFalse(Files.exists(data.resolve("not-mounted")));
            assertEquals(1, log.size());
        }

        @Test
        void removingTheFileIsEnoughToForget() throws IOException {
            FailedUpdates failures = failed(1, 3, 600);
            Files.delete(file());
            assertEquals(FailedUpdates.Decision.INSTALL, failures.verdict(ONE).decision());
        }

        @Test
        void itIsBoundedAndTheOldestGoesFirst() {
            FailureMemory memory = FailureMemory.EMPTY;
            for (int i = 0; i < 100; i++) {
                memory = memory.withFailed(new FailureMemory.Failed(
                                String.format("%064x", i), 1, "r".repeat(512), "", "", Duration.ZERO))
                        .withStarted(
                                new FailureMemory.Started("T" + i, String.format("%064x", i), "a", "p".repeat(512)));
            }
            assertEquals(32, memory.failed().size());
            assertEquals(String.format("%064x", 99), memory.failed().get(31).headerSha256());
            assertEquals(String.format("%064x", 68), memory.failed().get(0).headerSha256());
            assertEquals(8, memory.started().size());
            assertEquals("T92", memory.started().get(0).txn());
            assertTrue(memory.toJson().length < 64 * 1024);
        }

        @Test
        void whatFailsAgainIsTheNewest() {
            FailureMemory.Failed first = new FailureMemory.Failed("1".repeat(64), 1, "", "", "", Duration.ZERO);
            FailureMemory.Failed second = new FailureMemory.Failed("2".repeat(64), 1, "", "", "", Duration.ZERO);
            FailureMemory.Failed again = new FailureMemory.Failed("1".repeat(64), 2, "", "", "", Duration.ZERO);
            assertEquals(
                    List.of(second, again),
                    FailureMemory.EMPTY
                            .withFailed(first)
                            .withFailed(second)
                            .withFailed(again)
                            .failed());
        }

        @Test
        void itIsLoggedAtTheStart() {
            failed(1, 3, 600).report();
            failures(1, 600).report();
            failures(3, 0).report();
            String before = "INFO ota_failed_before:header_sha256=" + ONE + ",failures=1,next=";
            assertEquals(
                    List.of(
                            before + "it may be tried again in 600 s,last=it is no good",
                            before + "it is refused,last=it is no good",
                            before + "it may be tried again,last=it is no good"),
                    log);
        }
    }
}
