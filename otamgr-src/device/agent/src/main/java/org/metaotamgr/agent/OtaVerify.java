// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Programs;

/** Checks signatures with the device's own program for it, {@code ota-verify}, and so with the keys it uses. */
public final class OtaVerify implements Verifier {
    private static final Duration TIMEOUT = Duration.ofSeconds(60);

    private final List<String> command;
    private final Programs programs;

    /**
     * Makes one.
     *
     * @param command the program, usually {@code /sbin/ota-verify}
     * @param programs runs it
     */
    public OtaVerify(List<String> command, Programs programs) {
        this.command = List.copyOf(command);
        this.programs = programs;
    }

    @Override
    public void verifyFile(Path file, Path signature) throws SourceException, InterruptedException {
        run(SourceException.Reason.NOT_TRUSTED, List.of("file", file.toString(), signature.toString()));
    }

    @Override
    public Manifest verifyBundle(Path bundle) throws SourceException, InterruptedException {
        return Manifest.of(run(SourceException.Reason.BAD_BUNDLE, List.of("bundle", bundle.toString())));
    }

    private List<String> run(SourceException.Reason refusal, List<String> arguments)
            throws SourceException, InterruptedException {
        List<String> full = new ArrayList<>(command);
        full.addAll(arguments);
        List<String> lines = new ArrayList<>();
        StringBuffer complaint = new StringBuffer();
        Programs.Outcome outcome = programs.run(full, TIMEOUT, lines, line -> {
            complaint.setLength(0);
            complaint.append(line);
        });
        if (!outcome.isSuccess()) {
            // What cannot be checked is not trusted either, whatever the reason.
            throw new SourceException(
                    refusal,
                    complaint.length() > 0 ? Printable.of(complaint.toString()) : command.get(0) + ": " + outcome);
        }
        return lines;
    }
}
