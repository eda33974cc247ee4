// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;

/** What the daemon's reader says of generated bundles; tests/content/verdicts.c has the form. Manifests are ota-verify's here. */
final class Verdicts {
    private static final Set<String> OTHERS = Set.of("manifest", "manifest.sig", "manifest.crt", "index");

    private Verdicts() {
    }

    public static void main(String[] arguments) throws IOException {
        Path file = Path.of(arguments[0]);
        DataInputStream in = new DataInputStream(System.in);
        StringBuilder out = new StringBuilder();
        while (true) {
            byte kind;
            try {
                kind = in.readByte();
            } catch (EOFException e) {
                break;
            }
            byte[] bytes = in.readNBytes(in.readInt());
            if (kind == 'b') {
                out.append(verdict(Files.write(file, bytes))).append('\n');
            }
        }
        System.out.print(out);
    }

    private static String verdict(Path file) {
        try {
            Map<String, BundleFile.Extent> members = BundleFile.open(file).members();
            String image = members.keySet().stream().filter(name -> !OTHERS.contains(name)).findFirst().orElseThrow();
            BundleFile.Extent extent = members.get(image);
            return "yes " + image + " " + extent.offset() + " " + extent.length();
        } catch (IOException e) {
            return "no";
        }
    }
}
