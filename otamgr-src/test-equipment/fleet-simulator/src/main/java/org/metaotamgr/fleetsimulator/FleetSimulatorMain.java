// SPDX-License-Identifier: MIT
package org.metaotamgr.fleetsimulator;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.PriorityQueue;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.agent.Polling;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.Verifier;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.repository.RepositorySourceProvider;

/**
 * Simulates a fleet: {@code FOLDER DEVICES INTERVAL-SECONDS START-EPOCH}. All devices are switched on at the start.
 * FOLDER has {@code repo}, whose folder {@code www} it serves on a port of this machine. Each number of seconds since
 * 1970 on the standard input lets the time go on to that moment; the answer is one line of JSON: how many devices
 * began an update, how many requests there were in each minute.
 */
public final class FleetSimulatorMain {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final int MINUTE = 60;

    /** They mostly wait for one another. */
    private static final int THREADS = 64;

    private final Path www;
    private final ExecutorService workers = Executors.newFixedThreadPool(THREADS);
    private final ExecutorService servers = Executors.newFixedThreadPool(THREADS);
    private final HttpServer server;
    private final AtomicInteger requests = new AtomicInteger();
    private final AtomicLong bytes = new AtomicLong();
    private final PriorityQueue<SimulatedDevice> devices =
            new PriorityQueue<>(Comparator.comparing(SimulatedDevice::next));
    private Instant minute;

    private FleetSimulatorMain(Path folder, Instant start) throws IOException {
        www = folder.resolve("repo/www");
        minute = start;
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::serve);
        server.setExecutor(servers);
        server.start();
    }

    /**
     * Runs it.
     *
     * @param words the folder, the number of devices, the interval, and the start
     * @throws IOException if a file cannot be used
     * @throws ConfigException never
     * @throws InterruptedException never
     * @throws ExecutionException if a device does what it must not
     */
    public static void main(String[] words)
            throws IOException, ConfigException, InterruptedException, ExecutionException {
        Path folder = Path.of(words[0]);
        Instant start = Instant.ofEpochSecond(Long.parseLong(words[3]));
        FleetSimulatorMain fleet = new FleetSimulatorMain(folder, start);
        fleet.make(folder, Integer.parseInt(words[1]), Integer.parseInt(words[2]), start);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println(fleet.until(Instant.ofEpochSecond(Long.parseLong(line.strip()))));
        }
        fleet.server.stop(0);
        fleet.workers.shutdownNow();
        fleet.servers.shutdownNow();
    }

    private void serve(HttpExchange exchange) throws IOException {
        try (exchange) {
            requests.incrementAndGet();
            Path file =
                    www.resolve(exchange.getRequestURI().getPath().substring(1)).normalize();
            if (!file.startsWith(www)) {
                exchange.sendResponseHeaders(404, -1);
                return;
            }
            try {
                byte[] content = Files.readAllBytes(file);
                bytes.addAndGet(content.length);
                exchange.sendResponseHeaders(200, content.length);
                exchange.getResponseBody().write(content);
            } catch (NoSuchFileException e) {
                exchange.sendResponseHeaders(404, -1);
            }
        }
    }

    private void make(Path folder, int count, int interval, Instant start) throws IOException, ConfigException {
        Polling polling = new Polling(
                Polling.Automatic.INSTALL,
                Duration.ofSeconds(interval),
                10,
                Duration.ofSeconds(30),
                Duration.ofHours(1),
                List.of(),
                false,
                List.of(),
                0);
        for (int i = 0; i < count; i++) {
            Path state = Files.createDirectories(folder.resolve("devices").resolve(Integer.toString(i)));
            Path name = Files.writeString(state.resolve("machine-id"), String.format("%032x%n", 0x1234_5678_9abcL + i));
            SimulatedDevice.DeviceClock clock = new SimulatedDevice.DeviceClock();
            ObjectNode configuration = MAPPER.createObjectNode()
                    .put("type", "repository")
                    .put("url", "http://127.0.0.1:" + server.getAddress().getPort() + "/")
                    .put("plainHttp", true)
                    .put("proxy", "none")
                    .put("root", folder.resolve("repo/root.json").toString())
                    .put("buildTime", folder.resolve("timestamp").toString())
                    .put("deviceIdFile", name.toString());
            UpdateSource source = new RepositorySourceProvider()
                    .open(
                            ConfigObject.of("fleet", configuration, System.err::println),
                            new SourceContext(
                                    (severity, line) -> {},
                                    clock,
                                    new FileOperations.Real(),
                                    state,
                                    new NoBundles(),
                                    part -> Optional.empty()));
            // Neighbouring seeds of the other generators draw nearly the same at first.
            SplittableRandom random = new SplittableRandom(i);
            devices.add(new SimulatedDevice(source, clock, polling, random, start));
        }
    }

    /** Devices of the same minute are asked side by side; they know nothing of one another. */
    private ObjectNode until(Instant end) throws InterruptedException, ExecutionException {
        ObjectNode answer = MAPPER.createObjectNode().put("time", end.getEpochSecond());
        int started = 0;
        int failed = 0;
        int checks = 0;
        while (minute.isBefore(end)) {
            Instant next = minute.plusSeconds(MINUTE);
            requests.set(0);
            while (devices.element().next().isBefore(next)) {
                List<SimulatedDevice> due = new ArrayList<>();
                while (!devices.isEmpty() && devices.element().next().isBefore(next)) {
                    due.add(devices.remove());
                }
                List<Callable<SimulatedDevice.Step>> steps = new ArrayList<>();
                due.forEach(device -> steps.add(device::step));
                for (Future<SimulatedDevice.Step> step : workers.invokeAll(steps)) {
                    checks++;
                    started += step.get() == SimulatedDevice.Step.STARTED ? 1 : 0;
                    failed += step.get() == SimulatedDevice.Step.FAILED ? 1 : 0;
                }
                devices.addAll(due);
            }
            answer.withArray("requests").add(requests.get());
            minute = next;
        }
        return answer.put("started", started)
                .put("failed", failed)
                .put("checks", checks)
                .put("bytes", bytes.getAndSet(0));
    }

    /** Nothing is pulled here. */
    private static final class NoBundles implements Verifier {
        @Override
        public void verifyFile(Path file, Path signature) {
            throw new IllegalStateException("nothing is pulled here");
        }

        @Override
        public Manifest verifyBundle(Path bundle) {
            throw new IllegalStateException("nothing is pulled here");
        }
    }
}
