// SPDX-License-Identifier: MIT
package org.metaotamgr.control;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.time.Duration;
import java.time.LocalDateTime;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.metaotamgr.agent.Agent;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.Callbacks;
import org.metaotamgr.agent.CheckInResult;
import org.metaotamgr.agent.ExitCode;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.Result;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.Target;
import org.metaotamgr.device.JsonText;
import org.metaotamgr.device.NearestWord;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.SlotStatus;

/**
 * The commands {@code check}, {@code pull}, {@code install}, {@code run}, {@code status}, {@code list}, {@code rollback},
 * {@code watch}.
 */
public final class AgentCommands implements ControlServer.Handler {
    /** A bundle that is pulled in parts lacks some, when a slot has changed since. */
    private static final int MAX_PULLS = 4;

    /** After so long a client that went away is noticed, and one that waits knows that there is somebody. */
    private static final Duration ALIVE = Duration.ofSeconds(30);

    /** Members of events that are numbers. */
    private static final Set<String> NUMBERS = Set.of("count", "percent", "fetchedBytes");

    /** What {@code otamgr --help} says about them. */
    public static final String USAGE =
            """
              check             ask the source what it offers
              pull [TARGET]     download a target and verify it; the newest one if none is named
              install [TARGET]  write what was pulled into the inactive slot and arm it; the device does not reboot by this
              run               after the reboot: finalise the update, and say how it ended
              status            what is installed, pulled and pending, and the slots
              list              all targets that are known: installed, pulled, and offered at the last check
              rollback          arm the system in the inactive slot
              watch             what happens from now on, until the connection ends
              why [TXN]         how the last update ended and why (ota-why)
              --json            one JSON object instead of text
            """;

    private static final List<String> COMMANDS =
            List.of("check", "pull", "install", "run", "status", "list", "rollback", "watch", "why");

    /** What {@code otamgr COMMAND --help} says, with an example. */
    private static final Map<String, String> HELP = Map.of(
            "check",
            """
            usage: otamgr check [--json]
            Asks the source of updates what it offers, and says what would be taken. Nothing is downloaded.
            exit status: 16 a new version is available, 0 up to date, 13 the source did not answer
            example: otamgr check; [ $? = 16 ] && echo "there is an update"
            """,
            "pull",
            """
            usage: otamgr pull [TARGET] [--json]
            Downloads a target and verifies it; the newest one if none is named. TARGET is a name or a version.
            A pull that was cut goes on where it ended.
            exit status: 0 pulled, 50 the pull failed (try again), 60 not enough room, 52 not now
            example: otamgr pull 2.1
            """,
            "install",
            """
            usage: otamgr install [TARGET] [--json]
            Writes what was pulled into the inactive slot and arms it. The device does not reboot by this.
            exit status: 100 armed, a reboot is needed; 80 not pulled; 103 the install failed, nothing has changed
            example: otamgr install; [ $? = 100 ] && reboot
            """,
            "run",
            """
            usage: otamgr run [--json]
            After the reboot: waits until the update is committed or rolled back, and says how it ended.
            exit status: 0 committed, 110 rolled back, 40 there is none to wait for
            example: otamgr run || otamgr why
            """,
            "status",
            """
            usage: otamgr status [--json]
            What runs, which slot is committed, what is pulled and pending, and how the last update ended.
            exit status: 0 known, 1 the boot state cannot be read (ota-doctor says why)
            example: otamgr status --json
            """,
            "list",
            """
            usage: otamgr list [--json]
            All targets that are known: installed, pulled, and offered at the last check with the reason if one is not taken.
            example: otamgr list --json
            """,
            "rollback",
            """
            usage: otamgr rollback [--json]
            Arms the system in the inactive slot, if it is complete. It is a trial like an update.
            exit status: 120 armed, a reboot is needed; 21 the inactive slot holds no complete system
            example: otamgr rollback; [ $? = 120 ] && reboot
            """,
            "watch",
            """
            usage: otamgr watch [--json]
            Says what happens to updates from now on, a line for each event; an event "alive" every 30 seconds if nothing happens.
            exit status: 30 two watch already, 1 no daemon runs
            example: otamgr watch --json
            """);

