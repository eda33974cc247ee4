// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;

/**
 * What a deployment has done, one line for each event, so that a run which was killed can go on. That a push is about to be
 * sent is on disk before it is sent; a device for which only that is known may or may not have got the image.
 */
final class DeployJournal implements Closeable {

    /** What is known of a device. */
    enum Entry {
        SENDING("sending"),
        ACCEPTED("accepted"),
        FAILED("failed"),
        UNCLEAR("unclear");

        private final String word;

        Entry(String word) {
            this.word = word;
        }
    }

    private final Path file;
    private final FileChannel channel;
    private final FileLock lock;
    private final Map<String, Entry> known = new HashMap<>();

    private DeployJournal(Path file, FileChannel channel, FileLock lock) {
        this.file = file;
        this.channel = channel;
        this.lock = lock;
    }

    /**
     * Opens the journal of a deployment, which may have begun earlier.
     *
     * @param deployment what is deployed where; a journal of something else is refused
     */
    static DeployJournal open(Path file, String deployment) throws OtaException {
        String title = "ota deploy journal 1 " + deployment;
        FileChannel channel = null;
        try {
            channel = FileChannel.open(
                    file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
            FileLock lock = lock(channel);
            if (lock == null) {
                channel.close();
                throw new OtaException(ExitStatus.CONFLICT, file + ": another ota deploy is using this journal");
            }
            DeployJournal journal = new DeployJournal(file, channel, lock);
            journal.read(title);
            return journal;
        } catch (IOException e) {
            throw new OtaException(ExitStatus.LOCAL, file + ": the journal cannot be opened");
        } catch (OtaException e) {
            closeQuietly(channel);
            throw e;
        }
    }

    private static FileLock lock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock();
        } catch (OverlappingFileLockException e) {
            return null;
        }
    }

    private static void closeQuietly(FileChannel channel) {
        try {
            channel.close();
        } catch (IOException e) {
            // Nothing was written.
        }
    }

    private void read(String title) throws IOException, OtaException {
        byte[] content = Files.readAllBytes(file);
        int whole = content.length;
        while (whole > 0 && content[whole - 1] != '\n') {
            whole--;
        }
        // The run was killed while it wrote its last line; what that line was about had not begun or is only not yet
        // known.
        channel.truncate(whole);
        channel.position(whole);
        String[] lines = new String(content, 0, whole, StandardCharsets.UTF_8).split("\n");
        if (whole == 0) {
            write(title + "\n", true);
            return;
        }
        if (!lines[0].equals(title)) {
            throw new OtaException(
                    ExitStatus.CONFLICT,
                    file + ": is the journal of something else: expected «" + title + "», found «" + lines[0]
                            + "»; name another one with --journal FILE");
        }
        for (int i = 1; i < lines.length; i++) {
            String[] words = lines[i].split(" ", 3);
            Entry entry = null;
            for (Entry candidate : Entry.values()) {
                entry = candidate.word.equals(words[0]) ? candidate : entry;
            }
            if (entry == null || words.length < 2) {
                throw new OtaException(
                        ExitStatus.LOCAL,
                        file + ": line " + (i + 1) + ": expected a journal entry, found something else");
            }
            known.put(words[1], entry);
        }
    }

    /** What earlier runs have left. */
    Map<String, Entry> known() {
        return Map.copyOf(known);
    }

    /** Notes on disk that pushes to these devices are about to be sent. */
    synchronized void sending(Collection<String> devices) throws OtaException {
        StringBuilder lines = new StringBuilder();
        devices.forEach(device ->
                lines.append(Entry.SENDING.word).append(' ').append(device).append('\n'));
        add(lines.toString(), true);
    }

    synchronized void ended(String device, Entry entry, String message) throws OtaException {
        add(
                entry.word + " " + device + (message.isEmpty() ? "" : " " + message.replaceAll("[\\p{Cntrl}]", " "))
                        + "\n",
                false);
    }

    private void add(String lines, boolean force) throws OtaException {
        try {
            write(lines, force);
        } catch (IOException e) {
            throw new OtaException(
                    ExitStatus.LOCAL,
                    file + ": the journal cannot be written; stopped, so that no device gets the image twice");
        }
    }

    private void write(String text, boolean force) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
        long before = channel.position();
        try {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        } catch (IOException e) {
            // A line that a full disk has cut off must not become one with the next.
            channel.truncate(before);
            throw e;
        }
        if (force) {
            channel.force(false);
        }
    }

    @Override
    public void close() throws IOException {
        try (channel) {
            lock.release();
        }
    }
}
