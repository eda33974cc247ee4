// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbitsimulator;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** Assigns files to one device, and prints what the device says. */
public final class HawkbitSimulatorMain {
    private static final long PERIOD_MILLIS = 200;
    private static final String USAGE =
            """
            Usage: hawkbit-simulator PORT CONTROLLER-ID TARGET-TOKEN [VERSION FILE]

            The device side of a hawkBit server for one device. With VERSION and FILE it assigns this one update, and
            ends when the device has closed it. Without them it obeys lines on its standard input until that ends:

              assign VERSION FILE [KEY=VALUE]...   assigns an update, with metadata of the software module
              cancel ACTION                        asks the device to give up what was assigned

            example: hawkbit-simulator 18080 board-1 secret-of-board-1 2.0 update.bundle""";

    private final HawkbitSimulator simulator;
    /** How many messages of each action were shown. */
    private final Map<Long, Integer> shown = new LinkedHashMap<>();

    private int requests;

    private HawkbitSimulatorMain(HawkbitSimulator simulator) {
        this.simulator = simulator;
    }

    /**
     * Runs it.
     *
     * @param arguments the port, the controller id, its target token, and perhaps a version and a file
     * @throws IOException if it cannot listen, or read the file
     * @throws InterruptedException if the thread was interrupted
     */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        if (arguments.length != 3 && arguments.length != 5) {
            System.err.println(USAGE);
            System.exit(2);
        }
        try (HawkbitSimulator simulator = new HawkbitSimulator(
                new InetSocketAddress(Integer.parseInt(arguments[0])),
                Optional.empty(),
                new HawkbitSimulator.Identity("DEFAULT", arguments[1], arguments[2], Optional.empty()))) {
            HawkbitSimulatorMain shell = new HawkbitSimulatorMain(simulator);
            if (arguments.length == 5) {
                shell.untilOver(shell.assign(arguments[3], Path.of(arguments[4]), Map.of()));
            } else {
                System.out.println("http://localhost:" + simulator.uri().getPort() + "/ for " + arguments[1]);
                shell.untilEndOfInput();
            }
        }
    }

    private synchronized long assign(String version, Path file, Map<String, String> metadata) throws IOException {
        Assignment assignment =
                Assignment.forced("system", version, Artifact.of(file)).saying(metadata);
        // Each in a set of its own, so that it can be assigned again.
        simulator.forget(assignment);
        long action = simulator.assign(assignment);
        shown.put(action, 0);
        System.out.println("http://localhost:" + simulator.uri().getPort() + "/: action " + action
                + " assigned, version " + version);
        return action;
    }

    private void untilOver(long action) throws InterruptedException {
        do {
            Thread.sleep(PERIOD_MILLIS);
            show();
        } while (simulator.status(action).equals("RUNNING")
                || simulator.status(action).equals("CANCELING"));
        System.out.println("action " + action + ": " + simulator.status(action));
    }

    private void untilEndOfInput() throws IOException {
        Thread printer = new Thread(this::showAlways, "printer");
        printer.setDaemon(true);
        printer.start();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            try {
                obey(line.strip().split("\\s+"));
            } catch (IOException | IllegalArgumentException e) {
                System.out.println("? " + line + ": " + e.getMessage());
            }
        }
    }

    private void obey(String[] words) throws IOException {
        if (words[0].equals("assign") && words.length >= 3) {
            Map<String, String> metadata = new HashMap<>();
            for (int i = 3; i < words.length; i++) {
                String[] pair = words[i].split("=", 2);
                if (pair.length != 2) {
                    throw new IllegalArgumentException("expected KEY=VALUE, found " + words[i]);
                }
                metadata.put(pair[0], pair[1]);
            }
            assign(words[1], Path.of(words[2]), metadata);
        } else if (words[0].equals("cancel") && words.length == 2 && shown.containsKey(Long.valueOf(words[1]))) {
            simulator.cancel(Long.parseLong(words[1]));
        } else if (!words[0].isEmpty()) {
            throw new IllegalArgumentException(
                    "expected assign VERSION FILE [KEY=VALUE]..., or cancel ACTION of one that was");
        }
    }

    private void showAlways() {
        try {
            while (true) {
                Thread.sleep(PERIOD_MILLIS);
                show();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized void show() {
        for (; requests < simulator.requests().size(); requests++) {
            HawkbitSimulator.Recorded request = simulator.requests().get(requests);
            System.out.println(request.method() + " " + request.path());
        }
        shown.replaceAll((action, count) -> {
            int all = simulator.messages(action).size();
            simulator
                    .messages(action)
                    .subList(count, all)
                    .forEach(message -> System.out.println("    action " + action + " " + message));
            return all;
        });
    }
}
