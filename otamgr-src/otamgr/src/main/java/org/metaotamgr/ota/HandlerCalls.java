// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.Callbacks;
import org.metaotamgr.agent.Callbacks.Message;
import org.metaotamgr.agent.Finalisation;
import org.metaotamgr.agent.Target;
import org.metaotamgr.device.SlotStatus;

/**
 * Tells the product's handler about updates that hubby brings, and about the end of any update, beside the event loop: a
 * handler may take its time. Where there is no handler nothing waits, and everything happens at once.
 *
 * <p>hubby asks the cloud and downloads by itself, and otamgr hears of it only afterwards. So the handler is told
 * the end of the check and of the download, but not their begins.
 */
final class HandlerCalls {
    /** What the ids of {@code ota-slot rollback} begin with. */
    private static final String ROLLBACK = AgentDevice.ROLLBACK;

    private final EventLoop loop;
    private final Callbacks callbacks;
    private final Finalisation finalisation;
    private final AgentDevice device;
    private final ExecutorService thread;

    HandlerCalls(EventLoop loop, AgentDevice device) {
        this.loop = loop;
        this.device = device;
        this.callbacks = device.callbacks();
        this.finalisation = device.finalisation();
        // One thread keeps the order; it ends when there is nothing to say.
        ThreadPoolExecutor executor = new ThreadPoolExecutor(1, 1, 1, TimeUnit.SECONDS, new LinkedBlockingQueue<>(),
                task -> {
                    Thread made = new Thread(task, "otamgr-callbacks");
                    made.setDaemon(true);
                    return made;
                });
        executor.allowCoreThreadTimeOut(true);
        this.thread = executor;
    }

    /** Something that waits for the handler. */
    private interface Call {
        boolean run() throws InterruptedException;
    }

    private void call(Call call, Consumer<Boolean> then) {
        if (callbacks.isNone()) {
            then.accept(run(call));
            return;
        }
        thread.execute(() -> {
            boolean goOn = run(call);
            loop.execute(() -> then.accept(goOn));
        });
    }

    private static boolean run(Call call) {
        try {
            return call.run();
        } catch (InterruptedException e) {
            // The daemon ends; what waits for this goes on in the next one.
            Thread.currentThread().interrupt();
            return true;
        }
    }

    /** hubby has offered something that is not even looked at. */
    void refused(String reason) {
        call(() -> callbacks.call(Message.CHECK_FOR_UPDATE_POST, Optional.empty(),
                Optional.of(new Callbacks.Result.Failed(reason))), goOn -> { });
    }

    /**
     * An update of hubby is about to be written.
     *
     * @param then told whether to go on; on the event loop
     */
    void beforeInstall(UpdateCandidate candidate, Consumer<Boolean> then) {
        Optional<String> name = Optional.of(name(candidate));
        Optional<Callbacks.Result> ok = Optional.of(new Callbacks.Result.Ok());
        call(() -> {
            callbacks.call(Message.CHECK_FOR_UPDATE_POST, name, ok);
            callbacks.call(Message.DOWNLOAD_POST, name, ok);
            return callbacks.call(Message.INSTALL_PRE, name, Optional.empty());
        }, then);
    }

    /** How long an update that the handler put off waits. */
    Duration putOffFor() {
        return callbacks.vetoWait();
    }

    /** An update of hubby is written from now on. */
    void started(UpdateCandidate candidate, String txn, String fromSlot) {
        finalisation.started(target(candidate), txn, fromSlot, AgentConfig.HUBBY);
    }

    /** It was not armed, and will not be by this sysupgrade. */
    void notArmed(String txn) {
        finalisation.notArmed(txn);
    }

    /** The install of an update has failed for good. */
    void failed(UpdateCandidate candidate, String reason) {
        call(() -> callbacks.call(Message.INSTALL_POST, Optional.of(name(candidate)),
                Optional.of(new Callbacks.Result.Failed(reason))), goOn -> { });
    }

    /** An update is armed. */
    void armed(Runnable then) {
        Optional<String> name = finalisation.pending().map(Target::name);
        call(() -> callbacks.call(Message.INSTALL_POST, name, Optional.of(new Callbacks.Result.NeedsCompletion())),
                goOn -> then.run());
    }

    /** Whether an update that is armed is one of the agent, or a rollback, which nobody but a command arms. */
    boolean isOfAgent(String txn) {
        return txn.startsWith(ROLLBACK) || finalisation.isOfAgent(txn);
    }

    /** The slot on trial is about to be committed. */
    void beforeCommit(SlotStatus trial, Runnable then) {
        call(() -> {
            finalisation.announce(trial);
            return true;
        }, goOn -> then.run());
    }

    /** Whether an update runs already, according to what is remembered of its install. */
    boolean isInstalled(UpdateCandidate candidate) {
        return device.isInstalled(candidate.headerSha256());
    }

    /** Whether somebody rolled back from an update by hand. */
    boolean wasLeftByHand(UpdateCandidate candidate) {
        return device.left().filter(left -> left.id().equals(candidate.headerSha256())).isPresent();
    }

    /** The boot state was looked at. */
    void settled(SlotStatus status) {
        device.noteRollback(status);
        if (finalisation.pending().isEmpty()) {
            return;
        }
        call(() -> finalisation.settle(status), goOn -> { });
    }

    /** Downloads of hubby have no name; the begin of the header's hash tells one from another. */
    static String name(UpdateCandidate candidate) {
        String path = candidate.path().text();
        String base = path.substring(path.lastIndexOf('/') + 1).replaceAll("[^A-Za-z0-9._+~:-]", "_");
        String name = base + "-" + candidate.headerSha256().substring(0, 8);
        return Target.isName(name) ? name : "update-" + candidate.headerSha256().substring(0, 8);
    }

    private static Target target(UpdateCandidate candidate) {
        long bytes;
        try {
            bytes = Math.max(1, Files.size(Path.of(candidate.path().image())));
        } catch (IOException e) {
            // It has gone since it was looked at; sysupgrade will say so.
            bytes = 1;
        }
        return new Target(name(candidate), candidate.headerSha256().substring(0, 8), Optional.empty(), bytes,
                candidate.headerSha256(), Optional.empty(), Map.of());
    }
}
