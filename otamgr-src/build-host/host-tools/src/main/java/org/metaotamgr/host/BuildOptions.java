// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.nio.file.Path;
import java.time.Duration;
import picocli.CommandLine.Option;

/** Which build a record is for and where its file is. */
final class BuildOptions {

    @Option(
            names = {"-n", "--build-number", "--buildNum"},
            paramLabel = "N",
            description = "build number: digits, added to the version of the configuration")
    String buildNumber;

    @Option(names = "--debug", description = "a debug build: adds d to the version")
    boolean debug;

    @Option(
            names = {"-s", "--here"},
            description = "record file in the current directory instead of BitBake's TMPDIR")
    boolean here;

    @Option(names = "--tmpdir", paramLabel = "DIR", description = "record file in this folder; BitBake is not asked")
    String tmpdir;

    @Option(names = "--record", paramLabel = "FILE", description = "this record file; BitBake is not asked")
    String record;

    @Option(
            names = "--bitbake-timeout",
            paramLabel = "SECONDS",
            defaultValue = "600",
            description = "give up on bitbake -e after so long (default: ${DEFAULT-VALUE})")
    int bitbakeTimeout;

    void check() throws OtaException {
        if (buildNumber == null) {
            throw new OtaException(ExitStatus.USAGE, "no build number is given; use --build-number N");
        }
        if (!buildNumber.matches("[0-9]{1,20}")) {
            throw new OtaException(
                    ExitStatus.USAGE,
                    "--build-number: expected digits, found " + buildNumber
                            + (buildNumber.endsWith("d") ? "; use --debug for a debug build" : ""));
        }
        if ((here ? 1 : 0) + (tmpdir != null ? 1 : 0) + (record != null ? 1 : 0) > 1) {
            throw new OtaException(ExitStatus.USAGE, "expected one of --here, --tmpdir and --record at most");
        }
        if (bitbakeTimeout < 1 || bitbakeTimeout > 86_400) {
            throw new OtaException(
                    ExitStatus.USAGE, "--bitbake-timeout: expected 1 to 86400 seconds, found " + bitbakeTimeout);
        }
    }

    RecordFile file(ProcessContext context) throws OtaException {
        if (record != null) {
            return new RecordFile(context.folder().resolve(record));
        }
        Path folder = here
                ? context.folder()
                : tmpdir != null
                        ? context.folder().resolve(tmpdir)
                        : new BitBake(context, Duration.ofSeconds(bitbakeTimeout)).tmpdir();
        return new RecordFile(folder.resolve(RecordFile.NAME));
    }
}
