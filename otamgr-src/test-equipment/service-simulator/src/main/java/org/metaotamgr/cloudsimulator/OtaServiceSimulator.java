// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A running OTA service for one machine: what {@code org.metaotamgr.cloudsimulator} describes, over plain HTTP. Its state is in a
 * folder and survives the end of the process, also an untimely one; access tokens do not.
 */
public final class OtaServiceSimulator implements AutoCloseable {

    private static final List<String> LOGGED_HEADERS = List.of("Accept", "Content-Type", "Content-Length");
    private static final int BLOCK = 128 * 1024;
    private static final int ACCEPT_QUEUE = 256;

    private final Settings settings;
    private final ServiceState state;
    private final Tokens tokens;
    private final Faults faults = new Faults();
    private final Callers callers = new Callers();
    private final RequestLog requests = new RequestLog();
    private final ObjectMapper json = new ObjectMapper();
    private final RestApi rest;
    private final HubbyApi hubby;
    private final PageApi page;
    private final HttpServer server;
    private final ExecutorService workers;
    private final ScheduledExecutorService installer;
    private final CountDownLatch closing = new CountDownLatch(1);

    private OtaServiceSimulator(Settings settings) throws IOException {
        this.settings = settings;
        // Without this each answer on a connection that is kept open waits for the client's delayed acknowledgement,
        // about 40 ms.
        // The server of the JDK has no other way to ask for it.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        state = new ServiceState(settings);
        HttpServer opened = null;
        try {
            tokens = new Tokens(settings.clock(), settings.tokenLife());
            rest = new RestApi(settings, state, tokens, json, () -> uri().toString());
            hubby = new HubbyApi(state, UpdateHeader.keyIn(settings.folder()), json);
            page = new PageApi(settings, state, faults, requests, json);
            opened = HttpServer.create(settings.address(), ACCEPT_QUEUE);
        } catch (IOException | RuntimeException e) {
            state.close();
            throw e;
        }
        server = opened;
        AtomicInteger number = new AtomicInteger();
        workers = Executors.newCachedThreadPool(task -> daemon(task, "service-" + number.incrementAndGet()));
        installer = Executors.newSingleThreadScheduledExecutor(task -> daemon(task, "service-installer"));
        server.setExecutor(workers);
        server.createContext("/", this::serve);
    }

