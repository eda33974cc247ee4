// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import javax.net.ssl.SSLException;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.device.Printable;

/**
 * Talks to a web server, by {@link Connection}: java.net.http costs more memory and, on a slow board, about ten times as long,
 * and neither it nor {@code HttpURLConnection} bounds what it reads.
 *
 * <p>Certificates of servers are always checked. Redirects are followed five times, never from https to http; credentials go
 * only to the server of the configuration. Messages name servers and paths, never queries or credentials.
 */
public final class Http {
    private static final int MAX_REDIRECTS = 5;
    /** Longer waits are not believed. */
    private static final Duration MAX_RETRY_AFTER = Duration.ofDays(1);

    static final String USER_AGENT = "otamgr";
    private static final int OK = 200;

    private final HttpConfig config;
    private final Exchange.Pace pace;
    private final Optional<String> authorization;
    private Optional<Tls.Sockets> own = Optional.empty();
    private Optional<Tls.Sockets> others = Optional.empty();

    /**
     * Makes one; nothing is connected yet.
     *
     * @param config how the server is reached
     * @param authorization the header for it, with which the device says who it is, if it needs one
     */
    public Http(HttpConfig config, Optional<String> authorization) {
        this(config, authorization, Exchange.Pace.USUAL);
    }

    Http(HttpConfig config, Optional<String> authorization, Exchange.Pace pace) {
        this.config = config;
        this.pace = pace;
        this.authorization = authorization;
    }

    /**
     * A request.
     *
     * @param method GET, POST or PUT
     * @param uri where to
     * @param headers what else to say
     * @param body what to send, JSON; empty for nothing
     * @param deadline how long all of it may take; empty for a download, which only has to go on
     * @param whenBroken the reason if the server does not answer, or not to its end
     */
    public record Request(
            String method,
            URI uri,
            Map<String, String> headers,
            Optional<byte[]> body,
            Optional<Duration> deadline,
            Reason whenBroken) {}

    /** What a server answered. */
    public interface Response {
        /**
         * The status.
         *
         * @return 200 to 599
         */
        int status();

        /**
         * A header.
         *
         * @param name its name
         * @return its value, or empty if it is missing
         */
        Optional<String> header(String name);

        /**
         * The length of the body in bytes, as the server announced it.
         *
         * @return the length, or -1 if unknown
         */
        long length();

        /**
         * The body; nothing for a status of 300 and more. It may end early without an error.
         *
         * @return the body
         */
        InputStream body();
    }

    /**
     * Makes something of a response, while the connection is open.
     *
     * @param <T> what
     */
    @FunctionalInterface
    public interface Handler<T> {
        /**
         * Reads the response.
         *
         * @param response what the server answered
         * @return what it is
         * @throws IOException if reading fails
         * @throws SourceException if the answer is none that can be used
         * @throws InterruptedException if the thread was interrupted
         */
        T handle(Response response) throws IOException, SourceException, InterruptedException;
    }

    /**
     * Gets a small file.
     *
     * @param uri where it is
     * @param headers what else to say
     * @param limit its largest length in bytes
     * @return the file
     * @throws SourceException if it cannot be had
     * @throws InterruptedException if the thread was interrupted
     */
    public byte[] get(URI uri, Map<String, String> headers, int limit) throws SourceException, InterruptedException {
        return get(uri, headers, limit, Optional.empty());
    }

    private byte[] get(URI uri, Map<String, String> headers, int limit, Optional<Line> line)
            throws SourceException, InterruptedException {
        Request request = new Request(
                "GET", uri, headers, Optional.empty(), Optional.of(config.requestTimeout()), Reason.FETCH_FAILED);
        Handler<byte[]> handler = response -> {
            if (response.status() != OK) {
                throw problem(request, response);
            }
            byte[] content = response.body().readNBytes(limit + 1);
            if (content.length > limit) {
                throw new SourceException(
                        Reason.MALFORMED, text(uri) + ": expected at most " + limit + " bytes, found more");
            }
            if (response.length() >= 0 && content.length != response.length()) {
                throw new SourceException(
                        Reason.FETCH_FAILED,
                        text(uri) + ": expected " + response.length() + " bytes, found " + content.length
                                + " and the end of the connection");
            }
            return content;
        };
        return exchange(request, handler, line);
    }

