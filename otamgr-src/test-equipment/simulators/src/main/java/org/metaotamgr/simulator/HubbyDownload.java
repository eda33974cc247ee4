// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.PublicKey;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Optional;

/**
 * The network half of a hubby stand-in: polls the simulated service for one device, downloads what it offers, goes on after a
 * break, checks hash and signature, and reports. Needs nothing but {@code java.base}. Telling otamgr about the files, attribute
 * 51612, is left to {@link Hubby}.
 */
public final class HubbyDownload {

    private static final int MAX_SHORT = 1024 * 1024;
    private static final int BLOCK = 64 * 1024;

    private final URI device;
    private final PublicKey key;
    private final Duration timeout;
    private final int tries;

    /**
     * A checked update on the disk, named as hubby names it.
     *
     * @param path the path without suffix, what goes into attribute 51612
     * @param image {@code path} with {@code .img}
     * @param header {@code path} with {@code .hdr}
     */
    public record Update(Path path, Path image, Path header) {}

    /**
     * Prepares downloads for a device.
     *
     * @param service the address of the service, without a path
     * @param deviceId the device
     * @param publicKeyPem the key with which headers must be signed; the service has it at {@code /hubby/public-key.pem}
     * @param timeout how long nothing may move
     * @param tries how often a download may break, at least 1
     * @throws GeneralSecurityException if the key cannot be used
     */
    public HubbyDownload(URI service, String deviceId, String publicKeyPem, Duration timeout, int tries)
            throws GeneralSecurityException {
        if (!deviceId.matches("[A-Za-z0-9._~-]+")) {
            throw new IllegalArgumentException("device id: expected letters, digits and . _ ~ -, found " + deviceId);
        }
        this.device = service.resolve("/hubby/" + deviceId + "/");
        this.key = SignedHeader.publicKey(publicKeyPem);
        this.timeout = timeout;
        this.tries = tries;
    }

    /**
     * Asks whether there is an update.
     *
     * @return the offer, or empty when there is nothing to install
     * @throws IOException if the service does not answer as it should
     */
    public Optional<UpdateDescription> poll() throws IOException {
        HttpURLConnection connection = open("update.properties");
        try {
            if (connection.getResponseCode() == 404) {
                return Optional.empty();
            }
            return Optional.of(UpdateDescription.read(new ByteArrayInputStream(shortBody(connection))));
        } finally {
            connection.disconnect();
        }
    }

