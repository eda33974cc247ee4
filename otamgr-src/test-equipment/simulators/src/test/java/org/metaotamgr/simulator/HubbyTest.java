// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.metaotamgr.wire.AttributeStatus;
import org.metaotamgr.wire.ListenRange;

@DisplayName("The hubby simulator")
@Timeout(120)
class HubbyTest {
    private static final String ANNOUNCED = "client_set_own_attribute:attrId=51612";

    @TempDir
    Path directory;

    private final LogRecorder log = new LogRecorder();
    private final List<AutoCloseable> open = new ArrayList<>();
    private final byte[] image = new byte[200_000];
    private Path socket;
    private Path offered;
    private Path prefix;
    private Path installed;
    private Attrd attrd;
    private Hubby hubby;
    private Thread running;

    @BeforeEach
    void start() throws IOException {
        new Random(1).nextBytes(image);
        socket = directory.resolve("IPC.ATTRD");
        offered = Files.createDirectory(directory.resolve("offered"));
        prefix = Files.createDirectory(directory.resolve("prefix"));
        installed = directory.resolve("ota_type_5.hdr");
        startAttrd();
    }

    private void startAttrd() throws IOException {
        attrd = new Attrd(socket, new Attrd.Options(), log);
        attrd.start();
    }

    @AfterEach
    void close() throws Exception {
        if (hubby != null) {
            hubby.stop();
            running.join(TimeUnit.SECONDS.toMillis(LogRecorder.PATIENCE_SECONDS));
            assertFalse(running.isAlive());
        }
        for (AutoCloseable closeable : open) {
            closeable.close();
        }
        attrd.close();
    }

    private void run(UpdateSource source) {
        run(source, 0);
    }

