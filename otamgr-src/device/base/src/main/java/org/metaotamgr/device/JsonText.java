// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import com.fasterxml.jackson.core.JsonEncoding;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.StringWriter;

/** Writes JSON objects of our own. */
public final class JsonText {
    /** Writes the fields of an object. */
    @FunctionalInterface
    public interface Fields {
        /**
         * Writes them.
         *
         * @param json where
         * @throws IOException if it cannot be written
         */
        void write(JsonGenerator json) throws IOException;
    }

    private static final String MEMORY = "memory takes everything";

    private JsonText() {}

    /**
     * Writes an object in one line, as programs print it.
     *
     * @param fields writes its fields
     * @return the text, without a line end
     */
    public static String line(Fields fields) {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
            object(json, fields);
        } catch (IOException e) {
            throw new IllegalStateException(MEMORY, e);
        }
        return text.toString();
    }

    /**
     * Writes an object as it is kept in a file: for people as well, with a line end.
     *
     * @param fields writes its fields
     * @return the text in UTF-8
     */
    public static byte[] of(Fields fields) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(out, JsonEncoding.UTF8)) {
            json.useDefaultPrettyPrinter();
            object(json, fields);
            json.writeRaw('\n');
        } catch (IOException e) {
            throw new IllegalStateException(MEMORY, e);
        }
        return out.toByteArray();
    }

    private static void object(JsonGenerator json, Fields fields) throws IOException {
        json.writeStartObject();
        fields.write(json);
        json.writeEndObject();
    }
}
