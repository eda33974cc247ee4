// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.List;
import org.metaotamgr.wire.AttributeStatus;

/**
 * Stands in for the cloud agent: looks for an update, downloads and checks it, and announces it through attrd. Like the
 * platform it goes by the header alone: an update is offered again and again until {@code /etc/ota_type_5.hdr} is the
 * header that came with it. Once it has announced a description it keeps quiet about it until the connection to attrd
 * is a new one.
 */
public final class Hubby {
    /** Name of the downloaded update without extension. */
    static final String UPDATE_NAME = "ota_type_5";

    private static final int OTA_TYPE = 5;
    private static final String DEFAULT_PREFIX = "/tmp";
    private static final int RECONNECT_MILLIS = 1000;
    /** How soon a wait for the next look notices that it is to stop. */
    private static final int STEP_MILLIS = 100;

    private static final int CHATTER_STEP_MILLIS = 10;
    private static final long NANOS_PER_SECOND = 1_000_000_000;
    private static final long SECONDS_PER_MINUTE = 60;

    private static final int COPY_BUFFER = 64 * 1024;

    /**
     * The system that this hubby belongs to.
     *
     * @param version as in the OTA record of the image
     * @param slot {@code a} or {@code b}
     */
    record RunningSystem(String version, String slot) {}

    private final Path socket;
    private final UpdateSource source;
    private final RunningSystem running;
    private final Path installedHeader;
    private final long pollMillis;
    private final int chatter;
    private final Log log;

    private final Object lock = new Object();
    private byte[] command = new byte[4];
    private byte state;
    private byte[] path = new byte[0];
    private boolean stopped;

    /** What the last download brought, so that it is not done again when only the announcement has to be repeated. */
    private UpdateDescription downloaded;

    private Path downloadedTo;
    private UpdateDescription announced;
    private String lastReason = "";

    /**
     * A hubby that is not yet running.
     *
     * @param socket where attrd listens
     * @param source where updates are offered, or null for none
     * @param running what it tells the simulated OTA service about this system, or null for nothing
     * @param installedHeader header of the running system, on a device {@code /etc/ota_type_5.hdr}; need not exist
     * @param poll how long to wait between looks for an update
     * @param state what it says about the cloud connection (attribute 51611): 0 not known, 1 connected, 2 not connected
     * @param chatter how many times a second it says its state again, 0 for never
     * @param log where it tells what happens
     */
    Hubby(
            Path socket,
            UpdateSource source,
            RunningSystem running,
            Path installedHeader,
            Duration poll,
            int state,
            int chatter,
            Log log) {
        this.socket = socket;
        this.source = source;
        this.running = running;
        this.installedHeader = installedHeader;
        pollMillis = poll.toMillis();
        this.state = (byte) state;
        this.chatter = chatter;
        this.log = log;
    }

    /** Runs until {@link #stop}. */
    public void run() throws InterruptedException {
        String lastFailure = "";
        while (!isStopped()) {
            try (SimulatedClient client =
                    new SimulatedClient(socket, Attribute.HUBBY, List.of(), new OwnAttributes(), log)) {
                lastFailure = "";
                announced = null;
                serve(client);
            } catch (IOException e) {
                if (!String.valueOf(e.getMessage()).equals(lastFailure)) {
                    lastFailure = String.valueOf(e.getMessage());
                    log("attrd: " + lastFailure + "; trying again until it works");
                }
            }
            pause(RECONNECT_MILLIS);
        }
    }

    /** Makes {@link #run} return soon. */
    public void stop() {
        synchronized (lock) {
            stopped = true;
            lock.notifyAll();
        }
    }

    private boolean isStopped() {
        synchronized (lock) {
            return stopped;
        }
    }

    private void pause(long millis) throws InterruptedException {
        long until = System.nanoTime() + millis * 1_000_000;
        synchronized (lock) {
            for (long left = millis; !stopped && left > 0; left = (until - System.nanoTime()) / 1_000_000) {
                lock.wait(left);
            }
        }
    }

    private void log(String line) {
        log.line("hubby", line);
    }

