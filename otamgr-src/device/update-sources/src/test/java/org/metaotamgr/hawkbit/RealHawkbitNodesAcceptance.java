// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateEvent;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.hawkbitsimulator.Assignment;
import org.metaotamgr.testing.Workshop;

/**
 * The client against a cluster of hawkBit servers behind one address, whose nodes die at bad moments: scripts/hawkbit-server --nodes 2, then
 * scripts/test hawkbit --server URL --nodes FOLDER. Node N listens on the port of the address + N.
 */
@EnabledIfSystemProperty(named = "hawkbit.nodes", matches = ".+", disabledReason = "needs several hawkBit servers")
class RealHawkbitNodesAcceptance {
    private static final InstalledSystem DEVICE =
            new InstalledSystem(Optional.empty(), Optional.of("1.0"), Optional.of("qemuarm64"), Optional.empty());
    private static final List<Integer> NODES = List.of(1, 2);
    private static final Path FOLDER = Path.of(System.getProperty("hawkbit.nodes", "."));
    private static final URI ADDRESS = URI.create(System.getProperty("hawkbit.server", "http://127.0.0.1:1"));
    /** More than the sockets on the way hold. */
    private static final int LARGE = 40_000_000;

    @TempDir
    private static Path bundles;

    private static byte[] bundle;

    @TempDir
    private Path folder;

    private final String device = "board-" + System.nanoTime();
    private Workshop workshop;

    @BeforeAll
    static void makeBundles() throws Exception {
        Workshop made = new Workshop(bundles);
        made.makeKey("release");
        bundle = Files.readAllBytes(made.makeBundle("release", "qemuarm64", "2.0", LARGE));
    }

    @BeforeEach
    void wholeCluster() throws Exception {
        workshop = new Workshop(folder);
        for (int node : NODES) {
            waitUntil(Duration.ofMinutes(8), "node " + node + " answers", () -> listens(node));
        }
    }

    private interface Condition {
        boolean holds() throws IOException, InterruptedException;
    }

    private static void waitUntil(Duration atMost, String what, Condition condition) throws Exception {
        long end = System.nanoTime() + atMost.toNanos();
        while (!condition.holds()) {
            assertTrue(System.nanoTime() < end, "expected that " + what + ", it did not within " + atMost);
            Thread.sleep(200);
        }
    }

    private static int port(int node) {
        return ADDRESS.getPort() + node;
    }

    private static URI node(int number) {
        return URI.create("http://127.0.0.1:" + port(number));
    }

