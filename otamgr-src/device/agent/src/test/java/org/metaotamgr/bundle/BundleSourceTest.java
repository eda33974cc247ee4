// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.Verifier;
import org.metaotamgr.device.FileOperations;

/** Bundles in folders. Signatures are judged by a stand-in here; the real program does it on the emulated board. */
class BundleSourceTest {
    private static final InstalledSystem NOTHING =
            new InstalledSystem(Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty());

    @TempDir
    private Path folder;

    private Path media;
    private Path storage;
    private final List<String> log = new ArrayList<>();
    private final List<Long> progress = new ArrayList<>();
    private BundleSource source;

    @BeforeEach
    void aStick() throws IOException {
        media = Files.createDirectory(folder.resolve("media"));
        storage = Files.createDirectory(folder.resolve("storage"));
        Verifier verifier = new Verifier() {
            @Override
            public void verifyFile(Path file, Path signature) {
                throw new AssertionError("not needed here");
            }

            @Override
            public Manifest verifyBundle(Path bundle) throws SourceException {
                try {
                    String manifest = new String(BundleFile.open(bundle).manifest(), StandardCharsets.US_ASCII);
                    if (!manifest.contains("x-signed=yes")) {
                        throw new SourceException(Reason.BAD_BUNDLE, "the signature is by nobody who is trusted");
                    }
                    return Manifest.of(manifest.lines().toList());
                } catch (IOException e) {
                    throw new SourceException(Reason.BAD_BUNDLE, String.valueOf(e.getMessage()));
                }
            }
        };
        source = new BundleSource(
                List.of(folder.resolve("absent"), media),
                new SourceContext(
                        (severity, line) -> log.add(line),
                        Clock.systemUTC(),
                        new FileOperations.Real(),
                        storage,
                        verifier,
                        part -> Optional.empty()));
    }

    private static byte[] image(int bytes) {
        byte[] image = new byte[bytes];
        new Random(7).nextBytes(image);
        return image;
    }

    private static byte[] bundle(String version, byte[] image, String more) throws IOException {
        String manifest =
                "format=otamgr-bundle-1\ncompatible=board-x\nversion=" + version + "\nimage=i.gz\nimage-bytes="
                        + image.length + "\nimage-sha256="
                        + HexFormat.of().formatHex(BundleFile.sha256().digest(image)) + "\n"
                        + more;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        member(out, "manifest", manifest.getBytes(StandardCharsets.US_ASCII));
        member(out, "manifest.sig", new byte[64]);
        member(out, "i.gz", image);
        out.write(new byte[1024]);
        return out.toByteArray();
    }

    private static void member(ByteArrayOutputStream out, String name, byte[] content) throws IOException {
        byte[] header = new byte[512];
        byte[] text = name.getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(text, 0, header, 0, text.length);
        byte[] size = String.format("%011o", content.length).getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(size, 0, header, 124, size.length);
        header[156] = '0';
        System.arraycopy("ustar\00000".getBytes(StandardCharsets.US_ASCII), 0, header, 257, 8);
        sum(header);
        out.write(header);
        out.write(content);
        out.write(new byte[(512 - content.length % 512) % 512]);
    }

    /** Puts the right checksum into the header at the begin. */
    private static void sum(byte[] archive) {
        Arrays.fill(archive, 148, 156, (byte) ' ');
        int sum = 0;
        for (int i = 0; i < 512; i++) {
            sum += archive[i] & 0xff;
        }
        System.arraycopy(String.format("%06o\0", sum).getBytes(StandardCharsets.US_ASCII), 0, archive, 148, 7);
    }

    private Path put(String name, byte[] content) throws IOException {
        Path file = media.resolve(name);
        Files.createDirectories(file.getParent());
        return Files.write(file, content);
    }

    private List<Target> offers() throws Exception {
        return ((CheckResult.Offers) source.check(NOTHING)).targets();
    }

    private Path pull(Target target) throws Exception {
        return source.pull(target, storage, progress::add);
    }

    private static Reason reason(org.junit.jupiter.api.function.Executable step) {
        return assertThrows(SourceException.class, step).reason();
    }

    @Test
    void bundlesAreFoundByTheirContentInTheFolderAndRightBelowIt() throws Exception {
        put("a.img", bundle("2.0", image(3000), "x-signed=yes\n"));
        put("stick/whatever", bundle("3.0", image(10), "x-signed=yes\n"));
        put("stick/deeper/c", bundle("4.0", image(10), "x-signed=yes\n"));
        put("photo.jpg", image(5000));
        put("short", new byte[] {1});
        Files.createSymbolicLink(media.resolve("link"), media.resolve("a.img"));
        assertEquals(
                List.of("board-x-2.0", "board-x-3.0"),
                offers().stream().map(Target::name).toList());
    }

    @Test
    void whatIsNotSignedIsRefusedAndGoodOnesBesideItAreOffered() throws Exception {
        put("bad", bundle("9.0", image(10), ""));
        assertEquals(Reason.BAD_BUNDLE, reason(() -> source.check(NOTHING)));
        put("good", bundle("2.0", image(10), "x-signed=yes\n"));
        assertEquals(1, offers().size());
        assertTrue(log.stream().anyMatch(line -> line.startsWith("bundle_refused:file=" + media.resolve("bad"))));
    }

