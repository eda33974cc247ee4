// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** Decodes what stands in request lines and forms, once, as UTF-8. */
final class UrlCoding {

    private UrlCoding() {}

    static String decodeSegment(String raw) throws ApiException {
        return decode(raw, false);
    }

    /** The fields of a form or a query; the last of several with one name counts. */
    static Map<String, String> decodeForm(String raw) throws ApiException {
        Map<String, String> fields = new LinkedHashMap<>();
        if (raw == null || raw.isEmpty()) {
            return fields;
        }
        for (String pair : raw.split("&")) {
            int equals = pair.indexOf('=');
            String name = equals < 0 ? pair : pair.substring(0, equals);
            fields.put(decode(name, true), equals < 0 ? "" : decode(pair.substring(equals + 1), true));
        }
        return fields;
    }

    private static String decode(String raw, boolean plusIsBlank) throws ApiException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int i = 0; i < raw.length(); i++) {
            char c = raw.charAt(i);
            if (c == '%') {
                int high = digit(raw, i + 1);
                int low = digit(raw, i + 2);
                if (high < 0 || low < 0) {
                    throw ApiException.badRequest("Malformed percent-encoding");
                }
                bytes.write(high << 4 | low);
                i += 2;
            } else if (c == '+' && plusIsBlank) {
                bytes.write(' ');
            } else {
                bytes.writeBytes(String.valueOf(c).getBytes(StandardCharsets.UTF_8));
            }
        }
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes.toByteArray()))
                    .toString();
        } catch (CharacterCodingException e) {
            throw ApiException.badRequest("Percent-encoding is not UTF-8");
        }
    }

    private static int digit(String raw, int index) {
        return index < raw.length() ? Character.digit(raw.charAt(index), 16) : -1;
    }
}
