// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Reads an answer of HTTP/1.1 (RFC 9112) within bounds: whatever a server sends without end, be it headers, answers of 1xx,
 * extensions of chunks or trailers, is an answer that cannot be read, and neither fills the memory nor goes on for ever.
 */
final class AnswerReader {
    private static final int MAX_LINE = 16 * 1024;
    /** All lines before the body, those of answers of 1xx included. */
    private static final int MAX_HEAD = 64 * 1024;

    private static final int MAX_HEADERS = 256;
    private static final int MAX_INTERIM = 16;
    /** What is around chunks, beyond as much as there is in them. */
    private static final int MAX_AROUND = 64 * 1024;

    private static final int MAX_DIGITS = 18;

    private final InputStream in;
    private int headLeft = MAX_HEAD;

    /**
     * Makes one.
     *
     * @param in what the server sends; buffered, as it is read byte by byte
     */
    AnswerReader(InputStream in) {
        this.in = in;
    }

    /**
     * What comes before the body.
     *
     * @param status 200 to 599
     * @param headers their names in lower case; of one that came more than once the first
     * @param isOld whether it is of HTTP/1.0
     */
    record Head(int status, Map<String, String> headers, boolean isOld) {
        Head {
            headers = Collections.unmodifiableMap(new LinkedHashMap<>(headers));
        }

        Optional<String> header(String name) {
            return Optional.ofNullable(headers.get(name.toLowerCase(Locale.ROOT)));
        }

        /** Whether another request may follow on the connection, once the body is over. */
        boolean keeps() {
            return !isOld
                    && (isChunked() || length() >= 0)
                    && !header("connection").orElse("").toLowerCase(Locale.ROOT).contains("close");
        }

        boolean isChunked() {
            return headers.containsKey("transfer-encoding");
        }

        /** The length of the body, or -1 if only its end will tell. */
        long length() {
            return isChunked() || !headers.containsKey("content-length")
                    ? -1
                    : Long.parseLong(headers.get("content-length"));
        }
    }

    /** Reads up to the body. */
    Head head() throws IOException {
        for (int interim = 0; interim <= MAX_INTERIM; interim++) {
            String line = headLine();
            int status = status(line);
            Map<String, String> headers = headers();
            if (status >= 200) {
                return new Head(status, headers, line.startsWith("HTTP/1.0"));
            }
            if (status == 101) {
                throw unexpected("a change of the protocol");
            }
        }
        throw unexpected("more than " + MAX_INTERIM + " answers of 1xx");
    }

    private static IOException unexpected(String found) {
        return new IOException("expected an answer of HTTP, found " + found);
    }

    private String headLine() throws IOException {
        String line = line(Math.min(headLeft, MAX_LINE), "a line or a head that is too long");
        // An empty line counts as well.
        headLeft -= line.length() + 2;
        return line;
    }

    private static int status(String line) throws IOException {
        boolean isStatus = line.length() >= 12
                && (line.startsWith("HTTP/1.1 ") || line.startsWith("HTTP/1.0 "))
                && (line.length() == 12 || line.charAt(12) == ' ');
        int status = isStatus ? number(line.substring(9, 12)) : -1;
        if (status < 100 || status > 599) {
            throw unexpected("no status of 100 to 599");
        }
        return status;
    }

    private static int number(String digits) {
        int number = 0;
        for (int at = 0; at < digits.length(); at++) {
            char one = digits.charAt(at);
            if (one < '0' || one > '9') {
                return -1;
            }
            number = number * 10 + one - '0';
        }
        return number;
    }

