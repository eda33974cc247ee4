// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import javax.net.ssl.SSLContext;

/**
 * All that a command takes from outside.
 *
 * @param environment the environment variables
 * @param folder the current directory
 * @param in standard input
 * @param out standard output: results
 * @param err standard error: progress, warnings, errors
 * @param terminal whether {@code err} is a terminal
 * @param columns the width of that terminal
 * @param clock the time
 * @param sleeper waits between tries
 * @param tls what to trust instead of what Java trusts
 */
record ProcessContext(
        Map<String, String> environment,
        Path folder,
        InputStream in,
        PrintStream out,
        PrintStream err,
        boolean terminal,
        int columns,
        Clock clock,
        Sleeper sleeper,
        Optional<SSLContext> tls) {

    /** Waits. */
    interface Sleeper {
        void sleep(Duration duration) throws InterruptedException;
    }

    /** Those of this process. The launcher tells whether there is a terminal, which Java cannot find out for standard error. */
    static ProcessContext ofProcess() {
        // A second client on a connection that the service has just given up would look like a lost answer.
        System.setProperty("jdk.httpclient.keepalive.timeout", "20");
        // Java does not tell a proxy who asks where it asks for it by the usual, Basic, scheme, unless this is empty.
        System.setProperty("jdk.http.auth.tunneling.disabledSchemes", "");
        return new ProcessContext(
                System.getenv(),
                Path.of("").toAbsolutePath(),
                System.in,
                new PrintStream(System.out, true, StandardCharsets.UTF_8),
                new PrintStream(System.err, true, StandardCharsets.UTF_8),
                Boolean.getBoolean("ota.terminal"),
                Integer.getInteger("ota.columns", 80),
                Clock.systemUTC(),
                duration -> Thread.sleep(duration.toMillis()),
                Optional.empty());
    }
}
