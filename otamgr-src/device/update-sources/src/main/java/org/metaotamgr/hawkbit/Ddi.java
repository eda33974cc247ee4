// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.http.Http;
import org.metaotamgr.http.HttpOriginal;
import org.metaotamgr.http.Urls;

/**
 * The requests of hawkBit's Direct Device Integration API, version 1
 * (<a href="https://eclipse.dev/hawkbit/rest-api/ddi/">specification</a>; {@code DdiRootControllerRestApi} in its sources).
 *
 * <p>Of the links that the server gives only the ids are used, in URLs below that of the configuration: behind a proxy servers
 * often do not know their own name, and a token must not follow a link to somewhere else.
 */
final class Ddi {
    private static final int MAX_ANSWER = 1 << 20;
    private static final Map<String, String> ACCEPT = Map.of("Accept", "application/hal+json, application/json");
    private static final Pattern SLEEP = Pattern.compile("(\\d{1,4}):([0-5]\\d):([0-5]\\d)");
    private static final int MAX_LINK = 4096;
    /** As long as hawkBit keeps a message. */
    private static final int MAX_MESSAGE = 512;

    private final Http http;
    private final URI controller;

    /**
     * Makes it.
     *
     * @param base the URL of the server, ending in a slash
     * @param tenant the tenant, usually DEFAULT
     * @param controllerId by what the server knows this device
     */
    Ddi(Http http, URI base, String tenant, String controllerId) {
        this.http = http;
        this.controller =
                base.resolve("./" + Urls.segment(tenant) + "/controller/v1/" + Urls.segment(controllerId) + "/");
    }

    /** An artifact, to be fetched in pieces. */
    HttpOriginal original(URI uri, long bytes) {
        return new HttpOriginal(http, uri, bytes);
    }

    /**
     * A link of the base resource.
     *
     * @param action the id of an action
     * @param etag what changes when the server changes the action, for the next request; empty if the link has none
     */
    record Link(String action, Optional<String> etag) {}

    /**
     * What the server wants.
     *
     * @param sleep when to ask again
     * @param deployment an update to install
     * @param confirmation an update that waits for a confirmation
     * @param cancel an update to give up
     * @param wantsAttributes whether it asks for the attributes of this device
     */
    record Base(
            Optional<Duration> sleep,
            Optional<Link> deployment,
            Optional<Link> confirmation,
            Optional<Link> cancel,
            boolean wantsAttributes) {
        boolean wantsNothing() {
            return deployment.isEmpty() && confirmation.isEmpty() && cancel.isEmpty();
        }
    }

    Base base() throws SourceException, InterruptedException {
        // Without the slash at the end: that is the resource itself.
        String text = controller.toString();
        JsonFields json = get(URI.create(text.substring(0, text.length() - 1)), "the base resource");
        try {
            JsonFields links = json.object("_links");
            return new Base(
                    sleep(json.object("config").object("polling")),
                    link(links, "deploymentBase"),
                    link(links, "confirmationBase"),
                    link(links, "cancelAction"),
                    links.has("configData"));
        } catch (JsonFields.MalformedException e) {
            throw new SourceException(Reason.MALFORMED, e.getMessage());
        }
    }

    private static Optional<Duration> sleep(JsonFields polling) throws JsonFields.MalformedException {
        if (!polling.has("sleep")) {
            return Optional.empty();
        }
        Matcher matcher = SLEEP.matcher(polling.string("sleep"));
        if (!matcher.matches()) {
            throw polling.wrong("sleep", "a time such as 00:05:00");
        }
        Duration sleep = Duration.ofHours(Long.parseLong(matcher.group(1)))
                .plusMinutes(Long.parseLong(matcher.group(2)))
                .plusSeconds(Long.parseLong(matcher.group(3)));
        return Optional.of(sleep).filter(time -> !time.isZero());
    }

    private static Optional<Link> link(JsonFields links, String relation) throws JsonFields.MalformedException {
        if (!links.has(relation)) {
            return Optional.empty();
        }
        JsonFields link = links.object(relation);
        Optional<Link> found = linkOf(link.string("href"), relation);
        if (found.isEmpty()) {
            throw link.wrong("href", "a link with /" + relation + "/ and the number of an action");
        }
        return found;
    }