    private void run(UpdateSource source, int chatter) {
        hubby = new Hubby(socket, source, null, installed, Duration.ofMillis(20), 1, chatter, log);
        running = new Thread(() -> {
            try {
                hubby.run();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        running.start();
    }

    /** Stands in for otamgr: wants updates in the prefix, remembers announcements. */
    private final class Otamgr implements SimulatedClient.Owner {
        final BlockingQueue<String> paths = new LinkedBlockingQueue<>();

        Otamgr() throws IOException {
            open.add(
                    0,
                    new SimulatedClient(socket, Attribute.OTAMGR, List.of(new ListenRange(51612, 51612)), this, log));
        }

        @Override
        public byte[] read(int attributeId) {
            return (prefix + "\0").getBytes(StandardCharsets.UTF_8);
        }

        @Override
        public AttributeStatus written(int attributeId, byte[] value) {
            return AttributeStatus.NOT_IMPLEMENTED;
        }

        @Override
        public void notified(int attributeId, byte[] value) {
            paths.add(new String(value, StandardCharsets.UTF_8));
        }

        String next() throws InterruptedException {
            String path = paths.poll(LogRecorder.PATIENCE_SECONDS, TimeUnit.SECONDS);
            assertNotNull(path, "nothing announced");
            return path;
        }
    }

    private static String sha256(byte[] bytes) throws Exception {
        return Hex.of(MessageDigest.getInstance("SHA-256").digest(bytes));
    }

    private void offer(String version, String imageSha256) throws Exception {
        byte[] header = ("header " + version).getBytes(StandardCharsets.UTF_8);
        Files.write(offered.resolve("name.img"), image);
        Files.write(offered.resolve("name.hdr"), header);
        Files.writeString(
                offered.resolve("part"),
                "version=" + version + "\nimage=name.img\nheader=name.hdr\n" + "imageSha256=" + imageSha256
                        + "\nheaderSha256=" + sha256(header) + "\n");
        Files.move(
                offered.resolve("part"),
                offered.resolve("update.properties"),
                StandardCopyOption.REPLACE_EXISTING,
                StandardCopyOption.ATOMIC_MOVE);
    }

    private void assertDownloaded(String version) throws IOException {
        assertArrayEquals(image, Files.readAllBytes(prefix.resolve("ota_type_5.img")));
        assertEquals("header " + version, Files.readString(prefix.resolve("ota_type_5.hdr")));
        try (var files = Files.list(prefix)) {
            assertEquals(2, files.count(), "temporary files left over");
        }
    }

    @Test
    @DisplayName("downloads what a directory offers to where otamgr wants it, and announces it once")
    void directory() throws Exception {
        Otamgr otamgr = new Otamgr();
        run(new UpdateSource.Directory(offered));
        log.await("hubby state is 1");
        offer("2.0", sha256(image));
        assertEquals(prefix + "/ota_type_5\0", otamgr.next());
        assertDownloaded("2.0");
        String path = prefix + "/ota_type_5\0";
        log.await("hubby: client_set_own_attribute:attrId=51612,name=HUBBY_OTA_UPGRADE_PATH,owner=IPC.HUBBY,value["
                + path.length() + "]=" + Hex.of(path.getBytes(StandardCharsets.UTF_8)));
        offer("3.0", sha256(image));
        otamgr.next();
        assertDownloaded("3.0");
        assertEquals(2, log.count("hubby: " + ANNOUNCED), "one of them was announced twice");
    }

    @Test
    @DisplayName("downloads from a web server")
    void web() throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> {
            Path file = offered.resolve(exchange.getRequestURI().getPath().substring("/updates/".length()));
            if (Files.exists(file)) {
                exchange.sendResponseHeaders(200, Files.size(file));
                exchange.getResponseBody().write(Files.readAllBytes(file));
            } else {
                exchange.sendResponseHeaders(404, -1);
            }
            exchange.close();
        });
        server.start();
        open.add(() -> server.stop(0));
        Otamgr otamgr = new Otamgr();
        run(new UpdateSource.Web(
                URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/updates/update.properties")));
        log.await("hubby state is 1");
        offer("2.0", sha256(image));
        otamgr.next();
        assertDownloaded("2.0");
        assertEquals(0, log.count("no update from"), "an absent description is no error");
    }

    @Test
    @DisplayName("goes by the header of the running system alone")
    void installedHeader() throws Exception {
        Files.writeString(installed, "header 2.0");
        Otamgr otamgr = new Otamgr();
        offer("2.0", sha256(image));
        run(new UpdateSource.Directory(offered));
        log.await("update version=2.0 is installed");
        offer("3.0", sha256(image));
        otamgr.next();
        assertDownloaded("3.0");
        assertEquals(1, log.count("hubby: " + ANNOUNCED));
    }

    @Test
    @DisplayName("announces again over a new connection, without downloading again")
    void announcesAgain() throws Exception {
        Otamgr first = new Otamgr();
        offer("2.0", sha256(image));
        run(new UpdateSource.Directory(offered));
        first.next();
        attrd.close();
        startAttrd();
        Otamgr second = new Otamgr();
        second.next();
        log.await("already downloaded");
        assertDownloaded("2.0");
    }

    @Test
    @DisplayName("waits until there is an otamgr to hear it")
    void waitsForOtamgr() throws Exception {
        offer("2.0", sha256(image));
        run(new UpdateSource.Directory(offered));
        log.await("waiting for otamgr to connect");
        assertEquals(0, log.count("hubby: " + ANNOUNCED));
        new Otamgr().next();
    }

    @Test
    @DisplayName("does not announce an image that is not the one described")
    void wrongImage() throws Exception {
        Otamgr otamgr = new Otamgr();
        offer("2.0", "0".repeat(64));
        run(new UpdateSource.Directory(offered));
        log.await("update not downloaded: name.img has sha256 " + sha256(image));
        assertFalse(Files.exists(prefix.resolve("ota_type_5.img")));
        assertFalse(Files.exists(prefix.resolve("ota_type_5.hdr")));
        offer("2.0", sha256(image));
        otamgr.next();
        assertDownloaded("2.0");
        assertEquals(1, log.count("hubby: " + ANNOUNCED));
    }

    @Test
    @DisplayName("serves its state and takes commands")
    void ownAttributes() throws Exception {
        run(null);
        log.await("hubby state is 1");
        SimulatedClient attrc = new SimulatedClient(socket, Attribute.ATTRC, List.of(), new Otamgr(), log);
        open.add(0, attrc);
        assertArrayEquals(new byte[] {1}, attrc.get(Attribute.HUBBY_STATE));
        attrc.set(Attribute.HUBBY_COMMAND, new byte[] {1, 0, 0, 0});
        log.await("hubby: command 01000000");
        assertArrayEquals(new byte[] {1, 0, 0, 0}, attrc.get(Attribute.HUBBY_COMMAND));
    }

    @Test
    @DisplayName("says what is wrong with a description")
    void descriptions() throws Exception {
        String good =
                "version=2\nimage=a\nheader=b\nimageSha256=" + "0".repeat(64) + "\nheaderSha256=" + "f".repeat(64);
        assertEquals("2", read(good).version());
        String[][] wrong = {
            {good.replace("image=a", ""), "no value for \"image\""},
            {good.replace("image=a", "image=../a"), "\"image\" in the update description must be the name of a file"},
            {good.replace("ffff", "xxxx"), "\"headerSha256\" in the update description must be 64 hexadecimal digits"},
            {"\\u12", "no properties file"},
        };
        for (String[] one : wrong) {
            String message = assertThrows(IOException.class, () -> read(one[0])).getMessage();
            assertTrue(message.contains(one[1]), message);
        }
    }

    private static UpdateDescription read(String text) throws IOException {
        return UpdateDescription.read(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
    }

    /** Counts what it is told about hubby's state. */
    private static final class Listener implements SimulatedClient.Owner {
        final CountDownLatch states = new CountDownLatch(100);

        @Override
        public byte[] read(int attributeId) {
            return null;
        }

        @Override
        public AttributeStatus written(int attributeId, byte[] value) {
            return AttributeStatus.NOT_IMPLEMENTED;
        }

        @Override
        public void notified(int attributeId, byte[] value) {
            states.countDown();
        }
    }

    @Test
    @DisplayName("says its state as often as it is told to, and attrd logs it once")
    void chatter() throws Exception {
        Listener listener = new Listener();
        open.add(new SimulatedClient(socket, Attribute.OTAMGR, List.of(new ListenRange(51611, 51611)), listener, log));
        run(null, 200);
        assertTrue(listener.states.await(LogRecorder.PATIENCE_SECONDS, TimeUnit.SECONDS));
        assertEquals(1, log.count("client_set_own_attribute:attrId=51611"));
    }
}
