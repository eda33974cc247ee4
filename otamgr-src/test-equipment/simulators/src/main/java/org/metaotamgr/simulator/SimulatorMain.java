// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.metaotamgr.wire.AttributeStatus;

/** The simulators from the command line. */
public final class SimulatorMain {
    private static final String HELP =
            """
            Stand-ins for Afero's attrd and hubby. Log lines go to standard output.

              attrd    [options]             the attribute daemon: creates the socket, routes attributes
              hubby    [options]             the cloud agent: looks for updates, downloads and announces them
              platform [options]             both in one process, talking over the socket
              attrc    [options] get ID      prints the value of an attribute in hexadecimal
              attrc    [options] set ID HEX  sets an attribute, for example: attrc set 65012 01000000
              command  [options] HEX         sends a command from the cloud, as attrc set 65012 does; 01 reboots

            Options of all:
              --socket PATH            where attrd listens (default /var/run/IPC.ATTRD)

            Options of attrd and platform:
              --reboot-reason FILE     what attribute 65019 is read from (default /afero_nv/reboot_reason)
              --fragment BYTES         sends everything in pieces of so many bytes
              --coalesce MILLIS        collects messages for so long and sends them glued together
              --control                reads commands from standard input: "drop NAME" or "drop all" closes the
                                       connection of a client, "quit" ends the simulator

            Options of hubby and platform:
              --url URL                address of an update description, for example
                                       http://10.0.2.2:8080/update.properties
              --directory DIR          looks for update.properties in a directory instead
              --service URL            asks the simulated OTA service instead (scripts/ota-service): downloads go on
                                       after a break, headers must be signed; needs
              --device ID                the device that this is
              --service-key FILE         the service's public key (it has it at /hubby/public-key.pem)
              --record FILE              full_ota_record.json of this system: its version is told to the service
              --slot a|b                 the slot that runs, told with it
              --installed-header FILE  header of the running system (default /etc/ota_type_5.hdr); an update with
                                       another header is announced, once per connection to attrd
              --poll-seconds N         how often to look (default 5)
              --state N                what hubby says about the cloud: 0 not known, 1 connected, 2 not connected
                                       (default 1)
              --chatter N              says it N times a second (default 0: only when it changes)

            An update description has five lines; the files lie beside it:
              version=2.0
              image=core-image-minimal.ext4.gz
              header=core-image-minimal.hdr
              imageSha256=<64 hexadecimal digits>
              headerSha256=<64 hexadecimal digits>

            Exit status: 0 done, 1 failed, 2 wrong usage.
            """;

    private static final int COMMAND_SIZE = 4;
    private static final int DOWNLOAD_TRIES = 20;
    private static final Duration DOWNLOAD_TIMEOUT = Duration.ofSeconds(20);

    private final PrintStream out;
    private String[] words = new String[0];
    private Path socket = Path.of("/var/run/IPC.ATTRD");
    private final Attrd.Options attrdOptions = new Attrd.Options();
    private boolean control;
    private UpdateSource source;
    private Path installedHeader = Path.of("/etc/ota_type_5.hdr");
    private String service;
    private String device;
    private Path serviceKey;
    private Path record;
    private String slot = "";
    private int pollSeconds = 5;
    private int state = 1;
    private int chatter;

    private SimulatorMain(PrintStream out) {
        this.out = out;
    }

    private static final class UsageException extends Exception {
        private static final long serialVersionUID = 1L;

        UsageException(String message) {
            super(message);
        }
    }

    /**
     * Runs a simulator.
     *
     * @param arguments see {@code --help}
     */
    public static void main(String[] arguments) {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        int status;
        try {
            status = new SimulatorMain(out).run(arguments);
        } catch (UsageException | IllegalArgumentException e) {
            System.err.println(e.getMessage() + "; --help explains the usage");
            status = 2;
        } catch (IOException e) {
            System.err.println(e.getMessage());
            status = 1;
        } catch (InterruptedException e) {
            status = 1;
        }
        System.exit(status);
    }

