// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.sun.net.httpserver.Headers;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Keeps pages of other sites away from a service that protects little. A browser sends what they want it to, but it says whose
 * page it is, and by which name it came here: a name that somebody made point to this machine is none of the service's own.
 */
final class Callers {

    private final Set<String> names = ConcurrentHashMap.newKeySet();

    Callers() {
        names.add("localhost");
        try {
            names.add(InetAddress.getLocalHost().getHostName().toLowerCase(Locale.ROOT));
        } catch (UnknownHostException e) {
            // A machine without a name is called by its address.
            return;
        }
    }

    void add(List<String> more) {
        more.forEach(name -> names.add(name.toLowerCase(Locale.ROOT)));
    }

    /**
     * Refuses a request that a page of another site made.
     *
     * @param isProtected whether it needs a token, which no such page has
     */
    void refuseForeign(Headers headers, boolean isProtected) throws ApiException {
        String host = headers.getFirst("Host");
        if (host != null && !isProtected && !isOwn(withoutPort(host.toLowerCase(Locale.ROOT)))) {
            throw new ApiException(
                    403,
                    "forbidden",
                    "Expected a request for an address, localhost or this machine, found one for another name; "
                            + "start the service with --host for further names");
        }
        String origin = headers.getFirst("Origin");
        boolean isForeign = origin != null && !origin.equalsIgnoreCase("http://" + host);
        if (isForeign || "cross-site".equals(headers.getFirst("Sec-Fetch-Site"))) {
            throw new ApiException(
                    403,
                    "forbidden",
                    "Expected a request of this service's own page or of a tool, found one of another site's page");
        }
    }

    private static String withoutPort(String host) {
        int colon = host.lastIndexOf(':');
        return colon < 0 || host.endsWith("]") ? host : host.substring(0, colon);
    }

    private boolean isOwn(String host) {
        return names.contains(host) || host.startsWith("[") && host.endsWith("]") || isAddress(host);
    }

    /** Nobody can make an address of IPv4 point elsewhere. */
    private static boolean isAddress(String host) {
        String[] parts = host.split("\\.", -1);
        for (String part : parts) {
            if (parts.length != 4
                    || part.isEmpty()
                    || part.length() > 3
                    || !part.chars().allMatch(one -> one >= '0' && one <= '9')) {
                return false;
            }
        }
        return true;
    }
}
