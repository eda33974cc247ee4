// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.bundle.BundleSourceProvider;
import org.metaotamgr.testing.Workshop;

/** Bundles as scripts/ota-bundle makes them, of both formats. */
class BundleProofTest {
    @TempDir
    private static Path bundles;

    private static Path blocks;
    private static Path archive;

    @TempDir
    private Path folder;

    @BeforeAll
    static void makeBundles() throws Exception {
        Workshop workshop = new Workshop(bundles);
        workshop.makeKey("release");
        blocks = workshop.makeFileSystemBundle("release", "qemuarm64", "2.0", 900_000);
        archive = workshop.makeBundle("release", "qemuarm64", "2.0", 100_000);
    }

    private static Target target(Path file) throws Exception {
        return new Target(
                "qemuarm64-2.0",
                "2.0",
                Optional.of("qemuarm64"),
                Files.size(file),
                "0".repeat(64),
                Optional.empty(),
                Map.of());
    }

    private static void check(Path file) throws Exception {
        BundleProof.check(file, target(file), new Workshop(bundles).verifier("release"), false);
    }

    @Test
    void bundlesOfBothFormatsAreProven() throws Exception {
        check(blocks);
        check(archive);
    }

    /** A bit is flipped behind the header of a member, so that the layout stays as it is. */
    @ParameterizedTest
    @ValueSource(strings = {"index", "image-2.0.ext4.blocks"})
    void aBitThatChangedInIndexOrFramesIsFound(String member) throws Exception {
        byte[] content = Files.readAllBytes(blocks);
        int header = new String(content, StandardCharsets.ISO_8859_1).indexOf(member + "\0");
        content[header + 512 + 700] ^= 4;
        Path copy = Files.write(folder.resolve("copy"), content);
        assertEquals(
                Reason.DAMAGED,
                assertThrows(SourceException.class, () -> check(copy)).reason());
    }

    @Test
    void aFolderOffersABundleOfFormat2AndItsCopyIsProven() throws Exception {
        Path media = Files.createDirectories(folder.resolve("media"));
        Files.copy(blocks, media.resolve("update.bundle"));
        UpdateSource source = new BundleSourceProvider()
                .open(
                        Workshop.config("{'type': 'bundle', 'directories': ['" + media + "']}"),
                        new Workshop(folder).context(Clock.systemUTC(), new Workshop(bundles).verifier("release")));
        InstalledSystem installed =
                new InstalledSystem(Optional.empty(), Optional.of("1.0"), Optional.of("qemuarm64"), Optional.empty());
        Target offer = assertInstanceOf(CheckResult.Offers.class, source.check(installed))
                .targets()
                .get(0);
        Path storage = Files.createDirectories(folder.resolve("storage"));
        assertArrayEquals(Files.readAllBytes(blocks), Files.readAllBytes(source.pull(offer, storage, bytes -> {})));
        byte[] content = Files.readAllBytes(media.resolve("update.bundle"));
        content[content.length / 2] ^= 1;
        Files.write(media.resolve("update.bundle"), content);
        Files.delete(storage.resolve("update.bundle"));
        assertEquals(
                Reason.VERIFICATION_FAILED,
                assertThrows(SourceException.class, () -> source.pull(offer, storage, bytes -> {}))
                        .reason());
    }
}