    private int run(String[] arguments) throws UsageException, IOException, InterruptedException {
        if (Arrays.asList(arguments).contains("--help")) {
            out.print(HELP);
            return 0;
        }
        parse(arguments);
        String command = words.length == 0 ? "" : words[0];
        switch (command) {
            case "attrd":
                expectWords(1);
                try (Attrd attrd = startAttrd()) {
                    control(attrd);
                }
                return 0;
            case "hubby":
                expectWords(1);
                hubby().run();
                return 0;
            case "platform":
                expectWords(1);
                try (Attrd attrd = startAttrd()) {
                    startInBackground(hubby());
                    control(attrd);
                }
                return 0;
            case "attrc":
                return attrc();
            case "command":
                expectWords(2);
                set(Attribute.HUBBY_COMMAND, Arrays.copyOf(Hex.parse(words[1]), COMMAND_SIZE));
                return 0;
            default:
                throw new UsageException(
                        command.isEmpty()
                                ? "what to simulate is missing"
                                : "\"" + command + "\" is none of attrd, hubby, platform, attrc, command");
        }
    }

    private void parse(String[] arguments) throws UsageException {
        Deque<String> rest = new ArrayDeque<>(Arrays.asList(arguments));
        Deque<String> plain = new ArrayDeque<>();
        while (!rest.isEmpty()) {
            String option = rest.remove();
            switch (option) {
                case "--socket":
                    socket = Path.of(value(option, rest));
                    break;
                case "--reboot-reason":
                    attrdOptions.rebootReason(Path.of(value(option, rest)));
                    break;
                case "--fragment":
                    attrdOptions.fragment(number(option, rest, 1, Integer.MAX_VALUE));
                    break;
                case "--coalesce":
                    attrdOptions.coalesce(number(option, rest, 0, 60_000));
                    break;
                case "--control":
                    control = true;
                    break;
                case "--url":
                    source = web(value(option, rest));
                    break;
                case "--service":
                    service = value(option, rest);
                    break;
                case "--device":
                    device = value(option, rest);
                    break;
                case "--service-key":
                    serviceKey = Path.of(value(option, rest));
                    break;
                case "--record":
                    record = Path.of(value(option, rest));
                    break;
                case "--slot":
                    slot = value(option, rest);
                    break;
                case "--directory":
                    source = new UpdateSource.Directory(Path.of(value(option, rest)));
                    break;
                case "--installed-header":
                    installedHeader = Path.of(value(option, rest));
                    break;
                case "--poll-seconds":
                    pollSeconds = number(option, rest, 1, 86_400);
                    break;
                case "--state":
                    state = number(option, rest, -128, 127);
                    break;
                case "--chatter":
                    chatter = number(option, rest, 0, 10_000);
                    break;
                default:
                    if (option.startsWith("--")) {
                        throw new UsageException("unknown option " + option);
                    }
                    plain.add(option);
            }
        }
        words = plain.toArray(words);
    }

    private static UpdateSource web(String address) throws UsageException {
        URI uri = URI.create(address);
        if (!"http".equals(uri.getScheme()) || uri.getHost() == null) {
            throw new UsageException(
                    "--url needs an address like http://host:port/update.properties, \"" + address + "\" is none");
        }
        return new UpdateSource.Web(uri);
    }

    private static String value(String option, Deque<String> rest) throws UsageException {
        if (rest.isEmpty()) {
            throw new UsageException(option + " needs a value");
        }
        return rest.remove();
    }

    private static int number(String option, Deque<String> rest, int min, int max) throws UsageException {
        String text = value(option, rest);
        try {
            int number = Integer.parseInt(text);
            if (number >= min && number <= max) {
                return number;
            }
        } catch (NumberFormatException e) {
            throw new UsageException(option + " needs a number, \"" + text + "\" is none");
        }
        throw new UsageException(option + " needs a number from " + min + " to " + max + ", not " + text);
    }

    private void expectWords(int count) throws UsageException {
        if (words.length != count) {
            throw new UsageException(words[0] + " takes " + (count - 1) + " arguments, found " + (words.length - 1));
        }
    }