    /** What is different from one process to another. */
    public interface Host {
        /**
         * Finalises the update that is pending, or waits until somebody else has.
         *
         * @param answer receives what is waited for
         * @return how it ended
         * @throws InterruptedException if the thread was interrupted
         */
        Result finalise(Answer answer) throws InterruptedException;

        /**
         * A command has armed a slot; the reboot is up to whoever gave it.
         *
         * @throws InterruptedException if the thread was interrupted
         */
        void armedByCommand() throws InterruptedException;
    }

    private final AgentDevice device;
    private final Optional<Agent> agent;
    private final Host host;
    private Optional<CheckInResult> lastCheckIn = Optional.empty();

    /**
     * Makes the commands.
     *
     * @param device the device
     * @param agent the agent; empty if updates come from hubby, which cannot be asked
     * @param host the process around them
     */
    public AgentCommands(AgentDevice device, Optional<Agent> agent, Host host) {
        this.device = device;
        this.agent = agent;
        this.host = host;
    }

    @Override
    public int run(List<String> arguments, Answer answer) throws InterruptedException {
        List<String> words = new ArrayList<>();
        boolean json = false;
        boolean help = false;
        for (String argument : arguments) {
            if (argument.equals("--json")) {
                json = true;
            } else if (argument.equals("--help") || argument.equals("-h")) {
                help = true;
            } else if (argument.startsWith("-")) {
                answer.err("expected --json, found " + Printable.of(argument)
                        + NearestWord.question(argument, List.of("--json", "--help")) + "; try: otamgr --help");
                return ExitCode.USAGE.status();
            } else {
                words.add(argument);
            }
        }
        String command = words.isEmpty() ? "" : words.get(0);
        if (help && HELP.containsKey(command)) {
            HELP.get(command).lines().forEach(answer::out);
            return ExitCode.OK.status();
        }
        boolean takesTarget = command.equals("pull") || command.equals("install");
        if (words.size() > (takesTarget ? 2 : 1)) {
            answer.err(command + ": expected " + (takesTarget ? "one target" : "nothing more") + ", found "
                    + Printable.of(words.get(words.size() - 1)) + "; try: otamgr --help");
            return ExitCode.USAGE.status();
        }
        Optional<String> name = words.size() == 2 ? Optional.of(words.get(1)) : Optional.empty();
        switch (command) {
            case "check" -> {
                return check(json, answer);
            }
            case "pull" -> {
                return end(pull(name, answer), json, answer);
            }
            case "install" -> {
                return end(install(name, answer), json, answer);
            }
            case "run" -> {
                return end(host.finalise(answer), json, answer);
            }
            case "rollback" -> {
                return end(rollback(), json, answer);
            }
            case "status" -> {
                return status(json, answer);
            }
            case "list" -> {
                return list(json, answer);
            }
            case "watch" -> {
                return watch(json, answer);
            }
            default -> {
                answer.err("expected check, pull, install, run, status, list, rollback, watch or why, found "
                        + (command.isEmpty() ? "nothing" : Printable.of(command))
                        + NearestWord.question(command, COMMANDS) + "; try: otamgr --help");
                return ExitCode.USAGE.status();
            }
        }
    }

    private static Result hubbyDecides() {
        return new Result(
                ExitCode.CHECK_IN_FAILED,
                "updates come from hubby, which asks the cloud and pulls by itself; there is no source to ask");
    }

    private int end(Result result, boolean json, Answer answer) {
        if (json) {
            answer.out(JsonText.line(generator -> writeResult(generator, result)));
        } else if (result.isSuccess()) {
            answer.out(result.message());
        } else {
            answer.err(result.message());
        }
        return result.code().status();
    }

    private CheckInResult checkIn(Agent agent) throws InterruptedException {
        CheckInResult checkIn = agent.checkIn();
        if (checkIn.result().code() != ExitCode.IN_PROGRESS) {
            synchronized (this) {
                lastCheckIn = Optional.of(checkIn);
            }
        }
        return checkIn;
    }

    private synchronized Optional<CheckInResult> lastCheckIn() {
        return lastCheckIn;
    }

