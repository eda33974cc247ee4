// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** The original deploy tool's options and requests, without its defects. */
@Command(
        name = PartnerDeploy.NAME,
        sortOptions = false,
        usageHelpWidth = 110,
        description =
                "Lists images, or deploys one to a device. The options are those of Afero's script; ota has more.",
        footer = {
            "",
            "example: partner-ota-hub-deploy -d board-1 -i 49867",
            "",
            "Address of another service: $OTA_SERVICE_URL. Exit status: as for ota."
        })
final class PartnerDeploy implements Step {

    static final String NAME = "partner-ota-hub-deploy";

    // Read by picocli alone.
    @SuppressWarnings("UnusedVariable")
    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "help")
    private boolean help;

    @Option(
            names = {"-c", "--conf"},
            paramLabel = "FILE",
            description = "configuration file")
    private String conf;

    @Option(
            names = {"-l", "--list"},
            description = "list the images of the device type, deploy nothing")
    private boolean list;

    @Option(
            names = {"-d", "--device"},
            paramLabel = "ID",
            description = "device id")
    private String device;

    @Option(
            names = {"-i", "--imageId"},
            paramLabel = "ID",
            description = "image id, as the list shows it")
    private String imageId;

    private PartnerDeploy() {}

    static int run(ProcessContext context, String... args) {
        return Runner.run(new CommandLine(new PartnerDeploy()).setAbbreviatedOptionsAllowed(true), context, args);
    }

    @Override
    public boolean json() {
        return false;
    }

    @Override
    public ExitStatus run(ProcessContext context, Secrets secrets) throws OtaException {
        List<String> arguments = new ArrayList<>();
        if (conf != null) {
            arguments.add("--conf=" + conf);
        }
        if (list) {
            ServiceOptions options =
                    CommandLine.populateCommand(new ServiceOptions(), arguments.toArray(String[]::new));
            ServiceOptions.Opened opened = options.open(context, secrets, Conf.Use.ACCOUNT);
            Reports.originalList(
                    opened.output(), opened.conf(), opened.service().images());
            return ExitStatus.SUCCESS;
        }
        if (device == null || imageId == null) {
            throw new OtaException(ExitStatus.USAGE, "expected --list, or --device ID together with --imageId ID");
        }
        arguments.add("--device=" + device);
        arguments.add("--image-id=" + imageId);
        Step deploy = CommandLine.populateCommand(new Ota.Deploy(), arguments.toArray(String[]::new));
        ExitStatus status = deploy.run(context, secrets);
        if (status == ExitStatus.SUCCESS) {
            // Afero's documentation shows this line, and scripts wait for it.
            context.out().println("Request accepted for processing");
        }
        return status;
    }
}
