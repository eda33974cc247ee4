// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** The devices of a deployment, each once, in the order in which they were named. */
final class DeviceList {

    private static final int MOST = 1_000_000;

    private DeviceList() {}

    /** Reads one id a line; empty lines and what follows {@code #} do not count. {@code -} is standard input. */
    static List<String> of(List<String> named, String file, ProcessContext context, Output output) throws OtaException {
        Set<String> devices = new LinkedHashSet<>();
        int repeated = 0;
        for (String device : named) {
            repeated += devices.add(checked(device, "--device")) ? 0 : 1;
        }
        if (file != null) {
            Path path = context.folder().resolve(file);
            String what = file.equals("-") ? "standard input" : path.toString();
            try (InputStream in = file.equals("-") ? context.in() : Files.newInputStream(path);
                    BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
                int number = 0;
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    number++;
                    int comment = line.indexOf('#');
                    String device = (comment < 0 ? line : line.substring(0, comment)).strip();
                    if (!device.isEmpty()) {
                        repeated += devices.add(checked(device, what + ": line " + number)) ? 0 : 1;
                    }
                    if (devices.size() > MOST) {
                        throw new OtaException(ExitStatus.USAGE, what + ": expected at most " + MOST + " devices");
                    }
                }
            } catch (IOException e) {
                throw new OtaException(ExitStatus.LOCAL, what + ": cannot be read");
            }
        }
        if (devices.isEmpty()) {
            throw new OtaException(
                    ExitStatus.USAGE, "no device is named; use --device ID, or --devices FILE with one id a line");
        }
        if (repeated > 0) {
            output.note(repeated + " devices are named more than once; each gets the image once");
        }
        return List.copyOf(devices);
    }

    private static String checked(String device, String where) throws OtaException {
        if (!device.matches("[\\x21-\\x7e]{1,200}")) {
            throw new OtaException(
                    ExitStatus.USAGE,
                    where + ": expected a device id without blanks, found " + device.replaceAll("\\p{Cntrl}", "?"));
        }
        return device;
    }
}
