// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.net.URI;
import java.util.Map;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.http.Http;
import org.metaotamgr.tuf.Transport;
import org.metaotamgr.tuf.TufException;

/** Metadata on a web server, file after file on one connection. */
public final class HttpTransport implements Transport {
    private final Http.Sequence files;
    private final URI folder;

    /**
     * Makes it; nothing is asked yet.
     *
     * @param http asks the server
     * @param folder the URL of the folder of metadata, ending in a slash
     */
    public HttpTransport(Http http, URI folder) {
        files = http.new Sequence();
        this.folder = folder;
    }

    @Override
    public byte[] metadata(String name, int limit) throws TufException, InterruptedException {
        try {
            // Only timestamp.json changes under its name; a cache must not keep that one.
            return files.get(URI.create(folder + name), Map.of("Cache-Control", "no-cache"), limit);
        } catch (SourceException e) {
            throw new TufException(reason(e.reason()), e.getMessage(), e);
        }
    }

    @Override
    public void close() {
        files.close();
    }

    private static TufException.Reason reason(Reason reason) {
        return switch (reason) {
                // Object stores that may not be listed answer 403 for what is not there.
            case NOT_FOUND, NOT_ALLOWED -> TufException.Reason.NOT_FOUND;
            case MALFORMED -> TufException.Reason.MALFORMED;
            default -> TufException.Reason.UNREACHABLE;
        };
    }
}
