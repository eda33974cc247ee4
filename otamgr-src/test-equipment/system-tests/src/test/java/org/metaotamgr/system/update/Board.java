// SPDX-License-Identifier: MIT
package org.metaotamgr.system.update;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.metaotamgr.simulator.Attrd;
import org.metaotamgr.simulator.Attribute;
import org.metaotamgr.simulator.SimulatedClient;
import org.metaotamgr.wire.AttributeStatus;

/**
 * A board in a folder: an attribute daemon on a real socket, hubby, and programs in place of sysupgrade, ota-slot and
 * reboot. The sysupgrade writes down how it was called, holds a lock as the real one does, and waits for the test to
 * say how it ends.
 */
final class Board {

    private final Path folder;
    private final Deque<AutoCloseable> toClose = new ArrayDeque<>();
    private final List<String> log = Collections.synchronizedList(new ArrayList<>());
    private final Map<Integer, byte[]> hubbyValues = new ConcurrentHashMap<>();
    /** This machine may have been up for months; the trial guard is to decide unless a test says something else. */
    private int deadline;

    private int checkTimeout = 60;
    private int backoff = 600;
    private int hubbyStable;
    private Attrd attrd;
    private SimulatedClient hubby;

    Board(Path folder) throws IOException {
        this.folder = folder;
        Files.createDirectory(downloads());
        Files.createDirectory(folder.resolve("runs"));
        slot("committed");
        program(
                "sysupgrade",
                """
                trap '' PIPE
                if ! mkdir lock 2>/dev/null; then
                    echo "failed 12 another sysupgrade runs"
                    exit 12
                fi
                echo "$SYSUPGRADE_PROGRESS" >runs/$$.env
                printf '%s\\n' "$@" >runs/$$.new
                mv runs/$$.new runs/$$.arguments
                echo "check 100 fine" >"$SYSUPGRADE_PROGRESS"
                echo "sysupgrade: writing slot b" >&2
                # Everybody who waits has a bound, also after a test that failed.
                left=1200
                while [ ! -e runs/$$.end ] && [ $left -gt 0 ]; do sleep 0.05; left=$((left - 1)); done
                status=$(cat runs/$$.end)
                if [ "$status" = 0 ]; then
                    # The last reader may be gone; that must not matter.
                    echo "done 100 armed" >"$SYSUPGRADE_PROGRESS" || :
                    while [ "$1" != --txn ]; do shift; done
                    sed -i -e 's/state=.*/state=armed/' -e 's/^trial=.*/trial=b/' -e "s/^txn=.*/txn=$2/" \\
                        -e 's/^failed=.*/failed=/' slot
                else
                    echo "failed $status the test wants it" >"$SYSUPGRADE_PROGRESS" || :
                fi
                rmdir lock
                exit "$status"
                """);
        program(
                "ota-slot",
                """
                case $1 in
                    status) cat slot ;;
                    commit) echo commit >>commits; sed -i -e 's/state=.*/state=committed/' slot ;;
                    note) shift; printf '%s\\n' "$*" >>notes ;;
                esac
                """);
        program("reboot", """
                echo "reason=$(cat reboot_reason)" >>reboots
                """);
        program("logpush", """
                echo "reason=$(cat reboot_reason)" >>logpushes
                """);
    }

    private void program(String name, String body) throws IOException {
        Path file = folder.resolve(name);
        Files.writeString(file, "#!/bin/sh\ncd '" + folder + "' || exit 99\n" + body);
        if (!file.toFile().setExecutable(true)) {
            throw new IOException(file + " cannot be made executable");
        }
    }

    Path folder() {
        return folder;
    }

    Path downloads() {
        return folder.resolve("tmp");
    }

    Path socket() {
        return folder.resolve("IPC.ATTRD");
    }

    /** What ota-slot says; in the trial, slot b runs. */
    void slot(String state) throws IOException {
        boolean trial = state.equals("trial");
        Path next = folder.resolve("slot.new");
        Files.writeString(
                next,
                "running=" + (trial ? "b" : "a") + "\ncommitted=a\ntrial=" + (trial ? "b" : "")
                        + "\ntries=2\ntxn=T1\nfailed=\nfailed_why=\nstate=" + state + "\n");
        Files.move(next, folder.resolve("slot"), StandardCopyOption.ATOMIC_MOVE);
    }

