// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** The page for people, what it shows, and the switch for faults. It shows no secret. */
final class PageApi {

    private static final Duration LONGEST_WAIT = Duration.ofSeconds(20);
    private static final int MOST_DEVICES = 200;
    private static final int MOST_IMAGES = 100;
    private static final int MOST_REQUESTS = 30;
    private static final int MOST_ROLLOUTS = 12;
    private static final int MOST_PUSHES = 8;

    private final Settings settings;
    private final ServiceState state;
    private final Faults faults;
    private final RequestLog requests;
    private final ObjectMapper json;
    private final byte[] page;

    PageApi(Settings settings, ServiceState state, Faults faults, RequestLog requests, ObjectMapper json)
            throws IOException {
        this.settings = settings;
        this.state = state;
        this.faults = faults;
        this.requests = requests;
        this.json = json;
        try (InputStream file = PageApi.class.getResourceAsStream("page.html")) {
            page = file.readAllBytes();
        }
    }

    Reply answer(Call call) throws IOException, ApiException, InterruptedException {
        return switch (call.route()) {
            case PAGE -> new Reply(
                    200,
                    Map.of(
                            "Content-Type",
                            "text/html; charset=utf-8",
                            "Cache-Control",
                            "no-store",
                            "Content-Security-Policy",
                            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"),
                    page,
                    Optional.empty());
            case PAGE_STATE -> state(call);
            case FAULTS -> setFaults(call);
            default -> throw new IllegalStateException(call.route() + " is not a call of the page");
        };
    }

    private Reply state(Call call) throws ApiException, InterruptedException {
        Map<String, String> query = call.query();
        String after = query.getOrDefault("after", "0");
        if (!after.matches("[0-9]{1,18}")) {
            throw ApiException.badRequest("after: expected a revision");
        }
        state.awaitChange(Long.parseLong(after), LONGEST_WAIT);
        return Reply.json(200, state(query.getOrDefault("filter", ""), query.getOrDefault("outcome", "")));
    }

    ObjectNode state(String filter, String outcome) {
        ObjectNode node = json.createObjectNode();
        // Taken first: what changes while the rest is collected is shown by the next question.
        node.put("revision", state.revision());
        Credentials known = settings.credentials();
        node.putObject("service")
                .put("partnerId", known.partnerId())
                .put("strict", settings.strict())
                .set("deviceTypes", json.valueToTree(known.deviceTypeIds()));
        images(node, known);
        node.put("now", settings.clock().millis());
        List<Push> pushes = state.pushes();
        devices(node, filter, outcome, pushes);
        rollouts(node, pushes);
        ArrayNode log = node.putArray("requests");
        for (RecordedRequest request : requests.last(MOST_REQUESTS)) {
            log.addObject()
                    .put("method", request.method())
                    .put("path", request.path())
                    .put("status", request.status());
        }
        node.set("faults", json.valueToTree(faults.texts()));
        return node;
    }

    private void images(ObjectNode node, Credentials known) {
        List<PoolRecord> records = new ArrayList<>(state.pool(known.partnerId()));
        Collections.reverse(records);
        node.put("imageCount", records.size());
        ArrayNode images = node.putArray("images");
        for (PoolRecord record : records.subList(0, Math.min(MOST_IMAGES, records.size()))) {
            ObjectNode image = images.addObject()
                    .put("poolId", record.id())
                    .put("name", record.name())
                    .put("version", record.version())
                    .put("versionNumber", record.versionNumber())
                    .put("stored", record.hasUrl());
            List<Association> offered = state.associationsOf(record);
            image.set(
                    "imageIds",
                    json.valueToTree(offered.stream().map(Association::id).toList()));
            image.put("undeliverable", offered.stream().anyMatch(one -> !one.record()
                    .hasUrl()));
            image.put("modified", offered.stream().anyMatch(Association::modified));
        }
    }

    /** What was pushed to how many devices, and how that ended, the latest first. */
    private void rollouts(ObjectNode node, List<Push> pushes) {
        // The last push of an image to a device counts; those before it were replaced or tried again.
        Map<String, Map<String, Push>> images = new LinkedHashMap<>();
        Map<String, Long> last = new HashMap<>();
        for (Push push : pushes) {
            images.computeIfAbsent(push.imageId(), id -> new LinkedHashMap<>()).put(push.deviceId(), push);
            last.merge(push.imageId(), push.time(), Math::max);
        }
        List<String> order = new ArrayList<>(images.keySet());
        Collections.reverse(order);
        order.sort(Comparator.comparing((String id) -> last.get(id)).reversed());
        ArrayNode list = node.putArray("rollouts");
        for (String id : order.subList(0, Math.min(MOST_ROLLOUTS, order.size()))) {
            Map<String, Integer> outcomes = new TreeMap<>();
            int open = 0;
            for (Push push : images.get(id).values()) {
                outcomes.merge(push.outcome().text(), 1, Integer::sum);
                open += push.outcome().open() ? 1 : 0;
            }
            list.addObject()
                    .put("imageId", id)
                    .put("version", version(id))
                    .put("time", last.get(id))
                    .put("devices", images.get(id).size())
                    .put("open", open)
                    .set("outcomes", json.valueToTree(outcomes));
        }
    }

    /** Empty if the image is not offered any more. */
    private String version(String imageId) {
        return state.image(imageId).map(image -> image.record().version()).orElse("");
    }

    private static boolean isLike(Push push, String outcome) {
        return switch (outcome) {
            case "open" -> push != null && push.outcome().open();
            case "failed" -> push != null
                    && !push.outcome().open()
                    && push.outcome() != Push.Outcome.INSTALLED
                    && push.outcome() != Push.Outcome.REPLACED;
            case "installed" -> push != null && push.outcome() == Push.Outcome.INSTALLED;
            case "none" -> push == null;
            default -> true;
        };
    }

    private void devices(ObjectNode node, String filter, String outcome, List<Push> pushes) {
        List<Device> devices = state.devices();
        Map<String, Push> latest = new HashMap<>();
        pushes.forEach(push -> latest.put(push.deviceId(), push));
        Map<String, Integer> outcomes = new TreeMap<>();
        latest.values().forEach(push -> outcomes.merge(push.outcome().text(), 1, Integer::sum));
        node.put("deviceCount", devices.size());
        node.set("outcomes", json.valueToTree(outcomes));
        List<Device> shown = new ArrayList<>(devices.stream()
                .filter(device -> device.deviceId().contains(filter) && isLike(latest.get(device.deviceId()), outcome))
                .toList());
        // Those that something happens to, the latest first; the others after them.
        shown.sort(Comparator.comparingLong(device -> latest.containsKey(device.deviceId())
                ? -Long.parseLong(latest.get(device.deviceId()).id())
                : 1));
        node.put("matching", shown.size());
        Map<String, List<Push>> histories = new HashMap<>();
        pushes.forEach(push -> histories
                .computeIfAbsent(push.deviceId(), id -> new ArrayList<>())
                .add(push));
        ArrayNode list = node.putArray("devices");
        for (Device device : shown.subList(0, Math.min(MOST_DEVICES, shown.size()))) {
            ObjectNode row = list.addObject()
                    .put("deviceId", device.deviceId())
                    .put("versionNumber", device.installed().toString())
                    .put("version", device.version())
                    .put("slot", device.slot());
            state.lastSeen(device.deviceId()).ifPresent(time -> row.put("seen", time));
            List<Push> history = histories.getOrDefault(device.deviceId(), List.of());
            ArrayNode told = row.putArray("history");
            for (int i = history.size() - 1; i >= Math.max(0, history.size() - MOST_PUSHES); i--) {
                told.addObject()
                        .put("imageId", history.get(i).imageId())
                        .put("version", version(history.get(i).imageId()))
                        .put("outcome", history.get(i).outcome().text())
                        .put("time", history.get(i).time());
            }
            Push push = latest.get(device.deviceId());
            if (push != null) {
                row.put("imageId", push.imageId())
                        .put("outcome", push.outcome().text())
                        .put("phase", push.phase())
                        .put("percent", push.percent());
            }
        }
    }

    /** One fault a line replaces all faults there were; no line at all ends them. */
    private Reply setFaults(Call call) throws IOException, ApiException {
        List<Fault> wanted = new ArrayList<>();
        for (String line : call.shortBody().split("\\R")) {
            if (!line.isBlank()) {
                try {
                    wanted.add(Fault.parse(line.strip()));
                } catch (IllegalArgumentException e) {
                    throw ApiException.badRequest(e.getMessage());
                }
            }
        }
        faults.clear();
        wanted.forEach(faults::add);
        return new Reply(
                200,
                Map.of("Content-Type", "application/json"),
                json.valueToTree(faults.texts()).toString().getBytes(StandardCharsets.UTF_8),
                Optional.empty());
    }
}