    private void serve(SimulatedClient client) throws IOException, InterruptedException {
        client.set(Attribute.HUBBY_STATE, new byte[] {state});
        log("hubby state is " + state);
        tellWhatIsInstalled();
        if (chatter > 0) {
            startChatter(client);
        }
        while (!isStopped() && client.isConnected()) {
            if (source != null) {
                poll(client);
            }
            for (long left = pollMillis; left > 0 && !isStopped() && client.isConnected(); left -= STEP_MILLIS) {
                client.awaitDisconnect(Math.min(STEP_MILLIS, left));
            }
        }
    }

    /** What is late is caught up with; once a minute it says how much it was. */
    private void startChatter(SimulatedClient client) {
        Thread thread = new Thread(
                new Runnable() {
                    @Override
                    public void run() {
                        try {
                            chatter(client);
                        } catch (IOException e) {
                            log("chatter ends: " + e.getMessage());
                        } catch (InterruptedException e) {
                            Thread.currentThread().interrupt();
                        }
                    }
                },
                "chatter");
        thread.setDaemon(true);
        thread.start();
    }

    private void chatter(SimulatedClient client) throws IOException, InterruptedException {
        long started = System.nanoTime();
        long said = 0;
        long minutes = 1;
        while (!isStopped() && client.isConnected()) {
            long elapsed = System.nanoTime() - started;
            for (long due = elapsed / (NANOS_PER_SECOND / chatter) - said; due > 0; due--) {
                client.set(Attribute.HUBBY_STATE, new byte[] {state});
                said++;
            }
            if (elapsed >= minutes * SECONDS_PER_MINUTE * NANOS_PER_SECOND) {
                log("said its state " + said + " times in " + minutes + " minutes");
                minutes++;
            }
            client.awaitDisconnect(CHATTER_STEP_MILLIS);
        }
    }

    /** The cloud learns which version runs when hubby has connected, after each boot. */
    private void tellWhatIsInstalled() {
        if (running == null || !(source instanceof UpdateSource.Service service)) {
            return;
        }
        try {
            service.hubby().installed(running.version(), running.slot());
            log("told the service: version=" + running.version() + ",slot=" + running.slot());
        } catch (IOException e) {
            log("the service does not take what is installed: " + e);
        }
    }

    private void poll(SimulatedClient client) throws IOException {
        UpdateDescription update;
        try {
            update = source.offered();
        } catch (IOException e) {
            unannounced("no update from " + source + ": " + e);
            return;
        }
        if (update == null || update.equals(announced)) {
            return;
        }
        if (isInstalled(update)) {
            unannounced("update version=" + update.version() + " is installed: " + installedHeader + " is its header");
            return;
        }
        Path prefix = prefix(client);
        if (prefix == null) {
            return;
        }
        log("update offered: version=" + update.version() + ",image=" + update.image() + ",prefix=" + prefix);
        try {
            download(update, prefix);
        } catch (IOException e) {
            unannounced("update not downloaded: " + e.getMessage());
            return;
        }
        announce(client, prefix.resolve(UPDATE_NAME));
        announced = update;
        lastReason = "";
    }

