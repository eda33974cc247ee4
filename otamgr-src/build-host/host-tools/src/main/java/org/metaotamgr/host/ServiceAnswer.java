// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** What the service answered: any status, any body. */
record ServiceAnswer(String method, String path, int status, byte[] body) {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int LONGEST_EXCERPT = 200;

    ServiceAnswer {
        // java.net.http has none for what a proxy answers.
        body = body == null ? new byte[0] : body;
    }

    /** The body as JSON. */
    JsonNode json() throws OtaException {
        try {
            JsonNode node = JSON.readTree(body);
            if (!node.isMissingNode()) {
                return node;
            }
        } catch (IOException e) {
            // Told below without what the parser quotes. It is no JsonProcessingException where the encoding is wrong.
        }
        throw new OtaException(
                ExitStatus.SERVICE,
                "HTTP " + status + " from " + method + " " + path + ": expected JSON, found "
                        + (body.length == 0
                                ? "nothing"
                                : "something else: " + excerpt(new String(body, StandardCharsets.UTF_8))));
    }

    /** An error in one line, whatever shape its body has ("OTA service", section 4). */
    OtaException problem() {
        ExitStatus exit = status == 401 || status == 403
                ? ExitStatus.AUTHORISATION
                : status == 409 ? ExitStatus.CONFLICT : ExitStatus.SERVICE;
        return new OtaException(exit, message());
    }

    String message() {
        return "HTTP " + status + " from " + method + " " + path + ": " + reason();
    }

    private String reason() {
        String text = new String(body, StandardCharsets.UTF_8);
        try {
            JsonNode node = JSON.readTree(text);
            String code = node.path("error").asText("");
            String description = first(
                    node.path("error_description").asText(""),
                    node.path("message").asText(""),
                    node.path("trace").asText("").lines().findFirst().orElse(""));
            if (!code.isEmpty() || !description.isEmpty()) {
                return excerpt(code + (code.isEmpty() || description.isEmpty() ? "" : ": ") + description);
            }
        } catch (JsonProcessingException e) {
            // A page of a gateway, for example.
        }
        return text.isBlank() ? "no more was said" : excerpt(withoutTags(text));
    }

    /** Step by step: an expression would search the rest of the page again for each bracket that nothing closes. */
    private static String withoutTags(String text) {
        StringBuilder plain = new StringBuilder();
        int at = 0;
        for (int open = text.indexOf('<');
                open >= 0 && plain.length() <= LONGEST_EXCERPT * 10;
                open = text.indexOf('<', at)) {
            int close = text.indexOf('>', open);
            if (close < 0) {
                break;
            }
            plain.append(text, at, open).append(' ');
            at = close + 1;
        }
        return plain.append(text, at, Math.min(text.length(), at + LONGEST_EXCERPT * 10))
                .toString();
    }

    private static String first(String... texts) {
        for (String text : texts) {
            if (!text.isBlank()) {
                return text;
            }
        }
        return "";
    }

    private static String excerpt(String text) {
        String line = text.replaceAll("[\\s\\p{Cntrl}]+", " ").strip();
        return line.length() > LONGEST_EXCERPT ? line.substring(0, LONGEST_EXCERPT) + "…" : line;
    }
}
