// SPDX-License-Identifier: MIT
package org.metaotamgr.testing;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;

/** A web server on a real socket with files, ETags and ranges, which misbehaves where it is told to. */
public final class WebServer implements AutoCloseable {
    private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d*)");

    private final HttpServer server;
    private final String scheme;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final Map<String, byte[]> files = new ConcurrentHashMap<>();
    private final Map<String, HttpHandler> handlers = new ConcurrentHashMap<>();
    /** What was asked: the method, the path, and the range if there is one. */
    public final List<String> asked = new CopyOnWriteArrayList<>();
    /** The headers of what was asked. */
    public final List<Headers> headers = new CopyOnWriteArrayList<>();
    /** Bytes of bodies that were sent. */
    public final AtomicLong sent = new AtomicLong();
    /** After how many bytes of a body the connection is closed; negative for never. */
    public volatile int cutAfter = -1;
    /** Whether ranges are ignored, as simple servers do. */
    public volatile boolean ignoresRanges;
    /** Whether it says which version of a file it is. */
    public volatile boolean hasTags = true;
    /** What is behind the hash in ETags. */
    public volatile String tagSuffix = "";

    public WebServer() throws IOException {
        this(Optional.empty(), false);
    }

    public WebServer(Optional<SSLContext> tls, boolean needsClient) throws IOException {
        if (tls.isPresent()) {
            HttpsServer secure = HttpsServer.create(Workshop.anyPort(), 0);
            secure.setHttpsConfigurator(new HttpsConfigurator(tls.get()) {
                @Override
                public void configure(HttpsParameters parameters) {
                    SSLParameters wanted = getSSLContext().getDefaultSSLParameters();
                    wanted.setNeedClientAuth(needsClient);
                    parameters.setSSLParameters(wanted);
                }
            });
            server = secure;
        } else {
            server = HttpServer.create(Workshop.anyPort(), 0);
        }
        scheme = tls.isPresent() ? "https" : "http";
        server.createContext("/", this::handle);
        server.setExecutor(threads);
        server.start();
    }

    public URI uri() {
        return URI.create(scheme + "://localhost:" + server.getAddress().getPort() + "/");
    }

    public URI uri(String path) {
        return uri().resolve(path);
    }

    public void put(String path, byte[] content) {
        files.put("/" + path, content);
    }

    public void put(String path, String content) {
        put(path, content.getBytes(StandardCharsets.UTF_8));
    }

    public void handle(String path, HttpHandler handler) {
        handlers.put("/" + path, handler);
    }

    /** Answers with nothing but a status. */
    public void fail(String path, int status, String... more) {
        handle(path, exchange -> {
            for (int i = 0; i < more.length; i += 2) {
                exchange.getResponseHeaders().set(more[i], more[i + 1]);
            }
            exchange.sendResponseHeaders(status, -1);
        });
    }

    public void repair(String path) {
        handlers.remove("/" + path);
    }

    private void handle(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getRawPath();
        String range = exchange.getRequestHeaders().getFirst("Range");
        asked.add(exchange.getRequestMethod() + " " + path + (range == null ? "" : " " + range));
        headers.add(exchange.getRequestHeaders());
        try (exchange) {
            HttpHandler handler = handlers.get(path);
            byte[] content = files.get(path);
            if (handler != null) {
                handler.handle(exchange);
            } else if (content == null) {
                exchange.sendResponseHeaders(404, -1);
            } else {
                send(exchange, content, range);
            }
        }
    }

    private void send(HttpExchange exchange, byte[] content, String range) throws IOException {
        String tag = "\"" + Integer.toHexString(java.util.Arrays.hashCode(content)) + tagSuffix + "\"";
        if (hasTags) {
            exchange.getResponseHeaders().set("ETag", tag);
        }
        int from = 0;
        int end = content.length;
        Matcher matcher = RANGE.matcher(range == null ? "" : range);
        String ifRange = exchange.getRequestHeaders().getFirst("If-Range");
        boolean isPart = matcher.matches() && !ignoresRanges && (ifRange == null || ifRange.equals(tag));
        if (isPart) {
            from = Integer.parseInt(matcher.group(1));
            if (from >= content.length) {
                exchange.sendResponseHeaders(416, -1);
                return;
            }
            end = matcher.group(2).isEmpty() ? end : Math.min(end, Integer.parseInt(matcher.group(2)) + 1);
            exchange.getResponseHeaders()
                    .set("Content-Range", "bytes " + from + "-" + (end - 1) + "/" + content.length);
        }
        int length = end - from;
        exchange.sendResponseHeaders(isPart ? 206 : 200, length);
        int sent = cutAfter < 0 ? length : Math.min(cutAfter, length);
        this.sent.addAndGet(sent);
        exchange.getResponseBody().write(content, from, sent);
        exchange.getResponseBody().flush();
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
