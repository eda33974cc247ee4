// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.util.HexFormat;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.metaotamgr.wire.AttributeStatus;

/** A handler that remembers what it was told, and can be made slow. */
class Recorder implements AttributeHandler {
    final BlockingQueue<String> events = new LinkedBlockingQueue<>();
    volatile Peer peer;
    /** While set, notified() blocks until it is counted down. */
    volatile CountDownLatch holdNotified;

    @Override
    public void connected(Peer connectedPeer) {
        peer = connectedPeer;
        events.add("connected");
    }

    @Override
    public void disconnected(String reason) {
        events.add("disconnected: " + reason);
    }

    @Override
    public void missed() {
        events.add("missed");
    }

    @Override
    public void notified(int attributeId, byte[] value) {
        String shown =
                value.length > 16 ? value.length + " bytes" : HexFormat.of().formatHex(value);
        events.add("notified " + attributeId + "=" + shown);
        CountDownLatch hold = holdNotified;
        if (hold != null) {
            try {
                hold.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Override
    public Optional<byte[]> read(int attributeId) {
        return Optional.empty();
    }

    @Override
    public AttributeStatus written(int attributeId, byte[] value) {
        events.add("written " + attributeId + "=" + HexFormat.of().formatHex(value));
        return AttributeStatus.OK;
    }

    String next() throws InterruptedException {
        String event = events.poll(FakeDaemon.PATIENCE_SECONDS, TimeUnit.SECONDS);
        assertNotNull(event, "nothing happened");
        return event;
    }

    void expect(String event) throws InterruptedException {
        assertEquals(event, next());
    }
}
