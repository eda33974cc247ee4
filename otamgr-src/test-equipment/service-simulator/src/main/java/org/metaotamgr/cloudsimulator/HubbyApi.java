// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The device side, over plain HTTP and without passwords: what a hubby stand-in polls, downloads and reports. How the real
 * hubby talks to the real cloud is private; all of this is our own.
 */
final class HubbyApi {

    private static final Pattern RANGE = Pattern.compile("bytes=([0-9]{1,18})-([0-9]{1,18})?");

    private final ServiceState state;
    private final UpdateHeader header;
    private final ObjectMapper json;

    HubbyApi(ServiceState state, UpdateHeader header, ObjectMapper json) {
        this.state = state;
        this.header = header;
        this.json = json;
    }

    Reply answer(Call call) throws IOException, ApiException {
        if (call.route() == Route.HUBBY_KEY) {
            return Reply.text("application/x-pem-file", header.publicKeyPem());
        }
        if (call.route() == Route.REPOSITORY) {
            String sha256 = call.parameter("sha");
            var file = state.binary(sha256).orElseThrow(() -> ApiException.notFound("No such binary"));
            return part(call, new Reply.FilePart(file, 0, Files.size(file), sent -> {}), sha256);
        }
        Device device = state.device(call.parameter("device"))
                .orElseThrow(() -> ApiException.notFound("No such device; start the service with --device "
                        + call.parameter("device").replaceAll("\\p{Cntrl}", "?")));
        state.seen(device);
        return switch (call.route()) {
            case POLL -> Reply.text("text/plain", description(call, offer(device)));
            case DOWNLOAD -> download(call, offer(device));
            case REPORT -> report(call, device);
            case INSTALLED -> installed(call, device);
            default -> throw new IllegalStateException(call.route() + " is not a call of a device");
        };
    }

    private ServiceState.Offer offer(Device device) throws ApiException {
        return state.offer(device.deviceId()).orElseThrow(() -> ApiException.notFound("Nothing to install"));
    }

    private byte[] headerOf(ServiceState.Offer offer) throws IOException {
        return header.sign(offer.image(), offer.sha256(), Files.size(offer.file()));
    }

    /** The lines that the board's hubby stand-in reads, and some more. */
    private String description(Call call, ServiceState.Offer offer) throws IOException {
        Map<String, String> lines = new LinkedHashMap<>();
        String name = "image-" + offer.image().id();
        String sha256 = call.has(Fault.Kind.WRONG_SHA) ? RestApi.otherThan(offer.sha256()) : offer.sha256();
        lines.put("version", escape(offer.image().record().version()));
        lines.put("image", name + ".img");
        lines.put("header", name + ".hdr");
        lines.put("imageSha256", sha256);
        lines.put("headerSha256", HexFormat.of().formatHex(RestApi.sha256().digest(headerOf(offer))));
        lines.put("imageSize", Long.toString(Files.size(offer.file())));
        lines.put("versionNumber", offer.image().record().versionNumber());
        lines.put("imageId", offer.image().id());
        StringBuilder text = new StringBuilder();
        lines.forEach((key, value) -> text.append(key).append('=').append(value).append('\n'));
        return text.toString();
    }

    /** As {@code java.util.Properties} reads it: plain ASCII, with escapes for what is not. */
    private static String escape(String value) {
        StringBuilder escaped = new StringBuilder();
        for (char c : value.toCharArray()) {
            if (c == '\\') {
                escaped.append("\\\\");
            } else if (c < ' ' || c > '~' || c == ' ' && escaped.isEmpty()) {
                escaped.append(String.format("\\u%04x", (int) c));
            } else {
                escaped.append(c);
            }
        }
        return escaped.toString();
    }

    private Reply download(Call call, ServiceState.Offer offer) throws IOException, ApiException {
        String name = "image-" + offer.image().id();
        String file = call.parameter("file");
        if (file.equals(name + ".hdr")) {
            return new Reply(
                    200, Map.of("Content-Type", "application/octet-stream"), headerOf(offer), Optional.empty());
        }
        if (!file.equals(name + ".img")) {
            throw ApiException.notFound("No such file; update.properties names those that there are");
        }
        long size = Files.size(offer.file());
        LongConsumer sent = offset -> state.downloading(offer, (int) (offset * 100 / size));
        return part(call, new Reply.FilePart(offer.file(), 0, size, sent), offer.sha256());
    }

