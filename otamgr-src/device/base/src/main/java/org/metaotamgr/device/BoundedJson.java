// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;

/**
 * Reads JSON of others strictly and within bounds: a tree of a megabyte of {@code []} would need more memory than the daemon
 * has, so words are counted while they are read. No key twice, nothing behind the end.
 */
public final class BoundedJson {
    /** The longest text that is read. */
    public static final int MAX_BYTES = 1 << 20;
    /** Braces, brackets, keys and values; the largest list that is believed has some 16,000. */
    private static final int MAX_TOKENS = 20_000;

    private static final int MAX_DEPTH = 32;
    private static final int MAX_NUMBER = 100;
    private static final int MAX_NAME = 4096;
    /** By so many bytes an encoding would be told. */
    private static final int FIRST_WORD = 4;

    private static final ObjectMapper MAPPER = new ObjectMapper(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(MAX_DEPTH)
                            .maxTokenCount(MAX_TOKENS)
                            .maxNumberLength(MAX_NUMBER)
                            .maxNameLength(MAX_NAME)
                            .maxStringLength(MAX_BYTES)
                            .build())
                    // Names from outside are not kept beyond their document.
                    .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                    .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private BoundedJson() {}

    /**
     * Reads a text.
     *
     * @param content the text, in UTF-8
     * @return the tree; a missing node if there is nothing but blanks
     * @throws IOException if it is no JSON, or beyond the bounds; the message says what, without quoting much
     */
    public static JsonNode tree(byte[] content) throws IOException {
        if (content.length > MAX_BYTES) {
            throw new IOException("expected at most " + MAX_BYTES + " bytes of JSON, found " + content.length);
        }
        // The library would take zeros or a mark at the begin for another encoding; but JSON is UTF-8 (RFC 8259, 8.1).
        for (int at = 0; at < Math.min(content.length, FIRST_WORD); at++) {
            if (content[at] == 0 || at == 0 && (content[at] & 0xff) >= 0xfe) {
                throw new IOException("expected JSON in UTF-8, found another encoding");
            }
        }
        return MAPPER.readTree(content);
    }
}
