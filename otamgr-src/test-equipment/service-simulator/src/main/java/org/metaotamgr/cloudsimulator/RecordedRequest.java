// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.util.Map;

/**
 * A request as the service saw it, with its secrets masked.
 *
 * @param method the HTTP method
 * @param path the path as it was sent, still percent-encoded
 * @param query the query as it was sent, or empty
 * @param headers {@code Accept}, {@code Authorization} (scheme only), {@code Content-Type} and {@code Content-Length}, as far as sent
 * @param body the body when it was JSON; {@code ***} for a form; empty for anything else
 * @param route what the request was for, in the words that faults use
 * @param status the status of the answer, or 0 when the connection was cut instead
 */
public record RecordedRequest(
        String method, String path, String query, Map<String, String> headers, String body, String route, int status) {

    /** Copies the headers. */
    public RecordedRequest {
        headers = Map.copyOf(headers);
    }

    /** {@code METHOD path?query -> status}. */
    @Override
    public String toString() {
        return method + " " + path + (query.isEmpty() ? "" : "?" + query) + " -> "
                + (status == 0 ? "cut" : Integer.toString(status));
    }
}
