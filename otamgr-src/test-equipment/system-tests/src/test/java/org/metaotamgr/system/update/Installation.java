// SPDX-License-Identifier: MIT
package org.metaotamgr.system.update;

import java.io.IOException;
import java.io.OutputStream;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;

/** The files of the recipe, and the jars under the names they have on a device. */
final class Installation {
    /** What the recipe installs. */
    static final Path RECIPE =
            Path.of("../../../recipes-ota/otamgr/files").toAbsolutePath().normalize();

    /** A class out of each jar; by name, as the compiler would complain about annotations that junixsocket uses. */
    private static final Map<String, String> JARS = Map.of(
            "otamgr", "org.metaotamgr.daemon.OtamgrMain",
            "otamgr-agent", "org.metaotamgr.agent.Agent",
            "otamgr-base", "org.metaotamgr.device.Programs",
            "otamgr-wire", "org.metaotamgr.wire.AttributeStatus",
            "otamgr-attribute-client", "org.metaotamgr.attribute.AttributeClient",
            "jackson-databind", "com.fasterxml.jackson.databind.ObjectMapper",
            "jackson-core", "com.fasterxml.jackson.core.JsonFactory",
            "jackson-annotations", "com.fasterxml.jackson.annotation.JsonInclude",
            "junixsocket-common", "org.newsclub.net.unix.AFUNIXSocket");

    private final Path jars;

    Installation(Path folder) throws IOException, URISyntaxException, ClassNotFoundException {
        jars = Files.createDirectory(folder.resolve("jars"));
        for (Map.Entry<String, String> jar : JARS.entrySet()) {
            Path source = Path.of(Class.forName(jar.getValue())
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toURI());
            Path target = jars.resolve(jar.getKey() + ".jar");
            if (Files.isDirectory(source)) {
                // Maven runs tests before it makes jars.
                pack(source, target);
            } else {
                Files.copy(source, target);
            }
        }
    }

    private static void pack(Path source, Path target) throws IOException {
        try (OutputStream out = Files.newOutputStream(target);
                JarOutputStream jar = new JarOutputStream(out);
                Stream<Path> files = Files.walk(source)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                jar.putNextEntry(new JarEntry(source.relativize(file).toString()));
                Files.copy(file, jar);
            }
        }
    }

    /** The launcher, run by the shell of small systems, in the locale of small systems. */
    ProcessBuilder launcher(String... arguments) {
        List<String> command = new ArrayList<>(
                List.of("busybox", "ash", RECIPE.resolve("otamgr.sh").toString()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command);
        Map<String, String> environment = builder.environment();
        environment.remove("LANG");
        environment.put("LC_ALL", "C");
        environment.put("OTAMGR_DEFAULTS", "/nonexistent");
        environment.put(
                "OTAMGR_JAVA",
                Path.of(System.getProperty("java.home"), "bin", "java").toString());
        environment.put("OTAMGR_JARS", jars.toString());
        environment.put("OTAMGR_NATIVE", System.getProperty("org.newsclub.net.unix.library.override"));
        environment.put("OTAMGR_CDS", "/nonexistent");
        return builder;
    }
}
