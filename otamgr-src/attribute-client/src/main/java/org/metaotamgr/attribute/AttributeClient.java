// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** A client of the attribute daemon. */
public final class AttributeClient implements AutoCloseable {

    private AttributeClient() {
    }

    /**
     * Describes a client.
     *
     * @param socket where the daemon listens, usually {@code /var/run/IPC.ATTRD}
     * @param ownName the name to open with, 1 to 31 ASCII bytes; it decides which attributes this client owns
     * @return a builder without listen ranges, with a handler that ignores everything
     */
    public static Builder builder(Path socket, String ownName) {
        throw new UnsupportedOperationException();
    }

    /** Starts to connect in the background, and goes on for ever. */
    public void start() {
        throw new UnsupportedOperationException();
    }

    /**
     * Gets the current value of an attribute.
     *
     * @param attributeId the attribute, 0 to 2^32-1 as an unsigned int
     * @return the value; fails with {@link AttributeException}, or {@link NotConnectedException} at once if there is
     *     no open connection
     */
    public CompletableFuture<byte[]> get(int attributeId) {
        throw new UnsupportedOperationException();
    }

    /**
     * Sets an attribute.
     *
     * @param attributeId the attribute
     * @param value 0 to 65534 bytes
     * @return done when the owner took the value; fails like {@link #get}
     */
    public CompletableFuture<Void> set(int attributeId, byte[] value) {
        throw new UnsupportedOperationException();
    }

    /** Stops reconnecting, waits (bounded) for outstanding requests, closes the socket. */
    @Override
    public void close() {
        throw new UnsupportedOperationException();
    }

    /** Settings of a client. */
    public static final class Builder {
        private Builder() {
        }

        /**
         * Adds a range of attributes to be notified about; own attributes do not belong in it.
         *
         * @param first first attribute
         * @param last last attribute, included
         * @return this
         */
        public Builder listen(int first, int last) {
            throw new UnsupportedOperationException();
        }

        /**
         * Who is told and asked.
         *
         * @param handler see {@link AttributeHandler} for the threads
         * @return this
         */
        public Builder handler(AttributeHandler handler) {
            throw new UnsupportedOperationException();
        }

        /**
         * How long to wait between tries to connect: the first wait, doubled after each failure up to the longest.
         *
         * @param first first wait, more than 0
         * @param longest longest wait, at least {@code first}
         * @return this
         */
        public Builder backoff(Duration first, Duration longest) {
            throw new UnsupportedOperationException();
        }

        /**
         * Where log lines go.
         *
         * @param log takes one line without line end; called from any thread
         * @return this
         */
        public Builder log(Consumer<String> log) {
            throw new UnsupportedOperationException();
        }

        /**
         * Makes the client, not yet started.
         *
         * @return the client
         */
        public AttributeClient build() {
            throw new UnsupportedOperationException();
        }
    }
}
