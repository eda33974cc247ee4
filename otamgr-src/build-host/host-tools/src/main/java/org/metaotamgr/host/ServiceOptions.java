// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.Proxies;
import picocli.CommandLine.Option;

/** Options of every command that talks to the service. */
final class ServiceOptions {

    @Option(
            names = {"-c", "--conf"},
            paramLabel = "FILE",
            description = "configuration (default: " + Conf.FILE_NAME + " in the current directory)")
    String conf;

    @Option(
            names = "--url",
            paramLabel = "URL",
            description = "address of the service (default: $OTA_SERVICE_URL, else " + ServiceUrl.PRODUCTION + ")")
    String url;

    @Option(
            names = "--proxy",
            paramLabel = "URL",
            description =
                    "http://HOST:PORT of a proxy, or none (default: $$https_proxy, $$http_proxy, $$all_proxy and $$no_proxy, as for curl; a proxy's password belongs there)")
    String proxy;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "60",
            description = "give up when nothing moves for so long (default: ${DEFAULT-VALUE})")
    int timeout;

    @Option(
            names = "--retries",
            paramLabel = "N",
            defaultValue = "5",
            description = "tries more after a failure that may pass (default: ${DEFAULT-VALUE})")
    int retries;

    @Option(names = "--json", description = "result as JSON on standard output")
    boolean json;

    @Option(
            names = "--progress",
            paramLabel = "WHEN",
            defaultValue = "auto",
            description = "progress bar: auto (on a terminal), always, never")
    String progress;

    @Option(names = "--trace", description = "show each call to the service, without secrets")
    boolean trace;

    /** What a command works with, once the configuration is checked. */
    record Opened(OtaService service, Conf conf, ServiceUrl url, Output output, boolean showProgress) {}

    Opened open(ProcessContext context, Secrets secrets, Conf.Use use) throws OtaException {
        Output output = new Output(context, secrets, json);
        if (timeout < 1 || timeout > 86_400) {
            throw new OtaException(ExitStatus.USAGE, "--timeout: expected 1 to 86400 seconds, found " + timeout);
        }
        if (retries < 0 || retries > 100) {
            throw new OtaException(ExitStatus.USAGE, "--retries: expected 0 to 100, found " + retries);
        }
        if (!progress.matches("auto|always|never")) {
            throw new OtaException(ExitStatus.USAGE, "--progress: expected auto, always or never, found " + progress);
        }
        String address = url != null ? url : context.environment().getOrDefault("OTA_SERVICE_URL", "");
        ServiceUrl where = ServiceUrl.of(address.isEmpty() ? ServiceUrl.PRODUCTION : address);
        Path file = context.folder().resolve(conf == null ? Conf.FILE_NAME : conf);
        Conf loaded = Conf.load(file, use, where, context, secrets, output);
        Duration answer = Duration.ofSeconds(timeout);
        Duration connect = answer.compareTo(Duration.ofSeconds(10)) < 0 ? answer : Duration.ofSeconds(10);
        Rest rest = new Rest(
                where,
                loaded,
                new Rest.Timeouts(connect, answer, retries),
                context,
                secrets,
                output,
                trace,
                proxies(context, where));
        boolean show = progress.equals("always") || progress.equals("auto") && context.terminal();
        return new Opened(new OtaService(rest, loaded), loaded, where, output, show);
    }

    private Proxies proxies(ProcessContext context, ServiceUrl where) throws OtaException {
        try {
            if (proxy != null) {
                return Proxies.of(proxy, List.of());
            }
            Proxies told = Proxies.ofEnvironment(context.environment());
            if (told.secure().isPresent() || told.plain().isPresent()) {
                return told;
            }
            Optional<Proxies.Server> java = UploadConnection.proxyOfJava(where.base());
            return new Proxies(java, java, List.of());
        } catch (ConfigException e) {
            throw new OtaException(ExitStatus.USAGE, e.getMessage());
        }
    }
}
