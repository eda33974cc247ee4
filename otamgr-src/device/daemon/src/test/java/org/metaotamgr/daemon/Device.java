// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.Callbacks;
import org.metaotamgr.agent.RetryPolicy;
import org.metaotamgr.agent.RootHelper;
import org.metaotamgr.agent.SystemFacts;
import org.metaotamgr.agent.Target;
import org.metaotamgr.attribute.Peer;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.Programs;

/** The daemon's logic on a device whose programs, time and attributes are those of a test. */
final class Device {
    static final String SYSUPGRADE = "/sbin/sysupgrade";
    static final String OTA_SLOT = "/sbin/ota-slot";
    static final String REBOOT = "/sbin/reboot";

    final ManualTime loop = new ManualTime();
    final RecordingLog log = new RecordingLog();
    final List<String> events = new CopyOnWriteArrayList<>();
    final FakePrograms programs = new FakePrograms(loop, events);
    final RecordingFiles files = new RecordingFiles(events);
    final Path folder;
    final OtamgrConfig config;
    final AgentDevice agent;
    final Orders orders;
    final Engine engine;
    final OtaAttributes attributes;
    final Deque<CompletableFuture<byte[]>> gets = new ArrayDeque<>();
    final Deque<CompletableFuture<byte[]>> pathGets = new ArrayDeque<>();
    /** What a get of hubby's state is answered with at once: what hubby told last. */
    private Optional<byte[]> answersWith = Optional.empty();

    private int numbers = 0x5e6f;

    Device(Path folder) {
        this(folder, true, List.of(), List.of());
    }

    Device(Path folder, boolean needsHubby, List<String> factoryTest, List<String> pushLogs) {
        this(folder, needsHubby, factoryTest, pushLogs, "boot-1", Duration.ZERO, Optional.empty());
    }

    /** One whose hubby has to be connected for a time. */
    Device(Path folder, Duration hubbyStable) {
        this(folder, true, List.of(), List.of(), "boot-1", hubbyStable, Optional.empty());
    }

    /** One whose daemon is not root. */
    static Device asking(Path folder, RootHelper helper) {
        return new Device(folder, true, List.of(), List.of(), "boot-1", Duration.ZERO, Optional.of(helper));
    }

    /** The device as it comes up in another boot. */
    Device rebooted(String bootId) {
        Device next = new Device(
                folder,
                config.commit().requireHubbyConnected(),
                List.of(),
                List.of(),
                bootId,
                config.commit().hubbyStable(),
                config.rootHelper());
        next.numbers = numbers + 100;
        return next;
    }

    private Device(
            Path folder,
            boolean needsHubby,
            List<String> factoryTest,
            List<String> pushLogs,
            String bootId,
            Duration hubbyStable,
            Optional<RootHelper> rootHelper) {
        this.folder = folder;
        OtamgrConfig defaults = OtamgrConfig.defaults();
        OtamgrConfig.Commit commit = defaults.commit();
        BootClock boot = new BootClock() {
            @Override
            public Duration uptime() {
                return loop.now();
            }

            @Override
            public String bootId() {
                return bootId;
            }
        };
        Clock clock = Clock.fixed(Instant.parse("2026-01-31T23:59:59Z"), ZoneOffset.UTC);
        RetryPolicy retry =
                new RetryPolicy(folder.resolve("memory"), 3, defaults.retry().backoff());
        config = new OtamgrConfig(
                defaults.attrdSocket(),
                folder.toString(),
                List.of(folder.toString()),
                defaults.sysupgrade(),
                defaults.otaSlot(),
                defaults.reboot(),
                defaults.rebootDelay(),
                factoryTest,
                pushLogs,
                folder.resolve("reboot_reason"),
                new OtamgrConfig.Commit(
                        needsHubby,
                        hubbyStable,
                        folder.resolve("health.d"),
                        commit.checkTimeout(),
                        commit.deadline(),
                        true,
                        false),
                retry,
                true,
                defaults.control(),
                rootHelper,
                new AgentConfig(
                        folder.resolve("agent"),
                        defaults.sysupgrade(),
                        defaults.otaSlot(),
                        defaults.agent().otaVerify(),
                        retry,
                        Callbacks.Config.none(),
                        defaults.agent().source(),
                        defaults.agent().polling(),
                        defaults.agent().fetching()));
        Programs runs = new Programs(programs, loop);
        agent = AgentDevice.of(config.agent(), new SystemFacts(folder), runs, files, clock, boot, () -> numbers++, log);
        Assembly made = Assembly.of(new Assembly.Environment(
                config,
                agent,
                runs,
                programs,
                files,
                boot,
                loop,
                () -> loop.now().toNanos(),
                this::get,
                log));
        orders = made.orders();
        engine = made.engine();
        attributes = made.attributes();
    }

