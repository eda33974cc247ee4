// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongSupplier;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.PullProgressWrapper;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateEvent;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.Version;
import org.metaotamgr.bundle.PullInParts;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.device.Printable;
import org.metaotamgr.hawkbit.ActionLog.Stage;
import org.metaotamgr.hawkbit.Ddi.Execution;
import org.metaotamgr.hawkbit.Ddi.Finished;
import org.metaotamgr.http.BundleProof;
import org.metaotamgr.http.Download;
import org.metaotamgr.http.Urls;
import org.metaotamgr.repository.SignedRollouts;
import org.metaotamgr.repository.Turn;

/**
 * Takes the update that a hawkBit server assigns to this device, and tells the server how it goes, to the end after the
 * reboot. A cancel is accepted until the update is whole in a slot; one that comes later is declined, as
 * rauc-hawkbit-updater does, and the server hears how the update ended.
 */
final class HawkbitSource implements UpdateSource {
    static final String NAME = "hawkbit";
    /** To look what an artifact is would be a large part of a small one. */
    private static final long LEAST_IN_PARTS = 1 << 20;

    private static final String DEPLOYMENT = "deploymentBase";
    private static final String CANCEL = "cancelAction";
    /** hawkBit keeps a bounded number of messages for each action. */
    private static final int PROGRESS_STEP_PERCENT = 10;
    /** hawkBit's limit for keys and values of attributes. */
    private static final int MAX_ATTRIBUTE = 128;

    private final Ddi ddi;
    private final Download download;
    private final Options options;
    private final ActionLog stages;
    private final SourceContext context;
    private final LongSupplier nanoTime;
    private Reported reported = new Reported("", -1);

    /** Who says that an update is welcome, where the server wants that to be confirmed. */
    enum Confirmation {
        /** This device, at once. */
        AUTOMATIC,
        /** Somebody at the server. */
        SERVER,
        /** A program or person on the device, by a file. */
        DEVICE
    }

    /**
     * What the configuration says about it.
     *
     * @param part the type of the software module that is for this agent; empty for any
     * @param attributes what to tell the server about this device
     * @param confirmation who confirms
     * @param cancelPoll how often the server is asked during a download whether the update is still wanted
     * @param mayBeImage whether an artifact may be an image that is no bundle
     * @param secureOnly whether artifacts have to come over https
     * @param rollouts the signed roll-outs that hold for what the server assigns, if there are any
     */
    record Options(
            Optional<String> part,
            Map<String, String> attributes,
            Confirmation confirmation,
            Duration cancelPoll,
            boolean mayBeImage,
            boolean secureOnly,
            Optional<SignedRollouts> rollouts) {
        Options {
            attributes = Map.copyOf(attributes);
        }
    }

    /** What of a download the server knows. */
    private record Reported(String action, int percent) {}