    private boolean isInstalled(UpdateDescription update) throws IOException {
        try {
            return sha256(installedHeader).equals(update.headerSha256());
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    /**
     * Where otamgr wants updates; null if there is no otamgr. The real hubby announces all the same and relies on the
     * cloud to push once more; this one has no cloud and waits for somebody to listen.
     */
    private Path prefix(SimulatedClient client) throws IOException {
        String prefix;
        try {
            byte[] value = client.get(Attribute.OTAMGR_OTA_UPD_PATH_PREFIX);
            int length = 0;
            while (length < value.length && value[length] != 0) {
                length++;
            }
            prefix = new String(value, 0, length, StandardCharsets.UTF_8);
        } catch (SimulatedClient.RefusedException e) {
            if (e.status() == AttributeStatus.OWNER_NOT_AVAILABLE) {
                unannounced("update offered, waiting for otamgr to connect");
                return null;
            }
            unannounced("otamgr does not say where it wants updates: " + e.getMessage() + "; using " + DEFAULT_PREFIX);
            return Path.of(DEFAULT_PREFIX);
        }
        if (!prefix.startsWith("/")) {
            unannounced(
                    "otamgr wants updates in \"" + prefix + "\", which is no absolute path; using " + DEFAULT_PREFIX);
            return Path.of(DEFAULT_PREFIX);
        }
        return Path.of(prefix);
    }

    /** Logs why nothing is announced, but not again at the next look. */
    private void unannounced(String reason) {
        if (!reason.equals(lastReason)) {
            lastReason = reason;
            log(reason);
        }
    }

    private void download(UpdateDescription update, Path prefix) throws IOException {
        Path image = prefix.resolve(UPDATE_NAME + ".img");
        Path header = prefix.resolve(UPDATE_NAME + ".hdr");
        if (update.equals(downloaded) && image.equals(downloadedTo) && Files.exists(image) && Files.exists(header)) {
            log("already downloaded");
            return;
        }
        if (source instanceof UpdateSource.Service service) {
            service.hubby().download(update, prefix.resolve(UPDATE_NAME));
            log("LocalOtaComplete(" + OTA_TYPE + ", " + image + "): signature and sha are right");
        } else if (source instanceof UpdateSource.PlainFiles files) {
            copy(files, update, image, header, prefix);
        }
        syncDirectory(prefix);
        downloaded = update;
        downloadedTo = image;
        log("HandleValidateOTA(0)");
    }

    private void copy(UpdateSource.PlainFiles files, UpdateDescription update, Path image, Path header, Path prefix)
            throws IOException {
        Path temporary = prefix.resolve("ota.update." + update.imageSha256().substring(0, 16));
        try {
            long size = fetch(files, update.image(), temporary, update.imageSha256());
            log("LocalOtaComplete(" + OTA_TYPE + ", " + temporary + ")");
            log("LocalOtaComplete(" + temporary + "): " + size + " bytes, sha generated " + update.imageSha256());
            Files.move(temporary, image, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            // The header comes last: who finds it finds the image too.
            fetch(files, update.header(), temporary, update.headerSha256());
            Files.move(temporary, header, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private static long fetch(UpdateSource.PlainFiles files, String name, Path to, String expectedSha256)
            throws IOException {
        MessageDigest digest = sha256();
        long size = 0;
        try (InputStream in = files.open(name);
                FileChannel out = FileChannel.open(
                        to,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.WRITE,
                        StandardOpenOption.TRUNCATE_EXISTING)) {
            byte[] buffer = new byte[COPY_BUFFER];
            for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                digest.update(buffer, 0, count);
                ByteBuffer bytes = ByteBuffer.wrap(buffer, 0, count);
                while (bytes.hasRemaining()) {
                    out.write(bytes);
                }
                size += count;
            }
            out.force(true);
        }
        String found = Hex.of(digest.digest());
        if (!found.equals(expectedSha256)) {
            throw new IOException(name + " has sha256 " + found + ", its description says " + expectedSha256);
        }
        return size;
    }

    private static void syncDirectory(Path directory) throws IOException {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    private static String sha256(Path file) throws IOException {
        MessageDigest digest = sha256();
        digest.update(Files.readAllBytes(file));
        return Hex.of(digest.digest());
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java runtime has SHA-256", e);
        }
    }

    private void announce(SimulatedClient client, Path update) throws IOException {
        byte[] value = (update + "\0").getBytes(StandardCharsets.UTF_8);
        log("client_set_own_attribute:attrId=" + Attribute.HUBBY_OTA_UPGRADE_PATH
                + ",name=HUBBY_OTA_UPGRADE_PATH,owner=" + Attribute.HUBBY + ",value[" + value.length + "]="
                + Hex.of(value));
        synchronized (lock) {
            path = value;
        }
        client.set(Attribute.HUBBY_OTA_UPGRADE_PATH, value);
    }

    /** What hubby answers when it is asked for its own attributes. */
    private final class OwnAttributes implements SimulatedClient.Owner {
        @Override
        public byte[] read(int attributeId) {
            synchronized (lock) {
                switch (attributeId) {
                    case Attribute.HUBBY_STATE:
                        return new byte[] {state};
                    case Attribute.HUBBY_COMMAND:
                        return command.clone();
                    case Attribute.HUBBY_OTA_UPGRADE_PATH:
                        return path.clone();
                    default:
                        return null;
                }
            }
        }

        @Override
        public AttributeStatus written(int attributeId, byte[] value) {
            if (attributeId != Attribute.HUBBY_COMMAND) {
                return AttributeStatus.NOT_IMPLEMENTED;
            }
            synchronized (lock) {
                command = value.clone();
            }
            log("command " + Hex.of(value, 32));
            return AttributeStatus.OK;
        }
    }
}