    /** U-Boot gives up the update that is armed: the old slot runs again. */
    void rollBack() throws IOException {
        String slot = Files.readString(folder.resolve("slot"));
        String txn = slot.lines()
                .filter(line -> line.startsWith("txn="))
                .findFirst()
                .orElseThrow()
                .substring(4);
        Files.writeString(
                folder.resolve("slot"),
                "running=a\ncommitted=a\ntrial=\ntries=\ntxn=" + txn + "\nfailed=" + txn
                        + "\nfailed_why=tries-used-up\nstate=committed\n");
    }

    /** A health check of the system that runs. */
    void healthCheck(String name, String body) throws IOException {
        Files.createDirectories(folder.resolve("health.d"));
        program("health.d/" + name, body);
    }

    // ---- attributes ----

    Attrd startAttrd() throws IOException {
        attrd = new Attrd(socket(), new Attrd.Options(), (source, line) -> log.add(source + ": " + line));
        attrd.start();
        toClose.push(attrd);
        return attrd;
    }

    SimulatedClient startHubby(int state) throws IOException {
        hubbyValues.put(Attribute.HUBBY_STATE, new byte[] {(byte) state});
        hubby = client(Attribute.HUBBY);
        return hubby;
    }

    SimulatedClient client(String name) throws IOException {
        SimulatedClient client = new SimulatedClient(
                socket(),
                name,
                List.of(),
                new SimulatedClient.Owner() {
                    @Override
                    public byte[] read(int attributeId) {
                        return hubbyValues.get(attributeId);
                    }

                    @Override
                    public AttributeStatus written(int attributeId, byte[] value) {
                        return AttributeStatus.OK;
                    }
                },
                (source, line) -> log.add(source + ": " + line));
        toClose.push(client);
        return client;
    }

    void hubbyState(int state) throws IOException {
        hubbyValues.put(Attribute.HUBBY_STATE, new byte[] {(byte) state});
        hubby.set(Attribute.HUBBY_STATE, new byte[] {(byte) state});
    }

    /** hubby has an offer, and tells nobody. */
    void hasOffered(Path path) {
        hubbyValues.put(Attribute.HUBBY_OTA_UPGRADE_PATH, (path + "\0").getBytes(StandardCharsets.UTF_8));
    }

    /** hubby sets an attribute to anything. */
    void hubbySets(int attributeId, byte[] value) throws IOException {
        hubby.set(attributeId, value);
    }

    void offer(Path path) throws IOException {
        offer(path.toString());
    }

    void offer(String path) throws IOException {
        hubby.set(Attribute.HUBBY_OTA_UPGRADE_PATH, (path + "\0").getBytes(StandardCharsets.UTF_8));
    }

    Path download(String name, String header) throws IOException {
        Path path = downloads().resolve(name);
        Files.writeString(Path.of(path + ".img"), "image of " + name);
        Files.writeString(Path.of(path + ".hdr"), header);
        return path;
    }

    // ---- the daemon ----

    Path config(String more) throws IOException {
        return Files.writeString(
                folder.resolve("otamgr.json"),
                """
                {"attrdSocket": "%1$s/IPC.ATTRD", "updatePathPrefix": "%1$s/tmp", "sysupgrade": ["%1$s/sysupgrade"],
                 "otaSlot": ["%1$s/ota-slot"], "reboot": ["%1$s/reboot"], "rebootDelaySeconds": 0,
                 "rebootReason": "%1$s/reboot_reason", "storage": "%1$s/storage", "control": "%1$s/control",
                 "commit": {"healthDirectory": "%1$s/health.d", "deadlineSeconds": %2$d, "checkTimeoutSeconds": %3$d,
                  "hubbyStableSeconds": %6$d},
                 "retry": {"directory": "%1$s/memory", "backoffSeconds": %4$d}%5$s}
                """
                        .formatted(folder, deadline, checkTimeout, backoff, more, hubbyStable));
    }

