// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.channels.UnresolvedAddressException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import org.metaotamgr.device.Backoff;
import org.metaotamgr.device.Proxies;

/**
 * Calls to the service: token, time-outs, tries. A call that must not happen twice is never repeated when it may have
 * happened once. Safe for use by several threads.
 */
final class Rest {

    /** How often and how patiently. */
    record Timeouts(Duration connect, Duration answer, int retries) {}

    /** Whether a call may be sent again after it may have had its effect. */
    enum Repeat {
        ALWAYS,
        ONLY_IF_NOT_DONE
    }

    private static final Duration FIRST_PAUSE = Duration.ofMillis(500);
    private static final Duration LONGEST_PAUSE = Duration.ofSeconds(30);
    private static final Duration LEFT_OF_TOKEN = Duration.ofSeconds(60);
    private static final long LOOK_EVERY_MS = 100;
    private static final String TUNNEL_FAILED = "Tunnel failed, got: ";

    private final ServiceUrl url;
    private final Conf conf;
    private final Timeouts patience;
    private final ProcessContext context;
    private final Secrets secrets;
    private final Output output;
    private final boolean trace;
    private final Optional<Proxies.Server> proxy;
    private final HttpClient client;
    private Token token;

    private record Token(String value, Instant renewAt) {}

    Rest(
            ServiceUrl url,
            Conf conf,
            Timeouts patience,
            ProcessContext context,
            Secrets secrets,
            Output output,
            boolean trace,
            Proxies proxies) {
        this.url = url;
        this.conf = conf;
        this.patience = patience;
        this.context = context;
        this.secrets = secrets;
        this.output = output;
        this.trace = trace;
        SSLParameters tls = new SSLParameters();
        tls.setProtocols(tlsProtocols());
        HttpClient.Builder builder = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(patience.connect())
                .sslParameters(tls);
        context.tls().ifPresent(builder::sslContext);
        proxy = proxies.forServer(
                url.base().getScheme().equalsIgnoreCase("https"),
                url.base().getHost(),
                url.base().getPort() >= 0
                        ? url.base().getPort()
                        : url.base().getScheme().equalsIgnoreCase("https") ? 443 : 80);
        // Without an address it is none.
        builder.proxy(ProxySelector.of(proxy.map(server -> new InetSocketAddress(server.host(), server.port()))
                .orElse(null)));
        proxy.flatMap(Proxies.Server::authorization).ifPresent(secrets::add);
        client = builder.build();
    }

    /** The versions of TLS that are good enough. */
    static String[] tlsProtocols() {
        return new String[] {"TLSv1.3", "TLSv1.2"};
    }

    Timeouts patience() {
        return patience;
    }

    /** Logs in, unless there is a token that is good for a while. */
    void login() throws OtaException {
        bearer();
    }

    /**
     * Calls the service.
     *
     * @param body JSON, or null
     * @return the answer, with whatever status that repeating does not change
     * @throws OtaException.Unclear if the call may have had its effect and must not be repeated
     */
    ServiceAnswer call(String method, String encodedPath, JsonNode body, Repeat repeat) throws OtaException {
        for (int attempt = 0; ; attempt++) {
            OtaException problem;
            Duration pause = pause(attempt);
            try {
                HttpResponse<byte[]> response = authorised(method, encodedPath, body);
                ServiceAnswer answer =
                        new ServiceAnswer(method, path(encodedPath), response.statusCode(), response.body());
                int status = answer.status();
                if (status == 429) {
                    pause = response.headers()
                            .firstValue("Retry-After")
                            .filter(text -> text.matches("[0-9]{1,4}"))
                            .map(Long::parseLong)
                            .map(Duration::ofSeconds)
                            .filter(asked -> asked.compareTo(LONGEST_PAUSE) <= 0)
                            .orElse(pause);
                } else if (status < 500) {
                    return answer;
                } else if (repeat == Repeat.ONLY_IF_NOT_DONE) {
                    throw new OtaException.Unclear(ExitStatus.SERVICE, answer.message());
                } else if (status < 502 || status > 504) {
                    return answer;
                }
                problem = answer.problem();
            } catch (IOException e) {
                problem = lost(method, encodedPath, e, repeat);
            }
            if (attempt >= patience.retries()) {
                throw problem;
            }
            output.note(problem.getMessage() + "; trying again");
            sleep(pause);
        }
    }

