// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbitsimulator;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Assigns one file to one device, and prints what the device says until the action is over. */
public final class HawkbitSimulatorMain {
    private static final long PERIOD_MILLIS = 200;

    private HawkbitSimulatorMain() {
    }

    /**
     * Runs it.
     *
     * @param arguments the port, the controller id, its target token, the version, the file
     * @throws IOException if it cannot listen, or read the file
     * @throws InterruptedException if the thread was interrupted
     */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        if (arguments.length != 5) {
            System.err.println("Usage: hawkbit-simulator PORT CONTROLLER-ID TARGET-TOKEN VERSION FILE");
            System.exit(2);
        }
        Path file = Path.of(arguments[4]);
        try (HawkbitSimulator simulator = new HawkbitSimulator(new InetSocketAddress(Integer.parseInt(arguments[0])),
                Optional.empty(), new HawkbitSimulator.Identity("DEFAULT", arguments[1], arguments[2], Optional.empty()))) {
            long action = simulator.assign(Assignment.forced("system", arguments[3], Files.readAllBytes(file)));
            System.out.println("http://localhost:" + simulator.uri().getPort() + "/: action " + action + " assigned to "
                    + arguments[1]);
            int requests = 0;
            int messages = 0;
            do {
                Thread.sleep(PERIOD_MILLIS);
                for (; requests < simulator.requests().size(); requests++) {
                    HawkbitSimulator.Recorded request = simulator.requests().get(requests);
                    System.out.println(request.method() + " " + request.path());
                }
                for (; messages < simulator.messages(action).size(); messages++) {
                    System.out.println("    " + simulator.messages(action).get(messages));
                }
            } while (simulator.status(action).equals("RUNNING") || simulator.status(action).equals("CANCELING"));
            System.out.println("action " + action + ": " + simulator.status(action));
        }
    }
}
