// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Bundles that are none. tests/content compares 10,000 more with the other readers of the format. */
class BundleFileTest {
    @TempDir
    private Path folder;

    private static byte[] member(String name, String size, byte[] content) {
        byte[] header = new byte[512];
        byte[] text = name.getBytes(StandardCharsets.ISO_8859_1);
        System.arraycopy(text, 0, header, 0, text.length);
        byte[] field = size.getBytes(StandardCharsets.ISO_8859_1);
        System.arraycopy(field, 0, header, 124, field.length);
        System.arraycopy("ustar".getBytes(StandardCharsets.US_ASCII), 0, header, 257, 5);
        Arrays.fill(header, 148, 156, (byte) ' ');
        int sum = 0;
        for (byte one : header) {
            sum += one & 0xff;
        }
        System.arraycopy(String.format("%06o\0", sum).getBytes(StandardCharsets.US_ASCII), 0, header, 148, 7);
        byte[] all = Arrays.copyOf(header, 512 + (content.length + 511) / 512 * 512);
        System.arraycopy(content, 0, all, 512, content.length);
        return all;
    }

    private static byte[] member(String name, int bytes) {
        return member(name, String.format("%011o", bytes), new byte[bytes]);
    }

    private Path file(byte[]... parts) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.write(part);
        }
        return Files.write(folder.resolve("x.bundle"), out.toByteArray());
    }

    private void refused(byte[]... parts) throws IOException {
        Path file = file(parts);
        assertTimeoutPreemptively(
                Duration.ofSeconds(5), () -> assertThrows(IOException.class, () -> BundleFile.open(file)));
    }

    @Test
    void membersAreFoundWhereTheyAre() throws IOException {
        BundleFile bundle = BundleFile.open(file(
                member("manifest", 5),
                member("manifest.sig", 64),
                member("manifest.crt", 600),
                member("index", 1),
                member("image", 513),
                new byte[1024]));
        assertEquals(
                Set.of("manifest", "manifest.sig", "manifest.crt", "index", "image"),
                bundle.members().keySet());
        assertEquals(new BundleFile.Extent(512 * 10, 513), bundle.members().get("image"));
        assertEquals(5, bundle.manifest().length);
    }

    @Test
    void aSizeWithASignIsNone() throws IOException {
        for (String size : List.of(
                "-0000000001",
                "-0000002000",
                "+0000000005",
                "0x000000005",
                "",
                "0000000 005",
                "\u0080\0\0\0\0\0\0\0\0\0\0\5",
                "\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff")) {
            refused(member("manifest", size, new byte[512]), new byte[2048]);
            refused(member("manifest", 5), member("manifest.sig", size, new byte[512]), new byte[2048]);
            refused(
                    member("manifest", 5),
                    member("manifest.sig", 64),
                    member("x", size, new byte[512]),
                    new byte[2048]);
        }
    }

    @Test
    void otherLayoutsAreNoBundles() throws IOException {
        byte[] manifest = member("manifest", 5);
        byte[] signature = member("manifest.sig", 64);
        byte[] image = member("image", 10);
        byte[] end = new byte[1024];
        BundleFile.open(file(manifest, signature, image, end));
        refused();
        refused(manifest);
        refused(manifest, signature, end);
        refused(manifest, image, signature, end);
        refused(manifest, signature, image);
        refused(manifest, signature, image, new byte[512]);
        refused(manifest, signature, image, image, end);
        refused(manifest, signature, member("../image", 10), end);
        refused(member("manifest", 65537), signature, image, end);
        refused(manifest, member("manifest.sig", 1025), image, end);
        refused(member("manifest", 0), signature, image, end);
        refused(manifest, signature, member("manifest.sig", 64), end);
        refused(manifest, signature, member("image", 0), end);
        refused(manifest, signature, member("manifest.crt", 65537), image, end);
        byte[] changed = manifest.clone();
        changed[500] ^= 1;
        refused(changed, signature, image, end);
    }
}