    private OtaException lost(String method, String encodedPath, IOException problem, Repeat repeat)
            throws OtaException {
        String message = method + " " + path(encodedPath) + ": " + words(problem);
        if (problem instanceof SSLException || problem instanceof ProxyRefusal refusal && !refusal.mayPass()) {
            throw new OtaException(ExitStatus.NETWORK, message);
        }
        if (repeat == Repeat.ONLY_IF_NOT_DONE && !(problem instanceof ConnectException)) {
            throw new OtaException.Unclear(ExitStatus.NETWORK, message);
        }
        return new OtaException(ExitStatus.NETWORK, message);
    }

    private String words(IOException problem) {
        if (problem instanceof HttpTimeoutException
                && !(problem instanceof java.net.http.HttpConnectTimeoutException)) {
            return "no answer after " + patience.answer().toSeconds() + " s";
        }
        if (problem instanceof ProxyRefusal) {
            return problem.getMessage();
        }
        if ((problem instanceof ConnectException || problem instanceof java.net.http.HttpConnectTimeoutException)
                && proxy.isPresent()) {
            return "the proxy " + proxy.get() + " cannot be reached";
        }
        if (problem instanceof ConnectException || problem instanceof java.net.http.HttpConnectTimeoutException) {
            return url.base() + " cannot be reached";
        }
        if (problem instanceof SSLException) {
            return "TLS: " + problem.getMessage() + "; the certificate of "
                    + url.base().getHost() + " must be one that Java trusts";
        }
        return "the connection broke";
    }

    /** The path without a query, for messages. */
    private static String path(String encodedPath) {
        int query = encodedPath.indexOf('?');
        return query < 0 ? encodedPath : encodedPath.substring(0, query);
    }

    private Duration pause(int attempt) {
        // Spread, so that many callers that failed together do not come back together.
        return Backoff.spread(
                Backoff.doubled(FIRST_PAUSE, LONGEST_PAUSE, attempt), ThreadLocalRandom.current()::nextDouble);
    }

    private void sleep(Duration duration) throws OtaException {
        try {
            context.sleeper().sleep(duration);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new OtaException(ExitStatus.NETWORK, "interrupted");
        }
    }

    private HttpResponse<byte[]> authorised(String method, String encodedPath, JsonNode body)
            throws IOException, OtaException {
        String bearer = bearer();
        HttpResponse<byte[]> response = send(request(method, encodedPath, body, bearer));
        if (response.statusCode() == 401) {
            renew(bearer);
            response = send(request(method, encodedPath, body, bearer()));
            if (response.statusCode() == 401) {
                throw new ServiceAnswer(method, path(encodedPath), 401, response.body()).problem();
            }
        }
        return response;
    }

    private HttpRequest request(String method, String encodedPath, JsonNode body, String bearer) {
        HttpRequest.Builder builder = HttpRequest.newBuilder(url.at(encodedPath))
                .header("Accept", "application/json")
                .header("Authorization", "Bearer " + bearer);
        if (body != null) {
            builder.header("Content-Type", "application/json");
        }
        forProxy(builder);
        return builder.method(
                        method,
                        body == null
                                ? HttpRequest.BodyPublishers.noBody()
                                : HttpRequest.BodyPublishers.ofString(body.toString()))
                .build();
    }

    /** The client says this to the proxy alone: in CONNECT, or where no TLS is spoken. */
    private void forProxy(HttpRequest.Builder builder) {
        proxy.flatMap(Proxies.Server::authorization).ifPresent(value -> builder.header("Proxy-Authorization", value));
    }