    private int check(boolean json, Answer answer) throws InterruptedException {
        if (agent.isEmpty()) {
            return end(hubbyDecides(), json, answer);
        }
        CheckInResult checkIn = checkIn(agent.get());
        if (json) {
            answer.out(JsonText.line(generator -> {
                writeResult(generator, checkIn.result());
                writeOffers(generator, checkIn);
            }));
            return checkIn.result().code().status();
        }
        for (CheckInResult.Offer offer : checkIn.offers()) {
            answer.out(line(offer.target())
                    + offer.refusal().map(refusal -> "  - " + refusal.message()).orElse(""));
        }
        return end(checkIn.result(), false, answer);
    }

    private Result pull(Optional<String> name, Answer answer) throws InterruptedException {
        if (agent.isEmpty()) {
            return hubbyDecides();
        }
        CheckInResult checkIn = checkIn(agent.get());
        Optional<Target> target = checkIn.selected();
        if (name.isPresent()) {
            Optional<CheckInResult.Offer> offer = checkIn.named(name.get());
            if (offer.isEmpty()) {
                return checkIn.offers().isEmpty() && !checkIn.result().isSuccess()
                        ? checkIn.result()
                        : new Result(
                                ExitCode.TARGET_NOT_FOUND, "the source does not offer " + Printable.of(name.get()));
            }
            if (offer.get()
                    .refusal()
                    .filter(refusal -> refusal.code() == ExitCode.LEFT_BY_HAND)
                    .isPresent()) {
                agent.get().named(offer.get().target());
            } else if (offer.get().refusal().isPresent()) {
                return offer.get().refusal().get();
            }
            target = offer.map(CheckInResult.Offer::target);
        }
        if (target.isEmpty()) {
            return checkIn.result();
        }
        return pulled(target.get(), answer);
    }

    private Result installed(Target target, Answer answer) throws InterruptedException {
        return agent.get()
                .install(target, progress -> answer.progress(progress.phase() + " " + progress.number() + " %"));
    }

    private Result pulled(Target target, Answer answer) throws InterruptedException {
        long bytes = target.bytes();
        String shown = target.name();
        long[] percent = {-1};
        return agent.get().pull(target, done -> {
            if (!answer.isWanted()) {
                throw new SourceException(SourceException.Reason.DEFERRED, "whoever gave the command has gone away");
            }
            if (done * 100 / bytes != percent[0]) {
                percent[0] = done * 100 / bytes;
                answer.progress("pull " + shown + " " + percent[0] + " %");
            }
        });
    }

    private Result install(Optional<String> name, Answer answer) throws InterruptedException {
        if (agent.isEmpty()) {
            return hubbyDecides();
        }
        List<Target> pulled = agent.get().pulled();
        Optional<Target> target = pulled.stream()
                .filter(one -> name.isEmpty()
                        || one.name().equals(name.get())
                        || one.version().equals(name.get()))
                .findFirst();
        if (target.isEmpty()) {
            return new Result(
                    ExitCode.NOT_PULLED,
                    name.map(Printable::of).orElse("an update") + " has to be pulled first: otamgr pull");
        }
        if (name.isPresent()) {
            agent.get().named(target.get());
        }
        Result result = installed(target.get(), answer);
        for (int pulls = 0; result.code() == ExitCode.NOT_PULLED && pulls < MAX_PULLS; pulls++) {
            Result again = pulled(target.get(), answer);
            if (again.code() != ExitCode.OK) {
                return again;
            }
            result = installed(target.get(), answer);
        }
        if (result.code() == ExitCode.NEEDS_REBOOT) {
            host.armedByCommand();
        }
        return result;
    }

    private Result rollback() throws InterruptedException {
        Result result = device.history().rollback();
        if (result.code() == ExitCode.ROLLBACK_NEEDS_REBOOT) {
            host.armedByCommand();
        }
        return result;
    }

