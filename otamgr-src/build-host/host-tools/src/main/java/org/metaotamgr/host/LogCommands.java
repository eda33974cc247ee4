// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** The commands for logs of devices: they need neither a configuration nor the service. */
@Command(
        name = "log",
        mixinStandardHelpOptions = true,
        footer = {"", "example: ota log verify board-1.log"},
        description = "Logs of devices, as ota-why --export writes them.",
        subcommands = LogCommands.Verify.class)
final class LogCommands {

    /** More than a device writes by far. */
    private static final int MOST_BYTES = 16 << 20;

    private LogCommands() {}

    @Command(
            name = "verify",
            mixinStandardHelpOptions = true,
            footer = {
                "",
                "example: ota log verify board-1.log",
                "         after: ssh root@board-1 ota-why --export >board-1.log",
                "",
                "Who is root on a device can write another log with good links. What",
                "convicts is a link that was noted elsewhere before: keep exports, and",
                "give the last link of the one before with --link."
            },
            sortOptions = false,
            description = {
                "Tells whether a log is the one that the device wrote: every line that was changed, removed, added or moved is found.",
                "Exit status 0: nothing was; 10: something was."
            })
    static final class Verify implements Step {
        @Parameters(paramLabel = "LOG", description = "output of ota-why --export, - for standard input")
        private String log;

        @Option(
                names = "--link",
                paramLabel = "NUMBER:SHA256",
                description = "a link that was noted before, which the log must have")
        private String link;

        @Option(names = "--json", description = "the result as JSON")
        private boolean json;

        @Override
        public boolean json() {
            return json;
        }

        @Override
        public ExitStatus run(ProcessContext context, Secrets secrets) throws OtaException {
            Optional<EventLog.Link> kept = Optional.ofNullable(link).flatMap(EventLog.Link::of);
            if (link != null && kept.isEmpty()) {
                throw new OtaException(
                        ExitStatus.USAGE, "--link: expected NUMBER:SHA256 as this command prints it, found " + link);
            }
            EventLog found = EventLog.of(bytes(context), kept);
            Output output = new Output(context, secrets, json);
            found.findings().forEach(one -> output.line("altered: " + one));
            found.remarks().forEach(one -> output.line("note: " + one));
            if (found.isWhole()) {
                output.line(found.lines() + " lines, nothing was changed, removed or moved"
                        + (found.bound() ? "; the boot environment confirms it" : ""));
            }
            found.last().ifPresent(last -> output.line("last link: " + last));
            output.json(asJson(found));
            return found.isWhole() ? ExitStatus.SUCCESS : ExitStatus.ALTERED;
        }

        private byte[] bytes(ProcessContext context) throws OtaException {
            try (InputStream in = log.equals("-")
                    ? context.in()
                    : Files.newInputStream(context.folder().resolve(Path.of(log)))) {
                byte[] bytes = in.readNBytes(MOST_BYTES + 1);
                if (bytes.length > MOST_BYTES) {
                    throw new OtaException(
                            ExitStatus.LOCAL, log + " is no log: expected at most " + MOST_BYTES + " bytes");
                }
                return bytes;
            } catch (IOException | java.nio.file.InvalidPathException e) {
                throw new OtaException(
                        ExitStatus.LOCAL, log + " cannot be read; make it with ota-why --export on the device");
            }
        }

        private static ObjectNode asJson(EventLog found) {
            ObjectNode node = JsonNodeFactory.instance
                    .objectNode()
                    .put("whole", found.isWhole())
                    .put("lines", found.lines())
                    .put("environment", found.environment())
                    .put("bound", found.bound());
            found.first().ifPresent(one -> node.put("firstLink", one.toString()));
            found.last().ifPresent(one -> node.put("lastLink", one.toString()));
            ArrayNode remarks = node.putArray("notes");
            found.remarks().forEach(remarks::add);
            ArrayNode findings = node.putArray("findings");
            found.findings().forEach(findings::add);
            return node;
        }
    }
}
