// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.device.JsonText;

/**
 * What is remembered of updates: an immutable value, and its JSON text. Lists are oldest first, and what is added to a
 * full one takes the place of the oldest.
 *
 * @param failed updates that failed, each header once
 * @param started updates for which sysupgrade was started, and of which no end is known yet
 */
public record FailureMemory(List<Failed> failed, List<Started> started) {
    public static final FailureMemory EMPTY = new FailureMemory(List.of(), List.of());
    /** More different updates than a device sees between two that succeed. */
    public static final int MAX_FAILED = 32;
    /** One would do, if every end of an update could be seen before the next one starts. */
    public static final int MAX_STARTED = 8;

    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");
    private static final Pattern TXN = Pattern.compile("[A-Za-z0-9._-]{1,40}");
    private static final Pattern SLOT = Pattern.compile("[a-z]{0,8}");

    /**
     * An update that failed.
     *
     * @param headerSha256 what it is known by: the hash of its header, or its {@link Target#id()}; lower case hex
     * @param failures how often it failed, at least 1
     * @param reason why it failed last, in one line
     * @param time when it failed last by the clock of the device, for people only: that clock may have been wrong
     * @param bootId the boot during which that was noticed
     * @param uptime the time since power-on at which that was noticed
     */
    public record Failed(
            String headerSha256, int failures, String reason, String time, String bootId, Duration uptime) {}

    /**
     * An update for which sysupgrade was started.
     *
     * @param txn its id
     * @param headerSha256 what it is known by: the hash of its header, or its {@link Target#id()}; lower case hex
     * @param fromSlot the slot that ran then; it runs again if the update did not work; empty if unknown
     * @param problem what its trial lacked, in one line, or empty
     */
    public record Started(String txn, String headerSha256, String fromSlot, String problem) {}

    public FailureMemory {
        failed = newest(failed, MAX_FAILED);
        started = newest(started, MAX_STARTED);
    }

    private static <T> List<T> newest(List<T> list, int count) {
        return List.copyOf(list.subList(Math.max(0, list.size() - count), list.size()));
    }

    public Optional<Failed> failedWith(String headerSha256) {
        return failed.stream()
                .filter(one -> one.headerSha256().equals(headerSha256))
                .findFirst();
    }

    public Optional<Started> startedAs(String txn) {
        return started.stream().filter(one -> one.txn().equals(txn)).findFirst();
    }

    /** With an update as the newest failed one, in place of what was known about it. */
    public FailureMemory withFailed(Failed update) {
        List<Failed> all = new ArrayList<>(withoutFailed(update.headerSha256()).failed);
        all.add(update);
        return new FailureMemory(all, started);
    }

    public FailureMemory withoutFailed(String headerSha256) {
        return new FailureMemory(
                failed.stream()
                        .filter(one -> !one.headerSha256().equals(headerSha256))
                        .toList(),
                started);
    }

    /** With an update as the newest started one, in place of what was known about it. */
    public FailureMemory withStarted(Started update) {
        List<Started> all = new ArrayList<>(withoutStarted(update.txn()).started);
        all.add(update);
        return new FailureMemory(failed, all);
    }

    public FailureMemory withoutStarted(String txn) {
        return new FailureMemory(
                failed, started.stream().filter(one -> !one.txn().equals(txn)).toList());
    }

    public byte[] toJson() {
        return JsonText.of(json -> {
            json.writeArrayFieldStart("failed");
            for (Failed one : failed) {
                json.writeStartObject();
                json.writeStringField("headerSha256", one.headerSha256());
                json.writeNumberField("failures", one.failures());
                json.writeStringField("reason", one.reason());
                json.writeStringField("time", one.time());
                json.writeStringField("bootId", one.bootId());
                json.writeNumberField("uptimeSeconds", one.uptime().toSeconds());
                json.writeEndObject();
            }
            json.writeEndArray();
            json.writeArrayFieldStart("started");
            for (Started one : started) {
                json.writeStartObject();
                json.writeStringField("txn", one.txn());
                json.writeStringField("headerSha256", one.headerSha256());
                json.writeStringField("fromSlot", one.fromSlot());
                json.writeStringField("problem", one.problem());
                json.writeEndObject();
            }
            json.writeEndArray();
        });
    }

    /**
     * Reads what {@link #toJson} wrote. Unknown keys are ignored, so that an older otamgr reads what a newer one wrote.
     *
     * @throws IOException if it is anything else; the message says what was expected and found
     */
    public static FailureMemory ofJson(byte[] text) throws IOException {
        JsonFields root = JsonFields.of("the memory of failures", text);
        List<Failed> failed = new ArrayList<>();
        for (JsonFields one : root.objects("failed")) {
            failed.add(new Failed(
                    one.word("headerSha256", SHA256),
                    (int) one.number("failures", 1, Integer.MAX_VALUE),
                    one.line("reason"),
                    one.line("time"),
                    one.line("bootId"),
                    Duration.ofSeconds(one.number("uptimeSeconds", 0, Integer.MAX_VALUE))));
        }
        List<Started> started = new ArrayList<>();
        for (JsonFields one : root.objects("started")) {
            started.add(new Started(
                    one.word("txn", TXN),
                    one.word("headerSha256", SHA256),
                    one.word("fromSlot", SLOT),
                    one.line("problem")));
        }
        return new FailureMemory(failed, started);
    }
}
