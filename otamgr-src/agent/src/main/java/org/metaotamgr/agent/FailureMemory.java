// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

import com.fasterxml.jackson.core.JsonEncoding;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import org.metaotamgr.device.Printable;

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
    public record Failed(String headerSha256, int failures, String reason, String time, String bootId, Duration uptime) {
    }

    /**
     * An update for which sysupgrade was started.
     *
     * @param txn its id
     * @param headerSha256 what it is known by: the hash of its header, or its {@link Target#id()}; lower case hex
     * @param fromSlot the slot that ran then; it runs again if the update did not work; empty if unknown
     * @param problem what its trial lacked, in one line, or empty
     */
    public record Started(String txn, String headerSha256, String fromSlot, String problem) {
    }

    public FailureMemory {
        failed = newest(failed, MAX_FAILED);
        started = newest(started, MAX_STARTED);
    }

    private static <T> List<T> newest(List<T> list, int count) {
        return List.copyOf(list.subList(Math.max(0, list.size() - count), list.size()));
    }

    public Optional<Failed> failedWith(String headerSha256) {
        return failed.stream().filter(one -> one.headerSha256().equals(headerSha256)).findFirst();
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
        return new FailureMemory(failed.stream().filter(one -> !one.headerSha256().equals(headerSha256)).toList(),
                started);
    }

    /** With an update as the newest started one, in place of what was known about it. */
    public FailureMemory withStarted(Started update) {
        List<Started> all = new ArrayList<>(withoutStarted(update.txn()).started);
        all.add(update);
        return new FailureMemory(failed, all);
    }

    public FailureMemory withoutStarted(String txn) {
        return new FailureMemory(failed, started.stream().filter(one -> !one.txn().equals(txn)).toList());
    }

    public byte[] toJson() {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(out, JsonEncoding.UTF8)) {
            json.useDefaultPrettyPrinter();
            json.writeStartObject();
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
            json.writeEndObject();
            json.writeRaw('\n');
        } catch (IOException e) {
            throw new IllegalStateException("a list in memory takes everything", e);
        }
        return out.toByteArray();
    }

    /**
     * Reads what {@link #toJson} wrote. Unknown keys are ignored, so that an older otamgr reads what a newer one wrote.
     *
     * @throws IOException if it is anything else; the message says what was expected and found
     */
    public static FailureMemory ofJson(byte[] text) throws IOException {
        JsonNode root = JsonMapper.builder()
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                .build().readTree(text);
        List<Failed> failed = new ArrayList<>();
        for (JsonNode one : list(root, "failed")) {
            failed.add(new Failed(word(one, "headerSha256", SHA256), (int) number(one, "failures", 1, Integer.MAX_VALUE),
                    line(one, "reason"), line(one, "time"), line(one, "bootId"),
                    Duration.ofSeconds(number(one, "uptimeSeconds", 0, Integer.MAX_VALUE))));
        }
        List<Started> started = new ArrayList<>();
        for (JsonNode one : list(root, "started")) {
            started.add(new Started(word(one, "txn", TXN), word(one, "headerSha256", SHA256),
                    word(one, "fromSlot", SLOT), line(one, "problem")));
        }
        return new FailureMemory(failed, started);
    }

    private static JsonNode list(JsonNode root, String key) throws IOException {
        JsonNode node = root.get(key);
        if (node == null || !node.isArray()) {
            throw new IOException("expected an object with the list \"" + key + "\", found none");
        }
        return node;
    }

    private static String line(JsonNode object, String key) throws IOException {
        JsonNode node = object.get(key);
        if (node == null || !node.isTextual()) {
            throw new IOException("expected that \"" + key + "\" is a string, found " + shown(node));
        }
        return Printable.of(node.textValue());
    }

    private static String word(JsonNode object, String key, Pattern pattern) throws IOException {
        String word = line(object, key);
        if (!pattern.matcher(word).matches()) {
            throw new IOException("expected that \"" + key + "\" matches " + pattern + ", found " + word);
        }
        return word;
    }

    private static long number(JsonNode object, String key, long least, long most) throws IOException {
        JsonNode node = object.get(key);
        if (node == null || !node.isIntegralNumber() || !node.canConvertToLong() || node.longValue() < least
                || node.longValue() > most) {
            throw new IOException("expected that \"" + key + "\" is a number from " + least + " to " + most
                    + ", found " + shown(node));
        }
        return node.longValue();
    }

    private static String shown(JsonNode node) {
        return node == null ? "nothing" : Printable.of(node.toString());
    }
}
