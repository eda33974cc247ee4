// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.metaotamgr.agent.Needs.Span;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.bundle.FileOriginal;

/**
 * What devices on one version lack of a bundle, as {@code ota-repository export --since} writes it: a few lines that say which pieces
 * there are, and the pieces. It is trusted with nothing: what comes from it is judged as what comes from a whole bundle.
 *
 * @param file the file
 * @param since the version
 * @param ranges the pieces of the bundle
 * @param content where the first of them begins in the file
 */
record PartsOriginal(Path file, String since, List<Span> ranges, long content) implements Original {
    static final String SUFFIX = ".parts";
    private static final String MAGIC = "otamgr-parts-1";
    private static final String ADVICE = "; export it again";
    private static final Pattern SINCE = Pattern.compile("since=([!-~]{1,64})");
    private static final Pattern BYTES = Pattern.compile("bytes=([0-9]{1,15})");
    private static final Pattern RANGE = Pattern.compile("range=([0-9]{1,15}) ([1-9][0-9]{0,14})");
    private static final int MAX_HEAD = 64 * 1024;
    private static final int PIECE = 64 * 1024;

    PartsOriginal {
        ranges = List.copyOf(ranges);
    }

    /**
     * Reads what there is.
     *
     * @param file the file
     * @param bytes the size of the bundle
     * @return the pieces
     * @throws SourceException if it is no such file, or one of another bundle
     */
    static PartsOriginal open(Path file, long bytes) throws SourceException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            return read(channel, file, bytes);
        } catch (IOException e) {
            throw new SourceException(Reason.DOWNLOAD_FAILED, file + ": " + e.getMessage() + ADVICE);
        }
    }

    private static PartsOriginal read(FileChannel channel, Path file, long bytes) throws IOException {
        String head = head(channel);
        String[] lines = head.split("\n", -1);
        Matcher since = SINCE.matcher(lines.length < 3 ? "" : lines[1]);
        if (!lines[0].equals(MAGIC) || !since.matches()) {
            throw new IOException("expected " + MAGIC + " and since=VERSION, found something else");
        }
        Matcher size = BYTES.matcher(lines[2]);
        if (!size.matches() || Long.parseLong(size.group(1)) != bytes) {
            throw new IOException("expected parts of a bundle of " + bytes + " bytes, found " + lines[2]);
        }
        List<Span> ranges = new ArrayList<>();
        long end = -1;
        long sum = 0;
        for (String line : List.of(lines).subList(3, lines.length)) {
            Matcher range = RANGE.matcher(line);
            if (!range.matches()) {
                throw new IOException("expected range=OFFSET LENGTH, found " + line);
            }
            Span span = new Span(Long.parseLong(range.group(1)), Long.parseLong(range.group(2)));
            if (span.offset() <= end || span.end() > bytes) {
                throw new IOException("expected ascending ranges within " + bytes + " bytes, found " + line);
            }
            ranges.add(span);
            end = span.end();
            sum += span.length();
        }
        long content = head.length() + 2L;
        if (channel.size() != content + sum) {
            throw new IOException("expected " + (content + sum) + " bytes, found " + channel.size());
        }
        return new PartsOriginal(file, since.group(1), ranges, content);
    }

    /** All before the first empty line. */
    private static String head(FileChannel channel) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(MAX_HEAD, channel.size()));
        while (buffer.hasRemaining() && channel.read(buffer, buffer.position()) >= 0) {
            // Goes on.
        }
        String text = new String(buffer.array(), 0, buffer.position(), StandardCharsets.ISO_8859_1);
        int end = text.indexOf("\n\n");
        if (end < 0) {
            throw new IOException("expected lines and an empty one within " + MAX_HEAD + " bytes, found none");
        }
        return text.substring(0, end);
    }

    /**
     * Between what a device needs there may be something that it does not need, which costs a server less than another request. If it is
     * not here, zeros come for it. A piece begins and ends with what is needed.
     */
    @Override
    public void fetch(long offset, long length, Taker taker)
            throws OnlyWholeException, IOException, SourceException, InterruptedException {
        if (place(offset).isEmpty() || place(offset + length - 1).isEmpty()) {
            throw new SourceException(
                    Reason.DOWNLOAD_FAILED,
                    file.getFileName() + ": has only what devices on version " + since
                            + " lack, and this one lacks more, " + length + " bytes at " + offset
                            + "; use a medium that was exported without --since");
        }
        FileOriginal original = new FileOriginal(file);
        byte[] zeros = new byte[PIECE];
        for (long at = offset; at < offset + length; ) {
            long left = offset + length - at;
            OptionalLong place = place(at);
            long count = Math.min(left, until(at));
            if (place.isPresent()) {
                original.fetch(place.getAsLong(), count, taker);
            } else {
                count = Math.min(count, PIECE);
                taker.take(zeros, (int) count);
            }
            at += count;
        }
    }

    /** Where in the file a byte of the bundle is. */
    private OptionalLong place(long at) {
        long place = content;
        for (Span range : ranges) {
            if (at >= range.offset() && at < range.end()) {
                return OptionalLong.of(place + at - range.offset());
            }
            place += range.length();
        }
        return OptionalLong.empty();
    }

    /** How far it is to where pieces begin or end. */
    private long until(long at) {
        for (Span range : ranges) {
            if (at < range.offset()) {
                return range.offset() - at;
            }
            if (at < range.end()) {
                return range.end() - at;
            }
        }
        return Long.MAX_VALUE;
    }
}
