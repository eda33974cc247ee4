// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.FileDescriptorCast;

/** A connection to attrd that {@code otamgr-root} has made: the daemon may not, as attrd's socket is root's. */
final class HandedOver {
    private static final byte[] REQUEST = "attrd\0\0".getBytes(StandardCharsets.US_ASCII);
    private static final String GOOD = "attrd";
    private static final int MAX_ANSWER = 300;
    private static final int ROOM_FOR_DESCRIPTORS = 256;
    /** A little longer than the helper waits for attrd. */
    private static final int PATIENCE_MS = 8000;

    private HandedOver() {}

    static AFUNIXSocket connect(Path helper) throws IOException {
        try (AFUNIXSocket asked = AFUNIXSocket.newInstance()) {
            asked.setSoTimeout(PATIENCE_MS);
            asked.setAncillaryReceiveBufferSize(ROOM_FOR_DESCRIPTORS);
            asked.connect(AFUNIXSocketAddress.of(helper));
            asked.getOutputStream().write(REQUEST);
            String answer = line(asked.getInputStream());
            FileDescriptor[] descriptors = asked.getReceivedFileDescriptors();
            if (!answer.equals(GOOD) || descriptors == null || descriptors.length != 1) {
                throw new IOException(helper + ": " + (answer.isEmpty() ? "no answer" : answer));
            }
            // The one that was received is closed with the socket that it came through.
            return FileDescriptorCast.duplicating(descriptors[0]).as(AFUNIXSocket.class);
        }
    }

    private static String line(InputStream in) throws IOException {
        byte[] buffer = new byte[MAX_ANSWER];
        int length = 0;
        while (length < buffer.length) {
            int count = in.read(buffer, length, buffer.length - length);
            if (count < 0) {
                break;
            }
            length += count;
            if (buffer[length - 1] == '\n') {
                length--;
                break;
            }
        }
        return new String(buffer, 0, length, StandardCharsets.US_ASCII);
    }
}