    private Log log() {
        return new Log() {
            @Override
            public synchronized void line(String from, String line) {
                out.println(from + ": " + line);
            }
        };
    }

    private Attrd startAttrd() throws IOException {
        Attrd attrd = new Attrd(socket, attrdOptions, log());
        attrd.start();
        return attrd;
    }

    private Hubby hubby() throws UsageException, IOException {
        Hubby.RunningSystem running = null;
        if (service != null) {
            if (device == null || serviceKey == null) {
                throw new UsageException("--service needs --device and --service-key");
            }
            try {
                source = new UpdateSource.Service(
                        new HubbyDownload(
                                URI.create(service),
                                device,
                                Files.readString(serviceKey),
                                DOWNLOAD_TIMEOUT,
                                DOWNLOAD_TRIES),
                        service);
            } catch (GeneralSecurityException e) {
                throw new UsageException("--service-key " + serviceKey + ": " + e.getMessage());
            }
            running = record == null ? null : new Hubby.RunningSystem(recordedVersion(record), slot);
        }
        return new Hubby(
                socket, source, running, installedHeader, Duration.ofSeconds(pollSeconds), state, chatter, log());
    }

    /** The version in an OTA record; one member is not worth a JSON library on the small machine this runs on. */
    private static String recordedVersion(Path record) throws UsageException, IOException {
        Matcher version =
                Pattern.compile("\"version\"\\s*:\\s*\"([^\"\\\\]*)\"").matcher(Files.readString(record));
        if (!version.find()) {
            throw new UsageException("--record " + record + " has no \"version\"");
        }
        return version.group(1);
    }

    private static void startInBackground(Hubby hubby) {
        Thread thread = new Thread(
                new Runnable() {
                    @Override
                    public void run() {
                        try {
                            hubby.run();
                        } catch (InterruptedException e) {
                            Thread.currentThread().interrupt();
                        }
                    }
                },
                "hubby");
        thread.setDaemon(true);
        thread.start();
    }

    /** Obeys standard input if asked to, else stays for ever. */
    private void control(Attrd attrd) throws IOException, InterruptedException {
        if (!control) {
            Object never = new Object();
            synchronized (never) {
                while (true) {
                    never.wait();
                }
            }
        }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null && !line.equals("quit"); line = in.readLine()) {
            if (line.startsWith("drop ")) {
                String name = line.substring("drop ".length()).trim();
                out.println("attrd: " + attrd.drop(name) + " clients dropped");
            } else {
                out.println("attrd: unknown command \"" + line + "\", expected drop NAME, drop all or quit");
            }
        }
    }

    private int attrc() throws UsageException, IOException {
        if (words.length == 3 && words[1].equals("get")) {
            try (SimulatedClient client = attrcClient()) {
                out.println(Hex.of(client.get(attributeId(words[2]))));
            }
            return 0;
        }
        if (words.length == 4 && words[1].equals("set")) {
            set(attributeId(words[2]), Hex.parse(words[3]));
            return 0;
        }
        throw new UsageException("attrc takes \"get ID\" or \"set ID HEX\"");
    }

    private void set(int attributeId, byte[] value) throws IOException {
        try (SimulatedClient client = attrcClient()) {
            client.set(attributeId, value);
        }
    }

    private static int attributeId(String text) throws UsageException {
        try {
            return Integer.parseUnsignedInt(text);
        } catch (NumberFormatException e) {
            throw new UsageException("an attribute id is a number from 0 to 4294967295, \"" + text + "\" is not");
        }
    }

    private SimulatedClient attrcClient() throws IOException {
        SimulatedClient.Owner nothing = new SimulatedClient.Owner() {
            @Override
            public byte[] read(int attributeId) {
                return null;
            }

            @Override
            public AttributeStatus written(int attributeId, byte[] value) {
                return AttributeStatus.NOT_IMPLEMENTED;
            }
        };
        Log silent = new Log() {
            @Override
            public void line(String from, String line) {}
        };
        return new SimulatedClient(socket, Attribute.ATTRC, List.of(), nothing, silent);
    }
}
