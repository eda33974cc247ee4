// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The command {@code ota}. */
@Command(
        name = "ota",
        mixinStandardHelpOptions = true,
        versionProvider = Ota.Version.class,
        sortOptions = false,
        usageHelpWidth = 110,
        usageHelpAutoWidth = true,
        description = "Creates OTA records, uploads images and deploys them to devices.",
        subcommands = {
            Ota.RecordCommand.class,
            Ota.ImageCommand.class,
            Ota.Deploy.class,
            Ota.Status.class,
            LogCommands.class,
            AutoComplete.GenerateCompletion.class
        },
        footer = {
            "",
            "Secrets: userpw and auth-string of the configuration may come from $" + Conf.PASSWORD_VARIABLE + " and $"
                    + Conf.AUTH_VARIABLE + ".",
            "Exit status: 0 success, 1 defect of the tool, 2 usage, 3 configuration, 4 authorisation, 5 conflict or something missing,",
            "6 error of the service, 7 network, 8 local file or BitBake, 9 some devices did not get the image,",
            "10 a log was altered.",
            "Completion for bash and zsh: source <(ota generate-completion)"
        })
public final class Ota {

    private static final int MOST_JOBS = 64;

    private Ota() {}

    /**
     * Runs the command. The first argument {@code --as=NAME} makes it behave as one of the original tools; launchers use that.
     *
     * @param args see {@code --help}
     */
    public static void main(String[] args) {
        System.exit(run(ProcessContext.ofProcess(), args));
    }

    static int run(ProcessContext context, String... args) {
        if (args.length > 0 && args[0].startsWith("--as=")) {
            String[] rest = java.util.Arrays.copyOfRange(args, 1, args.length);
            return switch (args[0].substring(5)) {
                case PartnerUploader.NAME -> PartnerUploader.run(context, rest);
                case PartnerDeploy.NAME -> PartnerDeploy.run(context, rest);
                default -> {
                    context.err().println("ota: --as: expected " + PartnerUploader.NAME + " or " + PartnerDeploy.NAME);
                    yield ExitStatus.USAGE.code();
                }
            };
        }
        return Runner.run(commandLine(), context, args);
    }

    static CommandLine commandLine() {
        return new CommandLine(new Ota());
    }