    /** The trial is given up so many seconds from now. */
    void deadlineIn(int seconds) throws IOException {
        deadline = (int) Double.parseDouble(
                        Files.readString(Path.of("/proc/uptime")).split(" ")[0])
                + seconds;
    }

    void checkTimeout(int seconds) {
        checkTimeout = seconds;
    }

    void hubbyStable(int seconds) {
        hubbyStable = seconds;
    }

    void backoff(int seconds) {
        backoff = seconds;
    }

    Daemon startDaemon() throws IOException {
        return startDaemon("");
    }

    /** Starts the daemon with more keys in its configuration. */
    Daemon startDaemon(String more) throws IOException {
        return start(daemon(more));
    }

    /** A daemon whose log nobody reads, with the heap that it has on a device. */
    Process startDaemonUnread() throws IOException {
        ProcessBuilder builder = daemon("");
        builder.command().addAll(1, List.of("-Xmx16m", "-Xmn1m", "-XX:+UseSerialGC"));
        Process process = builder.start();
        toClose.push(process::destroyForcibly);
        return process;
    }

    private ProcessBuilder daemon(String more) throws IOException {
        return new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-Dorg.newsclub.net.unix.library.override="
                        + System.getProperty("org.newsclub.net.unix.library.override"),
                "-cp",
                System.getProperty("java.class.path"),
                "org.metaotamgr.daemon.OtamgrMain",
                "--config",
                config(more).toString());
    }

    Daemon start(ProcessBuilder builder) throws IOException {
        builder.environment().remove("JOURNAL_STREAM");
        Daemon daemon = new Daemon(builder);
        toClose.push(daemon);
        return daemon;
    }

    // ---- what the programs did ----

    /** The runs of sysupgrade that have begun, oldest first. */
    List<Run> runs() {
        try (Stream<Path> files = Files.list(folder.resolve("runs"))) {
            return files.filter(file -> file.toString().endsWith(".arguments"))
                    .sorted((a, b) ->
                            Long.compare(a.toFile().lastModified(), b.toFile().lastModified()))
                    .map(Run::new)
                    .toList();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** Waits for a run of sysupgrade to begin. */
    Run awaitRun(int number) throws InterruptedException {
        await(() -> runs().size() >= number, "sysupgrade run " + number);
        return runs().get(number - 1);
    }

    List<String> linesOf(String name) {
        try {
            return Files.exists(folder.resolve(name)) ? Files.readAllLines(folder.resolve(name)) : List.of();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    void awaitLines(String name, int count) throws InterruptedException {
        await(() -> linesOf(name).size() >= count, count + " lines in " + name);
    }

    /** Waits for something that programs do. */
    static void await(BooleanSupplier condition, String what) throws InterruptedException {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() - until > 0) {
                throw new AssertionError("expected " + what + " within 60 s");
            }
            TimeUnit.MILLISECONDS.sleep(10);
        }
    }

    /** One run of sysupgrade. */
    final class Run {
        private final Path file;
        private final String pid;

        private Run(Path file) {
            this.file = file;
            String name = file.getFileName().toString();
            this.pid = name.substring(0, name.indexOf('.'));
        }

        List<String> arguments() throws IOException {
            return Files.readAllLines(file);
        }

        String progressDevice() throws IOException {
            return Files.readString(folder.resolve("runs/" + pid + ".env")).strip();
        }

        String image() throws IOException {
            List<String> arguments = arguments();
            return arguments.get(arguments.size() - 1);
        }

        boolean isRunning() {
            return ProcessHandle.of(Long.parseLong(pid)).isPresent();
        }

        /** Lets it end. */
        void end(int status) throws IOException {
            Path next = folder.resolve("runs/" + pid + ".ending");
            Files.writeString(next, Integer.toString(status));
            Files.move(next, folder.resolve("runs/" + pid + ".end"), StandardCopyOption.ATOMIC_MOVE);
        }
    }

    void close() throws Exception {
        for (Run run : runs()) {
            run.end(1);
        }
        for (AutoCloseable closeable : toClose) {
            closeable.close();
        }
        for (Run run : runs()) {
            await(() -> !run.isRunning(), "the end of sysupgrade");
        }
    }
}