    /**
     * Sends JSON.
     *
     * @param method POST or PUT
     * @param uri where to
     * @param body what
     * @return the status of the answer, whatever it is
     * @throws SourceException if there is no answer, or if it says that later may be better, or that this device may not
     * @throws InterruptedException if the thread was interrupted
     */
    public int send(String method, URI uri, byte[] body) throws SourceException, InterruptedException {
        Request request = new Request(
                method,
                uri,
                Map.of("Content-Type", "application/json"),
                Optional.of(body),
                Optional.of(config.requestTimeout()),
                Reason.FETCH_FAILED);
        return exchange(request, response -> {
            SourceException problem = problem(request, response);
            if (problem.reason() == Reason.FETCH_FAILED || problem.reason() == Reason.NOT_ALLOWED) {
                throw problem;
            }
            return response.status();
        });
    }

    /**
     * Sends a request and reads the answer.
     *
     * @param <T> what becomes of the answer
     * @param request the request
     * @param handler reads the answer, of any status but those of redirects that were followed
     * @return what the handler made of it
     * @throws SourceException if there is no answer, or if the handler says so
     * @throws InterruptedException if the thread was interrupted; that ends a request within a moment
     */
    public <T> T exchange(Request request, Handler<T> handler) throws SourceException, InterruptedException {
        return exchange(request, handler, Optional.empty());
    }

    /**
     * Small files one after the other on one connection, as long as the server wants it. For one thread; nothing is connected before
     * the first.
     */
    public final class Sequence implements AutoCloseable {
        private final Line line = new Line();

        /**
         * As {@link Http#get}.
         *
         * @param uri where it is
         * @param headers what else to say
         * @param limit its largest length in bytes
         * @return the file
         * @throws SourceException if it cannot be had
         * @throws InterruptedException if the thread was interrupted
         */
        public byte[] get(URI uri, Map<String, String> headers, int limit)
                throws SourceException, InterruptedException {
            return Http.this.get(uri, headers, limit, Optional.of(line));
        }

        @Override
        public void close() {
            line.close();
        }
    }

    /**
     * A connection on which requests follow one another, as long as the server wants it. For one thread.
     */
    static final class Line implements AutoCloseable {
        private Optional<Connection> connection = Optional.empty();
        private String server = "";

        private Optional<Connection> take(String to) {
            Optional<Connection> taken = server.equals(to) ? connection : Optional.empty();
            if (taken.isPresent()) {
                connection = Optional.empty();
            }
            return taken;
        }

        private void keep(Connection one, String to) {
            close();
            connection = Optional.of(one);
            server = to;
        }

        @Override
        public void close() {
            connection.ifPresent(Connection::close);
            connection = Optional.empty();
        }
    }

    /**
     * As {@link #exchange(Request, Handler)}, on a connection that is used again where the server allows that.
     *
     * @param <T> what becomes of the answer
     * @param request the request
     * @param handler reads the answer
     * @param line the connection; empty for one that is closed behind this request
     * @return what the handler made of it
     * @throws SourceException if there is no answer, or if the handler says so
     * @throws InterruptedException if the thread was interrupted
     */
    <T> T exchange(Request request, Handler<T> handler, Optional<Line> line)
            throws SourceException, InterruptedException {
        URI uri = request.uri();
        for (int redirects = 0; ; redirects++) {
            String server = origin(uri);
            Optional<Connection> left = line.flatMap(one -> one.take(server));
            Connection connection = left.isPresent() ? left.get() : new Connection(plan(uri));
            try (Exchange exchange = new Exchange(
                    connection,
                    new Exchange.Call(request.method(), uri, headers(request, uri), request.body(), line.isEmpty()),
                    request.deadline(),
                    pace)) {
                Optional<AnswerReader.Head> answered = head(exchange, left.isPresent());
                if (answered.isEmpty()) {
                    // The server had closed it meanwhile.
                    redirects--;
                    continue;
                }
                AnswerReader.Head head = answered.get();
                if (!isRedirect(head.status()) || !request.method().equals("GET")) {
                    refuseCompressed(request, head);
                    try {
                        T made = handler.handle(new OpenResponse(head, exchange));
                        keep(line, exchange, connection, server);
                        return made;
                    } catch (SourceException e) {
                        // An answer that does not help is nevertheless one.
                        keep(line, exchange, connection, server);
                        throw e;
                    }
                }
                uri = redirected(uri, head.header("Location"), redirects, request);
            } catch (IOException e) {
                if (Thread.interrupted()) {
                    throw new InterruptedException();
                }
                throw new SourceException(request.whenBroken(), text(uri) + ": " + meaning(e));
            }
        }
    }

