// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Locale;
import java.util.Optional;

/**
 * URLs as servers write them, which are not always URIs: with blanks, brackets and bars, the scheme in capitals. Read as curl
 * and browsers do: what may not stand there is encoded, and a reference is resolved by RFC 3986, 5.2.2.
 */
public final class Urls {
    private static final int MAX_LENGTH = 8192;
    private static final int MAX_PORT = 65_535;
    private static final String UNRESERVED_MARKS = "-._~";
    private static final String SUB_DELIMITERS = "!$&'()*+,;=";

    private Urls() {}

    /**
     * Reads an absolute URL.
     *
     * @param text what somebody wrote
     * @return a URL of http or https with a host and a path; empty if it is none
     */
    public static Optional<URI> parse(String text) {
        return resolve(Optional.empty(), text);
    }

    /**
     * Reads a reference to another place.
     *
     * @param from where it was found
     * @param text what somebody wrote
     * @return a URL of http or https with a host and a path; empty if it is none
     */
    public static Optional<URI> resolve(URI from, String text) {
        return resolve(Optional.of(from), text);
    }

    private static Optional<URI> resolve(Optional<URI> from, String text) {
        String rest = text.strip();
        if (rest.isEmpty() || rest.length() > MAX_LENGTH || rest.chars().anyMatch(one -> one < ' ' || one == 0x7f)) {
            return Optional.empty();
        }
        int fragment = rest.indexOf('#');
        rest = fragment < 0 ? rest : rest.substring(0, fragment);
        String scheme = scheme(rest);
        if (!scheme.isEmpty()) {
            rest = rest.substring(scheme.length() + 1);
        } else if (from.isEmpty()) {
            return Optional.empty();
        }
        String authority;
        String base;
        if (rest.startsWith("//")) {
            int end = 2;
            while (end < rest.length() && rest.charAt(end) != '/' && rest.charAt(end) != '?') {
                end++;
            }
            authority = rest.substring(2, end);
            rest = rest.substring(end);
            base = "/";
        } else if (scheme.isEmpty()) {
            authority = from.get().getRawAuthority();
            base = from.get().getRawPath();
        } else {
            return Optional.empty();
        }
        if (scheme.isEmpty()) {
            scheme = from.get().getScheme();
        }
        scheme = scheme.toLowerCase(Locale.ROOT);
        if (authority == null || !scheme.equals("http") && !scheme.equals("https")) {
            return Optional.empty();
        }
        int question = rest.indexOf('?');
        String path = question < 0 ? rest : rest.substring(0, question);
        String query = question < 0 ? "" : "?" + encoded(rest.substring(question + 1), "/?:@");
        return uri(scheme + "://" + authority + absolute(base, encoded(path, "/:@")) + query);
    }

    private static String scheme(String text) {
        int end = 0;
        while (end < text.length()
                && (isLetter(text.charAt(end))
                        || end > 0 && (isDigit(text.charAt(end)) || "+-.".indexOf(text.charAt(end)) >= 0))) {
            end++;
        }
        return end > 0 && end < text.length() && text.charAt(end) == ':' ? text.substring(0, end) : "";
    }

    private static boolean isLetter(char one) {
        return one >= 'a' && one <= 'z' || one >= 'A' && one <= 'Z';
    }

    private static boolean isDigit(char one) {
        return one >= '0' && one <= '9';
    }

    /** A path that begins with a slash, without steps up and down. */
    private static String absolute(String base, String path) {
        String whole = path.startsWith("/")
                ? path
                : path.isEmpty() ? base : base.substring(0, base.lastIndexOf('/') + 1) + path;
        Deque<String> kept = new ArrayDeque<>();
        String[] segments = whole.split("/", -1);
        for (int at = 1; at < segments.length; at++) {
            boolean isLast = at == segments.length - 1;
            if (segments[at].equals("..")) {
                kept.pollLast();
            } else if (!segments[at].equals(".")) {
                kept.addLast(segments[at]);
                continue;
            }
            if (isLast) {
                kept.addLast("");
            }
        }
        return "/" + String.join("/", kept);
    }

