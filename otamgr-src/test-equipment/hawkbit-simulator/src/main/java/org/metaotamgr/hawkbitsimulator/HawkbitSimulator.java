// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbitsimulator;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;

/**
 * Answers one device as a hawkBit server does. Written after hawkBit's sources ({@code DdiRootController},
 * {@code DataConversionHelper}, {@code FileStreamingUtil}; version of August 2026): which links the base resource has in
 * which state, what a feedback of which kind does to an action, which requests end in 400, 401, 404, 405, 410, 412 and 416.
 * The management side is the methods of this class.
 */
public final class HawkbitSimulator implements AutoCloseable {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final Set<String> EXECUTIONS =
            Set.of("closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "downloaded", "download");
    private static final Set<String> RESULTS = Set.of("success", "failure", "none");
    private static final Pattern RANGE = Pattern.compile("bytes=(\\d{1,18})-(\\d{0,18})");
    private static final String MODIFIED =
            DateTimeFormatter.RFC_1123_DATE_TIME.format(ZonedDateTime.of(2026, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC));

    private final HttpServer server;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final String scheme;
    private final Identity identity;
    private final Map<Long, Action> actions = new LinkedHashMap<>();
    private final List<Recorded> requests = new CopyOnWriteArrayList<>();
    private final Map<String, String> attributes = new LinkedHashMap<>();
    private volatile HttpHandler fault = exchange -> {};
    private boolean wantsAttributes = true;
    private boolean onlySha1;
    private String sleep = "00:05:00";
    private long nextId = 11;
    /** Distribution sets, by version and content. */
    private final Map<String, Long> sets = new HashMap<>();

    private long nextSet = 1;

    /**
     * The device that is known to the server.
     *
     * @param tenant its tenant, usually DEFAULT
     * @param controllerId its id
     * @param targetToken its token
     * @param gatewayToken the token for all devices; empty if switched off
     */
    public record Identity(String tenant, String controllerId, String targetToken, Optional<String> gatewayToken) {}

    /**
     * A request that came.
     *
     * @param method its method
     * @param path its path and query
     * @param authorization its header, or empty
     * @param body its body, or empty
     */
    public record Recorded(String method, String path, String authorization, String body) {
        /**
         * The body.
         *
         * @return the body as JSON
         */
        public JsonNode json() {
            try {
                return MAPPER.readTree(body);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /**
     * Starts it.
     *
     * @param address where to listen; port 0 for a free one
     * @param tls the server's certificate and key; empty for plain http
     * @param identity the device
     * @throws IOException if it cannot listen
     */
    public HawkbitSimulator(InetSocketAddress address, Optional<SSLContext> tls, Identity identity) throws IOException {
        this.identity = identity;
        this.scheme = tls.isPresent() ? "https" : "http";
        if (tls.isPresent()) {
            HttpsServer secure = HttpsServer.create(address, 0);
            secure.setHttpsConfigurator(new HttpsConfigurator(tls.get()));
            server = secure;
        } else {
            server = HttpServer.create(address, 0);
        }
        server.createContext("/", this::handle);
        server.setExecutor(threads);
        server.start();
    }

    /**
     * Where it listens.
     *
     * @return a URL that ends in a slash
     */
    public URI uri() {
        return URI.create(scheme + "://localhost:" + server.getAddress().getPort() + "/");
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }

    // ---- the management side ----

    /**
     * Assigns an update. What was assigned before is cancelled, as hawkBit does it. A set that the device was assigned last is assigned
     * already, unless that failed or was cancelled; also if it was only to be downloaded then, and so cannot be installed any more
     * (seen with hawkBit 1.0.4).
     *
     * @param assignment the update; the same version with the same content is the same distribution set
     * @return the id of the action; -1 if there is none, as it is assigned already
     */
    public synchronized long assign(Assignment assignment) {
        long set = sets.computeIfAbsent(key(assignment), any -> nextSet++);
        Optional<Action> last = actions.values().stream().reduce((one, later) -> later);
        if (last.isPresent() && last.get().set == set && last.get().status().isAssigned()) {
            return -1;
        }
        actions.values().stream()
                .filter(Action::isActive)
                .forEach(action -> action.become(Action.Status.CANCELING, "superseded"));
        Action action = new Action(nextId++, set, assignment);
        actions.put(action.id, action);
        return action.id;
    }

    private static String key(Assignment assignment) {
        return assignment.version() + " " + assignment.content().hash("SHA-256");
    }

    /**
     * Makes the next assignment of an update another set with the same content.
     *
     * @param assignment the update
     */
    public synchronized void forget(Assignment assignment) {
        sets.remove(key(assignment));
    }

    /**
     * Wants an action to stop.
     *
     * @param id its id
     */
    public synchronized void cancel(long id) {
        actions.get(id).become(Action.Status.CANCELING, "cancel requested");
    }

    /**
     * Stops an action without asking the device.
     *
     * @param id its id
     */
    public synchronized void forceQuit(long id) {
        actions.get(id).become(Action.Status.CANCELED, "force quit");
    }

    /**
     * Confirms an action in the place of the device.
     *
     * @param id its id
     */
    public synchronized void confirm(long id) {
        actions.get(id).become(Action.Status.RUNNING, "confirmed by an operator");
    }

    /**
     * Opens or closes the maintenance window.
     *
     * @param id the id of an action with a schedule
     * @param open whether it is open
     */
    public synchronized void window(long id, boolean open) {
        actions.get(id).openWindow(open);
    }

    /**
     * Sets when devices shall ask again.
     *
     * @param time for example 00:05:00
     */
    public synchronized void sleep(String time) {
        sleep = time;
    }

    /** Tells no hash but the SHA-1, as goosebit does. */
    public synchronized void onlySha1() {
        onlySha1 = true;
    }

    /**
     * The state of an action.
     *
     * @param id its id
     * @return a word of hawkBit, in capitals
     */
    public synchronized String status(long id) {
        return actions.get(id).status().name();
    }

    /**
     * The history of an action.
     *
     * @param id its id
     * @return what the device said about it
     */
    public synchronized List<String> messages(long id) {
        return actions.get(id).messages();
    }

    /**
     * What the device said about itself.
     *
     * @return attributes
     */
    public synchronized Map<String, String> attributes() {
        return Map.copyOf(attributes);
    }

    /**
     * All requests so far.
     *
     * @return the requests, oldest first
     */
    public List<Recorded> requests() {
        return List.copyOf(requests);
    }

    /**
     * Lets something else answer.
     *
     * @param handler called first for each request; it answers, and closes the exchange, or does nothing
     */
    public void fault(HttpHandler handler) {
        fault = handler;
    }

    // ---- the device side ----

    /** An answer: a status, and JSON or nothing. */
    private record Served(int status, Optional<ObjectNode> body) {
        static Served of(int status) {
            return new Served(status, Optional.empty());
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
            String authorization = Optional.ofNullable(
                            exchange.getRequestHeaders().getFirst("Authorization"))
                    .orElse("");
            String path = exchange.getRequestURI().getRawPath();
            requests.add(new Recorded(
                    exchange.getRequestMethod(), exchange.getRequestURI().toString(), authorization, body));
            fault.handle(exchange);
            if (exchange.getResponseCode() != -1) {
                return;
            }
            List<String> segments = segments(path);
            boolean isOfDevice = segments.size() >= 4
                    && segments.subList(0, 4)
                            .equals(List.of(identity.tenant(), "controller", "v1", identity.controllerId()));
            if (!isAuthentic(authorization)) {
                send(exchange, Served.of(401));
            } else if (!isOfDevice) {
                send(exchange, Served.of(404));
            } else {
                String[] words = segments.size() == 4
                        ? new String[] {""}
                        : segments.subList(4, segments.size()).toArray(new String[0]);
                if (words.length == 4 && words[0].equals("softwaremodules") && words[2].equals("artifacts")) {
                    sendArtifact(exchange, words[1], words[3]);
                } else {
                    send(exchange, answer(exchange.getRequestMethod(), words, body, linkPrefix(exchange)));
                }
            }
        }
    }

    /** The steps of a path, decoded as hawkBit does it: a plus sign is one. What cannot be decoded is no path. */
    private static List<String> segments(String path) {
        List<String> segments = new ArrayList<>();
        for (String segment : path.substring(1).split("/")) {
            try {
                segments.add(URLDecoder.decode(segment.replace("+", "%2B"), StandardCharsets.UTF_8));
            } catch (IllegalArgumentException e) {
                return List.of();
            }
        }
        return segments;
    }

    /** Links name the server and the device as the device does, which may reach it by another name than this machine has. */
    private String linkPrefix(HttpExchange exchange) {
        String host = exchange.getRequestHeaders().getFirst("Host");
        String[] asked = exchange.getRequestURI().getRawPath().split("/");
        return (host == null ? uri().toString() : scheme + "://" + host + "/")
                + String.join("/", List.of(asked).subList(1, 5)) + "/";
    }

    private boolean isAuthentic(String authorization) {
        return authorization.equals("TargetToken " + identity.targetToken())
                || identity.gatewayToken()
                        .map(token -> authorization.equals("GatewayToken " + token))
                        .orElse(false);
    }

    private static void send(HttpExchange exchange, Served answer) throws IOException {
        if (answer.body().isEmpty()) {
            exchange.sendResponseHeaders(answer.status(), -1);
            return;
        }
        byte[] content = MAPPER.writeValueAsBytes(answer.body().get());
        exchange.getResponseHeaders().set("Content-Type", "application/hal+json;charset=UTF-8");
        exchange.sendResponseHeaders(answer.status(), content.length);
        exchange.getResponseBody().write(content);
    }

    private synchronized Served answer(String method, String[] words, String body, String links) {
        if (words[0].isEmpty()) {
            return method.equals("GET") ? base(links) : Served.of(405);
        }
        if (words[0].equals("configData")) {
            return method.equals("PUT") ? takeAttributes(body) : Served.of(405);
        }
        Action action =
                words.length >= 2 && words[1].matches("\\d{1,18}") ? actions.get(Long.parseLong(words[1])) : null;
        if (action == null) {
            return Served.of(404);
        }
        boolean isFeedback = words.length == 3 && words[2].equals("feedback");
        if (!method.equals(isFeedback ? "POST" : "GET")) {
            return Served.of(405);
        }
        return switch (words[0]) {
            case "deploymentBase" -> isFeedback
                    ? takeFeedback(action, body)
                    : action.isCancelingOrCanceled() || action.status() == Action.Status.WAIT_FOR_CONFIRMATION
                            ? Served.of(404)
                            : describe(action, "deployment", links);
            case "confirmationBase" -> isFeedback
                    ? takeConfirmation(action, body)
                    : action.status() == Action.Status.WAIT_FOR_CONFIRMATION
                            ? describe(action, "confirmation", links)
                            : Served.of(404);
            case "cancelAction" -> isFeedback
                    ? takeCancelFeedback(action, body)
                    : action.isCancelingOrCanceled() ? describeCancel(action) : Served.of(404);
            case "installedBase" -> action.isActive() || action.isCancelingOrCanceled()
                    ? Served.of(404)
                    : describe(action, "deployment", links);
            default -> Served.of(404);
        };
    }

    private Served base(String prefix) {
        ObjectNode root = MAPPER.createObjectNode();
        root.putObject("config").putObject("polling").put("sleep", sleep);
        ObjectNode links = root.putObject("_links");
        Optional<Action> active =
                actions.values().stream().filter(Action::isActive).findFirst();
        active.ifPresent(action -> {
            // The number changes with whatever the answer depends on.
            String etag = "?c=" + (31L * action.id + (action.isWindowOpen() ? 1249 : 1237));
            switch (action.status()) {
                case WAIT_FOR_CONFIRMATION -> link(
                        links, prefix, "confirmationBase", "confirmationBase/" + action.id + etag);
                case CANCELING -> link(links, prefix, "cancelAction", "cancelAction/" + action.id);
                default -> link(links, prefix, "deploymentBase", "deploymentBase/" + action.id + etag);
            }
        });
        actions.values().stream()
                .filter(action -> action.status() == Action.Status.FINISHED)
                .reduce((one, later) -> later)
                .ifPresent(action -> link(links, prefix, "installedBase", "installedBase/" + action.id));
        if (wantsAttributes) {
            link(links, prefix, "configData", "configData");
        }
        return new Served(200, Optional.of(root));
    }

    private static void link(ObjectNode links, String prefix, String relation, String path) {
        links.putObject(relation).put("href", prefix + path);
    }

    private Served describe(Action action, String key, String prefix) {
        Assignment assignment = action.assignment;
        String download = assignment.kind() == Assignment.Kind.SOFT ? "attempt" : "forced";
        ObjectNode root = MAPPER.createObjectNode().put("id", Long.toString(action.id));
        ObjectNode deployment = root.putObject(key)
                .put("download", download)
                .put(
                        "update",
                        assignment.kind() == Assignment.Kind.DOWNLOAD_ONLY
                                        || assignment.hasWindow() && !action.isWindowOpen()
                                ? "skip"
                                : download);
        if (assignment.hasWindow()) {
            deployment.put("maintenanceWindow", action.isWindowOpen() ? "available" : "unavailable");
        }
        ObjectNode chunk = deployment
                .putArray("chunks")
                .addObject()
                .put("part", assignment.part())
                .put("version", assignment.version())
                .put("name", assignment.name());
        ObjectNode artifact = chunk.putArray("artifacts").addObject().put("filename", assignment.fileName());
        ObjectNode hashes =
                artifact.putObject("hashes").put("sha1", assignment.content().hash("SHA-1"));
        if (!onlySha1) {
            hashes.put("md5", assignment.content().hash("MD5"))
                    .put("sha256", assignment.content().hash("SHA-256"));
        }
        artifact.put("size", assignment.content().size());
        String place = "softwaremodules/" + action.id + "/artifacts/" + assignment.fileName();
        String relation = scheme.equals("https") ? "" : "-http";
        ObjectNode links = artifact.putObject("_links");
        link(links, prefix, "download" + relation, place);
        link(links, prefix, "md5sum" + relation, place + ".MD5SUM");
        if (!assignment.metadata().isEmpty()) {
            ArrayNode metadata = chunk.putArray("metadata");
            assignment.metadata().forEach((name, value) -> metadata.addObject()
                    .put("key", name)
                    .put("value", value));
        }
        return new Served(200, Optional.of(root));
    }

    private static Served describeCancel(Action action) {
        ObjectNode root = MAPPER.createObjectNode().put("id", Long.toString(action.id));
        root.putObject("cancelAction").put("stopId", Long.toString(action.id));
        return new Served(200, Optional.of(root));
    }

    private Served takeAttributes(String body) {
        JsonNode data = json(body).path("data");
        if (!data.isObject() || data.isEmpty()) {
            return Served.of(400);
        }
        data.properties()
                .forEach(
                        entry -> attributes.put(entry.getKey(), entry.getValue().asText()));
        wantsAttributes = false;
        return Served.of(200);
    }

    private static JsonNode json(String body) {
        try {
            return MAPPER.readTree(body);
        } catch (IOException e) {
            return MAPPER.missingNode();
        }
    }

    /** What a feedback says; empty if hawkBit would not take it. */
    private record Feedback(String execution, String finished, String message) {
        static Optional<Feedback> of(String body) {
            JsonNode status = json(body).path("status");
            String execution = status.path("execution").asText();
            String finished = status.path("result").path("finished").asText();
            if (!EXECUTIONS.contains(execution) || !RESULTS.contains(finished)) {
                return Optional.empty();
            }
            List<String> details = new ArrayList<>();
            status.path("details").forEach(detail -> details.add(detail.asText()));
            return Optional.of(
                    new Feedback(execution, finished, execution + "/" + finished + ": " + String.join(" ", details)));
        }
    }

    private Served takeFeedback(Action action, String body) {
        Optional<Feedback> parsed = Feedback.of(body);
        if (parsed.isEmpty()) {
            return Served.of(400);
        }
        if (action.status() == Action.Status.WAIT_FOR_CONFIRMATION) {
            return Served.of(404);
        }
        if (!action.isActive()) {
            return Served.of(410);
        }
        Feedback feedback = parsed.get();
        switch (feedback.execution()) {
            case "closed" -> {
                boolean isFailure = feedback.finished().equals("failure");
                action.become(isFailure ? Action.Status.ERROR : Action.Status.FINISHED, feedback.message());
                wantsAttributes |= !isFailure;
            }
            case "canceled" -> action.become(Action.Status.CANCELED, feedback.message());
            case "downloaded" -> {
                action.note(feedback.message());
                if (action.assignment.kind() == Assignment.Kind.DOWNLOAD_ONLY) {
                    action.become(Action.Status.DOWNLOADED, "only to be downloaded");
                }
            }
            default -> action.note(feedback.message());
        }
        return Served.of(200);
    }

    private static Served takeCancelFeedback(Action action, String body) {
        Optional<Feedback> parsed = Feedback.of(body);
        if (parsed.isEmpty()) {
            return Served.of(400);
        }
        if (!action.isCancelingOrCanceled()) {
            return Served.of(405);
        }
        Feedback feedback = parsed.get();
        if (feedback.execution().equals("closed")) {
            action.become(
                    feedback.finished().equals("failure") ? Action.Status.ERROR : Action.Status.CANCELED,
                    feedback.message());
        } else if (feedback.execution().equals("rejected")) {
            action.become(Action.Status.RUNNING, feedback.message());
        } else {
            // "canceled" as well: hawkBit takes it for a warning.
            action.note(feedback.message());
        }
        return Served.of(200);
    }

    private static Served takeConfirmation(Action action, String body) {
        String word = json(body).path("confirmation").asText();
        if (!word.equals("confirmed") && !word.equals("denied")) {
            return Served.of(400);
        }
        if (!action.isActive()) {
            return Served.of(410);
        }
        if (action.status() != Action.Status.WAIT_FOR_CONFIRMATION) {
            return Served.of(404);
        }
        if (word.equals("confirmed")) {
            action.become(Action.Status.RUNNING, word);
        } else {
            action.note(word);
        }
        return Served.of(200);
    }

    private void sendArtifact(HttpExchange exchange, String module, String name) throws IOException {
        Optional<Assignment> found;
        synchronized (this) {
            found = actions.values().stream()
                    .filter(action -> Long.toString(action.id).equals(module))
                    .map(action -> action.assignment)
                    .filter(assignment -> assignment.fileName().equals(name))
                    .findFirst();
        }
        if (found.isEmpty()) {
            exchange.sendResponseHeaders(404, -1);
            return;
        }
        Artifact content = found.get().content();
        String tag = "\"" + content.hash("SHA-1") + "\"";
        exchange.getResponseHeaders().set("ETag", tag);
        exchange.getResponseHeaders().set("Accept-Ranges", "bytes");
        exchange.getResponseHeaders().set("Last-Modified", MODIFIED);
        exchange.getResponseHeaders().set("Content-Type", "application/octet-stream");
        String match = exchange.getRequestHeaders().getFirst("If-Match");
        if (match != null && !match.equals(tag)) {
            exchange.sendResponseHeaders(412, -1);
            return;
        }
        String range = exchange.getRequestHeaders().getFirst("Range");
        String ifRange = exchange.getRequestHeaders().getFirst("If-Range");
        if (range == null || ifRange != null && !ifRange.equals(tag)) {
            sendPart(exchange, 200, content, 0, content.size());
            return;
        }
        Matcher matcher = RANGE.matcher(range);
        long from = matcher.matches() ? Long.parseLong(matcher.group(1)) : content.size();
        if (from >= content.size()) {
            exchange.getResponseHeaders().set("Content-Range", "bytes */" + content.size());
            exchange.sendResponseHeaders(416, -1);
            return;
        }
        long to = matcher.group(2).isEmpty()
                ? content.size() - 1
                : Math.min(Long.parseLong(matcher.group(2)), content.size() - 1);
        exchange.getResponseHeaders().set("Content-Range", "bytes " + from + "-" + to + "/" + content.size());
        sendPart(exchange, 206, content, from, to - from + 1);
    }

    private static void sendPart(HttpExchange exchange, int status, Artifact content, long from, long length)
            throws IOException {
        try (InputStream in = content.open()) {
            in.skipNBytes(from);
            exchange.sendResponseHeaders(status, length == 0 ? -1 : length);
            byte[] block = new byte[1 << 16];
            for (long left = length; left > 0; ) {
                int count = in.read(block, 0, (int) Math.min(left, block.length));
                if (count < 0) {
                    throw new IOException("the artifact became shorter");
                }
                exchange.getResponseBody().write(block, 0, count);
                left -= count;
            }
        }
    }
}
