// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryType;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Tables for people and the same as JSON for programs. */
final class Reports {

    private static final int MOST_PROBLEMS = 20;

    private Reports() {}

    /** A record without the address of its bytes: who has it may be able to fetch them. */
    static ObjectNode json(OtaRecord record, boolean showUrl) {
        ObjectNode node = record.json().deepCopy();
        if (!showUrl) {
            node.put("stored", !record.url().isEmpty());
            node.remove("url");
        }
        return node;
    }

    /** Columns as wide as what is in them, two blanks between. */
    static void table(Output output, List<List<String>> rows) {
        int columns = rows.get(0).size();
        int[] widths = new int[columns];
        rows.forEach(row -> {
            for (int i = 0; i < columns; i++) {
                widths[i] = Math.max(
                        widths[i], row.get(i).codePointCount(0, row.get(i).length()));
            }
        });
        for (List<String> row : rows) {
            StringBuilder line = new StringBuilder();
            for (int i = 0; i < columns; i++) {
                line.append(row.get(i))
                        .append(" "
                                .repeat(widths[i]
                                        - row.get(i)
                                                .codePointCount(0, row.get(i).length())
                                        + 2));
            }
            output.line(line.toString().stripTrailing());
        }
    }

    /** The list of the original tools, blank for blank, also where they could not print it. */
    static void originalList(Output output, Conf conf, List<OtaRecord> images) {
        output.line("\n----  List of HUB FULL OTA images ---- \n");
        output.line("partnerId   : " + conf.partnerId());
        output.line("deviceTypeId: " + conf.deviceTypeId() + "\n");
        output.line("Total Number of Images: " + images.size());
        output.line(originalRow("Image Id", "Version", "Name", "Description"));
        output.line(originalRow("-".repeat(10), "-".repeat(15), "-".repeat(30), "-".repeat(30)));
        for (OtaRecord image : images) {
            output.line(originalRow(image.id(), image.version(), image.name(), image.text("description")));
        }
    }

    private static String originalRow(String id, String version, String name, String description) {
        return pad(id, 10) + "  " + pad(version, 15) + "  " + pad(name, 30) + "  " + pad(description, 30);
    }

    private static String pad(String text, int width) {
        return text + " ".repeat(Math.max(0, width - text.codePointCount(0, text.length())));
    }

    static ExitStatus deployment(
            Output output,
            OtaRecord image,
            Map<String, Deployment.Result> results,
            long milliseconds,
            List<String> notInstalled) {
        Map<Deployment.Outcome, List<String>> byOutcome = new EnumMap<>(Deployment.Outcome.class);
        results.forEach((device, result) -> byOutcome
                .computeIfAbsent(result.outcome(), outcome -> new ArrayList<>())
                .add(device));
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("RESULT", "DEVICES"));
        byOutcome.forEach((outcome, devices) -> rows.add(List.of(outcome.words(), Integer.toString(devices.size()))));
        output.line("image " + image.id() + ", " + image.name() + " " + image.version() + ", version number "
                + image.versionNumber());
        table(output, rows);
        int problems = 0;
        for (var entry : results.entrySet()) {
            Deployment.Outcome outcome = entry.getValue().outcome();
            if ((outcome == Deployment.Outcome.FAILED || outcome == Deployment.Outcome.UNCLEAR)
                    && ++problems <= MOST_PROBLEMS) {
                output.line(outcome.words() + ": " + entry.getKey() + ": "
                        + entry.getValue().message());
            }
        }
        if (problems > MOST_PROBLEMS) {
            output.line("and " + (problems - MOST_PROBLEMS) + " more; the journal and --json have all");
        }
        double seconds = milliseconds / 1000.0;
        long peak = peakHeap();
        output.line(String.format(
                Locale.ROOT,
                "%d %s in %.1f s, peak heap %s",
                results.size(),
                results.size() == 1 ? "device" : "devices",
                seconds,
                Progress.size(peak)));
        if (notInstalled == null) {
            output.line("accepted means that the service will offer the image; it is not installed yet");
        } else {
            output.line((results.size() - notInstalled.size()) + " of " + results.size()
                    + " devices report it as installed");
        }
        deploymentJson(output, image, results, milliseconds, peak, notInstalled);
        boolean missing = notInstalled != null && !notInstalled.isEmpty();
        return problems > 0 || missing ? ExitStatus.PARTIAL : ExitStatus.SUCCESS;
    }

    private static void deploymentJson(
            Output output,
            OtaRecord image,
            Map<String, Deployment.Result> results,
            long milliseconds,
            long peak,
            List<String> notInstalled) {
        if (!output.json()) {
            return;
        }
        ObjectNode node = JsonNodeFactory.instance.objectNode();
        node.set("image", json(image, false));
        ObjectNode counts = node.putObject("counts");
        for (Deployment.Outcome outcome : Deployment.Outcome.values()) {
            counts.put(
                    outcome.name().toLowerCase(Locale.ROOT),
                    results.values().stream()
                            .filter(result -> result.outcome() == outcome)
                            .count());
        }
        var devices = node.putArray("devices");
        results.forEach((device, result) -> {
            ObjectNode row = devices.addObject()
                    .put("deviceId", device)
                    .put("result", result.outcome().name().toLowerCase(Locale.ROOT));
            if (!result.message().isEmpty()) {
                row.put("message", result.message());
            }
            if (notInstalled != null) {
                row.put("installed", !notInstalled.contains(device));
            }
        });
        node.put("milliseconds", milliseconds).put("peakHeapBytes", peak);
        output.json(node);
    }

    static long peakHeap() {
        return ManagementFactory.getMemoryPoolMXBeans().stream()
                .filter(pool -> pool.getType() == MemoryType.HEAP)
                .mapToLong(pool -> pool.getPeakUsage().getUsed())
                .sum();
    }
}