    /** With %XX for whatever may not stand there. Headers come as ISO 8859-1, so a byte above ASCII is that byte. */
    private static String encoded(String text, String also) {
        StringBuilder safe = new StringBuilder(text.length() + 16);
        for (int at = 0; at < text.length(); at++) {
            char one = text.charAt(at);
            if (isLetter(one)
                    || isDigit(one)
                    || one == '%'
                    || UNRESERVED_MARKS.indexOf(one) >= 0
                    || SUB_DELIMITERS.indexOf(one) >= 0
                    || also.indexOf(one) >= 0) {
                safe.append(one);
            } else if (one < 0x100) {
                percent(safe, one);
            } else {
                int codePoint = text.codePointAt(at);
                for (byte part : new String(Character.toChars(codePoint)).getBytes(StandardCharsets.UTF_8)) {
                    percent(safe, part & 0xff);
                }
                at += Character.charCount(codePoint) - 1;
            }
        }
        return safe.toString();
    }

    private static void percent(StringBuilder target, int one) {
        target.append('%')
                .append(Character.toUpperCase(Character.forDigit(one >> 4, 16)))
                .append(Character.toUpperCase(Character.forDigit(one & 15, 16)));
    }

    private static Optional<URI> uri(String text) {
        try {
            URI uri = new URI(text);
            return host(uri).isEmpty() || uri.getRawUserInfo() != null || uri.getPort() > MAX_PORT
                    ? Optional.empty()
                    : Optional.of(uri);
        } catch (URISyntaxException e) {
            return Optional.empty();
        }
    }

    /**
     * One segment of a path, with %XX for whatever may not stand there, and for no more: hawkBit compares names that are
     * encoded without need as they are.
     *
     * @param segment a name
     * @return the segment
     */
    public static String segment(String segment) {
        StringBuilder safe = new StringBuilder();
        for (byte part : segment.getBytes(StandardCharsets.UTF_8)) {
            char one = (char) (part & 0xff);
            if (isLetter(one)
                    || isDigit(one)
                    || UNRESERVED_MARKS.indexOf(one) >= 0
                    || SUB_DELIMITERS.indexOf(one) >= 0 && one != ';'
                    || one == ':'
                    || one == '@') {
                safe.append(one);
            } else {
                percent(safe, one);
            }
        }
        return safe.toString();
    }

    /**
     * The host of a URL, without the brackets of IPv6. Names with an underscore are none to {@link URI}, but are used.
     *
     * @param uri a URL
     * @return the host, or an empty text if there is none
     */
    public static String host(URI uri) {
        String host = uri.getHost();
        if (host == null) {
            String authority = uri.getRawAuthority() == null ? "" : uri.getRawAuthority();
            int colon = authority.lastIndexOf(':');
            host = colon < 0 ? authority : authority.substring(0, colon);
            String port = colon < 0 ? "0" : authority.substring(colon + 1);
            boolean isName = !host.isEmpty()
                    && !port.isEmpty()
                    && port.length() <= 5
                    && port.chars().allMatch(one -> isDigit((char) one))
                    && Integer.parseInt(port) <= MAX_PORT
                    && host.chars()
                            .allMatch(one -> isLetter((char) one) || isDigit((char) one) || "-._".indexOf(one) >= 0);
            return isName ? host : "";
        }
        return host.startsWith("[") ? host.substring(1, host.length() - 1) : host;
    }

    /**
     * The port of a URL.
     *
     * @param uri a URL of http or https
     * @return the port, that of the scheme if none is written
     */
    public static int port(URI uri) {
        if (uri.getPort() >= 0) {
            return uri.getPort();
        }
        String authority = uri.getRawAuthority() == null ? "" : uri.getRawAuthority();
        int colon = uri.getHost() == null ? authority.lastIndexOf(':') : -1;
        return colon >= 0 ? Integer.parseInt(authority.substring(colon + 1)) : isSecure(uri) ? 443 : 80;
    }

    static boolean isSecure(URI uri) {
        return "https".equals(uri.getScheme());
    }
}
