// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import org.metaotamgr.fuzz.Input;

/** Any answer of a server is read to an end or refused; what is kept of it is bounded. */
public final class FuzzAnswer {
    private static final int MOST_OF_HEAD = 64 * 1024;

    private FuzzAnswer() {}

    public static void fuzzerTestOneInput(byte[] data) {
        Input input = new Input(data);
        int step = 1 + input.next();
        byte[] content = input.rest();
        AnswerReader reader = new AnswerReader(new ByteArrayInputStream(content));
        try {
            AnswerReader.Head head = reader.head();
            Input.require(head.status() >= 200 && head.status() <= 599, "a status");
            Input.require(
                    head.headers().size() <= 256
                            && head.headers().entrySet().stream()
                                            .mapToInt(one -> one.getKey().length()
                                                    + one.getValue().length())
                                            .sum()
                                    <= MOST_OF_HEAD,
                    "headers within bounds");
            Input.require(head.length() >= -1, "a length");
            InputStream body = reader.body(head);
            long count = 0;
            byte[] buffer = new byte[step];
            for (int read = body.read(buffer); read >= 0; read = body.read(buffer)) {
                Input.require(read > 0, "bytes");
                count += read;
            }
            Input.require(
                    count <= content.length && (head.length() < 0 || count <= head.length()), "no more than there was");
            Http.retryAfter(head.header("Retry-After").orElse(""), head.header("Date"));
        } catch (IOException e) {
            Input.require(e.getMessage().startsWith("expected"), "a reason: " + e.getMessage());
        }
    }
}
