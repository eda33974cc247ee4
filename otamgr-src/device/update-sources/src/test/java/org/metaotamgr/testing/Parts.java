// SPDX-License-Identifier: MIT
package org.metaotamgr.testing;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.metaotamgr.agent.Installer;
import org.metaotamgr.agent.Needs;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.SystemProcessRunner;

/** A device whose slot is a file, with the real content engine; board and signature are judged as sysupgrade does it. */
public final class Parts {
    private final Workshop workshop;
    private final Path folder;
    private final Path slot;
    private final Path program;
    private final String engine;
    private String board = "qemuarm64";

    public Parts(Workshop workshop, Path folder, String key) throws IOException, InterruptedException {
        this.workshop = workshop;
        this.folder = Files.createDirectories(folder.resolve("device"));
        this.slot = this.folder.resolve("slot");
        this.program = this.folder.resolve("sysupgrade");
        Path keys = Files.createDirectories(this.folder.resolve("keys"));
        Files.copy(workshop.folder().resolve("keys/" + key + ".pem"), keys.resolve("release.pem"));
        Path lib = Path.of(Workshop.script("ota-bundle")).getParent().resolveSibling("lib");
        engine = workshop.run(
                        "python3",
                        "-B",
                        "-c",
                        "import sys; sys.path.insert(0, sys.argv[1]); from otamgr import bundle; "
                                + "print(bundle.content_engine())",
                        lib.toString())
                .strip();
        board(board);
    }

    /** What the device has in its slot, which is as large as this. */
    public void slot(byte[] content, int bytes) throws IOException {
        Files.write(slot, Arrays.copyOf(content, bytes));
    }

    /** Which board it is. */
    public void board(String name) throws IOException {
        board = name;
        script(
                """
                folder=$(mktemp -d)
                trap 'rm -rf "$folder"' EXIT
                '%1$s' open --keys '%2$s/keys' "$folder" >/dev/null || exit
                grep -qx 'compatible=%3$s' "$folder/opened" || { echo "the bundle is for another board" >&2; exit 19; }
                '%1$s' need --folder "$folder" --slot '%2$s/slot' --slot-bytes "$(stat -c %%s '%2$s/slot')"
                """
                        .formatted(engine, folder, board));
    }

    /** A sysupgrade for an agent, that installs what it is given, or what it is fed, and says which slot is armed in a file. */
    public List<String> installer(Path slots) throws IOException {
        Path installer = folder.resolve("installer");
        Files.writeString(
                installer,
                """
                #!/bin/sh
                set -eu
                stream='' txn='' image='' needs=''
                for word in "$@"; do
                    case $word in --stream) stream=yes ;; --needs) needs=yes ;; --*) ;; *) image=$word ;; esac
                    [ "${before-}" != --txn ] || txn=$word
                    before=$word
                done
                [ -z "$needs" ] || exec '%4$s' "$@"
                [ "${OTA_HELD-}" = $$ ] || exec '%1$s' hold --image "$image" -- /bin/sh "$0" "$@"
                folder=$(mktemp -d)
                trap 'rm -rf "$folder"' EXIT
                '%1$s' open --keys '%2$s/keys' "$folder" >/dev/null
                for step in check write; do
                    code=0
                    # Not a word of the reason, as it is one line for sysupgrade.
                    '%1$s' $step --folder "$folder" --slot '%2$s/slot' ${stream:+--requests-fd 3} 3>&1 >/dev/null || code=$?
                    [ $code -eq 0 ] || { echo "failed $code $step ended with $code"; exit $code; }
                done
                '%1$s' verify --folder "$folder" --slot '%2$s/slot' >/dev/null
                printf '%%s\n' running=a committed=a trial=b txn=$txn state=armed >'%3$s'
                """
                        .formatted(engine, folder, slots, program));
        Files.setPosixFilePermissions(installer, PosixFilePermissions.fromString("rwxr-xr-x"));
        return List.of(installer.toString());
    }

    /** What is in the slot. */
    public byte[] slot() throws IOException {
        return Files.readAllBytes(slot);
    }

    /** As a sysupgrade that knows nothing of parts. */
    public void cannotSay() throws IOException {
        script("echo 'sysupgrade: unknown option --needs' >&2\nexit 2\n");
    }

    private void script(String command) throws IOException {
        Files.writeString(
                program,
                "#!/bin/sh\n[ -n \"$OTA_HELD\" ] || exec '" + engine
                        + "' hold --image \"$3\" -- /bin/sh \"$0\" \"$@\"\nset -eu\n" + command);
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    public Needs needs() {
        return new Installer(
                List.of(program.toString()),
                new Programs(new SystemProcessRunner(workshop.eventLog)),
                workshop.eventLog)::needs;
    }

    /** Installs a bundle that was pulled; returns what is in the slot then. */
    public byte[] install(Path file) throws IOException, InterruptedException {
        workshop.run(
                engine,
                "hold",
                "--image",
                file.toString(),
                "--",
                "/bin/sh",
                "-euc",
                """
                folder=$(mktemp -d)
                trap 'rm -rf "$folder"' EXIT
                "$1" open --keys "$2/keys" "$folder"
                for step in check write verify; do
                    OTA_HELD=$$ "$1" $step --folder "$folder" --slot "$2/slot"
                done
                """,
                "sh",
                engine,
                folder.toString());
        return Files.readAllBytes(slot);
    }

    /** The SHA-256 of a bundle's manifest. */
    public static String manifestHash(Path bundle) throws Exception {
        byte[] content = Files.readAllBytes(bundle);
        int length = Integer.parseInt(new String(content, 124, 11, java.nio.charset.StandardCharsets.US_ASCII), 8);
        return HexFormat.of()
                .formatHex(MessageDigest.getInstance("SHA-256").digest(Arrays.copyOfRange(content, 512, 512 + length)));
    }

    /** Where a block of 4096 bytes lies that holds what is at a place of some content. */
    public static int indexOf(byte[] image, byte[] content, int around) {
        int wanted = around / 4096 * 4096;
        for (int at = 0; at + 4096 <= image.length; at += 4096) {
            if (Arrays.equals(image, at, at + 4096, content, wanted, wanted + 4096)) {
                return at;
            }
        }
        throw new AssertionError("it is not there");
    }
}
