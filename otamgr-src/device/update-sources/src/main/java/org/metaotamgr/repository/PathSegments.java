// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.http.Urls;

/** Paths of targets, as metadata has them, made part of a URL or of a file's name. */
final class PathSegments {
    private PathSegments() {}

    /** A path below a folder: segments that are none, or that lead out of it, are refused. */
    static String checked(String path) throws SourceException {
        for (String segment : path.split("/", -1)) {
            if (segment.isEmpty() || segment.equals(".") || segment.equals("..") || segment.indexOf('\0') >= 0) {
                throw new SourceException(
                        Reason.MALFORMED, "targets.json: expected a path below the folder of targets, found " + path);
            }
        }
        return path;
    }

    static String encoded(String path) throws SourceException {
        StringBuilder out = new StringBuilder();
        for (String segment : checked(path).split("/")) {
            out.append(out.length() == 0 ? "" : "/").append(Urls.segment(segment));
        }
        return out.toString();
    }
}