    private HttpResponse<byte[]> send(HttpRequest request) throws IOException, OtaException {
        CompletableFuture<HttpResponse<byte[]>> answer = client.sendAsync(request, info -> new LimitedBody());
        try {
            HttpResponse<byte[]> response = answer.get(patience.answer().toMillis(), TimeUnit.MILLISECONDS);
            traced(request, Integer.toString(response.statusCode()));
            // What a proxy answers instead of connecting has no body here; what it answers itself is 407.
            if (proxy.isPresent() && (response.body() == null || response.statusCode() == 407)) {
                throw new ProxyRefusal(proxy.get(), response.statusCode());
            }
            return response;
        } catch (TimeoutException e) {
            answer.cancel(true);
            traced(request, "no answer");
            throw new HttpTimeoutException("no answer");
        } catch (ExecutionException e) {
            traced(request, "failed");
            throw refusal(io(e));
        } catch (InterruptedException e) {
            answer.cancel(true);
            Thread.currentThread().interrupt();
            throw new OtaException(ExitStatus.NETWORK, "interrupted");
        }
    }

    /** The client tells most of what a proxy answers to CONNECT in a message only. */
    private IOException refusal(IOException problem) {
        String message = String.valueOf(problem.getMessage());
        boolean isOfProxy = proxy.isPresent() && message.matches(Pattern.quote(TUNNEL_FAILED) + "[1-5][0-9]{2}");
        return isOfProxy
                ? new ProxyRefusal(proxy.get(), Integer.parseInt(message.substring(TUNNEL_FAILED.length())))
                : problem;
    }

    private static IOException io(ExecutionException failure) {
        Throwable cause = failure.getCause();
        if (cause instanceof IOException problem) {
            // A refused connection and an unknown host come as ConnectException, the latter around another exception.
            return problem;
        }
        if (cause instanceof UnresolvedAddressException) {
            return new ConnectException("unknown host");
        }
        if (cause instanceof RuntimeException defect) {
            throw defect;
        }
        return new IOException(cause == null ? "failed" : cause.getClass().getSimpleName());
    }

    private void traced(HttpRequest request, String outcome) {
        traced(
                request.method(),
                request.uri(),
                request.headers()
                        .firstValue("Authorization")
                        .map(value -> value.substring(0, value.indexOf(' ')))
                        .orElse(""),
                outcome);
    }

    private void traced(String method, URI uri, String scheme, String outcome) {
        if (trace) {
            String query = uri.getRawQuery();
            output.note("> " + method + " " + uri.getRawPath() + (query == null ? "" : "?" + query)
                    + " (Authorization: " + (scheme.isEmpty() ? "none" : scheme + " ***") + ") < " + outcome);
        }
    }

    // ---- token ----

    private synchronized String bearer() throws OtaException {
        if (token == null || !context.clock().instant().isBefore(token.renewAt())) {
            token = newToken();
        }
        return token.value();
    }

    /** Drops a token that was refused, unless another thread has done so already. */
    private synchronized void renew(String refused) {
        if (token != null && token.value().equals(refused)) {
            token = null;
        }
    }

    private Token newToken() throws OtaException {
        Map<String, String> fields = new LinkedHashMap<>();
        fields.put("username", conf.username());
        fields.put("password", conf.userpw().value());
        fields.put("grant_type", "password");
        StringBuilder form = new StringBuilder();
        fields.forEach((key, value) -> form.append(form.isEmpty() ? "" : "&")
                .append(key)
                .append('=')
                .append(URLEncoder.encode(value, StandardCharsets.UTF_8)));
        HttpRequest.Builder builder = HttpRequest.newBuilder(url.at("/oauth/token"))
                .header("Accept", "application/json")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Authorization", "Basic " + conf.authString().value())
                .POST(HttpRequest.BodyPublishers.ofString(form.toString()));
        forProxy(builder);
        HttpRequest request = builder.build();
        for (int attempt = 0; ; attempt++) {
            OtaException problem;
            try {
                HttpResponse<byte[]> response = send(request);
                ServiceAnswer answer =
                        new ServiceAnswer("POST", "/oauth/token", response.statusCode(), response.body());
                int status = answer.status();
                if (status == 200) {
                    return token(answer.json());
                }
                if (status == 400 || status == 401) {
                    throw new OtaException(
                            ExitStatus.AUTHORISATION, answer.message() + " (check username, userpw and auth-string)");
                }
                problem = answer.problem();
                if (status != 429 && (status < 502 || status > 504)) {
                    throw problem;
                }
            } catch (IOException e) {
                problem = lost("POST", "/oauth/token", e, Repeat.ALWAYS);
            }
            if (attempt >= patience.retries()) {
                throw problem;
            }
            output.note(problem.getMessage() + "; trying again");
            sleep(pause(attempt));
        }
    }

