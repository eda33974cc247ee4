// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.CopyOnWriteArrayList;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.SystemProcessRunner;

/** A device in a folder, with shell scripts in place of its programs; they are really run. */
final class TestDevice {
    final Path folder;
    final List<String> log = new CopyOnWriteArrayList<>();
    private final EventLog eventLog = (severity, line) -> log.add(line);
    private String bootId = "boot-1";
    private Duration uptime = Duration.ofMinutes(1);
    private int veto;
    private boolean reasons = true;
    private Duration timeout = Duration.ofSeconds(20);

    TestDevice(Path folder) throws IOException {
        this.folder = folder;
        Files.createDirectories(folder.resolve("etc"));
        Files.writeString(folder.resolve("etc/compatible"), "board-x\n");
        Files.writeString(folder.resolve("etc/manifest"), "version=1.0\n");
        slot("a", "a", "", "", "");
        script(
                "ota-slot",
                """
                case $1 in
                status) cat %1$s/slot ;;
                commit) sed -i -e 's/^trial=.*/trial=/' -e 's/^committed=.*/committed=b/' -e 's/^state=.*/state=committed/' %1$s/slot ;;
                *) exit 5 ;;
                esac
                """
                        .formatted(folder));
        script(
                "sysupgrade",
                """
                echo "$@" >> %1$s/sysupgrade-runs
                echo write 50 writing
                if [ -e %1$s/sysupgrade-fails ]; then
                    echo "failed $(cat %1$s/sysupgrade-fails) it's \\"wrong\\" \\$(touch %1$s/hacked) \\`touch %1$s/hacked\\`"
                    exit "$(cat %1$s/sysupgrade-fails)"
                fi
                printf 'running=a\\ncommitted=a\\ntrial=b\\ntxn=%%s\\nfailed=\\nstate=armed\\n' "$3" > %1$s/slot
                """
                        .formatted(folder));
        handler("echo \"$MESSAGE|${INSTALL_TARGET_NAME-}|${RESULT-}\" >> " + folder + "/told");
    }

    void handler(String body) throws IOException {
        script("handler", body);
    }

    void script(String name, String body) throws IOException {
        Path file = Files.writeString(folder.resolve(name), "#!/bin/sh\n" + body + "\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    void slot(String running, String committed, String trial, String txn, String failed) throws IOException {
        String state = !trial.isEmpty() ? running.equals(trial) ? "trial" : "armed" : "committed";
        Files.writeString(
                folder.resolve("slot"),
                "running=" + running + "\ncommitted=" + committed + "\ntrial=" + trial
                        + "\ntxn=" + txn + "\nfailed=" + failed + "\nfailed_why="
                        + (failed.isEmpty() ? "" : "tries-used-up")
                        + "\nfloor=0.9\nstate=" + state + "\n");
    }

    /** The version of the system that runs. */
    void runs(String version) throws IOException {
        Files.writeString(folder.resolve("etc/manifest"), "version=" + version + "\n");
    }

    /** The id of the update that was armed last. */
    String txn() throws IOException {
        return Files.readAllLines(folder.resolve("slot")).stream()
                .filter(line -> line.startsWith("txn="))
                .findFirst()
                .orElseThrow()
                .substring(4);
    }

    void reboots() {
        bootId = "boot-" + (Integer.parseInt(bootId.substring(5)) + 1);
        uptime = Duration.ofMinutes(1);
    }

    void puts(int exitStatus) {
        veto = exitStatus;
    }

    void withoutReasons() {
        reasons = false;
    }

    void timeout(Duration longest) {
        timeout = longest;
    }

    /** What the handler was told, one line for each message. */
    List<String> told() throws IOException {
        Path file = folder.resolve("told");
        return Files.exists(file) ? Files.readAllLines(file, StandardCharsets.UTF_8) : List.of();
    }

    void forgets() throws IOException {
        Files.deleteIfExists(folder.resolve("told"));
    }

    AgentDevice open() throws Exception {
        String json =
                """
                {"storage": "%1$s/storage", "sysupgrade": ["%1$s/sysupgrade"], "otaSlot": ["%1$s/ota-slot"],
                 "otaVerify": ["%1$s/ota-verify"], "retry": {"directory": "%1$s/storage", "backoffSeconds": 600}}
                """
                        .formatted(folder);
        AgentConfig read = AgentConfig.of(
                ConfigObject.of("test", JsonMapper.builder().build().readTree(json), line -> {}));
        AgentConfig config = new AgentConfig(
                read.storage(),
                read.sysupgrade(),
                read.otaSlot(),
                read.otaVerify(),
                read.retry(),
                new Callbacks.Config(
                        List.of(folder.resolve("handler").toString()),
                        timeout,
                        veto == 0 ? OptionalInt.empty() : OptionalInt.of(veto),
                        Duration.ofSeconds(30),
                        reasons),
                read.source(),
                read.polling(),
                read.fetching());
        String boot = bootId;
        Duration up = uptime;
        return AgentDevice.of(
                config,
                new SystemFacts(folder.resolve("etc")),
                new SystemProcessRunner(eventLog),
                new FileOperations.Real(),
                Clock.fixed(Instant.parse("2026-02-03T04:05:06Z"), ZoneOffset.UTC),
                new BootClock() {
                    @Override
                    public Duration uptime() {
                        return up;
                    }

                    @Override
                    public String bootId() {
                        return boot;
                    }
                },
                () -> 1,
                eventLog);
    }

    EventLog eventLog() {
        return eventLog;
    }

    List<String> sysupgradeRuns() throws IOException {
        Path file = folder.resolve("sysupgrade-runs");
        return Files.exists(file) ? new ArrayList<>(Files.readAllLines(file)) : List.of();
    }
}
