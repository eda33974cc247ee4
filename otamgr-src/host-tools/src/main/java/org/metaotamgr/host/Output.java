// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

/** What a command says: results on standard output, everything else on standard error, and no secret on either. */
final class Output {

    private final Surroundings surroundings;
    private final Secrets secrets;
    private final boolean json;

    Output(Surroundings surroundings, Secrets secrets, boolean json) {
        this.surroundings = surroundings;
        this.secrets = secrets;
        this.json = json;
    }

    boolean json() {
        return json;
    }

    /** A line of the result; not for {@code --json}. */
    void line(String text) {
        if (!json) {
            surroundings.out().println(secrets.mask(text));
        }
    }

    /** The result for programs; only with {@code --json}. */
    void json(JsonNode value) {
        if (json) {
            try {
                surroundings.out().println(secrets.mask(new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(value)));
            } catch (JsonProcessingException e) {
                throw new IllegalStateException("a JSON tree can always be written", e);
            }
        }
    }

    /** What is going on, for people who watch. */
    void note(String text) {
        surroundings.err().println(secrets.mask(text));
    }

    void warning(String text) {
        note("warning: " + text);
    }
}