    /**
     * Downloads an offer. What an earlier call has left half done is gone on with. Nothing gets its final name before all of it
     * is checked.
     *
     * @param offer what to download
     * @param path where to, without suffix, for example {@code /tmp/ota_type_5}
     * @return the files
     * @throws IOException if the download broke too often, or is not what was offered; in the latter case nothing is kept
     */
    public Update download(UpdateDescription offer, Path path) throws IOException {
        byte[] header = header(offer);
        Path part = path.resolveSibling(
                path.getFileName() + ".img.part-" + offer.imageSha256().substring(0, 16));
        for (int attempt = 1; ; attempt++) {
            try {
                rest(offer, part);
                break;
            } catch (IOException e) {
                if (attempt >= tries) {
                    throw new IOException(
                            offer.image() + ": the download broke " + attempt + " times, the last time at byte "
                                    + size(part),
                            e);
                }
            }
        }
        String found = sha256(part);
        if (!found.equals(offer.imageSha256())) {
            Files.deleteIfExists(part);
            throw new IOException(offer.image() + ": SHA-256: expected " + offer.imageSha256() + ", found " + found
                    + "; the download was thrown away");
        }
        Update update = new Update(path, suffixed(path, ".img"), suffixed(path, ".hdr"));
        Path headerPart = suffixed(path, ".hdr.part");
        Files.write(headerPart, header);
        Files.move(part, update.image(), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        Files.move(headerPart, update.header(), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        return update;
    }

    private static Path suffixed(Path path, String suffix) {
        return path.resolveSibling(path.getFileName() + suffix);
    }

    private byte[] header(UpdateDescription offer) throws IOException {
        HttpURLConnection connection = open(offer.header());
        byte[] header;
        try {
            header = shortBody(connection);
        } finally {
            connection.disconnect();
        }
        if (!HexFormat.of().formatHex(digest().digest(header)).equals(offer.headerSha256())) {
            throw new IOException(offer.header() + ": is not the header that was offered");
        }
        try {
            if (!SignedHeader.isSignedWith(header, key)) {
                throw new IOException(offer.header() + ": the signature is not that of the service");
            }
        } catch (GeneralSecurityException e) {
            throw new IOException(offer.header() + ": the signature cannot be checked", e);
        }
        if (!new String(header, StandardCharsets.UTF_8).contains("\nimageSha256=" + offer.imageSha256() + "\n")) {
            throw new IOException(offer.header() + ": is signed for another image");
        }
        return header;
    }

    private void rest(UpdateDescription offer, Path part) throws IOException {
        long have = size(part);
        HttpURLConnection connection = open(offer.image());
        if (have > 0) {
            connection.setRequestProperty("Range", "bytes=" + have + "-");
            connection.setRequestProperty("If-Range", '"' + offer.imageSha256() + '"');
        }
        try {
            int status = connection.getResponseCode();
            if (status == 416) {
                // All of it is there already, or more than all: the hash decides.
                return;
            }
            if (status != 200 && status != 206) {
                throw new IOException(offer.image() + ": HTTP " + status);
            }
            long length = connection.getContentLengthLong();
            boolean append = status == 206;
            try (InputStream in = connection.getInputStream();
                    FileChannel out = append
                            ? FileChannel.open(part, StandardOpenOption.WRITE, StandardOpenOption.APPEND)
                            : FileChannel.open(
                                    part,
                                    StandardOpenOption.WRITE,
                                    StandardOpenOption.CREATE,
                                    StandardOpenOption.TRUNCATE_EXISTING)) {
                long received = copy(in, out);
                out.force(true);
                if (length >= 0 && received != length) {
                    throw new IOException(offer.image() + ": expected " + length + " bytes, found " + received);
                }
            }
        } finally {
            connection.disconnect();
        }
    }

    private static long copy(InputStream in, FileChannel out) throws IOException {
        byte[] block = new byte[BLOCK];
        long total = 0;
        for (int length = in.read(block); length >= 0; length = in.read(block)) {
            ByteBuffer bytes = ByteBuffer.wrap(block, 0, length);
            while (bytes.hasRemaining()) {
                out.write(bytes);
            }
            total += length;
        }
        return total;
    }

    private static long size(Path part) throws IOException {
        return Files.exists(part) ? Files.size(part) : 0;
    }

    private static String sha256(Path file) throws IOException {
        MessageDigest digest = digest();
        try (InputStream in = Files.newInputStream(file)) {
            byte[] block = new byte[BLOCK];
            for (int length = in.read(block); length >= 0; length = in.read(block)) {
                digest.update(block, 0, length);
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private static MessageDigest digest() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java runtime has SHA-256", e);
        }
    }

    /**
     * Tells how far the device is; the page shows it. {@code failed} and {@code rolled-back} end the update.
     *
     * @param phase lower case letters and hyphens, for example {@code write}
     * @param percent of that phase, 0 to 100
     * @param message for people
     * @throws IOException if the service does not take it
     */
    public void report(String phase, int percent, String message) throws IOException {
        post(
                "report",
                "phase=" + phase + "\npercent=" + percent + "\nmessage=" + message.replaceAll("\\R", " ") + "\n");
    }

    /**
     * Tells which version the device runs, after each boot.
     *
     * @param version the version as text, as in the offer
     * @param slot {@code a} or {@code b}
     * @throws IOException if the service does not take it
     */
    public void installed(String version, String slot) throws IOException {
        post("installed", "version=" + version + "\nslot=" + slot + "\n");
    }

    private void post(String what, String body) throws IOException {
        HttpURLConnection connection = open(what);
        try {
            connection.setDoOutput(true);
            connection.setRequestProperty("Content-Type", "text/plain; charset=utf-8");
            connection.getOutputStream().write(body.getBytes(StandardCharsets.UTF_8));
            int status = connection.getResponseCode();
            if (status / 100 != 2) {
                throw new IOException(what + ": HTTP " + status);
            }
        } finally {
            connection.disconnect();
        }
    }

    private HttpURLConnection open(String name) throws IOException {
        HttpURLConnection connection =
                (HttpURLConnection) device.resolve(name).toURL().openConnection();
        connection.setConnectTimeout((int) timeout.toMillis());
        connection.setReadTimeout((int) timeout.toMillis());
        connection.setInstanceFollowRedirects(false);
        return connection;
    }

    private static byte[] shortBody(HttpURLConnection connection) throws IOException {
        int status = connection.getResponseCode();
        if (status != 200) {
            throw new IOException(connection.getURL().getPath() + ": HTTP " + status);
        }
        try (InputStream in = connection.getInputStream()) {
            byte[] bytes = in.readNBytes(MAX_SHORT + 1);
            if (bytes.length > MAX_SHORT) {
                throw new IOException(connection.getURL().getPath() + ": expected at most " + MAX_SHORT + " bytes");
            }
            return bytes;
        }
    }
}
