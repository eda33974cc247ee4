// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.metaotamgr.device.ConfigException;

/**
 * The program that does, as root, the few things that a daemon which is not root may ask for: {@code otamgr-root}.
 *
 * @param ask the program that asks; the words of the request come behind
 * @param socket where it is asked for a connection to the attribute daemon
 */
public record RootHelper(List<String> ask, Path socket) {
    /** The key of the outermost object. */
    public static final String KEY = "rootHelper";

    private static final Set<String> KEYS = Set.of("ask", "socket");

    /** Copies the list. */
    public RootHelper {
        ask = List.copyOf(ask);
    }

    /**
     * Reads it.
     *
     * @param root the outermost object
     * @return the helper, or nothing if the daemon does everything itself
     * @throws ConfigException if a value is unusable
     */
    public static Optional<RootHelper> of(ConfigObject root) throws ConfigException {
        if (!root.has(KEY)) {
            return Optional.empty();
        }
        ConfigObject helper = root.object(KEY).warnAboutOthersThan(KEYS);
        return Optional.of(new RootHelper(
                helper.program("ask", List.of("/usr/lib/otamgr/otamgr-root", "ask"), false),
                helper.path("socket", Path.of("/run/otamgr-root"))));
    }

    /**
     * What to run instead of a program.
     *
     * @param words the words of the request
     * @return a program and its arguments
     */
    public List<String> asked(String... words) {
        List<String> command = new ArrayList<>(ask);
        command.addAll(List.of(words));
        return command;
    }

    /**
     * A program that is run by the helper, if there is one.
     *
     * @param helper the helper
     * @param word what the helper knows the program as
     * @param itself the program itself
     * @return a program and its arguments
     */
    public static List<String> program(Optional<RootHelper> helper, String word, String itself) {
        return helper.map(one -> one.asked(word)).orElse(List.of(itself));
    }
}
