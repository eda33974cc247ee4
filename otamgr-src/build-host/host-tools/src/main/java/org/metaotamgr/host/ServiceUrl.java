// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Set;

/** Where the service is, and how to name things in its paths. */
record ServiceUrl(URI base) {

    static final String PRODUCTION = "https://api.afero.io";

    private static final Set<String> LOOPBACK = Set.of("localhost", "127.0.0.1", "[::1]");
    private static final String UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    static ServiceUrl of(String text) throws OtaException {
        URI uri;
        try {
            uri = URI.create(text.endsWith("/") ? text.substring(0, text.length() - 1) : text);
        } catch (IllegalArgumentException e) {
            throw new OtaException(ExitStatus.USAGE, "service URL: expected https://HOST, found " + text);
        }
        boolean plain = "http".equals(uri.getScheme());
        if (uri.getHost() == null
                || uri.getUserInfo() != null
                || !plain && !"https".equals(uri.getScheme())
                || !uri.getRawPath().isEmpty()
                || uri.getRawQuery() != null
                || uri.getRawFragment() != null) {
            throw new OtaException(
                    ExitStatus.USAGE,
                    "service URL: expected https://HOST or https://HOST:PORT and nothing more, found " + text);
        }
        if (plain && !LOOPBACK.contains(uri.getHost())) {
            throw new OtaException(
                    ExitStatus.USAGE,
                    "service URL: http would send passwords readable over the network; expected https, or a loopback address, found "
                            + text);
        }
        return new ServiceUrl(uri);
    }

    boolean production() {
        return base.getHost().equalsIgnoreCase(URI.create(PRODUCTION).getHost());
    }

    /** Resolves a path that is already encoded. */
    URI at(String encodedPath) {
        return URI.create(base + encodedPath);
    }

    /** One segment of a path. Unlike in a form, a blank is {@code %20} here and {@code +} means itself. */
    static String segment(String text) {
        StringBuilder encoded = new StringBuilder();
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            if (UNRESERVED.indexOf((char) (b & 0xff)) >= 0) {
                encoded.append((char) b);
            } else {
                encoded.append(String.format("%%%02X", b & 0xff));
            }
        }
        return encoded.toString();
    }
}
