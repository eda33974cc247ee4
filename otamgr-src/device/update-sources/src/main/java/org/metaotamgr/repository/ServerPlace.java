// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.net.URI;
import java.nio.file.Path;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.Target;
import org.metaotamgr.http.BundleProof;
import org.metaotamgr.http.Download;
import org.metaotamgr.http.Http;
import org.metaotamgr.http.HttpOriginal;
import org.metaotamgr.tuf.Transport;

/**
 * A repository on a web server.
 *
 * @param http asks the server
 * @param base the URL of the repository, ending in a slash; {@code metadata/} and {@code targets/} are below it
 * @param download brings files
 * @param context what the device offers
 */
record ServerPlace(Http http, URI base, Download download, SourceContext context) implements Place {
    @Override
    public boolean isRemote() {
        return true;
    }

    @Override
    public Transport metadata() {
        return new HttpTransport(http, base.resolve("metadata/"));
    }

    @Override
    public Path whole(Target target, String file, Path storage, PullProgress progress)
            throws SourceException, InterruptedException {
        return download.bring(
                new Download.Wanted(uri(file), target.bytes(), target.id()),
                storage,
                progress,
                found -> BundleProof.check(found, target, context.verifier(), false));
    }

    /** Metadata may name what it likes; it stays below the folder of targets. */
    private URI uri(String file) throws SourceException {
        return URI.create(base + "targets/" + PathSegments.encoded(file));
    }

    @Override
    public Original original(Target target, String file) throws SourceException {
        return new HttpOriginal(http, uri(file), target.bytes());
    }

    @Override
    public long there(Path storage) {
        return Download.there(storage);
    }
}
