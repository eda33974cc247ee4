// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.device.JsonText;

/**
 * What the agent remembers across reboots: an immutable value, and its JSON text. Which slot runs, and whether a trial
 * goes on, is not part of it: that is known to the boot loader alone.
 *
 * @param installed the target that runs, if it came by an update that is remembered
 * @param pending the update that was started and has not come to its end
 * @param last the last update that came to its end
 * @param left the update that somebody rolled back from by hand
 * @param unreported ends of updates that were not reported to their source yet, oldest first, at most {@value #MAX_UNREPORTED}
 */
record AgentState(
        Optional<Installed> installed,
        Optional<Pending> pending,
        Optional<Last> last,
        Optional<Left> left,
        List<Unreported> unreported) {
    static final AgentState EMPTY =
            new AgentState(Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty(), List.of());
    static final int MAX_UNREPORTED = 16;

    /**
     * A target that runs.
     *
     * @param target the target
     * @param txn the id of the update that made it the committed system
     */
    record Installed(Target target, String txn) {}

    /**
     * An update that was started.
     *
     * @param target the target
     * @param txn its id, in the journal and the U-Boot environment too
     * @param fromSlot the slot that ran then, or empty if unknown
     * @param source the name of the source it came from
     * @param bootId the boot in which it was started
     */
    record Pending(Target target, String txn, String fromSlot, String source, String bootId) {}

    /**
     * An update that came to its end after a reboot.
     *
     * @param target the target
     * @param rolledBack whether the old system runs
     * @param reason why it was rolled back, in one line, else empty
     * @param bootId the boot in which that was found out
     */
    record Last(Target target, boolean rolledBack, String reason, String bootId) {}

    /**
     * What ran before somebody rolled back by hand: it is not installed again by itself.
     *
     * @param version its version, or empty if that was unknown
     * @param id the id of its target, or empty if it came by no update that is remembered
     * @param txn the id of the rollback
     */
    record Left(String version, String id, String txn) {}

    /**
     * The end of an update that is still to be reported to its source.
     *
     * @param source the name of the source
     * @param target the target
     * @param event a final event
     */
    record Unreported(String source, Target target, UpdateEvent event) {}

    AgentState {
        unreported =
                List.copyOf(unreported.subList(Math.max(0, unreported.size() - MAX_UNREPORTED), unreported.size()));
    }

    AgentState withPending(Optional<Pending> update) {
        return new AgentState(installed, update, last, left, unreported);
    }

    AgentState withUnreported(Unreported one) {
        List<Unreported> all = new ArrayList<>(unreported);
        all.add(one);
        return new AgentState(installed, pending, last, left, all);
    }

    AgentState withoutUnreported(Unreported one) {
        return new AgentState(
                installed,
                pending,
                last,
                left,
                unreported.stream().filter(other -> !other.equals(one)).toList());
    }

    /** With the pending update at its end. */
    AgentState finished(Last end) {
        Optional<Installed> now =
                end.rolledBack() ? installed : pending.map(update -> new Installed(update.target(), update.txn()));
        return new AgentState(
                now, Optional.empty(), Optional.of(end), end.rolledBack() ? left : Optional.empty(), unreported);
    }

    AgentState withLeft(Optional<Left> update) {
        return new AgentState(installed, pending, last, update, unreported);
    }

    byte[] toJson() {
        return JsonText.of(json -> {
            if (installed.isPresent()) {
                json.writeObjectFieldStart("installed");
                json.writeStringField("txn", installed.get().txn());
                write(json, installed.get().target());
                json.writeEndObject();
            }
            if (pending.isPresent()) {
                json.writeObjectFieldStart("pending");
                json.writeStringField("txn", pending.get().txn());
                json.writeStringField("fromSlot", pending.get().fromSlot());
                json.writeStringField("source", pending.get().source());
                json.writeStringField("bootId", pending.get().bootId());
                write(json, pending.get().target());
                json.writeEndObject();
            }
            if (last.isPresent()) {
                json.writeObjectFieldStart("last");
                json.writeBooleanField("rolledBack", last.get().rolledBack());
                json.writeStringField("reason", last.get().reason());
                json.writeStringField("bootId", last.get().bootId());
                write(json, last.get().target());
                json.writeEndObject();
            }
            if (left.isPresent()) {
                json.writeObjectFieldStart("left");
                json.writeStringField("version", left.get().version());
                json.writeStringField("id", left.get().id());
                json.writeStringField("txn", left.get().txn());
                json.writeEndObject();
            }
            json.writeArrayFieldStart("unreported");
            for (Unreported one : unreported) {
                json.writeStartObject();
                json.writeStringField("source", one.source());
                json.writeStringField("event", word(one.event()));
                json.writeStringField("reason", reason(one.event()));
                write(json, one.target());
                json.writeEndObject();
            }
            json.writeEndArray();
        });
    }

    /** A target alone, for the folder in which it lies. */
    static byte[] toJson(Target target) {
        return JsonText.of(json -> write(json, target));
    }

    private static void write(JsonGenerator json, Target target) throws IOException {
        json.writeObjectFieldStart("target");
        json.writeStringField("name", target.name());
        json.writeStringField("version", target.version());
        if (target.compatible().isPresent()) {
            json.writeStringField("compatible", target.compatible().get());
        }
        json.writeNumberField("bytes", target.bytes());
        json.writeStringField("id", target.id());
        if (target.sha256().isPresent()) {
            json.writeStringField("sha256", target.sha256().get());
        }
        json.writeObjectFieldStart("details");
        for (Map.Entry<String, String> detail : target.details().entrySet()) {
            json.writeStringField(detail.getKey(), detail.getValue());
        }
        json.writeEndObject();
        json.writeEndObject();
    }

    private static String word(UpdateEvent event) {
        if (event instanceof UpdateEvent.Done) {
            return "done";
        } else if (event instanceof UpdateEvent.Failed) {
            return "failed";
        } else if (event instanceof UpdateEvent.Rejected) {
            return "rejected";
        } else if (event instanceof UpdateEvent.Cancelled) {
            return "cancelled";
        }
        throw new IllegalArgumentException(event + " does not end an update");
    }

    private static String reason(UpdateEvent event) {
        return event instanceof UpdateEvent.Failed failed
                ? failed.reason()
                : event instanceof UpdateEvent.Rejected rejected ? rejected.reason() : "";
    }

    /**
     * Reads what {@link #toJson()} wrote. Unknown keys are ignored, so that an older agent reads what a newer one wrote.
     *
     * @throws IOException if it is anything else; the message says what was expected and found
     */
    static AgentState ofJson(byte[] text) throws IOException {
        JsonFields root = JsonFields.of("the state", text);
        List<Unreported> unreported = new ArrayList<>();
        for (JsonFields one : root.objects("unreported")) {
            unreported.add(
                    new Unreported(one.line("source"), target(one), event(one.line("event"), one.line("reason"))));
        }
        Optional<Installed> installed = Optional.empty();
        for (JsonFields one : root.optionalObject("installed").stream().toList()) {
            installed = Optional.of(new Installed(target(one), one.line("txn")));
        }
        Optional<Pending> pending = Optional.empty();
        for (JsonFields one : root.optionalObject("pending").stream().toList()) {
            pending = Optional.of(new Pending(
                    target(one), one.line("txn"), one.line("fromSlot"), one.line("source"), one.line("bootId")));
        }
        Optional<Last> last = Optional.empty();
        for (JsonFields one : root.optionalObject("last").stream().toList()) {
            last = Optional.of(new Last(target(one), one.flag("rolledBack"), one.line("reason"), one.line("bootId")));
        }
        Optional<Left> left = Optional.empty();
        for (JsonFields one : root.optionalObject("left").stream().toList()) {
            left = Optional.of(new Left(one.line("version"), one.line("id"), one.line("txn")));
        }
        return new AgentState(installed, pending, last, left, unreported);
    }

    /** Reads what {@link #toJson(Target)} wrote. */
    static Target targetOfJson(byte[] text) throws IOException {
        return target(JsonFields.of("the target", text));
    }

    private static UpdateEvent event(String word, String reason) throws IOException {
        return switch (word) {
            case "done" -> new UpdateEvent.Done();
            case "failed" -> new UpdateEvent.Failed(reason);
            case "rejected" -> new UpdateEvent.Rejected(reason);
            case "cancelled" -> new UpdateEvent.Cancelled();
            default -> throw new IOException("expected the end of an update, found " + word);
        };
    }

    private static Target target(JsonFields holder) throws IOException {
        JsonFields target =
                holder.optionalObject("target").orElseThrow(() -> new IOException("expected a target, found none"));
        Map<String, String> details = new HashMap<>();
        for (Map.Entry<String, JsonNode> detail : target.node().path("details").properties()) {
            details.put(detail.getKey(), detail.getValue().asText());
        }
        try {
            return new Target(
                    target.line("name"),
                    target.line("version"),
                    target.optionalLine("compatible"),
                    target.number("bytes", 1, Long.MAX_VALUE),
                    target.line("id"),
                    target.optionalLine("sha256"),
                    details);
        } catch (IllegalArgumentException e) {
            throw new IOException("a target is damaged: " + e.getMessage(), e);
        }
    }
}