    private Token token(JsonNode answer) throws OtaException {
        String value = answer.path("access_token").asText("");
        if (!value.matches("[\\x21-\\x7e]+")) {
            // The answer itself must not be shown.
            throw new OtaException(
                    ExitStatus.SERVICE,
                    "HTTP 200 from POST /oauth/token: expected an access_token, found none that can be used");
        }
        secrets.add(value);
        Duration life = Duration.ofSeconds(Math.max(0, answer.path("expires_in").asLong(0)));
        Duration margin = LEFT_OF_TOKEN.compareTo(life.dividedBy(2)) < 0 ? LEFT_OF_TOKEN : life.dividedBy(2);
        // Without a life time the token is used until it is refused.
        Instant renewAt = life.isZero()
                ? Instant.MAX
                : context.clock().instant().plus(life).minus(margin);
        return new Token(value, renewAt);
    }

    // ---- upload ----

    /**
     * Sends a body once. The time-out counts from the last byte that moved.
     *
     * @throws IOException if the connection broke or stood still
     */
    ServiceAnswer upload(String encodedPath, UploadBody body, Progress progress) throws IOException, OtaException {
        String bearer = bearer();
        Map<String, String> headers = Map.of(
                "Accept",
                "application/json",
                "Authorization",
                "Bearer " + bearer,
                "Content-Type",
                "application/octet-stream");
        URI target = url.at(encodedPath);
        try (UploadConnection connection = new UploadConnection(target, patience, context.tls(), proxy)) {
            FutureTask<UploadConnection.Reply> sending = new FutureTask<>(() -> connection.post(headers, body));
            Thread sender = new Thread(sending, "upload");
            sender.setDaemon(true);
            sender.start();
            while (true) {
                try {
                    UploadConnection.Reply reply = sending.get(LOOK_EVERY_MS, TimeUnit.MILLISECONDS);
                    progress.update(body.sent(), body.size());
                    traced("POST", target, "Bearer", Integer.toString(reply.status()));
                    if (reply.status() == 401) {
                        renew(bearer);
                    }
                    return new ServiceAnswer("POST", path(encodedPath), reply.status(), reply.body());
                } catch (TimeoutException e) {
                    progress.update(body.sent(), body.size());
                    if (body.standstill() > patience.answer().toNanos()) {
                        traced("POST", target, "Bearer", "no answer");
                        throw new HttpTimeoutException("nothing moved");
                    }
                }
            }
        } catch (ExecutionException e) {
            traced("POST", target, "Bearer", "failed");
            throw io(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new OtaException(ExitStatus.NETWORK, "interrupted");
        }
    }

    /** What an interrupted upload looks like to people, and the pause before the next try. */
    void pauseAfter(String encodedPath, IOException problem, int attempt) throws OtaException {
        OtaException told = lost("POST", encodedPath, problem, Repeat.ALWAYS);
        if (attempt >= patience.retries()) {
            throw told;
        }
        output.note(told.getMessage() + "; sending the image again");
        sleep(pause(attempt));
    }

    void pauseAfter(ServiceAnswer answer, int attempt) throws OtaException {
        if (attempt >= patience.retries()) {
            throw answer.problem();
        }
        output.note(answer.message() + "; sending the image again");
        sleep(pause(attempt));
    }
}