    /** Starts the engine, which looks at the slots first. */
    void starts() {
        loop.start(() -> engine.run(Optional.empty()));
    }

    /** A health check; what it does is up to the test. */
    String hasCheck(String name) {
        try {
            Files.createDirectories(config.commit().healthDirectory());
            Path file = Files.writeString(config.commit().healthDirectory().resolve(name), "#!/bin/false\n");
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
            return file.toString();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private CompletableFuture<byte[]> get(int attributeId) {
        CompletableFuture<byte[]> get = new CompletableFuture<>();
        switch (attributeId) {
            case Attributes.HUBBY_STATE -> {
                if (answersWith.isPresent()) {
                    get.complete(answersWith.get());
                } else {
                    gets.add(get);
                }
            }
            case Attributes.HUBBY_OTA_UPGRADE_PATH -> pathGets.add(get);
            default -> throw new AssertionError("expected a get of 51611 or 51612, found " + attributeId);
        }
        return get;
    }

    /** hubby goes away without a word; until it tells its state again, gets have to be answered by the test. */
    void hubbyDies() {
        answersWith = Optional.empty();
    }

    /** An earlier daemon has begun the update T1 in this boot, and has ended since. */
    Device hasBegunAnUpdate() {
        agent.finalisation()
                .started(
                        new Target(
                                "ota_type_5-00000000",
                                "0-00000000",
                                Optional.empty(),
                                1,
                                "0".repeat(64),
                                Optional.empty(),
                                Map.of()),
                        "T1",
                        "a",
                        AgentConfig.HUBBY);
        return this;
    }

    /** Starts it, with what {@code ota-slot status} prints. */
    Device started(String state) {
        starts();
        status(state);
        return this;
    }

    /** Answers the {@code ota-slot status} that runs. */
    void status(String state) {
        FakePrograms.Start status = programs.running(OTA_SLOT, "status");
        for (String line : slot(state)) {
            status.prints(line);
        }
        status.ends(state.equals("unknown") ? 10 : 0);
    }

    private static List<String> slot(String state) {
        return switch (state) {
            case "committed" -> List.of("running=a", "committed=a", "trial=", "txn=", "state=committed");
            case "trial" -> List.of("running=b", "committed=a", "trial=b", "tries=2", "txn=T1", "state=trial");
            case "armed", "interrupted" -> List.of(
                    "running=a", "committed=a", "trial=b", "tries=3", "txn=T1", "state=" + state);
            case "mismatch" -> List.of("running=b", "committed=a", "trial=", "txn=", "state=mismatch");
            case "unknown" -> List.of("state=unknown");
            default -> throw new IllegalArgumentException(state);
        };
    }

    void connects() {
        answersWith = Optional.empty();
        attributes.connected(new Peer(7, 0, 0));
        loop.settle();
    }

    void disconnects() {
        attributes.disconnected("closed by the other side");
        loop.settle();
    }

    void notifies(int attributeId, byte[] value) {
        attributes.notified(attributeId, value);
        loop.settle();
    }

    void hubbyState(int value) {
        answersWith = Optional.of(new byte[] {(byte) value});
        notifies(Attributes.HUBBY_STATE, new byte[] {(byte) value});
    }

    void commands(int first) {
        notifies(Attributes.HUBBY_COMMAND, new byte[] {(byte) first, 0, 0, 0});
    }

    /** Puts an update into the folder. */
    Device has(String name, String header) {
        try {
            Files.writeString(folder.resolve(name + ".img"), "image");
            Files.writeString(folder.resolve(name + ".hdr"), header);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return this;
    }

    String path(String name) {
        return folder.resolve(name).toString();
    }

    void offers(String name) {
        notifies(Attributes.HUBBY_OTA_UPGRADE_PATH, (path(name) + "\0").getBytes(StandardCharsets.UTF_8));
    }

    void pass(long seconds) {
        loop.pass(Duration.ofSeconds(seconds));
    }

    /** The image of each sysupgrade that was started, by its file name. */
    List<String> images() {
        return programs.all(SYSUPGRADE).stream()
                .map(start -> start.command.get(start.command.size() - 1))
                .map(image -> Path.of(image).getFileName().toString())
                .toList();
    }

    FakePrograms.Start sysupgrade() {
        return programs.running(SYSUPGRADE);
    }

    /** sysupgrade fails, and nothing is armed. */
    void sysupgradeFails(int status) {
        sysupgrade().ends(status);
        status("committed");
    }

    int reboots() {
        return programs.all(REBOOT).size();
    }

    Optional<String> rebootReason() {
        try {
            return Files.exists(config.rebootReason())
                    ? Optional.of(Files.readString(config.rebootReason()))
                    : Optional.empty();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
