// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The bytes of the part named {@code file} in a {@code multipart/form-data} body, as the first release of the original tools sent it. */
final class MultipartFile extends InputStream {

    private static final Pattern BOUNDARY = Pattern.compile("(?i)boundary=(?:\"([^\"]{1,70})\"|([^;\\s]{1,70}))");
    private static final int LONGEST_LINE = 8192;

    private final InputStream source;
    private final byte[] delimiter;
    /** The last bytes of the source that may still turn out to be the delimiter. */
    private final byte[] held;

    private int heldFrom;
    private int heldCount;
    private boolean ended;

    MultipartFile(InputStream body, String contentType) throws IOException, ApiException {
        Matcher boundary = BOUNDARY.matcher(contentType);
        if (!boundary.find()) {
            throw ApiException.badRequest("multipart/form-data without a boundary");
        }
        String text = boundary.group(1) != null ? boundary.group(1) : boundary.group(2);
        source = new BufferedInputStream(body, 64 * 1024);
        delimiter = ("\r\n--" + text).getBytes(StandardCharsets.ISO_8859_1);
        held = new byte[delimiter.length];
        String line = line();
        while (!line.equals("--" + text)) {
            line = line();
        }
        while (true) {
            boolean wanted = false;
            for (line = line(); !line.isEmpty(); line = line()) {
                String lower = line.toLowerCase(Locale.ROOT);
                wanted |= lower.startsWith("content-disposition:") && lower.matches(".*[; ]name=\"?file\"?(;.*)?");
            }
            fill();
            if (wanted) {
                return;
            }
            skipPart();
        }
    }

    private void skipPart() throws IOException, ApiException {
        transferTo(java.io.OutputStream.nullOutputStream());
        if (line().startsWith("--")) {
            throw ApiException.badRequest("multipart/form-data without a part named file");
        }
        ended = false;
        heldFrom = 0;
        heldCount = 0;
    }

    private String line() throws IOException {
        byte[] line = new byte[LONGEST_LINE];
        int length = 0;
        for (int next = source.read(); next != '\n'; next = source.read()) {
            if (next < 0 || length == line.length) {
                throw new EOFException(
                        "multipart/form-data: expected a line, found the end of the body or an endless line");
            }
            line[length++] = (byte) next;
        }
        return new String(
                line, 0, length > 0 && line[length - 1] == '\r' ? length - 1 : length, StandardCharsets.ISO_8859_1);
    }

    private void fill() throws IOException {
        while (heldCount < held.length) {
            int next = source.read();
            if (next < 0) {
                throw new EOFException("multipart/form-data: the body ends inside a part");
            }
            held[(heldFrom + heldCount++) % held.length] = (byte) next;
        }
    }

    private boolean atDelimiter() {
        for (int i = 0; i < held.length; i++) {
            if (held[(heldFrom + i) % held.length] != delimiter[i]) {
                return false;
            }
        }
        return true;
    }

    @Override
    public int read() throws IOException {
        if (ended || atDelimiter()) {
            ended = true;
            return -1;
        }
        int oldest = held[heldFrom] & 0xff;
        heldFrom = (heldFrom + 1) % held.length;
        heldCount--;
        fill();
        return oldest;
    }

    @Override
    public int read(byte[] target, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        int count = 0;
        while (count < length) {
            int next = read();
            if (next < 0) {
                return count == 0 ? -1 : count;
            }
            target[offset + count++] = (byte) next;
        }
        return count;
    }
}