    private int status(boolean json, Answer answer) throws InterruptedException {
        SlotStatus slot = device.slots().status();
        InstalledSystem installed = device.history().installed();
        Optional<Target> pending = device.finalisation().pending();
        Optional<String> last = device.finalisation().lastEnd();
        Optional<String> supportedUntil = device.facts().supportedUntil();
        Optional<String> remark = agent.flatMap(Agent::remark);
        List<Target> pulled = device.store().pulled();
        if (json) {
            answer.out(JsonText.line(generator -> {
                generator.writeObjectFieldStart("slot");
                generator.writeStringField("state", slot.state().toString());
                generator.writeStringField("running", slot.running());
                generator.writeStringField("committed", slot.committed());
                generator.writeStringField("trial", slot.trial());
                generator.writeStringField("txn", slot.txn());
                generator.writeStringField("failed", slot.failed());
                generator.writeStringField("floor", slot.floor().orElse(""));
                generator.writeEndObject();
                generator.writeStringField("source", sourceName());
                generator.writeStringField(
                        "nextCheck", nextCheck().map(LocalDateTime::toString).orElse(""));
                generator.writeStringField("supportedUntil", supportedUntil.orElse(""));
                generator.writeStringField("remark", remark.orElse(""));
                generator.writeObjectFieldStart("installed");
                generator.writeStringField("name", installed.name().orElse(""));
                generator.writeStringField("version", installed.version().orElse(""));
                generator.writeStringField("compatible", installed.compatible().orElse(""));
                generator.writeEndObject();
                generator.writeStringField("pending", pending.map(Target::name).orElse(""));
                generator.writeStringField("last", last.orElse(""));
                generator.writeArrayFieldStart("pulled");
                for (Target target : pulled) {
                    generator.writeString(target.name());
                }
                generator.writeEndArray();
            }));
        } else {
            answer.out("installed  " + installed.name().orElse("(unknown)")
                    + installed.version().map(version -> "  version " + version).orElse(""));
            answer.out("slot       " + sentence(slot));
            slot.floor().ifPresent(floor -> answer.out("floor      " + floor + "  (nothing older is installed)"));
            answer.out("source     " + sourceName());
            nextCheck()
                    .ifPresent(
                            when -> answer.out("next check " + when.toString().replace('T', ' ')));
            remark.ifPresent(sentence -> answer.out("remark     " + sentence));
            supportedUntil.ifPresent(date -> answer.out("supported  until " + date));
            pulled.forEach(target -> answer.out("pulled     " + line(target)));
            pending.ifPresent(target -> answer.out("pending    " + line(target)));
            last.ifPresent(end -> answer.out("last       " + end));
        }
        return slot.state() == SlotStatus.State.UNKNOWN ? ExitCode.UNKNOWN.status() : ExitCode.OK.status();
    }

    private static String sentence(SlotStatus slot) {
        String other = slot.running().equals("a") ? "b" : "a";
        return switch (slot.state()) {
            case COMMITTED -> slot.running() + " runs and is committed";
            case TRIAL -> slot.running() + " runs on trial; it is committed once it is healthy, else " + other
                    + " runs again";
            case ARMED -> slot.running() + " runs; " + slot.trial() + " is armed: the next reboot starts its trial";
            case INTERRUPTED -> slot.running() + " runs, because U-Boot could not start the trial of " + slot.trial()
                    + "; try: otamgr why";
            case MISMATCH -> slot.running() + " runs, but " + slot.committed() + " is committed; try: ota-doctor";
            case UNKNOWN -> "the boot state cannot be read; try: ota-doctor";
        };
    }

    private Optional<LocalDateTime> nextCheck() {
        return agent.flatMap(Agent::nextCheck).map(when -> when.truncatedTo(ChronoUnit.SECONDS));
    }

    private String sourceName() {
        return agent.map(Agent::sourceName).orElse("hubby");
    }

    private int list(boolean json, Answer answer) {
        List<Target> pulled = device.store().pulled();
        InstalledSystem installed = device.history().installed();
        if (json) {
            answer.out(JsonText.line(generator -> {
                generator.writeStringField("installed", installed.name().orElse(""));
                generator.writeArrayFieldStart("pulled");
                for (Target target : pulled) {
                    writeTarget(generator, target, Optional.empty());
                }
                generator.writeEndArray();
                if (lastCheckIn().isPresent()) {
                    writeOffers(generator, lastCheckIn().get());
                }
            }));
        } else {
            installed.name().ifPresent(name -> answer.out("installed  " + name));
            pulled.forEach(target -> answer.out("pulled     " + line(target)));
            lastCheckIn().ifPresent(checkIn -> checkIn.offers()
                    .forEach(offer -> answer.out("offered    " + line(offer.target())
                            + offer.refusal()
                                    .map(refusal -> "  - " + refusal.message())
                                    .orElse(""))));
        }
        return ExitCode.OK.status();
    }

