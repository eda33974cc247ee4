// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * What the build, or the update that made it, wrote into the running system.
 *
 * @param folder usually {@code /etc/otamgr}, with {@code manifest} and {@code compatible}
 */
public record SystemFacts(Path folder) {
    /** Where they are on a device. */
    public static final SystemFacts OF_DEVICE = new SystemFacts(Path.of("/etc/otamgr"));

    private static final int MAX_BYTES = 65536;
    /** Of UTF-8, byte by byte. */
    private static final String BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf";

    Optional<String> version() {
        return Manifest.of(lines("manifest")).value("version").filter(Target::isVersion);
    }

    /**
     * Until when its maker mends this system.
     *
     * @return a date such as 2031-12-31; empty if the bundle that made the system did not say
     */
    public Optional<String> supportedUntil() {
        return Manifest.of(lines("manifest"))
                .value("x-support-until")
                .filter(date -> date.matches("[0-9]{4}-[0-9]{2}-[0-9]{2}"));
    }

    /** As sysupgrade reads it: the first line that is a name. Nothing of a file with zero bytes, such as one in UTF-16. */
    Optional<String> compatible() {
        try (InputStream in = Files.newInputStream(folder.resolve("compatible"))) {
            // Whatever else is in there, a name is ASCII.
            String text = new String(in.readNBytes(MAX_BYTES), StandardCharsets.ISO_8859_1);
            if (text.indexOf('\0') >= 0) {
                return Optional.empty();
            }
            String marked = text.startsWith(BYTE_ORDER_MARK) ? text.substring(BYTE_ORDER_MARK.length()) : text;
            return Arrays.stream(marked.split("[\r\n]"))
                    .map(SystemFacts::withoutBlanks)
                    .filter(Target::isBoard)
                    .findFirst();
        } catch (IOException e) {
            // A build without it works; it only says less.
            return Optional.empty();
        }
    }

    private static String withoutBlanks(String line) {
        int begin = 0;
        int end = line.length();
        while (begin < end && isBlank(line.charAt(begin))) {
            begin++;
        }
        while (end > begin && isBlank(line.charAt(end - 1))) {
            end--;
        }
        return line.substring(begin, end);
    }

    private static boolean isBlank(char one) {
        return one == ' ' || one == '\t';
    }

    private List<String> lines(String name) {
        try {
            return Files.readAllLines(folder.resolve(name), StandardCharsets.UTF_8);
        } catch (IOException e) {
            // A build without it works; it only says less.
            return List.of();
        }
    }
}
