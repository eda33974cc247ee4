// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPOutputStream;

/** A server of one file on a real socket, that treats ranges as some servers and proxies do. */
final class PartServer implements AutoCloseable {
    /** What it does with a range. */
    enum Kind {
        RIGHT,
        /** As HTTP/1.0, and each connection ends. */
        OLD,
        CLOSES,
        CHUNKED,
        WITHOUT_LENGTH,
        /** At most 100,000 bytes. */
        SHORT,
        /** One byte. */
        TINY,
        EARLIER,
        ELSEWHERE,
        /** To the end of the file, whatever end is asked for. */
        OPEN_END,
        NO_RANGES,
        MULTIPART,
        NO_SUCH_RANGE,
        OTHER_TOTAL,
        GZIP,
        PORTAL,
        REDIRECT,
        /** Another file, as long as the right one. */
        CHANGED,
        /** Another tag for each answer. */
        WEAK,
        GONE,
        BUSY,
        /** Takes the request, and says nothing. */
        SILENT,
        /** Half of what was asked for, then nothing. */
        STALLS,
        /** Twenty bytes a second. */
        CRAWLS
    }

    /** For its clients: one that crawls is slower. */
    static final Exchange.Pace PACE = new Exchange.Pace(1000, Duration.ofSeconds(3), Duration.ofMinutes(5));

    private static final Pattern RANGE = Pattern.compile("(?im)^Range: bytes=(\\d+)-(\\d*)\\r?$");

    final List<String> ranges = new CopyOnWriteArrayList<>();
    final AtomicLong sent = new AtomicLong();
    final AtomicInteger connections = new AtomicInteger();
    volatile Kind kind = Kind.RIGHT;
    /** After how many further bytes of bodies the connection is cut; negative for never. */
    final AtomicLong cutAfter = new AtomicLong(-1);
    /** Whether it is cut but once. */
    volatile boolean cutsOnce;
    /** How many requests are served rightly before the kind shows. */
    final AtomicInteger rightFirst = new AtomicInteger();
    /** For how many requests it shows then. */
    final AtomicInteger shows = new AtomicInteger(Integer.MAX_VALUE);

    private final byte[] file;
    private final Connections served = new Connections(this::serve);

    PartServer(byte[] file) throws IOException {
        this.file = file;
    }

    URI uri() {
        return URI.create("http://localhost:" + served.port() + "/");
    }

    @Override
    public void close() throws IOException {
        served.close();
    }

    private void serve(Socket client) throws IOException, InterruptedException {
        connections.incrementAndGet();
        while (answer(client)) {
            continue;
        }
    }

