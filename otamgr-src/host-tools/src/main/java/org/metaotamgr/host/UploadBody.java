// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.IOException;
import java.net.http.HttpRequest;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Flow;

/** The bytes of an image on their way out, for one try: read as they are taken, and counted. */
final class UploadBody implements HttpRequest.BodyPublisher {

    private static final int BLOCK = 64 * 1024;
    private static final int BLOCKS_KEPT = 4;

    private final Path file;
    private final long size;
    private volatile long sent;
    private volatile long lastMove = System.nanoTime();
    private volatile IOException failure;

    UploadBody(Path file, long size) {
        this.file = file;
        this.size = size;
    }

    long sent() {
        return sent;
    }

    /** How long no byte has been taken, in nanoseconds. */
    long standstill() {
        return System.nanoTime() - lastMove;
    }

    /** Why the file could not be read, or null. */
    IOException failure() {
        return failure;
    }

    @Override
    public long contentLength() {
        return size;
    }

    @Override
    public void subscribe(Flow.Subscriber<? super ByteBuffer> subscriber) {
        try {
            subscriber.onSubscribe(new Blocks(subscriber, FileChannel.open(file, StandardOpenOption.READ)));
        } catch (IOException e) {
            failure = e;
            subscriber.onSubscribe(new Flow.Subscription() {
                @Override
                public void request(long count) {
                    // Nothing will come: onError follows.
                }

                @Override
                public void cancel() {
                    // Nothing is open.
                }
            });
            subscriber.onError(e);
        }
    }

    private final class Blocks implements Flow.Subscription {
        private final Flow.Subscriber<? super ByteBuffer> subscriber;
        private final FileChannel channel;
        /** Few, small and used again, so that they stay in the cache of the processor; direct, so that nothing is copied on the way out. */
        private final List<ByteBuffer> blocks = new ArrayList<>();
        private long wanted;
        private boolean busy;
        private boolean ended;

        private Blocks(Flow.Subscriber<? super ByteBuffer> subscriber, FileChannel channel) {
            this.subscriber = subscriber;
            this.channel = channel;
        }

        @Override
        public void request(long count) {
            synchronized (this) {
                wanted += count;
                if (busy) {
                    // Asked from within onNext: the loop below goes on.
                    return;
                }
                busy = true;
            }
            while (true) {
                synchronized (this) {
                    if (wanted == 0 || ended) {
                        busy = false;
                        return;
                    }
                    wanted--;
                }
                next();
            }
        }

        private void next() {
            try {
                lastMove = System.nanoTime();
                ByteBuffer block = emptyBlock();
                block.limit((int) Math.min(BLOCK, size - sent));
                while (block.hasRemaining()) {
                    if (channel.read(block) < 0) {
                        throw new IOException("it became shorter while it was sent");
                    }
                }
                block.flip();
                // Only ever written here, one block at a time.
                sent = sent + block.remaining();
                boolean last = sent == size;
                subscriber.onNext(block);
                if (last) {
                    cancel();
                    subscriber.onComplete();
                }
            } catch (IOException e) {
                if (!cancelled()) {
                    failure = e;
                }
                cancel();
                subscriber.onError(e);
            }
        }

        /** The client has taken all of a block, copied to the network or encrypted, when nothing remains in it. */
        private ByteBuffer emptyBlock() {
            for (ByteBuffer block : blocks) {
                if (!block.hasRemaining()) {
                    return block.clear();
                }
            }
            ByteBuffer block = ByteBuffer.allocateDirect(BLOCK);
            if (blocks.size() < BLOCKS_KEPT) {
                blocks.add(block);
            }
            return block;
        }

        /** When the connection breaks the file is closed by another thread: then it is not the file that failed. */
        private synchronized boolean cancelled() {
            return ended;
        }

        @Override
        public void cancel() {
            synchronized (this) {
                ended = true;
            }
            try {
                channel.close();
            } catch (IOException e) {
                // Only read from: nothing is lost.
            }
        }
    }
}
