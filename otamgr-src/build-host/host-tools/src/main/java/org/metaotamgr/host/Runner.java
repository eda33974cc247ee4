// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.Charset;
import picocli.CommandLine;

/** Runs a command line and turns whatever happens into an exit status and a line for people. */
final class Runner {

    private Runner() {}

    static int run(CommandLine line, ProcessContext context, String... args) {
        Secrets secrets = new Secrets();
        // As the terminal wants it.
        Charset charset = Charset.defaultCharset();
        line.setOut(new PrintWriter(context.out(), true, charset))
                .setErr(new PrintWriter(context.err(), true, charset));
        line.setExecutionStrategy(result -> execute(result, context, secrets));
        line.setParameterExceptionHandler((problem, wrong) -> {
            String nearest = problem instanceof CommandLine.UnmatchedArgumentException unmatched
                            && !unmatched.getSuggestions().isEmpty()
                    ? "; did you mean " + unmatched.getSuggestions().get(0) + "?"
                    : "";
            context.err().println(Output.plain(name(line) + ": " + problem.getMessage() + nearest));
            context.err()
                    .println("Try " + problem.getCommandLine().getCommandSpec().qualifiedName() + " --help");
            return ExitStatus.USAGE.code();
        });
        int status = line.execute(args);
        // Looked at last: a result that nobody got is none.
        if (context.out().checkError() && status == ExitStatus.SUCCESS.code()) {
            context.err()
                    .println(
                            name(line)
                                    + ": standard output: expected that it takes the result, found an error; is the disk full?");
            return ExitStatus.LOCAL.code();
        }
        return status;
    }

    private static String name(CommandLine line) {
        return line.getCommandName();
    }

    private static int execute(CommandLine.ParseResult result, ProcessContext context, Secrets secrets) {
        Integer help = CommandLine.executeHelpRequest(result);
        if (help != null) {
            return help;
        }
        var lines = result.asCommandLineList();
        CommandLine last = lines.get(lines.size() - 1);
        if (last.getCommandSpec().userObject() instanceof Step step) {
            return run(step, name(lines.get(0)), context, secrets);
        }
        if (last.getCommandSpec().userObject() instanceof Runnable command) {
            command.run();
            return ExitStatus.SUCCESS.code();
        }
        context.err().println(name(lines.get(0)) + ": expected a command");
        last.usage(context.err());
        return ExitStatus.USAGE.code();
    }

    static int run(Step step, String name, ProcessContext context, Secrets secrets) {
        Output output = new Output(context, secrets, step.json());
        try {
            return step.run(context, secrets).code();
        } catch (OtaException e) {
            output.note(name + ": " + e.getMessage());
            tellJson(output, e.status(), e.getMessage());
            return e.status().code();
        } catch (RuntimeException e) {
            // The place helps, and so does the message after the secrets are gone.
            StringWriter trace = new StringWriter();
            e.printStackTrace(new PrintWriter(trace));
            output.note(name + ": defect of this tool, please report it:\n" + trace);
            tellJson(output, ExitStatus.DEFECT, "defect of this tool: " + e);
            return ExitStatus.DEFECT.code();
        }
    }

    private static void tellJson(Output output, ExitStatus status, String message) {
        ObjectNode node = JsonNodeFactory.instance.objectNode();
        node.putObject("error")
                .put("kind", status.word())
                .put("exitStatus", status.code())
                .put("message", message);
        output.json(node);
    }
}
