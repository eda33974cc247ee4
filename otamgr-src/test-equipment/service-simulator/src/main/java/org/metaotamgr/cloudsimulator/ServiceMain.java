// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.io.IOException;
import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Runs a service until it is interrupted. */
@Command(
        name = "ota-service",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        usageHelpWidth = 110,
        description =
                "A simulated OTA service on this machine: REST interface, device side and a page that shows what happens.",
        footer = {
            "",
            "Faults are written KIND[=VALUE][:ROUTE][@FIRST[-LAST]], for example",
            "  500:create@1         the first creation of a record is answered with 500",
            "  cut=70:upload@1      the first upload is cut after 70 %% of its body",
            "  cut-reply:push@3     the third push happens, its answer is lost",
            "  expire-token@5       all access tokens expire just before the fifth call",
            "  slow=3000, html=502, empty=503, wrong-sha, forget-url, and any status",
            "Exit status: 0 interrupted, 1 could not start, 2 usage."
        })
public final class ServiceMain implements Callable<Integer> {

    @Option(
            names = "--folder",
            paramLabel = "DIR",
            defaultValue = "ota-service",
            description = "keeps the state and partner-ota-conf.json (default: ${DEFAULT-VALUE})")
    private Path folder;

    @Option(
            names = "--bind",
            paramLabel = "ADDRESS",
            defaultValue = "127.0.0.1",
            description = "listens on this address (default: ${DEFAULT-VALUE}); there is no TLS, so keep to loopback")
    private String bind;

    @Option(
            names = "--host",
            paramLabel = "NAME",
            description =
                    "answers requests for this name as well; addresses, localhost and the name of this machine it always answers; can be repeated")
    private List<String> hosts = new ArrayList<>();

    @Option(
            names = "--port",
            paramLabel = "PORT",
            defaultValue = "8090",
            description = "listens on this port, 0 takes a free one (default: ${DEFAULT-VALUE})")
    private int port;

    @Option(names = "--device", paramLabel = "ID", description = "a device of the account; can be repeated")
    private List<String> devices = new ArrayList<>();

    @Option(
            names = "--devices",
            paramLabel = "N",
            defaultValue = "0",
            description = "so many devices more, named device-00001 and so on")
    private int deviceCount;

    @Option(
            names = "--install-after",
            paramLabel = "SECONDS",
            description = "devices install what is pushed by themselves, so long after the push")
    private Double installAfter;

    @Option(names = "--strict", description = "answers a push that is not newer than what the device has with 409")
    private boolean strict;

    @Option(
            names = "--token-life",
            paramLabel = "SECONDS",
            defaultValue = "16086",
            description = "access tokens expire after this time (default: ${DEFAULT-VALUE})")
    private long tokenLife;

    @Option(
            names = "--first-version-number",
            paramLabel = "N",
            description = "version number of the first record (default: 2^53 + 1001)")
    private BigInteger firstVersionNumber = Settings.DEFAULT_FIRST_VERSION_NUMBER;

    @Option(
            names = "--fail",
            paramLabel = "FAULT",
            description = "something that goes wrong on purpose; can be repeated")
    private List<String> faults = new ArrayList<>();

    private ServiceMain() {}

    /**
     * Runs the service.
     *
     * @param args see {@code --help}
     */
    public static void main(String[] args) {
        int status = new CommandLine(new ServiceMain()).execute(args);
        if (System.out.checkError() && status == 0) {
            System.err.println("ota-service: standard output: expected that it takes what is printed, found an error");
            status = 1;
        }
        System.exit(status);
    }

    @Override
    public Integer call() throws InterruptedException {
        try {
            faults.forEach(Fault::parse);
            Credentials credentials = DeveloperConfig.in(folder);
            Settings settings = new Settings(
                    folder,
                    new InetSocketAddress(bind, port),
                    credentials,
                    Duration.ofSeconds(tokenLife),
                    firstVersionNumber,
                    strict,
                    Optional.ofNullable(installAfter).map(seconds -> Duration.ofMillis(Math.round(seconds * 1000))),
                    Clock.systemUTC(),
                    text -> System.out.println(plain(text)));
            run(settings);
            return 0;
        } catch (IllegalArgumentException e) {
            System.err.println("ota-service: " + e.getMessage());
            return 2;
        } catch (IOException e) {
            System.err.println("ota-service: cannot start: " + e.getMessage());
            return 1;
        }
    }

    /** What clients send is shown on a terminal: without what would move its cursor. */
    private static String plain(String text) {
        StringBuilder plain = new StringBuilder();
        text.codePoints().forEach(one -> {
            if (Character.isISOControl(one) || Character.getType(one) == Character.FORMAT) {
                plain.append(String.format("\\u%04x", one));
            } else {
                plain.appendCodePoint(one);
            }
        });
        return plain.toString();
    }

    private void run(Settings settings) throws IOException, InterruptedException {
        OtaServiceSimulator service = OtaServiceSimulator.start(settings);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                service.close();
            } catch (IOException e) {
                System.err.println("ota-service: " + e.getMessage());
            }
        }));
        List<String> ids = new ArrayList<>(devices);
        for (int i = 1; i <= deviceCount; i++) {
            ids.add(String.format("device-%05d", i));
        }
        service.addDevices(settings.credentials().deviceTypeIds().get(0), ids);
        faults.forEach(service::addFault);
        service.addHosts(hosts);
        System.out.println("service   " + service.uri());
        System.out.println("page      " + service.uri() + "/");
        System.out.println("config    " + folder.resolve(DeveloperConfig.FILE).toAbsolutePath());
        System.out.println("devices   " + service.deviceCount());
        System.out.flush();
        // Until a signal starts the shutdown.
        new CountDownLatch(1).await();
    }
}