    @Test
    void noBundleHasItsOwnReason() {
        assertEquals(Reason.NO_CONTENT, reason(() -> source.check(NOTHING)));
    }

    @Test
    void aBundleWithoutTheKeysThatAreNeededIsRefused() throws Exception {
        put("a", bundle("", image(10), "x-signed=yes\n"));
        assertEquals(Reason.BAD_BUNDLE, reason(() -> source.check(NOTHING)));
    }

    @Test
    void pullingCopiesTheBundleAndTheStickMayGo() throws Exception {
        byte[] content = bundle("2.0", image(700_000), "x-signed=yes\n");
        put("a", content);
        Path file = pull(offers().get(0));
        Files.delete(media.resolve("a"));
        assertArrayEquals(content, Files.readAllBytes(file));
        assertEquals((long) content.length, progress.get(progress.size() - 1));
        assertFalse(Files.exists(storage.resolve("update.part")));
    }

    @Test
    void aPullGoesOnWhereAPowerCutEndedIt() throws Exception {
        byte[] content = bundle("2.0", image(1_000_000), "x-signed=yes\n");
        put("a", content);
        Files.write(storage.resolve("update.part"), Arrays.copyOf(content, 600_000));
        assertArrayEquals(content, Files.readAllBytes(pull(offers().get(0))));
        assertEquals(2L * 256 * 1024, progress.get(0), "only whole pieces count");
    }

    @Test
    void aPartThatThePowerCutDamagedIsCopiedAgain() throws Exception {
        byte[] content = bundle("2.0", image(1_000_000), "x-signed=yes\n");
        put("a", content);
        Files.write(storage.resolve("update.part"), new byte[600_000]);
        assertArrayEquals(content, Files.readAllBytes(pull(offers().get(0))));
        assertTrue(log.stream().anyMatch(line -> line.startsWith("bundle_again:")));
    }

    @Test
    void aTamperedPayloadIsRefusedAndLeavesNothing() throws Exception {
        byte[] content = bundle("2.0", image(700_000), "x-signed=yes\n");
        content[350_000] ^= 1;
        put("a", content);
        Target target = offers().get(0);
        assertEquals(Reason.VERIFICATION_FAILED, reason(() -> pull(target)));
        try (var left = Files.list(storage)) {
            assertEquals(0, left.count());
        }
    }

    @Test
    void aStickThatIsMountedElsewhereIsFoundAgain() throws Exception {
        put("one/a", bundle("2.0", image(100), "x-signed=yes\n"));
        Target target = offers().get(0);
        Files.createDirectory(media.resolve("two"));
        Files.move(media.resolve("one/a"), media.resolve("two/b"));
        assertTrue(Files.exists(pull(target)));
    }

    @Test
    void aStickThatIsGoneCanBePluggedInAgain() throws Exception {
        Path file = put("a", bundle("2.0", image(100), "x-signed=yes\n"));
        Target target = offers().get(0);
        Files.delete(file);
        assertEquals(Reason.DOWNLOAD_FAILED, reason(() -> pull(target)));
        assertTrue(Reason.DOWNLOAD_FAILED.isTransient());
    }

    @Test
    void anotherBundleInItsPlaceIsNotTakenForIt() throws Exception {
        put("a", bundle("2.0", image(100), "x-signed=yes\n"));
        Target target = offers().get(0);
        put("a", bundle("1.0", image(100), "x-signed=yes\n"));
        assertEquals(Reason.DOWNLOAD_FAILED, reason(() -> pull(target)));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "-0000000001",
                "-0000002000",
                "+0000000005",
                "0000000000",
                "00000000008",
                "1 000000000",
                "",
                "77777777777",
                "00000300000",
                "0x000000005"
            })
    void aSizeThatIsNoneEndsTheReading(String size) throws Exception {
        for (int member = 0; member < 3; member++) {
            byte[] content = bundle("2.0", image(100), "x-signed=yes\n");
            byte[] header = Arrays.copyOfRange(content, 1024 * member, 1024 * member + 512);
            Arrays.fill(header, 124, 136, (byte) 0);
            System.arraycopy(size.getBytes(StandardCharsets.US_ASCII), 0, header, 124, size.length());
            sum(header);
            System.arraycopy(header, 0, content, 1024 * member, 512);
            Path file = put("a", content);
            assertTimeoutPreemptively(
                    Duration.ofSeconds(10), () -> assertThrows(IOException.class, () -> BundleFile.open(file)));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 100, 148, 156, 257, 345, 1024, 2048, 2560 + 512, 2560 + 1535})
    void aByteThatIsWrongInTheFrameEndsTheReading(int at) throws Exception {
        byte[] content = bundle("2.0", image(100), "x-signed=yes\n");
        BundleFile.open(put("a", content));
        content[at] ^= 0x11;
        Path file = put("a", content);
        assertThrows(IOException.class, () -> BundleFile.open(file));
    }

    @Test
    void archivesThatLieAboutTheirMembersAreNoBundles() throws Exception {
        byte[] content = bundle("2.0", image(100), "x-signed=yes\n");
        byte[] size = "77777777777".getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(size, 0, content, 124, size.length);
        sum(content);
        put("a", content);
        put("b", Arrays.copyOf(bundle("2.0", image(5000), "x-signed=yes\n"), 4096));
        assertEquals(Reason.BAD_BUNDLE, reason(() -> source.check(NOTHING)));
    }
}