    private Map<String, String> headers() throws IOException {
        Map<String, String> headers = new LinkedHashMap<>();
        int count = 0;
        for (String line = headLine(); !line.isEmpty(); line = headLine()) {
            if (++count > MAX_HEADERS) {
                throw unexpected("more than " + MAX_HEADERS + " headers");
            }
            int colon = line.indexOf(':');
            if (line.charAt(0) == ' ' || line.charAt(0) == '\t' || colon < 1) {
                // The rest of a folded line, or nothing that anybody reads.
                continue;
            }
            String name = line.substring(0, colon).toLowerCase(Locale.ROOT);
            String value = line.substring(colon + 1).strip();
            switch (name) {
                case "content-length" -> requireLength(value, headers.get(name));
                case "transfer-encoding" -> {
                    if (!value.equalsIgnoreCase("chunked")) {
                        throw unexpected("a transfer encoding other than chunked");
                    }
                }
                default -> {}
            }
            headers.putIfAbsent(name, value);
        }
        return headers;
    }

    private static void requireLength(String value, String before) throws IOException {
        boolean isNumber = !value.isEmpty()
                && value.length() <= MAX_DIGITS
                && value.chars().allMatch(one -> one >= '0' && one <= '9');
        if (!isNumber || before != null && !before.equals(value)) {
            throw unexpected("a Content-Length that is no length, or two of them");
        }
    }

    private String line(int most, String tooLong) throws IOException {
        StringBuilder line = new StringBuilder(80);
        for (int next = in.read(); next != '\n'; next = in.read()) {
            if (next < 0) {
                throw new EOFException("expected an answer of HTTP, found its end");
            }
            if (line.length() >= most) {
                throw unexpected(tooLong);
            }
            line.append((char) next);
        }
        int end = line.length();
        return end > 0 && line.charAt(end - 1) == '\r' ? line.substring(0, end - 1) : line.toString();
    }

    /** The body. Where its length is known, an end before it is the end of the body; who reads it counts. */
    InputStream body(Head head) {
        return head.status() == 204
                ? InputStream.nullInputStream()
                : head.isChunked() ? new Chunks() : head.length() >= 0 ? new Exactly(head.length()) : in;
    }

    /** So many bytes, or fewer if they do not come. */
    private final class Exactly extends BodyStream {
        private long left;

        Exactly(long length) {
            left = length;
        }

        @Override
        int take(byte[] target, int offset, int length) throws IOException {
            int read = left == 0 ? -1 : in.read(target, offset, (int) Math.min(length, left));
            left -= Math.max(read, 0);
            return read;
        }
    }

    private final class Chunks extends BodyStream {
        private long left;
        private boolean isFirst = true;
        private boolean isOver;
        /** How much more may stand around the chunks. */
        private long around = MAX_AROUND;

        @Override
        int take(byte[] target, int offset, int length) throws IOException {
            if (left == 0 && !isOver) {
                begin();
            }
            if (isOver) {
                return -1;
            }
            int read = in.read(target, offset, (int) Math.min(length, left));
            if (read < 0) {
                throw new EOFException("expected the rest of a chunk, found the end of the connection");
            }
            left -= read;
            around += read;
            return read;
        }

        private void begin() throws IOException {
            if (!isFirst && !aroundLine().isEmpty()) {
                throw unexpected("a chunk that is longer than it says");
            }
            isFirst = false;
            String line = aroundLine();
            int semicolon = line.indexOf(';');
            left = size((semicolon < 0 ? line : line.substring(0, semicolon)).strip());
            if (left == 0) {
                for (String trailer = aroundLine(); !trailer.isEmpty(); trailer = aroundLine()) {
                    // Nobody reads them.
                    continue;
                }
                isOver = true;
            }
        }

        private String aroundLine() throws IOException {
            String line = line((int) Math.min(around, MAX_LINE), "too much around its chunks");
            around -= line.length() + 2;
            if (around < 0) {
                throw unexpected("too much around its chunks");
            }
            return line;
        }

        private long size(String hex) throws IOException {
            long size = 0;
            for (int at = 0; at < hex.length(); at++) {
                int digit = Character.digit(hex.charAt(at), 16);
                size = digit < 0 || hex.charAt(at) > 'f' ? -1 : size * 16 + digit;
                if (size < 0) {
                    break;
                }
            }
            if (hex.isEmpty() || hex.length() > 12 || size < 0) {
                throw unexpected("a chunk without a size");
            }
            return size;
        }
    }
}