    private static void keep(Optional<Line> line, Exchange exchange, Connection connection, String server)
            throws InterruptedException {
        if (line.isPresent() && exchange.keep()) {
            line.get().keep(connection, server);
        }
    }

    private static Optional<AnswerReader.Head> head(Exchange exchange, boolean mayBeClosed)
            throws IOException, InterruptedException {
        try {
            return Optional.of(exchange.head());
        } catch (IOException e) {
            if (mayBeClosed) {
                return Optional.empty();
            }
            throw e;
        }
    }

    private Connection.Plan plan(URI uri) {
        Connection.Sockets sockets = isOwn(uri) ? this::ownSockets : this::otherSockets;
        return new Connection.Plan(
                uri,
                config.proxies().forServer(Urls.isSecure(uri), Urls.host(uri), Urls.port(uri)),
                sockets,
                config.connectTimeout(),
                config.readTimeout());
    }

    private Map<String, String> headers(Request request, URI uri) {
        Map<String, String> headers = new HashMap<>();
        headers.put("User-Agent", USER_AGENT);
        headers.put("Accept", "*/*");
        // A length or hash is that of the file, not of a compressed form.
        headers.put("Accept-Encoding", "identity");
        headers.putAll(request.headers());
        if (isOwn(uri) && authorization.isPresent()) {
            headers.put("Authorization", authorization.get());
        }
        return headers;
    }

    /** A proxy that compresses although nobody asked for it changes lengths and hashes. */
    private static void refuseCompressed(Request request, AnswerReader.Head head) throws SourceException {
        Optional<String> coding = head.header("Content-Encoding").filter(one -> !one.equalsIgnoreCase("identity"));
        if (head.status() < 300 && coding.isPresent()) {
            throw new SourceException(
                    request.whenBroken() == Reason.DOWNLOAD_FAILED ? Reason.WRONG_ANSWER : request.whenBroken(),
                    text(request.uri()) + ": expected the file as it is, found it in the coding " + coding.get()
                            + ", which nobody asked for; check the proxies on the way");
        }
    }

    /** Whether anybody wants the body of an answer; what a server says of an error is for people. */
    static boolean hasBody(int status) {
        return status < 300;
    }

    private static boolean isRedirect(int status) {
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    }

    private static URI redirected(URI from, Optional<String> location, int redirects, Request request)
            throws SourceException {
        if (redirects == MAX_REDIRECTS) {
            throw new SourceException(
                    request.whenBroken(),
                    text(request.uri()) + ": expected at most " + MAX_REDIRECTS + " redirects, found more");
        }
        Optional<URI> to = location.flatMap(one -> Urls.resolve(from, one));
        if (to.isEmpty()) {
            throw new SourceException(
                    request.whenBroken(),
                    text(from) + ": expected a redirect to a URL of http or https, " + "found one to "
                            + (location.isEmpty() || location.get().isEmpty() ? "nowhere" : "something else"));
        }
        if (Urls.isSecure(from) && !Urls.isSecure(to.get())) {
            throw new SourceException(
                    request.whenBroken(),
                    text(from) + ": expected a redirect to https, found one to " + text(to.get())
                            + "; it is not followed, as nothing would be protected there");
        }
        return to.get();
    }

    /** Whether credentials of this device are for this place. */
    private boolean isOwn(URI uri) {
        return origin(uri).equals(origin(config.base()));
    }

    private static String origin(URI uri) {
        return uri.getScheme() + "://" + Urls.host(uri).toLowerCase(Locale.ROOT) + ":" + Urls.port(uri);
    }

    private Tls.Sockets ownSockets() throws IOException {
        if (own.isEmpty()) {
            own = Optional.of(
                    config.clientCertificate().isEmpty()
                            ? otherSockets()
                            : Tls.withCertificate(
                                    config.caFile(),
                                    config.clientCertificate().get(),
                                    config.clientKey().get()));
        }
        return own.get();
    }

