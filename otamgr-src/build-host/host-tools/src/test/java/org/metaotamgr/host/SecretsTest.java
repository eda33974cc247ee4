// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Beside these, {@link Workshop} looks for secrets in all that any test's commands wrote. */
@DisplayName("No secret leaves the process but to the service")
class SecretsTest {

    @TempDir
    Path temporary;

    @Test
    @DisplayName("not in output, files or exceptions, whatever goes wrong at whatever call")
    void failures() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            shop.uploaded(1);
            int build = 1;
            for (String fault : List.of(
                    "401",
                    "403",
                    "409:create",
                    "500",
                    "html=502",
                    "empty=503",
                    "cut=50:upload",
                    "cut=0:token",
                    "cut-reply",
                    "wrong-sha",
                    "forget-url",
                    "expire-token")) {
                shop.service.clearFaults();
                shop.service.addFault(fault);
                shop.image(100 + ++build);
                String number = Integer.toString(build);
                shop.run("record", "create", "-n", number, "-s", "--trace", "--retries", "1");
                shop.run("image", "upload", "-n", number, "-s", "--trace", "--retries", "1", "--json");
                shop.run("deploy", "-i", "49867", "-d", "device-00001", "--trace", "--retries", "1");
                shop.run("status", "-n", number, "-d", "device-00001", "--trace", "--retries", "1");
            }
        }
    }

    @Test
    @DisplayName("not when the service itself repeats them in its errors")
    void echo() throws Exception {
        HttpServer rude = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        rude.createContext("/", exchange -> {
            String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
            boolean login = exchange.getRequestURI().getPath().equals("/oauth/token")
                    && !exchange.getRequestHeaders().getFirst("Accept").equals("never");
            byte[] answer = (login && body.contains("jo%40")
                            ? "{\"access_token\":\"token-that-must-not-show\",\"expires_in\":1000}"
                            : "{\"error\":\"rude\",\"error_description\":\"you sent "
                                    + exchange.getRequestHeaders().getFirst("Authorization") + " and " + body + "\"}")
                    .getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(login && body.contains("jo%40") ? 200 : 400, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        rude.start();
        try (Workshop shop = new Workshop(temporary)) {
            String url = "http://127.0.0.1:" + rude.getAddress().getPort();
            Workshop.Result login = shop.run("image", "list", "--url", url, "--trace");
            assertEquals(ExitStatus.AUTHORISATION.code(), login.exit(), login::toString);
            assertTrue(login.err().contains("rude: you sent Basic *** and "), login.err());
            shop.conf.put("username", "jo@example.org");
            shop.writeConf();
            Workshop.Result list = shop.run("image", "list", "--url", url, "--trace", "--json");
            assertTrue(list.err().contains("rude: you sent Bearer ***"), list.err());
            assertFalse((list.out() + list.err()).contains("token-that-must-not-show"), list.toString());
        } finally {
            rude.stop(0);
        }
    }

    @Test
    @DisplayName("not when the configuration is broken in any way")
    void brokenConfiguration() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            String good = shop.conf.toString();
            String password = "\"" + Workshop.CREDENTIALS.userpw() + "\"";
            for (String broken : List.of(
                    good.replace(password, "placeholder pw &1"),
                    good.replace(password, password + password),
                    good.substring(0, good.length() - 40),
                    good.replace("\"userpw\"", "userpw"),
                    good.replace(password, "[" + password + "]"),
                    good + good,
                    "[" + good + "]",
                    good.replace(Workshop.CREDENTIALS.authString(), "!" + Workshop.CREDENTIALS.authString()),
                    good.replace("\"name\":", "\"userpw\":\"" + Workshop.CREDENTIALS.userpw() + "\",\"name\":"))) {
                shop.conf(broken);
                Workshop.Result result = shop.run("image", "list", "--trace");
                assertEquals(ExitStatus.CONFIGURATION.code(), result.exit(), result::toString);
            }
            assertEquals(List.of(), shop.routes());
        }
    }

    @Test
    @DisplayName("not in the arguments of the process or its children, nor in the environment that BitBake gets")
    void arguments() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            Path bin = Files.createDirectories(shop.folder.resolve("bin"));
            Files.writeString(
                    bin.resolve("bitbake"),
                    "#!/bin/sh\nenv > " + shop.folder + "/bitbake-environment\ntr '\\0' ' ' < /proc/$PPID/cmdline > "
                            + shop.folder + "/parent-arguments\nprintf 'TMPDIR=\"%s\"\\n' " + shop.folder + "\n");
            Files.setPosixFilePermissions(bin.resolve("bitbake"), PosixFilePermissions.fromString("rwx------"));
            shop.conf.remove(List.of("userpw", "auth-string"));
            shop.writeConf();
            ProcessBuilder builder = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java")
                                    .toString(),
                            "-cp",
                            System.getProperty("java.class.path"),
                            Ota.class.getName(),
                            "record",
                            "create",
                            "-n",
                            "1")
                    .directory(shop.folder.toFile())
                    .redirectErrorStream(true);
            builder.environment().putAll(shop.environment);
            builder.environment().put("PATH", bin + ":/usr/bin:/bin");
            builder.environment().put("OTA_USERPW", Workshop.CREDENTIALS.userpw());
            builder.environment().put("OTA_AUTH_STRING", Workshop.CREDENTIALS.authString());
            Process process = builder.start();
            String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertEquals(0, process.waitFor(), said);
            shop.said(said);
            assertTrue(Files.readString(shop.folder.resolve("parent-arguments")).contains("record create"));
            assertTrue(
                    Files.readString(shop.folder.resolve("bitbake-environment")).contains("OTA_SERVICE_URL="));
            // What was written is looked through when the workshop closes.
        }
    }

    @Test
    @DisplayName("not as a command line option: there is none for them")
    void options() throws Exception {
        try (Workshop shop = new Workshop(temporary)) {
            for (String option : List.of("--userpw", "--password", "--auth-string", "--token")) {
                assertEquals(
                        ExitStatus.USAGE.code(),
                        shop.run("image", "list", option, "x").exit(),
                        option);
            }
        }
    }

    @Test
    @DisplayName("not through a value that happens to be printed")
    void values() {
        assertEquals("Secret ***", "Secret " + new Conf.Secret("hidden"));
        Secrets secrets = new Secrets();
        secrets.add("a b&c");
        secrets.add("a b&c and more");
        assertEquals("*** *** ***", secrets.mask("a b&c a+b%26c a b&c and more"));
    }
}
