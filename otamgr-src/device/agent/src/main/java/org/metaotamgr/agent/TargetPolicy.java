// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;

/** Which targets this device takes, and why not the others: the rules, without any step. */
final class TargetPolicy {
    private final UpdateSource source;
    private final AgentStore store;
    private final SystemHistory history;
    private final FailedUpdates failures;

    TargetPolicy(UpdateSource source, AgentStore store, SystemHistory history, FailedUpdates failures) {
        this.source = source;
        this.store = store;
        this.history = history;
        this.failures = failures;
    }

    /** Why this device does not take a target, if it does not. */
    Optional<Result> refusal(Target target, InstalledSystem installed) {
        if (source.isPushing()) {
            return leftByHand(target).or(() -> knownBad(target));
        }
        if (target.compatible().isPresent()
                && installed.compatible().isPresent()
                && !target.compatible().equals(installed.compatible())) {
            return Optional.of(new Result(
                    ExitCode.NO_MATCHING_TARGET,
                    target.name() + ": expected an update for "
                            + installed.compatible().get() + ", found one for "
                            + target.compatible().get()));
        }
        Version version = new Version(target.version());
        if (installed.floor().isPresent()
                && version.compareTo(new Version(installed.floor().get())) < 0) {
            return Optional.of(new Result(
                    ExitCode.DOWNGRADE_REFUSED,
                    target.name() + ": expected at least version "
                            + installed.floor().get() + ", found " + target.version()));
        }
        Optional<String> known = store.state()
                .installed()
                .map(AgentState.Installed::target)
                .filter(one -> installed.name().equals(Optional.of(one.name())))
                .map(Target::id);
        boolean isSameVersion = installed
                .version()
                .filter(one -> new Version(one).isSame(version))
                .isPresent();
        // What a server assigns may be another build of the same version; that it runs is only said of one that was
        // pulled.
        if (known.filter(target.id()::equals).isPresent() || isSameVersion && !source.isAssigning()) {
            return Optional.of(new Result(ExitCode.ALREADY_INSTALLED, target.name() + " is installed already"));
        }
        if (!source.isAssigning() && installed.version().isPresent()) {
            Version running = new Version(installed.version().get());
            if (version.compareTo(running) < 0) {
                return Optional.of(new Result(
                        ExitCode.DOWNGRADE_REFUSED,
                        target.name() + " is older than version " + running.text() + ", which runs"));
            }
            if (Version.OLDEST_FIRST.compare(version, running) <= 0) {
                // Else a release and its candidate would replace each other for ever.
                return Optional.of(new Result(
                        ExitCode.ALREADY_INSTALLED,
                        target.name() + " is not newer than version " + running.text() + ", which runs"));
            }
        }
        Optional<Result> left = source.isAssigning() ? Optional.empty() : leftByHand(target);
        return left.or(() -> knownBad(target));
    }

    private Optional<Result> leftByHand(Target target) {
        return !wasLeft(target)
                ? Optional.empty()
                : Optional.of(new Result(
                        ExitCode.LEFT_BY_HAND,
                        target.name()
                                + ": the device was rolled back from "
                                + history.left().orElseThrow().version()
                                + " by hand; name this target in a command to install it"));
    }

    /** Whether somebody rolled back from a target, or from a newer one, by hand. */
    boolean wasLeft(Target target) {
        return history.left()
                .filter(left -> left.id().equals(target.id())
                        || !source.isPushing()
                                && !left.version().isEmpty()
                                && new Version(target.version()).compareTo(new Version(left.version())) <= 0)
                .isPresent();
    }

    private Optional<Result> knownBad(Target target) {
        FailedUpdates.Verdict verdict = failures.verdict(target.id());
        return switch (verdict.decision()) {
            case INSTALL -> Optional.empty();
            case REFUSE -> Optional.of(new Result(ExitCode.KNOWN_BAD, verdict.reason()));
            case WAIT -> Optional.of(new Result(
                    ExitCode.DEFERRED,
                    verdict.reason() + "; it may be tried again in "
                            + verdict.remaining().toSeconds() + " s"));
        };
    }
}