    HawkbitSource(Ddi ddi, Download download, Options options, SourceContext context, LongSupplier nanoTime) {
        this.ddi = ddi;
        this.download = download;
        this.options = options;
        this.context = context;
        this.nanoTime = nanoTime;
        this.stages = new ActionLog(context.stateDirectory().resolve("hawkbit.json"), context.files(), context.log());
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public boolean isAssigning() {
        return true;
    }

    @Override
    public CheckResult check(InstalledSystem installed) throws SourceException, InterruptedException {
        Ddi.Base base = ddi.base();
        if (base.wantsAttributes()) {
            sendAttributes(installed);
        }
        if (base.cancel().isPresent()) {
            answerCancel(base.cancel().get());
            // What comes after it, perhaps another update, is known now.
            base = ddi.base();
        }
        if (base.confirmation().isPresent()) {
            Optional<String> waiting = confirm(base.confirmation().get());
            if (waiting.isPresent()) {
                return new CheckResult.Waiting(waiting.get(), base.sleep());
            }
            base = ddi.base();
        }
        if (base.deployment().isEmpty()) {
            return new CheckResult.Nothing(base.sleep());
        }
        return offer(base.deployment().get(), base.sleep(), installed);
    }

    private CheckResult offer(Ddi.Link link, Optional<Duration> sleep, InstalledSystem installed)
            throws SourceException, InterruptedException {
        Deployment deployment = deployment(link);
        Target target = deployment.target();
        Stage stage = stages.of(link.action());
        if (stage.isOver()) {
            // What the server offers is not over there: its word counts, whatever answered when it was told the end.
            context.log()
                    .info("hawkbit_open:action=" + link.action() + ",was=" + stage.word()
                            + ",meaning=the server offers it again, or has not heard how it ended");
            stages.set(link.action(), Stage.OFFERED);
            stage = Stage.OFFERED;
        }
        if (stage == Stage.ARMED
                || stage == Stage.INSTALLING
                        && installed
                                .version()
                                .filter(one -> new Version(one).isSame(new Version(target.version())))
                                .isPresent()) {
            // It is in a slot, and its trial decides; until then there is nothing to be said about it.
            return new CheckResult.Waiting(
                    "action " + link.action() + " is installed, and its trial is not over", sleep);
        }
        if (!deployment.download()) {
            return new CheckResult.Waiting(
                    "the server does not want action " + link.action() + " to be pulled yet", sleep);
        }
        return switch (turn(deployment)) {
            case NOW, CLOSED -> new CheckResult.Offers(List.of(forBoard(target, installed)), sleep);
            case LATER, HALTED -> new CheckResult.Waiting(notYet(deployment), sleep);
            case RECALLED -> {
                closeRecalled(target);
                yield new CheckResult.Nothing(sleep);
            }
        };
    }

    /**
     * What the signed roll-outs say of an assignment. One that is forced was meant for this very device, which overrules its place in
     * the phases, but not its windows, nor that the publisher has stopped the update.
     */
    private Turn turn(Deployment deployment) throws SourceException, InterruptedException {
        if (options.rollouts().isEmpty()) {
            return Turn.NOW;
        }
        return options.rollouts()
                .get()
                .turn(deployment.target(), deployment.forced())
                .orElse(Turn.NOW);
    }

    private static String notYet(Deployment deployment) {
        return deployment.target().name() + ": action "
                + deployment.target().details().get("action")
                + " waits for the turn of this device in the signed roll-out";
    }

    private void closeRecalled(Target target) throws SourceException, InterruptedException {
        close(action(target), Finished.FAILURE, "refused: " + target.name() + " was recalled by its publisher");
    }

    /** What is assigned to this device without the name of a board has to be for this one. */
    private static Target forBoard(Target target, InstalledSystem installed) {
        return new Target(
                target.name(),
                target.version(),
                target.compatible().or(installed::compatible),
                target.bytes(),
                target.id(),
                target.sha256(),
                target.details());
    }

    private Deployment deployment(Ddi.Link link) throws SourceException, InterruptedException {
        JsonFields action = ddi.action(DEPLOYMENT, link);
        try {
            return Deployment.of(action, "deployment", link.action(), options.part(), options.secureOnly());
        } catch (Deployment.OtherActionException e) {
            throw new SourceException(Reason.MALFORMED, e.getMessage());
        } catch (JsonFields.MalformedException e) {
            // It will not become better by asking again, and the server should say so to whoever made it.
            close(link.action(), Finished.FAILURE, "this device cannot use what is assigned: " + e.getMessage());
            throw new SourceException(Reason.MALFORMED, e.getMessage());
        }
    }

    private void sendAttributes(InstalledSystem installed) throws InterruptedException {
        Map<String, String> attributes = new HashMap<>(options.attributes());
        installed.version().ifPresent(version -> attributes.put("version", version));
        installed.compatible().ifPresent(board -> attributes.put("compatible", board));
        attributes.replaceAll((key, value) -> value.substring(0, Math.min(value.length(), MAX_ATTRIBUTE)));
        if (attributes.isEmpty()) {
            return;
        }
        try {
            int status = ddi.attributes(attributes);
            if (status >= 300) {
                context.log().warning("hawkbit_attributes:status=" + status + ",meaning=the server does not take them");
            }
        } catch (SourceException e) {
            // An update does not have to wait for that.
            context.log().warning("hawkbit_attributes:error=" + e.getMessage());
        }
    }

    // ---- cancel ----

    /** Gives up what is not in a slot yet; declines otherwise. */
    private void answerCancel(Ddi.Link cancel) throws SourceException, InterruptedException {
        String action = ddi.stopId(cancel);
        Stage stage = stages.of(action);
        if (stage == Stage.INSTALLING || stage == Stage.ARMED) {
            int status = ddi.feedback(
                    CANCEL,
                    action,
                    Execution.REJECTED,
                    Finished.NONE,
                    Optional.empty(),
                    "the update is in a slot already; how its trial ends is reported. Assign another version to leave it");
            context.log()
                    .info("hawkbit_cancel:action=" + action + ",answer=declined,stage=" + stage.word() + ",status="
                            + status);
        } else {
            acceptCancel(action);
        }
    }

    private void acceptCancel(String action) throws SourceException, InterruptedException {
        int status = ddi.feedback(
                CANCEL,
                action,
                Execution.CLOSED,
                Finished.SUCCESS,
                Optional.empty(),
                "the update was given up before anything was installed");
        stages.set(action, Stage.CANCELLED);
        context.log().info("hawkbit_cancel:action=" + action + ",answer=accepted,status=" + status);
    }

    // ---- confirmation ----

    /** Why an update still waits to be confirmed; empty if this device has confirmed it. */
    private Optional<String> confirm(Ddi.Link link) throws SourceException, InterruptedException {
        String action = link.action();
        Optional<Boolean> answer =
                switch (options.confirmation()) {
                    case AUTOMATIC -> Optional.of(true);
                    case SERVER -> Optional.empty();
                    case DEVICE -> answerOnDevice(action);
                };
        if (answer.isEmpty()) {
            return Optional.of("action " + action + " waits to be confirmed "
                    + (options.confirmation() == Confirmation.SERVER
                            ? "on the server"
                            : "on this device, by the line \"" + action + " confirmed\" in " + confirmationFile()));
        }
        int status =
                ddi.confirm(action, answer.get(), answer.get() ? "confirmed by the device" : "denied on the device");
        context.log()
                .info("hawkbit_confirmation:action=" + action + ",confirmed=" + answer.get() + ",status=" + status);
        return answer.get() && status < 300
                ? Optional.empty()
                : Optional.of("action " + action
                        + (answer.get()
                                ? " could not be confirmed: HTTP status " + status
                                : " was denied on this device"));
    }

    private Path confirmationFile() {
        return context.stateDirectory().resolve("hawkbit-confirmation");
    }

    private Optional<Boolean> answerOnDevice(String action) {
        try {
            String text = Files.size(confirmationFile()) > 256
                    ? ""
                    : Files.readString(confirmationFile(), StandardCharsets.UTF_8)
                            .strip();
            return text.equals(action + " confirmed")
                    ? Optional.of(true)
                    : text.equals(action + " denied") ? Optional.of(false) : Optional.empty();
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException e) {
            context.log()
                    .warning(
                            "hawkbit_confirmation:file=" + confirmationFile() + ",error=" + Printable.of(e.toString()));
            return Optional.empty();
        }
    }

    // ---- pull ----

    @Override
    public Path pull(Target target, Path storage, PullProgress progress) throws SourceException, InterruptedException {
        URI uri = uri(target);
        PullProgress watched = new Watched(target, action(target), progress);
        if (target.bytes() >= LEAST_IN_PARTS) {
            Optional<Path> parts;
            try (Original original = original(target)) {
                parts = parts(target, original, storage, watched).bring(Optional.empty());
            }
            if (parts.isPresent()) {
                return parts.get();
            }
        }
        return download.bring(
                new Download.Wanted(uri, target.bytes(), target.sha256(), target.id()),
                storage,
                watched,
                file -> BundleProof.check(
                        file,
                        target,
                        context.verifier(),
                        // Without a hash nothing would prove an image.
                        options.mayBeImage() && target.sha256().isPresent()));
    }

    private static URI uri(Target target) throws SourceException {
        return Urls.parse(target.details().getOrDefault("url", ""))
                .orElseThrow(() -> new SourceException(
                        Reason.NOT_FOUND, target.name() + ": expected a URL, found none; check again"));
    }

    private PullInParts parts(Target target, Original original, Path storage, PullProgress progress) {
        return BundleProof.pull(target, storage, original, context, progress);
    }

    @Override
    public Optional<Path> beginning(Target target, Path storage, PullProgress progress)
            throws SourceException, InterruptedException {
        if (target.bytes() < LEAST_IN_PARTS) {
            return Optional.empty();
        }
        try (Original original = original(target)) {
            return parts(target, original, storage, new Watched(target, action(target), progress))
                    .bringBeginning(Optional.empty());
        }
    }

    @Override
    public Original original(Target target) throws SourceException {
        return ddi.original(uri(target), target.bytes());
    }

    @Override
    public PullProgress watched(Target target, PullProgress progress) throws SourceException {
        return new Watched(target, action(target), progress);
    }

    /** Asks the server now and then whether an update is still wanted. */
    private final class Watched extends PullProgressWrapper {
        private final Target target;
        private final String action;
        private long asked = nanoTime.getAsLong();

        Watched(Target target, String action, PullProgress progress) {
            super(progress);
            this.target = target;
            this.action = action;
        }

        @Override
        public void pulled(long bytes) throws SourceException {
            super.pulled(bytes);
            if (nanoTime.getAsLong() - asked >= options.cancelPoll().toNanos()) {
                asked = nanoTime.getAsLong();
                refuseWithdrawn(target, action);
            }
        }
    }

    @Override
    public boolean looksForRoom() {
        return true;
    }

    private void refuseWithdrawn(Target target, String action) throws SourceException {
        boolean isWithdrawn;
        try {
            Ddi.Base base = ddi.base();
            isWithdrawn = base.wantsNothing()
                    || base.cancel().isPresent()
                            && ddi.stopId(base.cancel().get()).equals(action);
        } catch (SourceException e) {
            // The download shows by itself whether the server is there.
            context.log().info("hawkbit_cancel:error=" + e.getMessage());
            return;
        } catch (InterruptedException e) {
            // The download notices at its next step.
            Thread.currentThread().interrupt();
            return;
        }
        if (isWithdrawn) {
            throw new SourceException(
                    Reason.WITHDRAWN, target.name() + ": action " + action + " was cancelled on the server");
        }
    }

    @Override
    public long there(Target target, Path storage) {
        return Download.there(storage);
    }

    @Override
    public boolean isStillOffered(Target target) throws SourceException, InterruptedException {
        try {
            return isStillAssigned(target);
        } catch (SourceException e) {
            // It is installed without this server, but not without those who sign roll-outs. Whether it is forced is
            // not known now.
            if (e.reason().isTransient() && e.reason() != Reason.DEFERRED) {
                requireTurn(target, turnForInstall(target, false));
            }
            throw e;
        }
    }

    private Turn turnForInstall(Target target, boolean isForced) throws SourceException, InterruptedException {
        if (options.rollouts().isEmpty()) {
            return Turn.NOW;
        }
        return options.rollouts().get().turnForInstall(target, isForced).orElse(Turn.NOW);
    }

    private static void requireTurn(Target target, Turn turn) throws SourceException {
        if (turn == Turn.CLOSED) {
            throw new SourceException(
                    Reason.DEFERRED,
                    target.name() + ": the signed roll-out has windows for the install, and none is open now");
        } else if (turn != Turn.NOW) {
            throw new SourceException(
                    Reason.DEFERRED, target.name() + " waits for the turn of this device in the signed roll-out");
        }
    }

    private boolean isStillAssigned(Target target) throws SourceException, InterruptedException {
        String action = action(target);
        if (stages.of(action) == Stage.INSTALLING) {
            // Nothing is being written now: an install was interrupted, and may begin again, or be cancelled.
            stages.set(action, Stage.OFFERED);
        }
        Ddi.Base base = ddi.base();
        if (base.cancel().isPresent() && ddi.stopId(base.cancel().get()).equals(action)) {
            return false;
        }
        if (stages.of(action) == Stage.PULLED
                && base.deployment()
                        .filter(link -> link.action().equals(action))
                        .isEmpty()) {
            throw new SourceException(
                    Reason.DEFERRED,
                    target.name() + ": action " + action
                            + " was for the pull only; the next assignment of it installs what is here");
        }
        if (base.deployment().isEmpty()) {
            return false;
        }
        Deployment deployment = deployment(base.deployment().get());
        if (!deployment.target().id().equals(target.id())) {
            return false;
        }
        if (!deployment.update()) {
            throw new SourceException(
                    Reason.DEFERRED,
                    target.name() + ": the server does not want action "
                            + deployment.target().details().get("action") + " to be installed yet"
                            + (deployment.window() ? ", but in its maintenance window" : ""));
        }
        Turn turn = turnForInstall(deployment.target(), deployment.forced());
        if (turn == Turn.RECALLED) {
            closeRecalled(deployment.target());
            return false;
        }
        requireTurn(deployment.target(), turn);
        return true;
    }

    // ---- feedback ----

    @Override
    public void report(Target target, UpdateEvent event) throws SourceException, InterruptedException {
        String action = action(target);
        if (stages.of(action).isOver()) {
            return;
        }
        if (event instanceof UpdateEvent.Pulling pulling) {
            reportPulling(action, pulling);
        } else if (event instanceof UpdateEvent.Pulled) {
            reportPulled(target, action);
        } else if (event instanceof UpdateEvent.Installing) {
            // Before the server knows: a cancel is declined from now on, also after a power cut.
            stages.set(action, Stage.INSTALLING);
            tell(action, Execution.PROCEEDING, Optional.empty(), "writing it into the inactive slot");
        } else if (event instanceof UpdateEvent.NeedsReboot) {
            stages.set(action, Stage.ARMED);
            tell(action, Execution.PROCEEDING, Optional.empty(), "written; the next reboot starts its trial");
        } else if (event instanceof UpdateEvent.Done) {
            close(action, Finished.SUCCESS, "version " + target.version() + " runs and is committed");
        } else if (event instanceof UpdateEvent.Failed failed) {
            close(action, Finished.FAILURE, failed.reason());
        } else if (event instanceof UpdateEvent.Rejected rejected) {
            // "rejected" would leave the action open: hawkBit takes it for a warning.
            close(action, Finished.FAILURE, "refused: " + rejected.reason());
        } else if (event instanceof UpdateEvent.Cancelled) {
            acceptCancel(action);
        }
    }

    private void reportPulling(String action, UpdateEvent.Pulling pulling)
            throws SourceException, InterruptedException {
        int percent = (int) (100 * pulling.bytes() / Math.max(pulling.total(), 1));
        boolean isFirst = !reported.action().equals(action);
        if (!isFirst && percent < reported.percent() + PROGRESS_STEP_PERCENT) {
            return;
        }
        reported = new Reported(action, percent);
        tell(
                action,
                isFirst ? Execution.DOWNLOAD : Execution.PROCEEDING,
                Optional.of(percent),
                "pulled " + pulling.bytes() + " of " + pulling.total() + " bytes");
    }

    /** A server ends what was only to be pulled with this word, and then offers it no more. */
    private void reportPulled(Target target, String action) throws SourceException, InterruptedException {
        int status = ddi.feedback(
                DEPLOYMENT,
                action,
                Execution.DOWNLOADED,
                Finished.NONE,
                Optional.empty(),
                target.sha256().isPresent() ? "pulled, and its hash is right" : "pulled, and its signature is right");
        if (status < 300 && target.details().containsKey(Deployment.PULL_ONLY)) {
            stages.set(action, Stage.PULLED);
        } else if (status >= 300) {
            context.log().info("hawkbit_feedback:action=" + action + ",status=" + status);
        }
    }

    private void tell(String action, Execution execution, Optional<Integer> percent, String message)
            throws SourceException, InterruptedException {
        int status = ddi.feedback(DEPLOYMENT, action, execution, Finished.NONE, percent, message);
        if (status >= 300) {
            context.log().info("hawkbit_feedback:action=" + action + ",status=" + status);
        }
    }

    /**
     * Ends an action. A server that has no such open action any more knows all it wants to; but anybody on the way can say
     * that it has none, and as long as the server offers it, it is open.
     */
    private void close(String action, Finished finished, String message) throws SourceException, InterruptedException {
        int status = ddi.feedback(DEPLOYMENT, action, Execution.CLOSED, finished, Optional.empty(), message);
        if (status >= 300 && !isRefusal(status) && isOpen(action)) {
            throw new SourceException(
                    Reason.FETCH_FAILED,
                    "action " + action + ": expected that the server takes how it ended, " + "found HTTP status "
                            + status + ", and that it is open; it is told again");
        }
        stages.set(action, Stage.CLOSED);
        if (isRefusal(status)) {
            context.log()
                    .error("hawkbit_feedback:action=" + action + ",status=" + status
                            + ",meaning=the server refuses to be told how it ended");
        } else if (status >= 300) {
            context.log()
                    .info("hawkbit_feedback:action=" + action + ",status=" + status
                            + ",meaning=the server has closed it before");
        } else {
            context.log().info("hawkbit_closed:action=" + action + ",finished=" + finished);
        }
    }

    /** Whether it is what was said that the server does not like. */
    private static boolean isRefusal(int status) {
        return status == 400 || status == 413 || status == 415 || status == 422;
    }

    private boolean isOpen(String action) throws SourceException, InterruptedException {
        Ddi.Base base = ddi.base();
        return base.deployment().filter(link -> link.action().equals(action)).isPresent()
                || base.cancel().isPresent() && ddi.stopId(base.cancel().get()).equals(action);
    }

    private static String action(Target target) throws SourceException {
        String action = target.details().get("action");
        if (action == null || !Ddi.isActionId(action)) {
            throw new SourceException(
                    Reason.NOT_FOUND,
                    target.name()
                            + ": expected an update that hawkBit assigned, found one of another source; check for updates again");
        }
        return action;
    }
}
