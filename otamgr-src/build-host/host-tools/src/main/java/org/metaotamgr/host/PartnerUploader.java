// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** The original uploader's options and requests, without its defects. */
@Command(
        name = PartnerUploader.NAME,
        sortOptions = false,
        usageHelpWidth = 110,
        description =
                "Creates an OTA record, or uploads an image. The options are those of Afero's script; ota has more.",
        footer = {
            "",
            "example: partner-ota-hub-uploader -n 12 -s --createOTARecord",
            "",
            "Address of another service: $OTA_SERVICE_URL. Exit status: as for ota."
        })
final class PartnerUploader implements Step {

    static final String NAME = "partner-ota-hub-uploader";
    private static final Pattern DIGITS = Pattern.compile("[0-9]{1,20}");

    // Read by picocli alone.
    @SuppressWarnings("UnusedVariable")
    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "help")
    private boolean help;

    @Option(names = "-s", description = "do not ask BitBake for TMPDIR: the record file is in the current directory")
    private boolean here;

    @Option(
            names = {"-n", "--buildNum"},
            paramLabel = "N",
            description = "build number")
    private String buildNumber;

    @Option(
            names = {"-d", "--debug"},
            description = "a debug build (default: release)")
    private boolean debug;

    @Option(
            names = {"-c", "--conf"},
            paramLabel = "FILE",
            description = "configuration file")
    private String conf;

    @Option(names = "--createOTARecord", description = "create an OTA record")
    private boolean create;

    @Option(names = "--uploadOTAImage", description = "upload the image of a record")
    private boolean upload;

    private PartnerUploader() {}

    static int run(ProcessContext context, String... args) {
        return Runner.run(new CommandLine(new PartnerUploader()).setAbbreviatedOptionsAllowed(true), context, args);
    }

    @Override
    public boolean json() {
        return false;
    }

    @Override
    public ExitStatus run(ProcessContext context, Secrets secrets) throws OtaException {
        if (buildNumber == null || !DIGITS.matcher(buildNumber).matches()) {
            throw new OtaException(
                    ExitStatus.USAGE,
                    buildNumber == null
                            ? "no build number is given; use -n N"
                            : "-n: expected digits, found " + buildNumber);
        }
        if (create == upload) {
            throw new OtaException(ExitStatus.USAGE, "expected one of --createOTARecord and --uploadOTAImage");
        }
        Step step = CommandLine.populateCommand(
                create ? new Ota.RecordCreate() : new Ota.ImageUploadCommand(), arguments());
        ExitStatus status = step.run(context, secrets);
        if (status == ExitStatus.SUCCESS && upload) {
            // As Afero's documentation shows it.
            context.out().println("Done!");
        }
        return status;
    }

    private String[] arguments() {
        List<String> arguments = new ArrayList<>(List.of("--build-number=" + buildNumber));
        if (debug) {
            arguments.add("--debug");
        }
        if (here) {
            arguments.add("--here");
        }
        if (conf != null) {
            arguments.add("--conf=" + conf);
        }
        return arguments.toArray(String[]::new);
    }
}
