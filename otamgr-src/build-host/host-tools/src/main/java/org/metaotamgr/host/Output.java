// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.metaotamgr.device.Printable;

/** What a command says: results on standard output, everything else on standard error, and no secret on either. */
final class Output {

    private final ProcessContext context;
    private final Secrets secrets;
    private final boolean json;

    Output(ProcessContext context, Secrets secrets, boolean json) {
        this.context = context;
        this.secrets = secrets;
        this.json = json;
    }

    boolean json() {
        return json;
    }

    /** For a terminal: what a service or a file says can neither move the cursor nor hide the text around it. */
    static String plain(String text) {
        StringBuilder plain = new StringBuilder(text.length());
        for (int at = 0; at < text.length(); ) {
            int codePoint = text.codePointAt(at);
            if (codePoint == '\n' || Printable.isPlain(codePoint)) {
                plain.appendCodePoint(codePoint);
            } else {
                text.substring(at, at + Character.charCount(codePoint))
                        .chars()
                        .forEach(one -> plain.append(String.format("\\u%04x", one)));
            }
            at += Character.charCount(codePoint);
        }
        return plain.toString();
    }

    /** A line of the result; not for {@code --json}. */
    void line(String text) {
        if (!json) {
            context.out().println(plain(secrets.mask(text)));
        }
    }

    /** The result for programs; only with {@code --json}. */
    void json(JsonNode value) {
        if (json) {
            try {
                // In JSON such characters only stand in texts, where this is how they are written.
                context.out()
                        .println(plain(secrets.mask(new ObjectMapper()
                                .writerWithDefaultPrettyPrinter()
                                .writeValueAsString(value))));
            } catch (JsonProcessingException e) {
                throw new IllegalStateException("a JSON tree can always be written", e);
            }
        }
    }

    /** What is going on, for people who watch. */
    void note(String text) {
        context.err().println(plain(secrets.mask(text)));
    }

    void warning(String text) {
        note("warning: " + text);
    }
}
