// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.UpdateSourceProvider;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SystemProcessRunner;
import org.metaotamgr.hawkbit.HawkbitSource.Confirmation;
import org.metaotamgr.http.Download;
import org.metaotamgr.http.Hasher;
import org.metaotamgr.http.Http;
import org.metaotamgr.http.HttpConfig;
import org.metaotamgr.repository.SignedRollouts;

/** Makes the source {@value HawkbitSource#NAME}. */
public final class HawkbitSourceProvider implements UpdateSourceProvider {
    private static final Path MACHINE_ID = Path.of("/etc/machine-id");
    private static final int MAX_CANCEL_POLL_SECONDS = 3600;
    private static final int MAX_ID = 256;

    /** Makes the provider; for the service loader. */
    public HawkbitSourceProvider() {}

    @Override
    public String name() {
        return HawkbitSource.NAME;
    }

    @Override
    public UpdateSource open(ConfigObject configuration, SourceContext context) throws ConfigException {
        Set<String> keys = new HashSet<>(HttpConfig.KEYS);
        keys.addAll(Set.of(
                "type",
                "tenant",
                "controllerId",
                "controllerIdFile",
                "targetToken",
                "targetTokenFile",
                "gatewayToken",
                "gatewayTokenFile",
                "part",
                "attributes",
                "confirmation",
                "cancelPollSeconds",
                "acceptImages",
                "rollouts"));
        configuration.warnAboutOthersThan(keys);
        HttpConfig config = HttpConfig.of(configuration);
        Http http = new Http(config, authorization(configuration));
        Programs programs = new Programs(new SystemProcessRunner(context.log()));
        HawkbitSource.Options options = new HawkbitSource.Options(
                Optional.of(configuration.string("part", "")).filter(part -> !part.isEmpty()),
                attributes(configuration),
                confirmation(configuration),
                configuration.seconds("cancelPollSeconds", 1, MAX_CANCEL_POLL_SECONDS, Duration.ofSeconds(30)),
                configuration.flag("acceptImages", false),
                config.base().getScheme().equals("https"),
                configuration.has("rollouts")
                        ? Optional.of(SignedRollouts.open(configuration.object("rollouts"), context))
                        : Optional.empty());
        return new HawkbitSource(
                new Ddi(http, config.base(), tenant(configuration), controllerId(configuration)),
                new Download(http, Hasher.ofProgram(programs), context.files(), context.log()),
                options,
                context,
                System::nanoTime);
    }

    private static Optional<String> authorization(ConfigObject configuration) throws ConfigException {
        Optional<String> target = HttpConfig.secret(configuration, "targetToken");
        Optional<String> gateway = HttpConfig.secret(configuration, "gatewayToken");
        if (target.isPresent() && gateway.isPresent()) {
            throw configuration.missing("targetToken", "one token: that of this device, or gatewayToken for all");
        }
        return target.map(token -> "TargetToken " + token).or(() -> gateway.map(token -> "GatewayToken " + token));
    }

    private static String controllerId(ConfigObject configuration) throws ConfigException {
        String id = configuration.string("controllerId", "");
        if (id.isEmpty()) {
            boolean isMachineId = !configuration.has("controllerIdFile");
            Path file = configuration.path("controllerIdFile", MACHINE_ID);
            try {
                id = Files.size(file) > MAX_ID
                        ? ""
                        : Files.readString(file, StandardCharsets.UTF_8).strip();
            } catch (IOException e) {
                throw configuration.missing(
                        "controllerId", "the name by which the server knows this device (" + file + " cannot be read)");
            }
            if (isMachineId || file.endsWith(MACHINE_ID.getFileName())) {
                requireMachineId(configuration, file, id);
            }
        }
        if (!isName(id)) {
            throw configuration.missing(
                    "controllerId",
                    "the name by which the server knows this device, of printable ASCII without spaces, other than . and ..");
        }
        return id;
    }

    private static String tenant(ConfigObject configuration) throws ConfigException {
        String tenant = configuration.string("tenant", "DEFAULT");
        if (!isName(tenant)) {
            throw configuration.wrong(
                    "tenant",
                    "a name of printable ASCII without spaces, other than . and ..",
                    configuration.get("tenant"));
        }
        return tenant;
    }

    /** Whether a text can be one step of a path. */
    private static boolean isName(String text) {
        return !text.isEmpty()
                && text.length() <= MAX_ID
                && text.chars().allMatch(one -> one > ' ' && one < 0x7f)
                && !text.equals(".")
                && !text.equals("..");
    }

    /** While systemd has not made one, many devices would have the same name, and get one another's assignments. */
    private static void requireMachineId(ConfigObject configuration, Path file, String id) throws ConfigException {
        if (!id.matches("[0-9a-f]{32}") || id.equals("0".repeat(32))) {
            throw configuration.wrong(
                    "controllerIdFile",
                    "32 hex digits that are not all zero in " + file + " (the system makes "
                            + "them at its first start; else name this device by controllerId)",
                    TextNode.valueOf(id));
        }
    }

    private static Map<String, String> attributes(ConfigObject configuration) throws ConfigException {
        configuration.object("attributes");
        Map<String, String> attributes = new HashMap<>();
        JsonNode node = configuration.get("attributes");
        if (node != null) {
            for (Map.Entry<String, JsonNode> entry : node.properties()) {
                if (!entry.getValue().isTextual()) {
                    throw configuration.object("attributes").wrong(entry.getKey(), "a string", entry.getValue());
                }
                attributes.put(entry.getKey(), entry.getValue().textValue());
            }
        }
        return attributes;
    }

    private static Confirmation confirmation(ConfigObject configuration) throws ConfigException {
        return switch (configuration.string("confirmation", "automatic")) {
            case "automatic" -> Confirmation.AUTOMATIC;
            case "server" -> Confirmation.SERVER;
            case "device" -> Confirmation.DEVICE;
            default -> throw configuration.wrong(
                    "confirmation", "automatic, server or device", configuration.get("confirmation"));
        };
    }
}
