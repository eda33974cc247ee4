// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Through which proxy a server is reached: by a setting, or by {@code https_proxy}, {@code http_proxy}, {@code all_proxy} and
 * {@code no_proxy} of the environment, which mean what they mean to curl.
 *
 * @param secure the proxy for https
 * @param plain the proxy for http
 * @param none hosts that are reached without one
 */
public record Proxies(Optional<Server> secure, Optional<Server> plain, List<String> none) {
    /** Every server is reached directly. */
    public static final Proxies NONE = new Proxies(Optional.empty(), Optional.empty(), List.of());

    private static final int USUAL_PORT = 1080;

    /**
     * A proxy that speaks HTTP.
     *
     * @param host its name or address
     * @param port its port
     * @param authorization the value of {@code Proxy-Authorization}, if it wants one; a secret
     */
    public record Server(String host, int port, Optional<String> authorization) {
        /** Its name for messages: without the password. */
        @Override
        public String toString() {
            return (host.indexOf(':') < 0 ? host : "[" + host + "]") + ":" + port;
        }
    }

    /** Copies the list. */
    public Proxies {
        none = List.copyOf(none);
    }

    /**
     * One proxy for everything.
     *
     * @param text such as {@code http://user:password@proxy.example.com:3128}; {@code none} for no proxy at all
     * @param except as in {@code no_proxy}
     * @return the proxies
     * @throws ConfigException if it is no such thing; the message does not tell the password
     */
    public static Proxies of(String text, List<String> except) throws ConfigException {
        if (text.equals("none")) {
            return NONE;
        }
        Optional<Server> server = Optional.of(server("proxy", text));
        return new Proxies(
                server,
                server,
                except.stream().map(one -> one.toLowerCase(Locale.ROOT)).toList());
    }

    /**
     * What the environment says. As for curl, {@code HTTP_PROXY} in capitals does not count: a web server may have set it.
     *
     * @param environment the variables
     * @return the proxies
     * @throws ConfigException if a variable cannot be understood
     */
    public static Proxies ofEnvironment(Map<String, String> environment) throws ConfigException {
        List<String> except = new ArrayList<>();
        String text = first(environment, "no_proxy", "NO_PROXY");
        for (String one : text.toLowerCase(Locale.ROOT).replace(',', ' ').split(" ")) {
            if (!one.isBlank()) {
                except.add(one.strip());
            }
        }
        return new Proxies(
                server(environment, "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
                server(environment, "http_proxy", "all_proxy", "ALL_PROXY"),
                except);
    }

    private static String first(Map<String, String> environment, String... names) {
        for (String name : names) {
            String value = environment.getOrDefault(name, "");
            if (!value.isBlank()) {
                return value.strip();
            }
        }
        return "";
    }

    private static Optional<Server> server(Map<String, String> environment, String... names) throws ConfigException {
        for (String name : names) {
            String value = first(environment, name);
            if (!value.isEmpty()) {
                return Optional.of(server(name, value));
            }
        }
        return Optional.empty();
    }

    private static Server server(String name, String text) throws ConfigException {
        String address = text.contains("://") ? text : "http://" + text;
        URI uri;
        try {
            uri = new URI(address);
        } catch (URISyntaxException e) {
            throw wrong(name);
        }
        if (!"http".equalsIgnoreCase(uri.getScheme())
                || uri.getHost() == null
                || uri.getPort() == 0
                || uri.getPort() > 65_535) {
            throw wrong(name);
        }
        Optional<String> authorization = Optional.empty();
        if (uri.getRawUserInfo() != null) {
            try {
                // A plus sign is one; only in forms it is a blank.
                String user = URLDecoder.decode(uri.getRawUserInfo().replace("+", "%2B"), StandardCharsets.UTF_8);
                authorization = Optional.of(
                        "Basic " + Base64.getEncoder().encodeToString(user.getBytes(StandardCharsets.UTF_8)));
            } catch (IllegalArgumentException e) {
                throw wrong(name);
            }
        }
        return new Server(bare(uri.getHost()), uri.getPort() < 0 ? USUAL_PORT : uri.getPort(), authorization);
    }

    private static ConfigException wrong(String name) {
        return new ConfigException(
                name + ": expected the URL of a proxy that speaks HTTP, such as "
                        + "http://proxy.example.com:3128, or http://user:password@… with %XX for special characters, found something else");
    }

    private static String bare(String host) {
        return host.startsWith("[") && host.endsWith("]") ? host.substring(1, host.length() - 1) : host;
    }

    /**
     * The proxy for a server.
     *
     * @param isSecure whether https is spoken with it
     * @param host its name or address
     * @param port its port
     * @return the proxy, or empty if it is reached directly
     */
    public Optional<Server> forServer(boolean isSecure, String host, int port) {
        Optional<Server> server = isSecure ? secure : plain;
        String name = bare(host.toLowerCase(Locale.ROOT));
        return none.stream().anyMatch(one -> isExcepted(one, name, port)) ? Optional.empty() : server;
    }

    private static boolean isExcepted(String exception, String host, int port) {
        if (exception.equals("*")) {
            return true;
        }
        String name = exception;
        int colon = name.lastIndexOf(':');
        // More than one colon, and no bracket: an address of IPv6.
        if (colon > 0 && (name.indexOf(':') == colon || name.charAt(colon - 1) == ']')) {
            if (!name.substring(colon + 1).equals(Integer.toString(port))) {
                return false;
            }
            name = name.substring(0, colon);
        }
        name = bare(name);
        if (name.indexOf('/') > 0) {
            return isInNetwork(name, host);
        }
        name = name.startsWith("*.") ? name.substring(2) : name.startsWith(".") ? name.substring(1) : name;
        return !name.isEmpty() && (host.equals(name) || host.endsWith("." + name) && address(host) < 0);
    }

    /** Whether an address of IPv4 is in a network such as {@code 10.0.0.0/8}. */
    private static boolean isInNetwork(String network, String host) {
        int slash = network.indexOf('/');
        long base = address(network.substring(0, slash));
        long found = address(host);
        String bits = network.substring(slash + 1);
        if (base < 0 || found < 0 || bits.length() > 2 || !isNumber(bits) || Integer.parseInt(bits) > 32) {
            return false;
        }
        int shift = 32 - Integer.parseInt(bits);
        return base >> shift == found >> shift;
    }

    private static boolean isNumber(String text) {
        return !text.isEmpty() && text.chars().allMatch(one -> one >= '0' && one <= '9');
    }

    /** An address of IPv4 as a number; negative if it is none. */
    private static long address(String text) {
        String[] parts = text.split("\\.", 5);
        long address = 0;
        for (String part : parts) {
            if (parts.length != 4 || part.length() > 3 || !isNumber(part) || Integer.parseInt(part) > 255) {
                return -1;
            }
            address = address << 8 | Integer.parseInt(part);
        }
        return address;
    }
}
