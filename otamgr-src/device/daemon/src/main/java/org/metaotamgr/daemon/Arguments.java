// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.metaotamgr.control.AgentCommands;
import org.metaotamgr.device.NearestWord;

/**
 * The command line.
 *
 * @param config the file named with {@code --config}, or empty
 * @param syslogPrefix whether {@code --syslog-prefix} was given
 * @param help whether {@code --help} was given
 * @param version whether {@code --version} was given
 * @param command a command and what belongs to it; empty for the daemon
 */
record Arguments(Optional<Path> config, boolean syslogPrefix, boolean help, boolean version, List<String> command) {
    static final String USAGE =
            """
            usage: otamgr [--config FILE] [--syslog-prefix] [daemon]
                   otamgr [--config FILE] check|pull|install|run|status|list|rollback|why [...] [--json]
                   otamgr --help | --version

            Applies system updates that hubby has downloaded, and commits or gives up the slot on trial.

              --config FILE     read the configuration from FILE (default: /etc/otamgr/otamgr.json, which may be missing)
              --syslog-prefix   begin each line of the log with its severity, as in <6>; on by itself under systemd
              --help            print this text
              --version         print the version

            Example: otamgr check; otamgr pull && otamgr install; [ $? = 100 ] && reboot

            Commands are carried out by the daemon if one runs, else by a process of their own:

            """
                    + AgentCommands.USAGE.indent(2).stripTrailing()
                    + """

            A slot on trial is committed once the attribute daemon has accepted otamgr, hubby is connected, and every
            program in /etc/otamgr/health.d has passed (exit status 0; OTA_SLOT and OTA_TXN are set; a time limit each).
            Otherwise the device reboots 240 s after power-on, and the boot loader goes back to the old slot when the
            boots of the trial are used up.

            An update that failed is tried again after a wait that doubles, and refused after 3 failures. Another update
            is taken at once. To forget failures, remove /data/otamgr-agent/failed-updates.json. All these names and numbers
            are the defaults of the configuration.

            The log goes to standard error. SIGTERM and SIGINT end the daemon; a running sysupgrade goes on, and is
            found by the next daemon.

            exit status of the daemon: 0 ended by a signal, or --help or --version; 1 internal error; 2 wrong command
            line; 3 unusable configuration. Commands: 0 done, 16 a new version is there, 100 a reboot is needed; the
            others are failures and are listed in docs/agent.md
            """;

    /** The command line cannot be understood; the message says why. */
    static final class UsageException extends Exception {
        private static final long serialVersionUID = 1L;

        UsageException(String message) {
            super(message);
        }
    }

    static Arguments parse(List<String> arguments) throws UsageException {
        Optional<Path> config = Optional.empty();
        boolean syslogPrefix = false;
        boolean help = false;
        boolean version = false;
        for (int i = 0; i < arguments.size(); i++) {
            String argument = arguments.get(i);
            switch (argument) {
                case "--config" -> {
                    i++;
                    if (i == arguments.size() || arguments.get(i).isEmpty()) {
                        throw new UsageException("--config: expected a file, found nothing");
                    }
                    config = Optional.of(file(arguments.get(i)));
                }
                case "--syslog-prefix" -> syslogPrefix = true;
                case "--help", "-h" -> help = true;
                case "--version" -> version = true;
                case "daemon" -> {
                    if (i + 1 < arguments.size()) {
                        throw new UsageException("daemon: expected nothing more, found " + arguments.get(i + 1));
                    }
                }
                default -> {
                    if (argument.startsWith("-")) {
                        throw new UsageException("expected --config, --syslog-prefix, --help or --version, found "
                                + argument
                                + NearestWord.question(
                                        argument, List.of("--config", "--syslog-prefix", "--help", "--version")));
                    }
                    return new Arguments(
                            config, syslogPrefix, help, version, List.copyOf(arguments.subList(i, arguments.size())));
                }
            }
        }
        return new Arguments(config, syslogPrefix, help, version, List.of());
    }

    private static Path file(String name) throws UsageException {
        try {
            return Path.of(name);
        } catch (InvalidPathException e) {
            throw new UsageException("--config: expected a file, found a name that this system cannot express");
        }
    }
}