    /** Reads a link step by step: its text is the server's, and no expression may go to and fro in it. */
    static Optional<Link> linkOf(String href, String relation) {
        String marker = "/" + relation + "/";
        int question = href.indexOf('?');
        String path = question < 0 ? href : href.substring(0, question);
        int at = path.lastIndexOf(marker);
        String action = at < 0 ? "" : path.substring(at + marker.length());
        if (href.length() > MAX_LINK || !isActionId(action)) {
            return Optional.empty();
        }
        Optional<String> etag = Optional.empty();
        for (String parameter :
                question < 0 ? new String[0] : href.substring(question + 1).split("&")) {
            String value = parameter.startsWith("c=") ? parameter.substring(2) : "";
            if (isActionId(value.startsWith("-") ? value.substring(1) : value)) {
                etag = Optional.of(value);
            }
        }
        return Optional.of(new Link(action, etag));
    }

    /**
     * Whether a text may be the number of an action.
     *
     * @param text anything
     */
    static boolean isActionId(String text) {
        return !text.isEmpty() && text.length() <= 19 && text.chars().allMatch(one -> one >= '0' && one <= '9');
    }

    /** An action with all its artifacts, under deploymentBase or confirmationBase. */
    JsonFields action(String resource, Link link) throws SourceException, InterruptedException {
        String query = link.etag().map(etag -> "?c=" + etag).orElse("");
        return get(controller.resolve(resource + "/" + link.action() + query), "action " + link.action());
    }

    /** Which action a cancel is about. */
    String stopId(Link cancel) throws SourceException, InterruptedException {
        JsonFields json =
                get(controller.resolve("cancelAction/" + cancel.action()), "the cancel of action " + cancel.action());
        try {
            String stopId = json.object("cancelAction").string("stopId");
            if (!isActionId(stopId)) {
                throw json.wrong("cancelAction", "the number of an action as stopId");
            }
            return stopId;
        } catch (JsonFields.MalformedException e) {
            throw new SourceException(Reason.MALFORMED, e.getMessage());
        }
    }

    private JsonFields get(URI uri, String what) throws SourceException, InterruptedException {
        byte[] content = http.get(uri, ACCEPT, MAX_ANSWER);
        try {
            return JsonFields.of(what, content);
        } catch (JsonFields.MalformedException e) {
            throw new SourceException(Reason.MALFORMED, Http.text(uri) + ": " + e.getMessage());
        }
    }

    /** What has become of an action: hawkBit's {@code execution}. */
    enum Execution {
        DOWNLOAD("download"),
        DOWNLOADED("downloaded"),
        PROCEEDING("proceeding"),
        CLOSED("closed"),
        REJECTED("rejected");

        private final String word;

        Execution(String word) {
            this.word = word;
        }
    }

    /** How it ended, or that it has not. */
    enum Finished {
        SUCCESS("success"),
        FAILURE("failure"),
        NONE("none");

        private final String word;

        Finished(String word) {
            this.word = word;
        }
    }

    /**
     * Tells about an action.
     *
     * @param resource deploymentBase, or cancelAction for the answer to a cancel
     * @param percent how far it is, if known
     * @return the status of the answer
     */
    int feedback(
            String resource,
            String action,
            Execution execution,
            Finished finished,
            Optional<Integer> percent,
            String message)
            throws SourceException, InterruptedException {
        // Servers before 0.3 want the id in the body as well.
        ObjectNode body = JsonFields.newObject().put("id", action);
        ObjectNode status = body.putObject("status").put("execution", execution.word);
        ObjectNode result = status.putObject("result").put("finished", finished.word);
        percent.ifPresent(done -> result.putObject("progress").put("of", 100).put("cnt", done));
        status.putArray("details").add(message(message));
        return http.send("POST", controller.resolve(resource + "/" + action + "/feedback"), JsonFields.bytes(body));
    }

    /** Accepts or declines an action that waits for it. */
    int confirm(String action, boolean confirmed, String message) throws SourceException, InterruptedException {
        ObjectNode body = JsonFields.newObject().put("confirmation", confirmed ? "confirmed" : "denied");
        body.putArray("details").add(message(message));
        return http.send(
                "POST", controller.resolve("confirmationBase/" + action + "/feedback"), JsonFields.bytes(body));
    }

    int attributes(Map<String, String> attributes) throws SourceException, InterruptedException {
        ObjectNode body = JsonFields.newObject().put("mode", "merge");
        ObjectNode data = body.putObject("data");
        attributes.forEach(data::put);
        return http.send("PUT", controller.resolve("configData"), JsonFields.bytes(body));
    }

    private static String message(String text) {
        return text.length() <= MAX_MESSAGE ? text : text.substring(0, MAX_MESSAGE);
    }
}
