// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** One request on its way through the service. */
final class Call {

    private static final int MAX_SHORT_BODY = 1024 * 1024;

    private final ObjectMapper json;
    private final HttpExchange exchange;
    private final Route.Match match;
    private final List<Fault> faults;
    private byte[] body;

    Call(ObjectMapper json, HttpExchange exchange, Route.Match match, List<Fault> faults) {
        this.json = json;
        this.exchange = exchange;
        this.match = match;
        this.faults = faults;
    }

    Route route() {
        return match.route();
    }

    String parameter(String name) {
        return match.parameter(name);
    }

    /** A firmware type in the path. */
    int type() throws ApiException {
        return (int) number("type", Integer.MAX_VALUE).longValueExact();
    }

    /** A version number in the path. */
    BigInteger versionNumber() throws ApiException {
        return number("number", Long.MAX_VALUE);
    }

    private BigInteger number(String name, long highest) throws ApiException {
        String text = parameter(name);
        if (!text.matches("[0-9]{1,19}") || new BigInteger(text).compareTo(BigInteger.valueOf(highest)) > 0) {
            throw ApiException.badRequest(name + " in the path: expected 0 to " + highest);
        }
        return new BigInteger(text);
    }

    boolean has(Fault.Kind kind) {
        return faults.stream().anyMatch(fault -> fault.kind() == kind);
    }

    String header(String name) {
        String value = exchange.getRequestHeaders().getFirst(name);
        return value == null ? "" : value;
    }

    Map<String, String> query() throws ApiException {
        return UrlCoding.decodeForm(exchange.getRequestURI().getRawQuery());
    }

    /** The media type of the body without parameters, in lower case. */
    String mediaType() {
        String value = header("Content-Type");
        int end = value.indexOf(';');
        return (end < 0 ? value : value.substring(0, end)).strip().toLowerCase(Locale.ROOT);
    }

    void requireMediaType(String... allowed) throws ApiException {
        if (!List.of(allowed).contains(mediaType())) {
            throw new ApiException(
                    415,
                    "unsupported_media_type",
                    "Content-Type: expected " + String.join(" or ", allowed) + ", found "
                            + (mediaType().isEmpty() ? "none" : mediaType()));
        }
    }

    InputStream stream() {
        return exchange.getRequestBody();
    }

    /** The length that the client announced, or -1. */
    long announcedLength() {
        String text = header("Content-Length");
        return text.matches("[0-9]{1,18}") ? Long.parseLong(text) : -1;
    }

    String shortBody() throws IOException, ApiException {
        if (body == null) {
            body = exchange.getRequestBody().readNBytes(MAX_SHORT_BODY + 1);
            if (body.length > MAX_SHORT_BODY) {
                throw new ApiException(413, "payload_too_large", "Expected at most " + MAX_SHORT_BODY + " bytes");
            }
        }
        return new String(body, StandardCharsets.UTF_8);
    }

    /** The body for the request log: JSON as it came, a mask for a form, nothing for what was streamed. */
    String loggedBody() {
        if (body == null) {
            return "";
        }
        return mediaType().equals("application/json") ? new String(body, StandardCharsets.UTF_8) : "***";
    }

    ObjectNode object() throws IOException, ApiException {
        requireMediaType("application/json");
        try {
            JsonNode node = json.readTree(shortBody());
            if (node instanceof ObjectNode object) {
                return object;
            }
        } catch (JsonProcessingException e) {
            throw ApiException.badRequest("The body is not JSON");
        }
        throw ApiException.badRequest("The body is not a JSON object");
    }

    static String requiredText(ObjectNode object, String name, int longest) throws ApiException {
        JsonNode value = object.get(name);
        if (value == null || value.isNull()) {
            throw ApiException.badRequest(name + ": is missing");
        }
        String text = text(name, value, longest);
        if (text.isEmpty()) {
            throw ApiException.badRequest(name + ": is empty");
        }
        return text;
    }

    /** The text of an optional member, or null when it is absent. */
    static String optionalText(ObjectNode object, String name, int longest) throws ApiException {
        JsonNode value = object.get(name);
        return value == null || value.isNull() ? null : text(name, value, longest);
    }

    private static String text(String name, JsonNode value, int longest) throws ApiException {
        if (!value.isTextual()) {
            throw ApiException.badRequest(name + ": expected a string");
        }
        String text = value.textValue();
        if (text.codePointCount(0, text.length()) > longest) {
            throw ApiException.badRequest(name + ": expected at most " + longest + " characters");
        }
        return text;
    }

    static int requiredInteger(ObjectNode object, String name) throws ApiException {
        JsonNode value = object.get(name);
        if (value == null || !value.isIntegralNumber() || !value.canConvertToInt()) {
            throw ApiException.badRequest(name + ": expected an integer");
        }
        return value.intValue();
    }

    static List<String> optionalTexts(ObjectNode object, String name, int longest) throws ApiException {
        JsonNode value = object.get(name);
        if (value == null || value.isNull()) {
            return List.of();
        }
        if (!value.isArray()) {
            throw ApiException.badRequest(name + ": expected an array of strings");
        }
        List<String> texts = new ArrayList<>();
        for (JsonNode element : value) {
            texts.add(text(name, element, longest));
        }
        return texts;
    }
}
