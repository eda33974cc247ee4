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
        return Reply.json(200, state(query.getOrDefault("filter", "")));
    }

    ObjectNode state(String filter) {
        ObjectNode node = json.createObjectNode();
        // Taken first: what changes while the rest is collected is shown by the next question.
        node.put("revision", state.revision());
        Credentials known = settings.credentials();
        node.putObject("service")
                .put("partnerId", known.partnerId())
                .put("strict", settings.strict())
                .set("deviceTypes", json.valueToTree(known.deviceTypeIds()));
        images(node, known);
        devices(node, filter);
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

    private void devices(ObjectNode node, String filter) {
        List<Device> devices = state.devices();
        Map<String, Push> latest = new HashMap<>();
        state.pushes().forEach(push -> latest.put(push.deviceId(), push));
        Map<String, Integer> outcomes = new TreeMap<>();
        latest.values().forEach(push -> outcomes.merge(push.outcome().text(), 1, Integer::sum));
        node.put("deviceCount", devices.size());
        node.set("outcomes", json.valueToTree(outcomes));
        List<Device> shown = new ArrayList<>(devices.stream()
                .filter(device -> device.deviceId().contains(filter))
                .toList());
        // Those that something happens to, the latest first; the others after them.
        shown.sort(Comparator.comparingLong(device -> latest.containsKey(device.deviceId())
                ? -Long.parseLong(latest.get(device.deviceId()).id())
                : 1));
        ArrayNode list = node.putArray("devices");
        for (Device device : shown.subList(0, Math.min(MOST_DEVICES, shown.size()))) {
            ObjectNode row = list.addObject()
                    .put("deviceId", device.deviceId())
                    .put("versionNumber", device.installed().toString())
                    .put("version", device.version())
                    .put("slot", device.slot());
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