    /** Ends when whoever asked has gone away, which shows with the next line. */
    private int watch(boolean json, Answer answer) throws InterruptedException {
        Optional<Callbacks.Watch> opened = device.callbacks().watch();
        if (opened.isEmpty()) {
            return end(new Result(ExitCode.IN_PROGRESS, "two watch already; end one of them"), json, answer);
        }
        try (Callbacks.Watch watch = opened.get()) {
            event(answer, json, "watching", Map.of());
            while (answer.isWanted()) {
                Optional<Callbacks.Event> event = watch.next(ALIVE);
                int lost = watch.lost();
                if (lost > 0) {
                    event(answer, json, "lost", Map.of("count", Integer.toString(lost)));
                }
                if (event.isEmpty()) {
                    event(answer, json, "alive", Map.of());
                } else if (event.get() instanceof Callbacks.Event.Progress progress) {
                    Map<String, String> members = new LinkedHashMap<>();
                    members.put("target", progress.target());
                    members.put("phase", progress.line().phase());
                    members.put("percent", Integer.toString(progress.line().number()));
                    event(answer, json, "progress", members);
                } else if (event.get() instanceof Callbacks.Event.Step step) {
                    event(answer, json, step.message().text(), members(step));
                }
            }
        }
        return ExitCode.OK.status();
    }

    private static Map<String, String> members(Callbacks.Event.Step step) {
        Map<String, String> members = new LinkedHashMap<>();
        step.target().ifPresent(name -> members.put("target", name));
        step.result().ifPresent(result -> {
            if (result instanceof Callbacks.Result.Failed failed) {
                members.put("result", "FAILED");
                members.put("reason", failed.reason());
            } else if (result instanceof Callbacks.Result.NeedsCompletion) {
                members.put("result", "NEEDS_COMPLETION");
            } else {
                members.put("result", "OK");
                if (result instanceof Callbacks.Result.Pulled pulled) {
                    members.put("fetchedBytes", Long.toString(pulled.fetched()));
                }
            }
        });
        return members;
    }

    private static void event(Answer answer, boolean json, String event, Map<String, String> members) {
        if (json) {
            answer.out(JsonText.line(generator -> {
                generator.writeStringField("event", event);
                for (Map.Entry<String, String> member : members.entrySet()) {
                    if (NUMBERS.contains(member.getKey())) {
                        generator.writeNumberField(member.getKey(), Long.parseLong(member.getValue()));
                    } else {
                        generator.writeStringField(member.getKey(), member.getValue());
                    }
                }
            }));
        } else {
            StringBuilder line = new StringBuilder(event);
            members.values().forEach(value -> line.append("  ").append(Printable.of(value)));
            answer.out(line.toString());
        }
    }

    private static String line(Target target) {
        return target.name() + "  version " + target.version() + "  " + target.bytes() + " bytes";
    }

    private static void writeResult(JsonGenerator generator, Result result) throws IOException {
        generator.writeNumberField("code", result.code().status());
        generator.writeStringField("message", result.message());
    }

    private static void writeOffers(JsonGenerator generator, CheckInResult checkIn) throws IOException {
        generator.writeArrayFieldStart("offers");
        for (CheckInResult.Offer offer : checkIn.offers()) {
            writeTarget(generator, offer.target(), offer.refusal());
        }
        generator.writeEndArray();
        generator.writeStringField(
                "selected", checkIn.selected().map(Target::name).orElse(""));
    }

    private static void writeTarget(JsonGenerator generator, Target target, Optional<Result> refusal)
            throws IOException {
        generator.writeStartObject();
        generator.writeStringField("name", target.name());
        generator.writeStringField("version", target.version());
        generator.writeStringField("compatible", target.compatible().orElse(""));
        generator.writeNumberField("bytes", target.bytes());
        generator.writeStringField("id", target.id());
        if (refusal.isPresent()) {
            generator.writeObjectFieldStart("refused");
            writeResult(generator, refusal.get());
            generator.writeEndObject();
        }
        generator.writeEndObject();
    }
}