    private static Thread daemon(Runnable task, String name) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        return thread;
    }

    /**
     * Starts a service.
     *
     * @param settings how it behaves
     * @return the service, which answers already
     * @throws IOException if its folder or its port cannot be used
     */
    public static OtaServiceSimulator start(Settings settings) throws IOException {
        OtaServiceSimulator service = new OtaServiceSimulator(settings);
        settings.installAfter().ifPresent(service::installAfter);
        service.server.start();
        return service;
    }

    private void installAfter(Duration delay) {
        installer.scheduleWithFixedDelay(
                () -> {
                    try {
                        state.installDue(delay);
                    } catch (ApiException | RuntimeException e) {
                        settings.log().accept("installing by itself failed: " + e.getMessage());
                    }
                },
                50,
                50,
                TimeUnit.MILLISECONDS);
    }

    /**
     * Where the service is.
     *
     * @return an address without a path
     */
    public URI uri() {
        InetSocketAddress address = server.getAddress();
        String host = address.getAddress().isAnyLocalAddress()
                ? "127.0.0.1"
                : address.getAddress().getHostAddress();
        return URI.create("http://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + address.getPort());
    }

    /**
     * Makes devices known; those that are known already stay as they are.
     *
     * @param deviceTypeId the device type of all of them
     * @param deviceIds their ids
     */
    public void addDevices(String deviceTypeId, List<String> deviceIds) {
        state.addDevices(deviceTypeId, deviceIds);
    }

    /**
     * Adds a fault, written as the documentation of the simulator says.
     *
     * @param text for example {@code cut=70:upload@1}
     * @throws IllegalArgumentException if it is not a fault
     */
    public void addFault(String text) {
        faults.add(Fault.parse(text));
    }

    /**
     * Answers requests for other names than its address, {@code localhost} and the name of this machine.
     *
     * @param names for example {@code service.test}
     */
    public void addHosts(List<String> names) {
        callers.add(names);
    }

    /** Ends all faults. */
    public void clearFaults() {
        faults.clear();
    }

    /**
     * What has been asked of the service since its start or since {@link #forgetRequests()}, in the order of the answers.
     *
     * @return the REST calls, at most the last 50,000
     */
    public List<RecordedRequest> requests() {
        return requests.all();
    }

    /** Empties the list of requests. */
    public void forgetRequests() {
        requests.clear();
    }

    /**
     * Every access token there ever was, so that tests can look for them where they must not be.
     *
     * @return the tokens since the start
     */
    public Set<String> issuedTokens() {
        return tokens.issued();
    }

    /** Lets all access tokens expire now. */
    public void expireTokens() {
        tokens.expireAll();
    }

    /**
     * Counts the pushes that each device has got.
     *
     * @return pushes by device id; devices without any are absent
     */
    public Map<String, Integer> pushes() {
        Map<String, Integer> counts = new LinkedHashMap<>();
        state.pushes().forEach(push -> counts.merge(push.deviceId(), 1, Integer::sum));
        return counts;
    }

    /**
     * Counts the devices of the account.
     *
     * @return how many there are
     */
    public int deviceCount() {
        return state.devices().size();
    }

    /**
     * What the page shows, as JSON text.
     *
     * @return images, devices and their progress
     */
    public String state() {
        return page.state("", "").toString();
    }

    private void serve(HttpExchange exchange) {
        Optional<Route> route = Optional.empty();
        Call call = null;
        int status = 0;
        try {
            Reply reply;
            boolean dropReply = false;
            int cutAfter = 100;
            try {
                Route.Match match = Route.match(
                        exchange.getRequestMethod(), exchange.getRequestURI().getRawPath());
                callers.refuseForeign(
                        exchange.getRequestHeaders(), match.route().rest());
                route = Optional.of(match.route());
                List<Fault> due = faults.next(match.route());
                call = new Call(json, exchange, match, due);
                Reply instead = null;
                for (Fault fault : due) {
                    settings.log()
                            .accept("fault " + fault.text() + " at "
                                    + match.route().word());
                    switch (fault.kind()) {
                        case SLOW -> pause(fault.value());
                        case EXPIRE_TOKEN -> tokens.expireAll();
                        case STATUS -> instead = Reply.error(
                                new ApiException(fault.value(), "simulated", "A fault that was asked for"),
                                exchange.getRequestURI().getRawPath(),
                                settings.clock().millis());
                        case HTML -> instead = Reply.html(fault.value());
                        case EMPTY -> instead = Reply.empty(fault.value());
                        case CUT_REPLY -> dropReply = true;
                        case CUT -> {
                            if (match.route() != Route.DOWNLOAD) {
                                swallow(call, fault.value());
                                return;
                            }
                            cutAfter = fault.value();
                        }
                        case WRONG_SHA, FORGET_URL -> {}
                    }
                }
                if (instead != null && match.route() == Route.UPLOAD) {
                    // Whoever is still sending might not see an answer that comes before the end.
                    swallow(call, 100);
                }
                reply = instead != null ? instead : answer(call);
            } catch (ApiException e) {
                reply = Reply.error(
                        e,
                        exchange.getRequestURI().getRawPath(),
                        settings.clock().millis());
            }
            if (!dropReply) {
                status = reply.status();
                record(exchange, route, call, status);
                send(exchange, reply, cutAfter);
            }
        } catch (IOException e) {
            settings.log()
                    .accept(exchange.getRequestMethod() + " "
                            + exchange.getRequestURI().getRawPath() + ": connection lost");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException | Error e) {
            settings.log().accept("defect of the simulator: " + e);
            throw e;
        } finally {
            if (status == 0) {
                record(exchange, route, call, 0);
            }
            exchange.close();
        }
    }

    private Reply answer(Call call) throws IOException, ApiException, InterruptedException {
        return switch (call.route()) {
            case HUBBY_KEY, POLL, REPORT, INSTALLED, DOWNLOAD, REPOSITORY -> hubby.answer(call);
            case PAGE, PAGE_STATE, FAULTS -> page.answer(call);
            default -> rest.answer(call);
        };
    }

    private void pause(int milliseconds) throws InterruptedException {
        // Ends early when the service is closed.
        boolean closed = closing.await(milliseconds, TimeUnit.MILLISECONDS);
        if (closed) {
            throw new InterruptedException();
        }
    }

    /** Takes a part of the body and nothing more. */
    private static void swallow(Call call, int percent) throws IOException {
        long left = Math.max(0, call.announcedLength()) * percent / 100;
        InputStream body = call.stream();
        byte[] block = new byte[BLOCK];
        while (left > 0) {
            int length = body.read(block, 0, (int) Math.min(block.length, left));
            if (length < 0) {
                return;
            }
            left -= length;
        }
    }

    private void record(HttpExchange exchange, Optional<Route> route, Call call, int status) {
        if (route.isPresent() && !route.get().rest()) {
            return;
        }
        Map<String, String> headers = new LinkedHashMap<>();
        for (String name : LOGGED_HEADERS) {
            String value = exchange.getRequestHeaders().getFirst(name);
            if (value != null) {
                headers.put(name, value);
            }
        }
        String authorization = exchange.getRequestHeaders().getFirst("Authorization");
        if (authorization != null) {
            headers.put(
                    "Authorization",
                    authorization.startsWith("Basic ")
                            ? "Basic ***"
                            : authorization.startsWith("Bearer ") ? "Bearer ***" : "***");
        }
        URI uri = exchange.getRequestURI();
        requests.add(new RecordedRequest(
                exchange.getRequestMethod(),
                uri.getRawPath(),
                uri.getRawQuery() == null ? "" : uri.getRawQuery(),
                headers,
                call == null ? "" : call.loggedBody(),
                route.map(Route::word).orElse(""),
                status));
        state.touch();
    }

    private static void send(HttpExchange exchange, Reply reply, int cutAfter) throws IOException {
        Headers headers = exchange.getResponseHeaders();
        reply.headers().forEach(headers::set);
        boolean head = exchange.getRequestMethod().equals("HEAD");
        if (reply.file().isPresent()) {
            Reply.FilePart part = reply.file().get();
            long length = part.to() - part.from();
            if (head) {
                headers.set("Content-Length", Long.toString(length));
                exchange.sendResponseHeaders(reply.status(), -1);
            } else {
                exchange.sendResponseHeaders(reply.status(), length);
                sendFile(exchange.getResponseBody(), part, length * cutAfter / 100);
            }
        } else if (reply.body().length == 0 || head) {
            exchange.sendResponseHeaders(reply.status(), -1);
        } else {
            exchange.sendResponseHeaders(reply.status(), reply.body().length);
            exchange.getResponseBody().write(reply.body());
        }
    }

    private static void sendFile(OutputStream out, Reply.FilePart part, long length) throws IOException {
        try (FileChannel file = FileChannel.open(part.path(), StandardOpenOption.READ)) {
            file.position(part.from());
            ByteBuffer block = ByteBuffer.allocate(BLOCK);
            long sent = 0;
            while (sent < length) {
                block.clear().limit((int) Math.min(block.capacity(), length - sent));
                if (file.read(block) < 0) {
                    throw new IOException(part.path() + " became shorter");
                }
                out.write(block.array(), 0, block.position());
                sent += block.position();
                part.sent().accept(part.from() + sent);
            }
        }
    }

    /** Ends the service; calls under way are cut. A second call does nothing. */
    @Override
    public synchronized void close() throws IOException {
        if (closing.getCount() == 0) {
            return;
        }
        closing.countDown();
        installer.shutdownNow();
        server.stop(0);
        workers.shutdownNow();
        state.close();
    }
}