    private static boolean listens(int node) {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", port(node)), 1000);
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private void signal(String name, int node) throws IOException, InterruptedException {
        workshop.run(
                "kill",
                "-" + name,
                Files.readString(FOLDER.resolve("node-" + node + ".pid")).strip());
    }

    /** The node to which the address has an open request. */
    private Optional<Integer> busyNode() throws IOException, InterruptedException {
        for (int node : NODES) {
            if (!workshop.run("ss", "-Htn", "state", "established", "sport = :" + port(node))
                    .isBlank()) {
                return Optional.of(node);
            }
        }
        return Optional.empty();
    }

    private UpdateSource sourceAt(URI server, RealHawkbit managed) throws Exception {
        return new HawkbitSourceProvider()
                .open(
                        Workshop.config(
                                "{'type': 'hawkbit', 'url': '" + server + "', 'plainHttp': true, 'controllerId': '"
                                        + device + "', 'targetToken': '" + managed.token() + "'}"),
                        workshop.context(Clock.systemUTC(), new Workshop(bundles).verifier("release")));
    }

    private static Target offered(UpdateSource source) throws Exception {
        return assertInstanceOf(CheckResult.Offers.class, source.check(DEVICE))
                .targets()
                .get(0);
    }

    private static long count(RealHawkbit server, long action, Predicate<String> line) throws Exception {
        return server.history(action).stream().filter(line).count();
    }

    @Test
    void whatIsAssignedOnOneNodeIsOfferedByTheOtherAndItsCancelIsSeenByTheFirst() throws Exception {
        RealHawkbit first = new RealHawkbit(node(1), device);
        UpdateSource second = sourceAt(node(2), first);
        assertInstanceOf(CheckResult.Nothing.class, second.check(DEVICE));
        long action = first.assign(Assignment.forced("system", "2.0", bundle));
        Target target = offered(second);
        Path storage = Files.createDirectories(folder.resolve("storage"));
        assertArrayEquals(bundle, Files.readAllBytes(second.pull(target, storage, bytes -> {})));
        second.report(target, new UpdateEvent.Pulled());
        first.cancel(action);
        assertInstanceOf(CheckResult.Nothing.class, second.check(DEVICE));
        assertEquals("CANCELED", first.status(action));
    }

    @Test
    void aNodeThatDiesInTheMiddleOfAPullCostsWhatIsNotThereYet() throws Exception {
        RealHawkbit server = new RealHawkbit(ADDRESS, device);
        long action = server.assign(Assignment.forced("system", "2.0", bundle));
        UpdateSource source = sourceAt(ADDRESS, server);
        Target target = offered(source);
        Path storage = Files.createDirectories(folder.resolve("storage"));
        int[] killed = {0};
        PullProgress killing = bytes -> {
            if (killed[0] == 0 && bytes > LARGE / 8) {
                try {
                    killed[0] = busyNode().orElseThrow();
                    signal("KILL", killed[0]);
                } catch (IOException | InterruptedException e) {
                    throw new AssertionError(e);
                }
            }
        };
        SourceException broken = assertThrows(SourceException.class, () -> source.pull(target, storage, killing));
        System.out.println("node " + killed[0] + " died in the middle of a pull: " + broken.getMessage());
        // The other node, at once: nothing of the dead one is waited for.
        Target again = offered(sourceAt(ADDRESS, server));
        assertArrayEquals(bundle, Files.readAllBytes(sourceAt(ADDRESS, server).pull(again, storage, bytes -> {})));
        assertTrue(
                workshop.log.stream().anyMatch(line -> line.startsWith("download_resumed:")), workshop.log.toString());
        System.out.println(String.join("\n", workshop.log));
        source.report(again, new UpdateEvent.Pulled());
        source.report(again, new UpdateEvent.Done());
        assertEquals("FINISHED", server.status(action));
    }

    @Test
    void aNodeThatDiesWithAFeedbackLosesNoneAndNothingIsToldTwice() throws Exception {
        RealHawkbit server = new RealHawkbit(ADDRESS, device);
        long action = server.assign(Assignment.forced("system", "2.0", bundle));
        UpdateSource source = sourceAt(ADDRESS, server);
        Target target = offered(source);
        for (int node : NODES) {
            signal("STOP", node);
        }
        CompletableFuture<String> reported = CompletableFuture.supplyAsync(() -> {
            try {
                source.report(target, new UpdateEvent.Done());
                return "taken";
            } catch (SourceException e) {
                return e.getMessage();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return "interrupted";
            }
        });
        int dies;
        try {
            waitUntil(Duration.ofSeconds(30), "a node has the feedback", () -> busyNode()
                    .isPresent());
            dies = busyNode().orElseThrow();
            signal("KILL", dies);
        } finally {
            for (int node : NODES) {
                signal("CONT", node);
            }
        }
        System.out.println("node " + dies + " died with a feedback: " + reported.get(5, TimeUnit.MINUTES));
        // As the agent does, which keeps what could not be told.
        sourceAt(ADDRESS, server).report(target, new UpdateEvent.Done());
        assertEquals("FINISHED", server.status(action));
        assertEquals(1, count(server, action, line -> line.startsWith("finished: version 2.0 runs")));
        source.report(target, new UpdateEvent.Done());
        assertEquals(1, count(server, action, line -> line.startsWith("finished: version 2.0 runs")));
    }
}
