// SPDX-License-Identifier: MIT
package org.metaotamgr.system.update;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The daemon's agent as a process: handlers, commands through the real otamgr-control, bundles in a folder. */
@Timeout(240)
class AgentFlowTest {
    @TempDir
    private Path temporary;

    private Path folder;
    private Board board;

    @BeforeEach
    void makeBoard() throws Exception {
        folder = temporary.toRealPath();
        board = new Board(folder);
        script("handler", "echo \"$MESSAGE|${INSTALL_TARGET_NAME-}|${RESULT-}\" >>" + folder + "/told");
        script("ota-verify", "[ \"$1\" = bundle ] && dd if=\"$2\" bs=512 skip=1 count=1 2>/dev/null | tr -d '\\000'");
    }

    @AfterEach
    void closeBoard() throws Exception {
        board.close();
    }

    private void script(String name, String body) throws IOException {
        Path file = Files.writeString(folder.resolve(name), "#!/bin/sh\n" + body + "\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    private String handler(String more) {
        return ",\"callback\":{\"program\":[\"" + folder + "/handler\"]" + more + "}";
    }

    private Daemon connectedDaemon(String more) throws Exception {
        board.startAttrd();
        board.startHubby(1);
        Daemon daemon = board.startDaemon(handler(more));
        daemon.awaitLog("attribute_client:connected to attrd");
        return daemon;
    }

    private static String sha256(String text) throws Exception {
        return HexFormat.of()
                .formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    }

    /** U-Boot starts the slot that is armed. */
    private void bootsTheTrial() throws IOException {
        Files.writeString(
                folder.resolve("slot"),
                "running=b\ncommitted=a\ntrial=b\ntries=2\ntxn=" + txn() + "\nfailed=\nfailed_why=\nstate=trial\n");
    }

    private String txn() throws IOException {
        return Files.readAllLines(folder.resolve("slot")).stream()
                .filter(line -> line.startsWith("txn="))
                .findFirst()
                .orElseThrow()
                .substring(4);
    }

    @Test
    void aHandlerHearsOfAnUpdateThatHubbyBringsUntilItsEnd() throws Exception {
        Daemon daemon = connectedDaemon("");
        board.offer(board.download("ota_type_5", "header"));
        board.awaitRun(1).end(0);
        board.awaitLines("reboots", 1);
        String name = "ota_type_5-" + sha256("header").substring(0, 8);
        assertEquals(
                List.of(
                        "check-for-update-post|" + name + "|OK",
                        "download-post|" + name + "|OK",
                        "install-pre|" + name + "|",
                        "install-post|" + name + "|NEEDS_COMPLETION"),
                board.linesOf("told"));
        daemon.stop();

        bootsTheTrial();
        Files.delete(folder.resolve("told"));
        board.startDaemon(handler(""));
        board.awaitLines("told", 2);
        assertEquals(List.of("install-final-pre|" + name + "|", "install-post|" + name + "|OK"), board.linesOf("told"));
        assertEquals(List.of("commit"), board.linesOf("commits"));
    }

    @Test
    void aHandlerHearsOfARollbackAndOfAFailedInstall() throws Exception {
        Daemon daemon = connectedDaemon("");
        board.offer(board.download("ota_type_5", "bad"));
        board.awaitRun(1).end(5);
        board.awaitLines("told", 4);
        assertTrue(
                board.linesOf("told").get(3).endsWith("|FAILED: the test wants it"),
                board.linesOf("told").toString());
        board.offer(board.download("ota_type_5", "other"));
        board.awaitRun(2).end(0);
        board.awaitLines("reboots", 1);
        daemon.stop();

        board.rollBack();
        Files.delete(folder.resolve("told"));
        board.startDaemon(handler(""));
        board.awaitLines("told", 2);
        assertTrue(board.linesOf("told").get(0).startsWith("install-final-pre|ota_type_5-"));
        assertTrue(board.linesOf("told").get(1).endsWith("|FAILED: rolled back (tries-used-up)"));
    }

    @Test
    void aHandlerThatHangsCostsItsTimeAndNothingElse() throws Exception {
        script("handler", "sleep 1000 & exec sleep 1000");
        Daemon daemon = connectedDaemon(",\"timeoutSeconds\":1");
        board.offer(board.download("ota_type_5", "header"));
        board.awaitRun(1).end(0);
        board.awaitLines("reboots", 1);
        assertEquals(4, daemon.count("callback_failed:"));
    }

    @Test
    void aHandlerPutsAnUpdateOffAndTakesItLater() throws Exception {
        script("handler", "[ \"$MESSAGE\" != install-pre ] || [ -e " + folder + "/ready ] || exit 75");
        Daemon daemon = connectedDaemon(",\"vetoExitStatus\":75,\"vetoSeconds\":1");
        board.offer(board.download("ota_type_5", "header"));
        daemon.awaitLog("callback_put_off:message=install-pre", 2);
        assertEquals(0, board.runs().size());
        Files.createFile(folder.resolve("ready"));
        board.awaitRun(1).end(0);
        board.awaitLines("reboots", 1);
    }

    // ---- commands ----

    private record Call(int status, String out) {}

    private Call call(ProcessBuilder builder) throws Exception {
        Process process = builder.redirectErrorStream(true).start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        return new Call(process.exitValue(), out);
    }

    private Path control() throws Exception {
        Path program = folder.resolve("otamgr-control");
        Call compiled = call(new ProcessBuilder(
                "cc",
                "-std=c11",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-o",
                program.toString(),
                Installation.RECIPE.resolve("otamgr-control.c").toString()));
        assertEquals(0, compiled.status(), compiled.out());
        return program;
    }

    private Call otamgr(Path control, String... words) throws Exception {
        List<String> command = new ArrayList<>(List.of(control.toString(), folder + "/control"));
        command.addAll(List.of(words));
        return call(new ProcessBuilder(command));
    }

    private void bundle(String version, String image) throws Exception {
        Path parts = Files.createDirectories(folder.resolve("parts"));
        Files.writeString(parts.resolve("image"), image);
        Files.writeString(parts.resolve("manifest.sig"), "signature");
        Files.writeString(
                parts.resolve("manifest"),
                "format=otamgr-bundle-1\ncompatible=board-x\nversion=" + version
                        + "\nimage=image\nimage-bytes=" + image.length() + "\nimage-sha256=" + sha256(image)
                        + "\n");
        Files.createDirectories(folder.resolve("media"));
        Call packed = call(new ProcessBuilder(
                "tar",
                "--format=ustar",
                "-cf",
                folder + "/media/update-" + version,
                "-C",
                parts.toString(),
                "manifest",
                "manifest.sig",
                "image"));
        assertEquals(0, packed.status(), packed.out());
    }

    private String bundles(String automatic) {
        return ",\"otaVerify\":[\"" + folder + "/ota-verify\"],\"source\":{\"type\":\"bundle\",\"directories\":[\""
                + folder + "/media\"]},\"polling\":{\"automatic\":\"" + automatic + "\"}" + handler("");
    }

    @Test
    void commandsTakeAnUpdateFromCheckToRun() throws Exception {
        bundle("2.0", "image of version 2.0");
        Path control = control();
        Daemon daemon = board.startDaemon(bundles("off"));
        daemon.awaitLog("control:socket=");
        assertEquals(40, otamgr(control, "run").status());
        assertEquals(80, otamgr(control, "install").status());
        Call check = otamgr(control, "check", "--json");
        assertEquals(16, check.status(), check.out());
        assertTrue(
                check.out()
                        .startsWith(
                                "{\"code\":16,\"message\":\"board-x-2.0 is available\",\"offers\":[{\"name\":\"board-x-2.0\""),
                check.out());
        assertEquals(20, otamgr(control, "pull", "board-y").status());
        assertEquals(0, otamgr(control, "pull", "board-x-2.0").status());
        Process install = new ProcessBuilder(control.toString(), folder + "/control", "install").start();
        board.awaitRun(1).end(0);
        assertTrue(install.waitFor(60, TimeUnit.SECONDS));
        assertEquals(100, install.exitValue());
        assertEquals(100, otamgr(control, "run").status());
        assertEquals(100, otamgr(control, "install").status());
        assertEquals(List.of(), board.linesOf("reboots"), "who gave the command reboots");
        assertEquals(2, otamgr(control, "frobnicate").status());
        assertEquals(2, otamgr(control, "check", "x").status());
        daemon.stop();

        bootsTheTrial();
        board.startDaemon(bundles("off")).awaitLog("control:socket=");
        Call run = otamgr(control, "run");
        assertEquals(0, run.status(), run.out());
        assertEquals(
                List.of(
                        "check-for-update-pre",
                        "check-for-update-post",
                        "check-for-update-pre",
                        "check-for-update-post",
                        "check-for-update-pre",
                        "check-for-update-post",
                        "download-pre",
                        "download-post",
                        "install-pre",
                        "install-post",
                        "install-final-pre",
                        "install-post"),
                board.linesOf("told").stream()
                        .map(line -> line.substring(0, line.indexOf('|')))
                        .toList());
        Call status = otamgr(control, "status");
        assertTrue(status.out().contains("installed  board-x-2.0  version 2.0"), status.out());
    }

    @Test
    void theDaemonInstallsByItselfAndReboots() throws Exception {
        bundle("2.0", "image of version 2.0");
        board.startDaemon(bundles("install"));
        board.awaitRun(1).end(0);
        board.awaitLines("reboots", 1);
        assertEquals(List.of("reason=full_ota"), board.linesOf("reboots"));
    }

    @Test
    void withoutADaemonACommandIsCarriedOutByItselfAndStatusNeedsNoJava() throws Exception {
        bundle("2.0", "image of version 2.0");
        Path control = control();
        Path config = board.config(bundles("off"));
        Installation installation = new Installation(folder);
        ProcessBuilder check = installation.launcher("--config", config.toString(), "check");
        Call checked = call(check);
        assertEquals(16, checked.status(), checked.out());
        ProcessBuilder status = installation.launcher("status", "--json");
        status.environment().put("OTAMGR_CONTROL", control.toString());
        status.environment().put("OTAMGR_SOCKET", folder + "/control");
        status.environment().put("OTAMGR_SLOT", "/bin/echo");
        status.environment().put("OTAMGR_JAVA", "/nonexistent");
        Call shown = call(status);
        assertEquals(0, shown.status());
        assertTrue(shown.out().endsWith("status --json\n"), shown.out());
    }
}
