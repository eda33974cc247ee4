// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class UpdateCandidateTest {
    @TempDir
    private Path folder;

    private Path allowed;

    @BeforeEach
    void makeFolder() throws IOException {
        folder = folder.toRealPath();
        allowed = Files.createDirectory(folder.resolve("allowed"));
    }

    private UpdateCandidate examine(Path path) throws UpdateRefusedException {
        return UpdateCandidate.examine(new UpdatePath(path.toString()), List.of(allowed.toString()));
    }

    private String refusal(Path path) {
        return assertThrows(UpdateRefusedException.class, () -> examine(path)).getMessage();
    }

    private static void write(Path path) throws IOException {
        Files.writeString(Path.of(path + ".img"), "image");
        Files.writeString(Path.of(path + ".hdr"), "header");
    }

    @Test
    void anUpdateIsKnownByItsPathAndHeader() throws Exception {
        Path path = allowed.resolve("ota_type_5");
        write(path);
        UpdateCandidate candidate = examine(path);
        assertEquals(candidate, examine(path));
        Files.writeString(Path.of(path + ".hdr"), "another header");
        assertNotEquals(candidate, examine(path));
    }

    @Test
    void theHashIsSha256() throws Exception {
        Path path = allowed.resolve("a");
        write(path);
        Files.writeString(Path.of(path + ".hdr"), "abc");
        assertEquals(
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                examine(path).headerSha256());
    }

    @Test
    void aPathOutsideOfTheAllowedPrefixesIsRefused() throws Exception {
        Path path = folder.resolve("elsewhere");
        write(path);
        assertTrue(refusal(path).startsWith("expected a path inside"));
    }

    @Test
    void aFolderWhoseNameOnlyBeginsLikeAnAllowedOneIsRefused() throws Exception {
        Path path = Files.createDirectory(folder.resolve("allowed2")).resolve("a");
        write(path);
        assertTrue(refusal(path).startsWith("expected a path inside"));
    }

    @Test
    void filesBesideTheAllowedPrefixAreRefused() throws Exception {
        write(allowed);
        assertTrue(refusal(allowed).startsWith("expected a path inside"));
    }

    @Test
    void aLinkOutOfTheAllowedPrefixIsRefused() throws Exception {
        Path outside = Files.createDirectory(folder.resolve("outside"));
        write(outside.resolve("a"));
        Files.createSymbolicLink(allowed.resolve("link"), outside);
        String refusal = refusal(allowed.resolve("link/a"));
        assertTrue(refusal.contains("leads to " + outside), refusal);
    }

    @Test
    void anAllowedPrefixMayItselfBeALink() throws Exception {
        Path real = Files.createDirectory(folder.resolve("real"));
        Path link = Files.createSymbolicLink(folder.resolve("link"), real);
        write(real.resolve("a"));
        UpdateCandidate candidate = UpdateCandidate.examine(new UpdatePath(link + "/a"), List.of(link.toString()));
        assertEquals(link + "/a.img", candidate.path().image());
    }

    @Test
    void aPrefixThatDoesNotExistDoesNotHideTheOthers() throws Exception {
        Path path = allowed.resolve("a");
        write(path);
        UpdateCandidate.examine(new UpdatePath(path.toString()), List.of("/nonexistent", allowed.toString()));
    }

    @Test
    void aFileThatIsALinkIsRefused() throws Exception {
        Path path = allowed.resolve("a");
        write(path);
        write(allowed.resolve("b"));
        Files.delete(Path.of(path + ".img"));
        Files.createSymbolicLink(Path.of(path + ".img"), Path.of(allowed + "/b.img"));
        assertEquals("expected a regular file, found that " + path + ".img is a symbolic link", refusal(path));
        Files.delete(Path.of(path + ".img"));
        Files.writeString(Path.of(path + ".img"), "image");
        Files.delete(Path.of(path + ".hdr"));
        Files.createSymbolicLink(Path.of(path + ".hdr"), Path.of(allowed + "/b.hdr"));
        assertEquals("expected a regular file, found that " + path + ".hdr is a symbolic link", refusal(path));
    }

    @Test
    void aFolderInPlaceOfAFileIsRefused() throws Exception {
        Path path = allowed.resolve("a");
        Files.createDirectory(Path.of(path + ".img"));
        assertEquals("expected a regular file, found that " + path + ".img is a folder", refusal(path));
    }

    @Test
    void missingFilesAreRefused() throws Exception {
        Path path = allowed.resolve("a");
        assertEquals(path + ".img does not exist", refusal(path));
        Files.writeString(Path.of(path + ".img"), "image");
        assertEquals(path + ".hdr does not exist", refusal(path));
    }

    @Test
    void aMissingFolderIsRefused() {
        assertTrue(refusal(allowed.resolve("no/such/a")).startsWith(allowed + "/no/such cannot be examined"));
    }

    @Test
    void emptyFilesAreRefused() throws Exception {
        Path path = allowed.resolve("a");
        write(path);
        Files.writeString(Path.of(path + ".hdr"), "");
        assertEquals(path + ".hdr is empty", refusal(path));
        Files.writeString(Path.of(path + ".img"), "");
        assertEquals(path + ".img is empty", refusal(path));
    }

    @Test
    void aHeaderMayHave64KiBAndNotMore() throws Exception {
        Path path = allowed.resolve("a");
        write(path);
        Files.write(Path.of(path + ".hdr"), new byte[64 * 1024]);
        examine(path);
        Files.write(Path.of(path + ".hdr"), new byte[64 * 1024 + 1]);
        assertTrue(refusal(path).startsWith("expected a header of at most 65536 bytes"));
    }
}
