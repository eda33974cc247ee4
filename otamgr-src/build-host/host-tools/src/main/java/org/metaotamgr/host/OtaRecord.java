// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigInteger;

/** A record of the service, with all members it had, also those this tool does not know. Ids and version numbers stay texts. */
record OtaRecord(ObjectNode json) {

    /** The firmware type of a whole Linux image. */
    static final int HUB_TYPE = 5;

    private static final ObjectMapper JSON =
            new ObjectMapper().enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

    /**
     * Reads a record.
     *
     * @param what where it is from, for messages
     */
    static OtaRecord of(String what, JsonNode node, ExitStatus problem) throws OtaException {
        if (!(node instanceof ObjectNode object)) {
            throw new OtaException(problem, what + ": expected a JSON object");
        }
        OtaRecord record = new OtaRecord(object);
        for (String name : new String[] {"id", "versionNumber"}) {
            if (!record.text(name).matches("[0-9]{1,20}")) {
                throw new OtaException(
                        problem,
                        what + ": " + name + ": expected digits, found "
                                + (record.text(name).isEmpty() ? "nothing" : "something else"));
            }
        }
        return record;
    }

    static OtaRecord parse(String what, String text, ExitStatus problem) throws OtaException {
        try {
            return of(what, JSON.readTree(text), problem);
        } catch (JsonProcessingException e) {
            throw new OtaException(
                    problem, what + ": is not JSON (line " + e.getLocation().getLineNr() + ")");
        }
    }

    /** A member as text: a number where the documentation has a string is accepted; what is absent is empty. */
    String text(String name) {
        JsonNode value = json.path(name);
        return value.isTextual() || value.isIntegralNumber() ? value.asText() : "";
    }

    String id() {
        return text("id");
    }

    BigInteger versionNumber() {
        return new BigInteger(text("versionNumber"));
    }

    String version() {
        return text("version");
    }

    String name() {
        return text("name");
    }

    String url() {
        return text("url");
    }

    boolean is(int type) {
        return text("type").equals(Integer.toString(type));
    }
}