    /** Honours one range; several, and what is not understood, get the whole file, as HTTP allows. */
    private static Reply part(Call call, Reply.FilePart whole, String sha256) throws ApiException {
        Map<String, String> headers = new HashMap<>();
        String tag = '"' + sha256 + '"';
        headers.put("Content-Type", "application/octet-stream");
        headers.put("Accept-Ranges", "bytes");
        headers.put("ETag", tag);
        Matcher range = RANGE.matcher(call.header("Range"));
        String condition = call.header("If-Range");
        if (!range.matches() || !condition.isEmpty() && !condition.equals(tag)) {
            return new Reply(200, headers, new byte[0], Optional.of(whole));
        }
        long from = Long.parseLong(range.group(1));
        long to = range.group(2) == null ? whole.to() : Math.min(whole.to(), Long.parseLong(range.group(2)) + 1);
        if (from >= whole.to() || to <= from) {
            throw new ApiException(416, "range_not_satisfiable", "The file has " + whole.to() + " bytes");
        }
        headers.put("Content-Range", "bytes " + from + "-" + (to - 1) + "/" + whole.to());
        return new Reply(
                206, headers, new byte[0], Optional.of(new Reply.FilePart(whole.path(), from, to, whole.sent())));
    }

    private Reply report(Call call, Device device) throws IOException, ApiException {
        Map<String, String> told = told(call);
        String phase = told.getOrDefault("phase", "");
        String percent = told.getOrDefault("percent", "0");
        if (!phase.matches("[a-z-]{1,40}")) {
            throw ApiException.badRequest("phase: expected lower case letters and hyphens");
        }
        if (!percent.matches("[0-9]{1,3}") || Integer.parseInt(percent) > 100) {
            throw ApiException.badRequest("percent: expected 0 to 100");
        }
        state.report(device, phase, Integer.parseInt(percent), shortText(told, "message"), shortText(told, "slot"));
        return Reply.empty(204);
    }

    private Reply installed(Call call, Device device) throws IOException, ApiException {
        Map<String, String> told = told(call);
        String number = told.getOrDefault("versionNumber", "");
        String version = shortText(told, "version");
        if (number.isEmpty() && version.isEmpty()) {
            throw ApiException.badRequest("expected versionNumber=NUMBER or version=TEXT");
        }
        Device now = state.installed(device, number, version, shortText(told, "slot"));
        ObjectNode answer = json.createObjectNode()
                .put("deviceId", now.deviceId())
                .put("versionNumber", now.installed().toString());
        return Reply.json(200, answer);
    }

    private static String shortText(Map<String, String> told, String key) throws ApiException {
        String text = told.getOrDefault(key, "");
        if (text.length() > 500) {
            throw ApiException.badRequest(key + ": expected at most 500 characters");
        }
        return text;
    }

    /** What a device tells: lines {@code key=value}, a form, or a JSON object of strings. */
    private Map<String, String> told(Call call) throws IOException, ApiException {
        String body = call.shortBody();
        Map<String, String> values = new HashMap<>();
        if (call.mediaType().equals("application/json")) {
            try {
                JsonNode node = json.readTree(body);
                node.properties()
                        .forEach(field ->
                                values.put(field.getKey(), field.getValue().asText()));
                return values;
            } catch (JsonProcessingException e) {
                throw ApiException.badRequest("The body is not JSON");
            }
        }
        // curl --data says that everything is a form: without & it may as well be lines.
        if (call.mediaType().equals("application/x-www-form-urlencoded") && !body.contains("\n")) {
            return UrlCoding.decodeForm(body);
        }
        for (String line : body.split("\r?\n")) {
            int equals = line.indexOf('=');
            if (equals > 0) {
                values.put(
                        line.substring(0, equals).strip(),
                        line.substring(equals + 1).strip());
            }
        }
        return values;
    }
}
