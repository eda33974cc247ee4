// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.device.Printable;
import org.metaotamgr.device.Programs;

/** Hashes large files. */
@FunctionalInterface
public interface Hasher {
    /**
     * The SHA-256 of a file.
     *
     * @param file the file
     * @return 64 lower case hex digits
     * @throws SourceException if it cannot be found out
     * @throws InterruptedException if the thread was interrupted
     */
    String sha256(Path file) throws SourceException, InterruptedException;

    /**
     * Hashes with the program sha256sum: on a weak ARM it is twice as fast as Java, and Java goes on meanwhile.
     *
     * @param programs runs it
     * @return the hasher
     */
    static Hasher ofProgram(Programs programs) {
        return file -> {
            List<String> lines = new ArrayList<>();
            StringBuffer complaint = new StringBuffer();
            Programs.Outcome outcome =
                    programs.run(List.of("sha256sum", file.toString()), Duration.ofHours(1), lines, complaint::append);
            // A backslash before the hash says that the name of the file was escaped.
            String hash = lines.isEmpty()
                    ? ""
                    : lines.get(0).replaceFirst("^\\\\", "").split(" ", 2)[0];
            if (!outcome.isSuccess() || !Target.isSha256(hash)) {
                throw new SourceException(
                        Reason.DOWNLOAD_FAILED,
                        "sha256sum " + file + ": expected a hash, found " + outcome + " "
                                + Printable.of(complaint.toString()));
            }
            return hash;
        };
    }
}
