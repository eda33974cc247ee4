// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;

/**
 * hubby as a source of updates: it asks the cloud and downloads by itself, and names what it brought in attribute 51612.
 * A check tells what that was last, and a pull hands the file over.
 */
final class HubbySource implements UpdateSource {
    private static final String PATH = "path";

    private Optional<UpdateCandidate> offered = Optional.empty();

    /** What hubby named last, examined. */
    void offer(UpdateCandidate candidate) {
        offered = Optional.of(candidate);
    }

    @Override
    public String name() {
        return AgentConfig.HUBBY;
    }

    @Override
    public boolean isPushing() {
        return true;
    }

    @Override
    public CheckResult check(InstalledSystem installed) {
        return offered.isEmpty()
                ? new CheckResult.Nothing(Optional.empty())
                : new CheckResult.Offers(List.of(target(offered.get())), Optional.empty());
    }

    @Override
    public Path pull(Target target, Path storage, PullProgress progress) throws SourceException {
        Path image = Path.of(target.details().get(PATH) + UpdatePath.IMAGE);
        if (!Files.isRegularFile(image)) {
            throw new SourceException(SourceException.Reason.DOWNLOAD_FAILED, image + " has gone");
        }
        progress.pulled(target.bytes());
        return image;
    }

    @Override
    public Optional<Path> header(Target target) {
        return Optional.of(Path.of(target.details().get(PATH) + UpdatePath.HEADER));
    }

    /** Downloads of hubby have no name; the begin of the header's hash tells one from another. */
    static String name(UpdateCandidate candidate) {
        String path = candidate.path().text();
        String base = path.substring(path.lastIndexOf('/') + 1).replaceAll("[^A-Za-z0-9._+~:-]", "_");
        String name = base + "-" + candidate.headerSha256().substring(0, 8);
        return Target.isName(name) ? name : "update-" + candidate.headerSha256().substring(0, 8);
    }

    static Target target(UpdateCandidate candidate) {
        long bytes;
        try {
            bytes = Math.max(1, Files.size(Path.of(candidate.path().image())));
        } catch (IOException e) {
            // It has gone since it was looked at; the pull will say so.
            bytes = 1;
        }
        return new Target(
                name(candidate),
                "0-" + candidate.headerSha256().substring(0, 8),
                Optional.empty(),
                bytes,
                candidate.headerSha256(),
                Optional.empty(),
                Map.of(PATH, candidate.path().text()));
    }
}