    /** Names the release. */
    static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = Ota.class.getPackage().getImplementationVersion();
            return new String[] {"ota " + (version == null ? "(not packaged)" : version)};
        }
    }

    /** A command that talks to the service. */
    @Command(mixinStandardHelpOptions = true, sortOptions = false)
    abstract static class OfService implements Step {
        @Mixin
        ServiceOptions service;

        @Override
        public boolean json() {
            return service.json;
        }
    }

    /** A command that talks to the service about one build. */
    @Command(mixinStandardHelpOptions = true, sortOptions = false)
    abstract static class OfBuild implements Step {
        @Mixin
        BuildOptions build;

        @Mixin
        ServiceOptions service;

        @Override
        public boolean json() {
            return service.json;
        }

        @Override
        public final ExitStatus run(ProcessContext context, Secrets secrets) throws OtaException {
            build.check();
            ServiceOptions.Opened opened = service.open(context, secrets, use());
            return run(opened, opened.conf().version(build.buildNumber, build.debug), context);
        }

        /** What has to be configured for it. */
        abstract Conf.Use use();

        abstract ExitStatus run(ServiceOptions.Opened opened, String version, ProcessContext context)
                throws OtaException;
    }

    @Command(
            name = "record",
            mixinStandardHelpOptions = true,
            footer = {"", "example: ota record create -n 12"},
            description = "OTA records: what the service knows of an image before it is built.",
            subcommands = {RecordCreate.class, RecordRecover.class})
    static final class RecordCommand {}

    @Command(
            name = "image",
            mixinStandardHelpOptions = true,
            footer = {"", "example: ota image list"},
            description = "Images on the service.",
            subcommands = {ImageUploadCommand.class, ImageList.class, ImagePool.class, ImageDissociate.class})
    static final class ImageCommand {}

    /** Has a record made or found, and writes its file. */
    abstract static class RecordOfBuild extends OfBuild {
        @Override
        final Conf.Use use() {
            return Conf.Use.RECORD;
        }

        @Override
        final ExitStatus run(ServiceOptions.Opened opened, String version, ProcessContext context) throws OtaException {
            RecordFile file = build.file(context);
            RecordCreation creation = new RecordCreation(opened.service(), opened.conf(), opened.output());
            OtaRecord record = record(creation, version, file);
            opened.output()
                    .line("record " + record.id() + ": " + record.name() + " " + record.version() + ", version number "
                            + record.versionNumber());
            opened.output().line("record file: " + file.path());
            ObjectNode node = JsonNodeFactory.instance.objectNode();
            node.set("record", Reports.json(record, false));
            node.put("file", file.path().toString());
            opened.output().json(node);
            return ExitStatus.SUCCESS;
        }

        abstract OtaRecord record(RecordCreation creation, String version, RecordFile file) throws OtaException;
    }

    @Command(
            name = "create",
            footer = {"", "example: ota record create -n 12"},
            description =
                    "Creates the record of a build and writes full_ota_record.json. Do this before the image is built.")
    static final class RecordCreate extends RecordOfBuild {
        @Override
        OtaRecord record(RecordCreation creation, String version, RecordFile file) throws OtaException {
            return creation.create(version, file);
        }
    }

    @Command(
            name = "recover",
            footer = {"", "example: ota record recover -n 12"},
            description = "Writes full_ota_record.json again for a record that the service has.")
    static final class RecordRecover extends RecordOfBuild {
        @Override
        OtaRecord record(RecordCreation creation, String version, RecordFile file) throws OtaException {
            return creation.recover(version, file);
        }
    }

    @Command(
            name = "upload",
            footer = {"", "example: ota image upload -n 12"},
            description = {
                "Uploads the image of a build and offers it for the device type.",
                "An upload that was interrupted goes on where the service is: run it again."
            })
    static final class ImageUploadCommand extends OfBuild {
        @Option(
                names = "--show-url",
                description = "show the address of the image; who has it may be able to fetch the image")
        private boolean showUrl;

        @Override
        Conf.Use use() {
            return Conf.Use.UPLOAD;
        }

        @Override
        ExitStatus run(ServiceOptions.Opened opened, String version, ProcessContext context) throws OtaException {
            Path image = opened.conf().image().orElseThrow();
            opened.output().note("image file: " + image);
            RecordFile file = build.file(context);
            ImageUpload.Done done = new ImageUpload(
                            opened.service(), opened.conf(), context, opened.output(), opened.showProgress())
                    .upload(version, file, image);
            OtaRecord uploaded = done.image();
            opened.output()
                    .line((done.already() ? "uploaded before: image " : "image ") + uploaded.id() + ": "
                            + uploaded.name() + " " + uploaded.version() + ", version number "
                            + uploaded.versionNumber());
            if (done.bytes() > 0) {
                opened.output()
                        .line("sent " + Progress.size(done.bytes()) + " in "
                                + Progress.duration(done.milliseconds() / 1000) + ", "
                                + Progress.size(done.bytes() * 1000 / Math.max(1, done.milliseconds()))
                                + "/s, peak heap " + Progress.size(Reports.peakHeap()));
            }
            if (showUrl) {
                opened.output().line("address: " + uploaded.url());
            }
            opened.output().line("deploy it with: ota deploy --image-id " + uploaded.id() + " --device DEVICE");
            ObjectNode node = JsonNodeFactory.instance.objectNode();
            node.put("imageId", uploaded.id())
                    .put("alreadyUploaded", done.already())
                    .put("bytesSent", done.bytes())
                    .put("uploadMilliseconds", done.milliseconds())
                    .put("peakHeapBytes", Reports.peakHeap())
                    .set("image", Reports.json(uploaded, showUrl));
            opened.output().json(node);
            return ExitStatus.SUCCESS;
        }
    }

    /** Lists records of the service. */
    abstract static class RecordList extends OfService {
        @Option(names = "--show-url", description = "show the addresses of images")
        private boolean showUrl;

        private final String idTitle;

        RecordList(String idTitle) {
            this.idTitle = idTitle;
        }

        abstract List<OtaRecord> records(OtaService ota) throws OtaException;

        @Override
        public final ExitStatus run(ProcessContext context, Secrets secrets) throws OtaException {
            ServiceOptions.Opened opened = service.open(context, secrets, Conf.Use.ACCOUNT);
            List<OtaRecord> records = records(opened.service());
            List<List<String>> rows = new ArrayList<>();
            rows.add(List.of(
                    idTitle,
                    "VERSION",
                    "VERSION NUMBER",
                    "NAME",
                    "STORED",
                    "DESCRIPTION" + (showUrl ? "  ADDRESS" : "")));
            for (OtaRecord record : records) {
                rows.add(List.of(
                        record.id(),
                        record.version(),
                        record.text("versionNumber"),
                        record.name(),
                        record.url().isEmpty() ? "no" : "yes",
                        record.text("description") + (showUrl ? "  " + record.url() : "")));
            }
            Reports.table(opened.output(), rows);
            ObjectNode node = JsonNodeFactory.instance.objectNode();
            var list = node.putArray("images");
            records.forEach(record -> list.add(Reports.json(record, showUrl)));
            opened.output().json(node);
            return ExitStatus.SUCCESS;
        }
    }

    @Command(
            name = "list",
            footer = {"", "example: ota image list --json"},
            description = "Lists the images that can be deployed to the device type.")
    static final class ImageList extends RecordList {
        ImageList() {
            super("IMAGE ID");
        }

        @Override
        List<OtaRecord> records(OtaService ota) throws OtaException {
            return ota.images();
        }
    }

    @Command(
            name = "pool",
            footer = {"", "example: ota image pool"},
            description = "Lists all records of the partner, deployable or not.")
    static final class ImagePool extends RecordList {
        ImagePool() {
            super("RECORD ID");
        }

        @Override
        List<OtaRecord> records(OtaService ota) throws OtaException {
            return ota.pool();
        }
    }

    @Command(
            name = "dissociate",
            mixinStandardHelpOptions = true,
            footer = {"", "example: ota image dissociate --version-number 9007199254741993"},
            sortOptions = false,
            description =
                    "Takes an image away from the device type. Its record stays, and it can be offered again with ota image upload.")
    static final class ImageDissociate implements Step {
        @Option(
                names = "--version-number",
                required = true,
                paramLabel = "N",
                description = "version number of the image, as ota image list shows it")
        private String versionNumber;

        @Mixin
        private ServiceOptions service;

        @Override
        public boolean json() {
            return service.json;
        }

        @Override
        public ExitStatus run(ProcessContext context, Secrets secrets) throws OtaException {
            if (!versionNumber.matches("[0-9]{1,20}")) {
                throw new OtaException(ExitStatus.USAGE, "--version-number: expected digits, found " + versionNumber);
            }
            ServiceOptions.Opened opened = service.open(context, secrets, Conf.Use.ACCOUNT);
            if (!opened.service().dissociate(new BigInteger(versionNumber))) {
                throw new OtaException(
                        ExitStatus.CONFLICT, "the device type has no image with version number " + versionNumber);
            }
            opened.output().line("version number " + versionNumber + " is not offered any more");
            opened.output().json(JsonNodeFactory.instance.objectNode().put("dissociated", versionNumber));
            return ExitStatus.SUCCESS;
        }
    }

    @Command(
            name = "deploy",
            mixinStandardHelpOptions = true,
            footer = {"", "example: ota deploy --image-id 49867 --devices devices.txt --wait 600"},
            sortOptions = false,
            description = {
                "Pushes an image to devices, to each at most once.",
                "With --devices a journal is kept, and the same command goes on after an interruption."
            })
    static final class Deploy implements Step {
        @Option(
                names = {"-i", "--image-id", "--imageId"},
                required = true,
                paramLabel = "ID",
                description = "image id, as ota image list shows it")
        private String imageId;

        @Option(
                names = {"-d", "--device"},
                paramLabel = "ID",
                description = "device id; can be repeated")
        private List<String> named = new ArrayList<>();

        @Option(
                names = "--devices",
                paramLabel = "FILE",
                description = "file with one device id a line, - for standard input")
        private String devices;

        @Option(
                names = "--jobs",
                paramLabel = "N",
                defaultValue = "8",
                description = "pushes at once, 1 to " + MOST_JOBS + " (default: ${DEFAULT-VALUE})")
        private int jobs;

        @Option(
                names = "--journal",
                paramLabel = "FILE",
                description = "journal (default with --devices: ota-deploy-IMAGE.journal in the current directory)")
        private String journal;

        @Option(
                names = "--repeat-unclear",
                description = "push again to devices of which the service does not tell whether they got the push")
        private boolean repeatUnclear;

        @Option(
                names = "--wait",
                paramLabel = "SECONDS",
                description = "wait so long for the devices to report the image as installed")
        private Integer wait;

        @Mixin
        private ServiceOptions service;

        @Override
        public boolean json() {
            return service.json;
        }

        @Override
        public ExitStatus run(ProcessContext context, Secrets secrets) throws OtaException {
            if (!imageId.matches("[0-9]{1,20}")) {
                throw new OtaException(ExitStatus.USAGE, "--image-id: expected digits, found " + imageId);
            }
            if (jobs < 1 || jobs > MOST_JOBS) {
                throw new OtaException(ExitStatus.USAGE, "--jobs: expected 1 to " + MOST_JOBS + ", found " + jobs);
            }
            if (wait != null && wait < 1) {
                throw new OtaException(ExitStatus.USAGE, "--wait: expected at least 1 second, found " + wait);
            }
            Output early = new Output(context, secrets, service.json);
            List<String> all = DeviceList.of(named, devices, context, early);
            ServiceOptions.Opened opened = service.open(context, secrets, Conf.Use.ACCOUNT);
            OtaRecord image = Deployment.image(opened.service(), imageId);
            Optional<Path> file = journal != null
                    ? Optional.of(context.folder().resolve(journal))
                    : devices != null
                            ? Optional.of(context.folder().resolve("ota-deploy-" + image.id() + ".journal"))
                            : Optional.empty();
            String what = opened.url().base() + " " + opened.conf().partnerId() + " "
                    + opened.conf().deviceTypeId() + " " + image.id();
            long started = context.clock().millis();
            Progress progress = new Progress(context, opened.showProgress(), "deploy", Progress.Unit.DEVICES);
            Deployment deployment = new Deployment(opened.service(), image, opened.output(), progress, repeatUnclear);
            Map<String, Deployment.Result> results = deployment.run(all, file, what, jobs);
            file.ifPresent(path -> opened.output().note("journal: " + path));
            List<String> notInstalled = null;
            if (wait != null) {
                Progress waiting = new Progress(context, opened.showProgress(), "installed", Progress.Unit.DEVICES);
                notInstalled = new Deployment(opened.service(), image, opened.output(), waiting, false)
                        .await(all, Duration.ofSeconds(wait), context);
            }
            return Reports.deployment(
                    opened.output(), image, results, context.clock().millis() - started, notInstalled);
        }
    }

    @Command(
            name = "status",
            mixinStandardHelpOptions = true,
            footer = {"", "example: ota status -n 12 -d board-1"},
            sortOptions = false,
            description = {
                "Tells how far a build is on the service (with --build-number) and what devices run (with --device).",
                "Without either it checks the configuration and logs in."
            })
    static final class Status implements Step {
        @Option(
                names = {"-n", "--build-number", "--buildNum"},
                paramLabel = "N",
                description = "build number")
        private String buildNumber;

        @Option(names = "--debug", description = "a debug build")
        private boolean debug;

        @Option(
                names = {"-d", "--device"},
                paramLabel = "ID",
                description = "device id; can be repeated")
        private List<String> named = new ArrayList<>();

        @Mixin
        private ServiceOptions service;

        @Override
        public boolean json() {
            return service.json;
        }

        @Override
        public ExitStatus run(ProcessContext context, Secrets secrets) throws OtaException {
            if (buildNumber != null && !buildNumber.matches("[0-9]{1,20}")) {
                throw new OtaException(ExitStatus.USAGE, "--build-number: expected digits, found " + buildNumber);
            }
            ServiceOptions.Opened opened =
                    service.open(context, secrets, buildNumber == null ? Conf.Use.ACCOUNT : Conf.Use.RECORD);
            ObjectNode node = JsonNodeFactory.instance.objectNode();
            opened.service().rest().login();
            opened.output().line("service: " + opened.url().base() + ", logged in");
            node.put("service", opened.url().base().toString()).put("loggedIn", true);
            if (buildNumber != null) {
                build(opened, opened.conf().version(buildNumber, debug), node);
            }
            boolean missing = !named.isEmpty() && !devices(opened, node);
            opened.output().json(node);
            return missing ? ExitStatus.PARTIAL : ExitStatus.SUCCESS;
        }

        private static void build(ServiceOptions.Opened opened, String version, ObjectNode node) throws OtaException {
            Optional<OtaRecord> record =
                    opened.service().poolRecord(opened.conf().name(), version);
            Optional<OtaRecord> image =
                    record.isPresent() ? opened.service().image(record.get().versionNumber()) : Optional.empty();
            String state = record.isEmpty()
                    ? "no record"
                    : record.get().url().isEmpty()
                            ? "record created, image not uploaded"
                            : image.isEmpty()
                                    ? "image uploaded, not associated"
                                    : "ready to deploy: image " + image.get().id();
            opened.output().line("build:   " + opened.conf().name() + " " + version + ": " + state);
            ObjectNode build = node.putObject("build")
                    .put("name", opened.conf().name())
                    .put("version", version)
                    .put("state", state);
            record.ifPresent(found -> build.set("record", Reports.json(found, false)));
            image.ifPresent(found -> build.put("imageId", found.id()));
        }

        /** False when a device is not known. */
        private boolean devices(ServiceOptions.Opened opened, ObjectNode node) throws OtaException {
            List<OtaRecord> images = opened.service().images();
            List<List<String>> rows = new ArrayList<>();
            rows.add(List.of("DEVICE", "INSTALLED", "VERSION", "STATE"));
            var list = node.putArray("devices");
            boolean all = true;
            for (String device : named) {
                Optional<OtaService.DeviceState> state = opened.service().device(device);
                String number = state.flatMap(OtaService.DeviceState::installed)
                        .map(BigInteger::toString)
                        .orElse("");
                String version = images.stream()
                        .filter(image -> image.text("versionNumber").equals(number))
                        .map(OtaRecord::version)
                        .findFirst()
                        .orElse("");
                boolean otherType = state.isPresent()
                        && !state.get().deviceTypeId().isEmpty()
                        && !state.get().deviceTypeId().equals(opened.conf().deviceTypeId());
                String words = state.isEmpty()
                        ? "not in the account"
                        : otherType ? "of another device type" : state.get().updating() ? "updating" : "idle";
                rows.add(List.of(device, number.isEmpty() ? "-" : number, version.isEmpty() ? "-" : version, words));
                ObjectNode row = list.addObject().put("deviceId", device).put("state", words);
                if (!number.isEmpty()) {
                    row.put("versionNumber", number);
                }
                if (!version.isEmpty()) {
                    row.put("version", version);
                }
                all &= state.isPresent();
            }
            Reports.table(opened.output(), rows);
            return all;
        }
    }
}