    /** Answers one request; returns whether the connection stays. */
    private boolean answer(Socket client) throws IOException, InterruptedException {
        String head = Connections.head(client.getInputStream());
        if (head.isEmpty()) {
            return false;
        }
        Matcher asked = RANGE.matcher(head);
        int from = 0;
        int end = file.length;
        boolean isPart = asked.find();
        ranges.add(isPart ? asked.group(1) + "-" + asked.group(2) : "all");
        if (isPart) {
            from = Integer.parseInt(asked.group(1));
            end = asked.group(2).isEmpty() ? end : Math.min(end, Integer.parseInt(asked.group(2)) + 1);
        }
        Kind now = rightFirst.getAndDecrement() > 0 || shows.getAndDecrement() <= 0 ? Kind.RIGHT : kind;
        OutputStream out = client.getOutputStream();
        String version = now == Kind.OLD ? "HTTP/1.0" : "HTTP/1.1";
        byte[] content = file;
        if (now == Kind.CHANGED) {
            content = file.clone();
            for (int at = 0; at < content.length; at += 100) {
                content[at] ^= 1;
            }
        }
        switch (now) {
            case NO_RANGES -> {
                isPart = false;
                from = 0;
                end = file.length;
            }
            case EARLIER -> from = Math.max(0, from - 3000);
            case ELSEWHERE -> {
                if (isPart) {
                    from = Math.min(file.length - 2, from + 5000);
                    end = Math.max(from + 1, end);
                }
            }
            case OPEN_END -> end = file.length;
            case SHORT -> end = Math.min(end, from + 100_000);
            case TINY -> end = from + 1;
            case REDIRECT -> {
                if (!head.startsWith("GET /moved")) {
                    write(out, "HTTP/1.1 302 Found\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n", new byte[0]);
                    return false;
                }
            }
            default -> {}
        }
        byte[] body = Arrays.copyOfRange(content, from, end);
        String range = "Content-Range: bytes " + from + "-" + (end - 1) + "/"
                + (now == Kind.OTHER_TOTAL ? file.length + 1 : file.length) + "\r\n";
        String part = version + " 206 x\r\n" + range + "Content-Length: " + body.length + "\r\n\r\n";
        switch (now) {
            case GZIP -> {
                ByteArrayOutputStream packed = new ByteArrayOutputStream();
                try (GZIPOutputStream gzip = new GZIPOutputStream(packed)) {
                    gzip.write(body);
                }
                body = packed.toByteArray();
                write(
                        out,
                        version + " 206 x\r\nContent-Encoding: gzip\r\n" + range + "Content-Length: " + body.length
                                + "\r\n\r\n",
                        body);
            }
            case PORTAL -> {
                body = "<html>Please log in</html>".getBytes(StandardCharsets.US_ASCII);
                write(out, version + " 200 OK\r\nContent-Length: " + body.length + "\r\n\r\n", body);
            }
            case NO_SUCH_RANGE -> {
                if (!isPart) {
                    write(out, version + " 200 OK\r\nContent-Length: " + body.length + "\r\n\r\n", body);
                } else {
                    write(out, version + " 416 x\r\nContent-Length: 0\r\n\r\n", new byte[0]);
                }
            }
            case GONE -> write(out, version + " 410 x\r\nContent-Length: 0\r\n\r\n", new byte[0]);
            case BUSY -> write(out, version + " 503 x\r\nRetry-After: 77\r\nContent-Length: 0\r\n\r\n", new byte[0]);
            case MULTIPART -> {
                String text =
                        "--b\r\n" + range + "\r\n" + new String(body, StandardCharsets.ISO_8859_1) + "\r\n--b--\r\n";
                body = text.getBytes(StandardCharsets.ISO_8859_1);
                write(
                        out,
                        version
                                + (isPart
                                        ? " 206 x\r\nContent-Type: multipart/byteranges; boundary=b\r\n"
                                        : " 200 OK\r\n")
                                + "Content-Length: " + (isPart ? body.length : file.length) + "\r\n\r\n",
                        isPart ? body : file);
            }
            case CHUNKED -> {
                write(out, version + " 206 x\r\n" + range + "Transfer-Encoding: chunked\r\n\r\n", new byte[0]);
                for (int at = 0; at < body.length; at += 1000) {
                    byte[] chunk = Arrays.copyOfRange(body, at, Math.min(body.length, at + 1000));
                    write(out, Integer.toHexString(chunk.length) + "\r\n", chunk);
                    write(out, "\r\n", new byte[0]);
                }
                write(out, "0\r\n\r\n", new byte[0]);
            }
            case SILENT -> {
                untilTheClientGoes(client);
                return false;
            }
            case STALLS -> {
                write(out, part, Arrays.copyOf(body, body.length / 2));
                untilTheClientGoes(client);
                return false;
            }
            case CRAWLS -> {
                write(out, part, new byte[0]);
                for (byte one : body) {
                    write(out, "", new byte[] {one});
                    Thread.sleep(50);
                }
            }
            case WITHOUT_LENGTH -> {
                write(out, version + " 206 x\r\n" + range + "\r\n", body);
                return false;
            }
            default -> {
                write(
                        out,
                        version + (isPart ? " 206 x\r\n" + range : " 200 OK\r\n")
                                + (now == Kind.CLOSES ? "Connection: close\r\n" : "")
                                + (now == Kind.WEAK ? "ETag: W/\"" + ranges.size() + "\"\r\n" : "")
                                + "Content-Length: " + body.length + "\r\n\r\n",
                        body);
                return now != Kind.OLD && now != Kind.CLOSES;
            }
        }
        return true;
    }

    private static void untilTheClientGoes(Socket client) throws IOException {
        while (client.getInputStream().read() >= 0) {
            continue;
        }
    }

    private void write(OutputStream out, String head, byte[] body) throws IOException {
        out.write(head.getBytes(StandardCharsets.ISO_8859_1));
        int count = body.length;
        long left = cutAfter.get();
        if (left >= 0) {
            count = (int) Math.min(left, count);
            cutAfter.addAndGet(-count);
        }
        out.write(body, 0, count);
        out.flush();
        sent.addAndGet(count);
        if (count < body.length) {
            if (cutsOnce) {
                cutAfter.set(-1);
            }
            throw new IOException("cut");
        }
    }
}
