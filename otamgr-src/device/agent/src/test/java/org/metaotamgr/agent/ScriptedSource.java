// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A source that does what a test says. */
final class ScriptedSource implements UpdateSource {
    final List<Target> offers = new ArrayList<>();
    final List<String> reports = new ArrayList<>();
    Optional<SourceException> checkFails = Optional.empty();
    Optional<SourceException> pullFails = Optional.empty();
    Optional<SourceException> reportFails = Optional.empty();
    boolean isWithdrawn;
    boolean isAssigning;
    boolean isRemote = true;
    int pulls;
    /** What a pull says that it needs; it needs all if it says nothing. */
    Optional<Long> needs = Optional.empty();

    static Target target(String version) {
        return target(version, "board-x", version.replace(".", "").charAt(0));
    }

    static Target target(String version, String board, char digit) {
        return new Target(
                board + "-" + version,
                version,
                Optional.of(board),
                7,
                Character.toString(digit).repeat(64),
                Optional.empty(),
                Map.of("action", "42"));
    }

    @Override
    public String name() {
        return "scripted";
    }

    @Override
    public boolean isRemote() {
        return isRemote;
    }

    @Override
    public boolean looksForRoom() {
        return needs.isPresent();
    }

    @Override
    public boolean isAssigning() {
        return isAssigning;
    }

    @Override
    public CheckResult check(InstalledSystem installed) throws SourceException {
        if (checkFails.isPresent()) {
            throw checkFails.get();
        }
        return offers.isEmpty()
                ? new CheckResult.Nothing(Optional.empty())
                : new CheckResult.Offers(offers, Optional.empty());
    }

    @Override
    public Path pull(Target target, Path storage, PullProgress progress) throws SourceException {
        pulls++;
        progress.pulled(3);
        if (needs.isPresent()) {
            progress.needed(needs.get());
        }
        if (pullFails.isPresent()) {
            throw pullFails.get();
        }
        try {
            return Files.writeString(storage.resolve("update.bundle"), "content");
        } catch (IOException e) {
            throw new SourceException(SourceException.Reason.DOWNLOAD_FAILED, e.toString());
        }
    }

    @Override
    public boolean isStillOffered(Target target) {
        return !isWithdrawn;
    }

    @Override
    public void report(Target target, UpdateEvent event) throws SourceException {
        if (reportFails.isPresent()) {
            throw reportFails.get();
        }
        reports.add(target.details().get("action") + " " + event);
    }
}