    private Tls.Sockets otherSockets() throws IOException {
        if (others.isEmpty()) {
            others = Optional.of(Tls.anonymous(config.caFile()));
        }
        return others.get();
    }

    /**
     * What a status means that is not the one that was hoped for.
     *
     * @param request what was asked
     * @param response the answer
     * @return the exception, to be thrown
     */
    public static SourceException problem(Request request, Response response) {
        int status = response.status();
        boolean isPull = request.whenBroken() == Reason.DOWNLOAD_FAILED;
        Optional<Duration> later =
                response.header("Retry-After").flatMap(value -> retryAfter(value, response.header("Date")));
        Reason reason =
                switch (status) {
                    case 401, 403 -> isPull ? Reason.DOWNLOAD_FAILED : Reason.NOT_ALLOWED;
                    case 404, 410 -> Reason.NOT_FOUND;
                    case 408, 425, 429 -> request.whenBroken();
                    default -> status >= 500 || isPull ? request.whenBroken() : Reason.MALFORMED;
                };
        return new SourceException(
                reason,
                text(request.uri()) + ": expected an answer of success, found HTTP status " + status + meaning(status),
                later);
    }

    private static String meaning(int status) {
        return switch (status) {
            case 401, 403 -> "; check the token or certificate of this device, and whether the server knows it";
            case 404 -> "; check the URL in the configuration";
            case 410 -> " (gone)";
            case 429 -> " (too many requests)";
            default -> "";
        };
    }

    static Optional<Duration> retryAfter(String value) {
        return retryAfter(value, Optional.empty());
    }

    /**
     * The time that a server asks for, in seconds or as a date.
     *
     * @param value what it says
     * @param date the time of its own clock, as it says: the clock of this device may stand anywhere
     */
    static Optional<Duration> retryAfter(String value, Optional<String> date) {
        Duration wait;
        if (value.length() <= 9 && !value.isEmpty() && value.chars().allMatch(one -> one >= '0' && one <= '9')) {
            wait = Duration.ofSeconds(Long.parseLong(value));
        } else {
            Optional<Instant> until = time(value);
            if (until.isEmpty()) {
                return Optional.empty();
            }
            wait = Duration.between(date.flatMap(Http::time).orElseGet(Instant::now), until.get());
        }
        if (wait.isNegative() || wait.isZero()) {
            return Optional.empty();
        }
        return Optional.of(wait.compareTo(MAX_RETRY_AFTER) > 0 ? MAX_RETRY_AFTER : wait);
    }

    private static Optional<Instant> time(String date) {
        try {
            return Optional.of(ZonedDateTime.parse(date, DateTimeFormatter.RFC_1123_DATE_TIME)
                    .toInstant());
        } catch (DateTimeParseException e) {
            return Optional.empty();
        }
    }

    private static String meaning(IOException e) {
        if (e instanceof Connection.ProxyException) {
            return e.getMessage();
        }
        if (e instanceof SSLException) {
            return "no secure connection: " + e.getMessage()
                    + "; check the authorities in caFile, and the clock of this device";
        }
        if (e instanceof java.net.UnknownHostException) {
            return "the name of the server is unknown; check the network and the URL in the configuration";
        }
        if (e instanceof java.net.SocketTimeoutException) {
            return "the server did not answer in time";
        }
        return e.getMessage() == null ? e.toString() : e.getMessage();
    }

    /**
     * A URL for messages: without what may be a secret.
     *
     * @param uri a URL
     * @return its scheme, host and path
     */
    public static String text(URI uri) {
        String authority = String.valueOf(uri.getRawAuthority());
        return Printable.of(
                uri.getScheme() + "://" + authority.substring(authority.lastIndexOf('@') + 1) + uri.getRawPath());
    }

    private record OpenResponse(AnswerReader.Head head, Exchange exchange) implements Response {
        @Override
        public int status() {
            return head.status();
        }

        @Override
        public Optional<String> header(String name) {
            return head.header(name);
        }

        @Override
        public long length() {
            return head.length();
        }

        @Override
        public InputStream body() {
            return hasBody(head.status()) ? exchange.body() : InputStream.nullInputStream();
        }
    }
}
