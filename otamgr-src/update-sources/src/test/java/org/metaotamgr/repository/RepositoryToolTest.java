// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import org.metaotamgr.testing.Workshop;

/** scripts/ota-repository never signs a number twice, never changes a file that devices may be pulling, and finds what is wrong. */
class RepositoryToolTest {
    private static final String TOOL = Workshop.script("ota-repository");

    @TempDir
    private static Path bundles;
    private static Path first;
    private static Path second;

    @TempDir
    private Path folder;
    private Workshop workshop;

    @BeforeAll
    static void makeBundles() throws Exception {
        Workshop workshop = new Workshop(bundles);
        workshop.makeKey("release");
        first = workshop.makeBundle("release", "qemuarm64", "1.9", 20_000);
        second = workshop.makeBundle("release", "qemuarm64", "1.10", 20_000);
    }

    @BeforeEach
    void start() throws Exception {
        workshop = new Workshop(folder);
        workshop.run(TOOL, "add", "www", first.toString());
    }

    private String sign() throws Exception {
        return workshop.run(TOOL, "sign", "--key", bundles + "/keys/release.key", "www");
    }

    private String verify(int status) throws Exception {
        return workshop.run(status, TOOL, "verify", "--keys", bundles + "/keys", "www");
    }

    private List<Path> files() throws IOException {
        try (var all = Files.list(folder.resolve("www/bundles"))) {
            return all.sorted().toList();
        }
    }

    @Test
    void eachListHasTheNextNumber() throws Exception {
        assertTrue(sign().startsWith("main: generation 1 with 1 targets"));
        workshop.run(TOOL, "add", "www", second.toString());
        assertTrue(sign().startsWith("main: generation 2 with 2 targets"));
        assertTrue(verify(0).startsWith("main: generation 2 with 2 targets"));
        assertEquals(List.of("1.9", "1.10"), workshop.run(TOOL, "list", "www").lines()
                .map(line -> line.split(" +")[1]).toList());
    }

    @Test
    void withoutItsMemoryItDoesNotBeginAtOneAgain() throws Exception {
        sign();
        Files.delete(folder.resolve("www/targets.json"));
        assertTrue(workshop.run(1, TOOL, "sign", "--key", bundles + "/keys/release.key", "www").contains("targets.json is missing"));
        assertTrue(workshop.run(1, TOOL, "add", "www", second.toString()).contains("targets.json is missing"));
    }

    @Test
    void aDamagedFileIsReplacedWhenItsBundleIsAddedAgain() throws Exception {
        sign();
        byte[] damaged = Files.readAllBytes(files().get(0));
        damaged[damaged.length / 2] ^= 1;
        Files.write(files().get(0), damaged);
        assertTrue(verify(1).contains("expected"));
        workshop.run(TOOL, "add", "www", first.toString());
        sign();
        assertTrue(verify(0).startsWith("main: generation 2 with 1 targets"));
    }

    @Test
    void aTargetThatIsReplacedKeepsTheOldFile() throws Exception {
        workshop.run(TOOL, "add", "--name", "qemuarm64-1.9", "www", second.toString());
        assertEquals(2, files().size());
        assertEquals(1, workshop.run(TOOL, "list", "www").lines().count());
    }

    @Test
    void aListPastItsEndIsFound() throws Exception {
        sign();
        Path index = folder.resolve("www/index.json");
        Files.writeString(index, Files.readString(index).replaceFirst("\"expires\": \"\\d+", "\"expires\": \"2020"));
        workshop.run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", bundles + "/keys/release.key", "-in", index.toString(),
                "-out", "www/index.json.sig");
        assertTrue(verify(12).contains("has expired at 2020"));
    }

    @Test
    void aDamagedBundleAndAMissingOneAreFound() throws Exception {
        sign();
        Path file = files().get(0);
        byte[] content = Files.readAllBytes(file);
        content[content.length / 2] ^= 1;
        Files.write(file, content);
        assertTrue(verify(1).contains("SHA-256"));
        Files.delete(file);
        assertTrue(verify(1).contains("No such file"));
    }

    @Test
    void aListThatWasChangedIsFound() throws Exception {
        sign();
        Files.writeString(folder.resolve("www/index.json"), "x", StandardOpenOption.APPEND);
        assertTrue(verify(6).contains("none of the public keys"));
    }

    @Test
    void whatIsNoBundleIsNotAdded() throws Exception {
        Files.write(folder.resolve("image"), Workshop.random(5000, 1));
        assertTrue(workshop.run(1, TOOL, "add", "www", "image").contains("no bundle"));
        assertEquals(1, files().size());
    }

    @Test
    void anEmptyListIsNotSigned() throws Exception {
        workshop.run(TOOL, "remove", "www", "qemuarm64-1.9");
        assertTrue(workshop.run(1, TOOL, "sign", "--key", bundles + "/keys/release.key", "www").contains("no targets"));
        assertTrue(workshop.run(1, TOOL, "remove", "www", "qemuarm64-1.9").contains("expected the name of a target"));
    }

    @Test
    void aRepositoryThatWasSignedKeepsItsName() throws Exception {
        sign();
        assertTrue(workshop.run(1, TOOL, "add", "--repository", "other", "www", second.toString())
                .contains("expected main"));
        workshop.run(TOOL, "add", "--repository", "other", "new", second.toString());
        assertTrue(workshop.run(TOOL, "sign", "--key", bundles + "/keys/release.key", "new").startsWith("other: generation 1"));
    }
}
