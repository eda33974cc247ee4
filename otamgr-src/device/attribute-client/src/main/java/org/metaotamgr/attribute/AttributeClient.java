// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.metaotamgr.wire.AttributeStatus;
import org.metaotamgr.wire.Conversation;
import org.metaotamgr.wire.ListenRange;
import org.metaotamgr.wire.Message;
import org.metaotamgr.wire.Protocol;

/**
 * A client of the attribute daemon. Once started it connects, and connects again whenever the daemon goes away or
 * throws it out, until it is closed.
 *
 * <p>Reading, the protocol with its time-outs, writing, the handler and the log have threads of their own: a daemon that
 * does not read cannot stop this client from reading, a slow handler stops neither acks nor answers, and a log that
 * stalls stops nothing. What waits for any of them is bounded. All of them are daemon threads, so that they do not keep
 * a process alive.
 *
 * <p>The socket is closed with care, because the original daemon dies when it answers into a closed one (attribute
 * protocol, section 13, Q4): answers are waited for first, then the sending side is shut down, and only when the daemon
 * has closed its side, or does not do so in time, the socket is closed.
 */
public final class AttributeClient implements AutoCloseable {
    /** Longest that {@link #close} waits for answers; no single one takes as long. */
    private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(15);

    private final Path socket;
    private final Optional<Path> through;
    private final Message.Open open;
    private final AttributeHandler handler;
    private final ReconnectWait backoff;
    private final Consumer<String> log;
    private final LongSupplier nanoClock;
    private final ByteOrder order;

    /** Guards everything below and the conversation of the link. */
    private final Object lock = new Object();

    private final Conversation.Ids ids = new Conversation.Ids();
    private final EventQueue events;
    private final EventQueue answers;
    private Thread connector;
    private volatile Thread protocol;
    private Link link;
    private boolean closing;
    private boolean stopped;
    private boolean timerIdle = true;
    private long timerDue;

    private AttributeClient(Builder builder) {
        socket = builder.socket;
        through = builder.through;
        open = new Message.Open(builder.ownName, builder.ranges);
        handler = builder.handler;
        backoff = new ReconnectWait(builder.firstWait, builder.longestWait, new Random());
        log = new LogThread(builder.log);
        nanoClock = builder.nanoClock;
        order = builder.order;
        events = new EventQueue("attribute-events", log);
        answers = new EventQueue("attribute-answers", log);
    }

    /**
     * Describes a client.
     *
     * @param socket where the daemon listens, usually {@code /var/run/IPC.ATTRD}
     * @param ownName the name to open with, 1 to 31 ASCII characters without NUL; it decides which attributes this
     *     client owns. The daemon throws out an earlier client of the same name
     * @return a builder without listen ranges, with a handler that ignores everything
     * @throws IllegalArgumentException if the name is not usable
     */
    public static Builder builder(Path socket, String ownName) {
        return new Builder(socket, ownName);
    }

    /**
     * Starts to connect in the background, and goes on for ever.
     *
     * @throws IllegalStateException if this client was started or closed before
     */
    public void start() {
        synchronized (lock) {
            if (connector != null || closing) {
                throw new IllegalStateException("an attribute client can be started only once");
            }
            String problem = NativeLibrary.problem();
            if (problem != null) {
                log.accept(problem);
            }
            connector = thread("attribute-reader", new Runnable() {
                @Override
                public void run() {
                    connectForEver();
                }
            });
            protocol = thread("attribute-protocol", new Runnable() {
                @Override
                public void run() {
                    actAndWatchTime();
                }
            });
            protocol.start();
            connector.start();
        }
    }

    private static Thread thread(String name, Runnable body) {
        Thread thread = new Thread(body, name);
        thread.setDaemon(true);
        return thread;
    }

    /**
     * Gets the current value of an attribute.
     *
     * @param attributeId the attribute, an unsigned 32-bit number
     * @return the value, 0 to 65534 bytes, completed on the event thread; fails with {@link AttributeException}
     *     (TIMEOUT after 5 s without an answer), or {@link NotConnectedException} if there is no open connection or it
     *     is lost before the answer
     */
    public CompletableFuture<byte[]> get(int attributeId) {
        CompletableFuture<byte[]> future = new CompletableFuture<>();
        String what = "get of attribute " + Integer.toUnsignedString(attributeId);
        synchronized (lock) {
            if (usable(future, what)) {
                link.conversation().get(attributeId, new Completion<>(future, what) {
                    @Override
                    byte[] result(byte[] value) {
                        return value;
                    }
                });
                changed();
            }
        }
        return future;
    }

    /**
     * Sets an attribute.
     *
     * @param attributeId the attribute, an unsigned 32-bit number
     * @param value 0 to 65534 bytes; copied
     * @return done on the event thread when the owner took the value; fails like {@link #get}
     * @throws IllegalArgumentException if the value is too large
     */
    public CompletableFuture<Void> set(int attributeId, byte[] value) {
        if (value.length > Protocol.MAX_VALUE) {
            throw new IllegalArgumentException("the value for attribute " + Integer.toUnsignedString(attributeId)
                    + " has " + value.length + " bytes, at most " + Protocol.MAX_VALUE + " are allowed");
        }
        CompletableFuture<Void> future = new CompletableFuture<>();
        String what = "set of attribute " + Integer.toUnsignedString(attributeId);
        synchronized (lock) {
            if (usable(future, what)) {
                link.conversation().set(attributeId, value.clone(), new Completion<>(future, what) {
                    @Override
                    Void result(byte[] none) {
                        return null;
                    }
                });
                changed();
            }
        }
        return future;
    }

    private boolean usable(CompletableFuture<?> future, String what) {
        if (!closing && link != null && link.isOpen()) {
            return true;
        }
        future.completeExceptionally(new NotConnectedException(
                what + " failed: " + (closing ? "this client is closed" : "not connected to " + socket)));
        return false;
    }

    /** Carries the end of a request to the event thread, so that nothing a caller chained to it runs under the lock. */
    private abstract class Completion<T> implements Conversation.Result {
        private final CompletableFuture<T> future;
        private final String what;

        Completion(CompletableFuture<T> future, String what) {
            this.future = future;
            this.what = what;
        }

        abstract T result(byte[] value);

        @Override
        public void ended(int status, byte[] value) {
            events.add(new EventQueue.Event() {
                @Override
                public void run() {
                    if (status == AttributeStatus.OK.code()) {
                        future.complete(result(value));
                    } else if (status == AttributeStatus.NO_DAEMON.code()) {
                        future.completeExceptionally(
                                new NotConnectedException(what + " failed: the connection to " + socket + " was lost"));
                    } else {
                        future.completeExceptionally(new AttributeException(
                                AttributeStatus.of(status),
                                what + " failed: " + AttributeStatus.of(status) + " (" + status + ")"));
                    }
                }
            });
        }
    }

    /**
     * Stops reconnecting, waits for outstanding requests until they are answered or time out, and closes the socket.
     * Usually a matter of milliseconds, at most about 20 s. May be called more than once and from a handler.
     */
    @Override
    public void close() {
        synchronized (lock) {
            closing = true;
            lock.notifyAll();
            long giveUp = System.nanoTime() + CLOSE_PATIENCE.toNanos();
            boolean interrupted = false;
            while (link != null && !link.isSettled() && !interrupted) {
                interrupted = !waitUntil(giveUp);
                if (System.nanoTime() - giveUp >= 0) {
                    break;
                }
            }
            if (link != null) {
                link.end("closed by this side");
                changed();
            }
            giveUp = System.nanoTime() + Link.LONGEST_DRAIN.plusSeconds(1).toNanos();
            while (link != null && !interrupted && System.nanoTime() - giveUp < 0) {
                interrupted = !waitUntil(giveUp);
            }
            stopped = true;
            lock.notifyAll();
            wake();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
        answers.stop();
        events.stop();
        try {
            events.join(1000);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Waits on the lock; false if interrupted. Who calls it looks again at what it waits for. */
    @SuppressWarnings("WaitNotInLoop")
    private boolean waitUntil(long nanoTime) {
        try {
            lock.wait(Math.max(1, (nanoTime - System.nanoTime()) / 1_000_000));
            return true;
        } catch (InterruptedException e) {
            return false;
        }
    }

    // ---- the connecting and reading thread ----

    private void connectForEver() {
        String lastFailure = "";
        while (true) {
            Link next = new Link(this, lock, open, order, nanoClock, ids, handler, events, answers, log);
            String failure = next.connect(socket, through);
            if (failure == null) {
                lastFailure = "";
                synchronized (lock) {
                    if (closing) {
                        // Nothing was said yet, so nothing can be answered into a closed socket.
                        next.closeSocket();
                        return;
                    }
                    link = next;
                }
                long since = System.nanoTime();
                next.serve();
                backoff.connectionLived(System.nanoTime() - since);
                synchronized (lock) {
                    link = null;
                    lock.notifyAll();
                }
            } else if (!failure.equals(lastFailure)) {
                // Said once, not at every try: the daemon may stay away for days.
                log.accept("cannot connect to " + socket + ": " + failure + "; trying again until it works");
                lastFailure = failure;
            }
            synchronized (lock) {
                long resume = System.nanoTime() + backoff.next();
                while (!closing && System.nanoTime() - resume < 0) {
                    waitUntil(resume);
                }
                if (closing) {
                    return;
                }
            }
        }
    }

    // ---- the thread that acts on what arrived, and on what did not arrive in time ----

    private void actAndWatchTime() {
        while (true) {
            long nanos;
            synchronized (lock) {
                if (stopped) {
                    return;
                }
                if (link != null) {
                    link.process();
                }
                nanos = link == null ? Long.MAX_VALUE : link.expire();
                if (closing) {
                    // close() waits for requests that may just have timed out
                    lock.notifyAll();
                }
                timerIdle = nanos == Long.MAX_VALUE;
                timerDue = nanoClock.getAsLong() + nanos;
            }
            // Woken early, it only looks once more. A little late rather than a little early, which would mean the
            // same.
            if (nanos == Long.MAX_VALUE) {
                LockSupport.park(this);
            } else {
                LockSupport.parkNanos(this, Math.max(1, nanos) + 1_000_000);
            }
            if (Thread.interrupted()) {
                log.accept("attribute protocol thread was interrupted, going on");
            }
        }
    }

    /** Something has arrived. */
    void wake() {
        LockSupport.unpark(protocol);
    }

    /** Something happened on the link: wakes whoever has to know. Called with the lock held. */
    void changed() {
        if (closing) {
            lock.notifyAll();
            wake();
            return;
        }
        long nanos = link == null ? Long.MAX_VALUE : link.nanosToDeadline();
        if (nanos != Long.MAX_VALUE && (timerIdle || nanoClock.getAsLong() + nanos - timerDue < 0)) {
            wake();
        }
    }

    /** Makes the timer thread look at the clock again; for tests that move it. */
    void clockMoved() {
        wake();
    }

    /** Settings of a client. */
    public static final class Builder {
        private final Path socket;
        private final String ownName;
        private final List<ListenRange> ranges = new ArrayList<>();
        private Optional<Path> through = Optional.empty();
        private AttributeHandler handler = new AttributeHandler() {};
        private Duration firstWait = Duration.ofMillis(500);
        private Duration longestWait = Duration.ofSeconds(30);
        private Consumer<String> log = new Consumer<>() {
            @Override
            public void accept(String line) {}
        };
        private LongSupplier nanoClock = new LongSupplier() {
            @Override
            public long getAsLong() {
                return System.nanoTime();
            }
        };
        private ByteOrder order = ByteOrder.nativeOrder();

        private Builder(Path socket, String ownName) {
            if (ownName.isEmpty()
                    || ownName.length() > Protocol.MAX_NAME
                    || ownName.indexOf('\0') >= 0
                    || !StandardCharsets.US_ASCII.newEncoder().canEncode(ownName)) {
                throw new IllegalArgumentException("the name of a client has 1 to " + Protocol.MAX_NAME
                        + " ASCII characters without NUL, \"" + ownName + "\" does not");
            }
            this.socket = socket;
            this.ownName = ownName;
        }

        /**
         * Adds a range of attributes to be notified about. Own attributes do not belong in it.
         *
         * @param first first attribute
         * @param last last attribute, included
         * @return this
         * @throws IllegalArgumentException if the range is empty, overlaps another one (the original daemon would notify
         *     twice) or is one more than {@value Protocol#MAX_RANGES}
         */
        public Builder listen(int first, int last) {
            String shown = Integer.toUnsignedString(first) + ".." + Integer.toUnsignedString(last);
            if (Integer.compareUnsigned(first, last) > 0) {
                throw new IllegalArgumentException("listen range " + shown + " ends before it starts");
            }
            if (ranges.size() == Protocol.MAX_RANGES) {
                throw new IllegalArgumentException(
                        "listen range " + shown + " is one too many, at most " + Protocol.MAX_RANGES + " are allowed");
            }
            ListenRange added = new ListenRange(first, last);
            for (ListenRange range : ranges) {
                if (range.contains(first) || range.contains(last) || added.contains(range.first())) {
                    throw new IllegalArgumentException("listen range " + shown + " overlaps "
                            + Integer.toUnsignedString(range.first()) + ".." + Integer.toUnsignedString(range.last()));
                }
            }
            ranges.add(added);
            return this;
        }

        /**
         * Who is told and asked.
         *
         * @param handler see {@link AttributeHandler} for the threads
         * @return this
         */
        public Builder handler(AttributeHandler handler) {
            this.handler = handler;
            return this;
        }

        /**
         * Has somebody who may connect do it, and hand the connected descriptor over: {@code otamgr-root}.
         *
         * @param helper its socket; the one of the daemon is then its affair
         * @return this
         */
        public Builder through(Path helper) {
            through = Optional.of(helper);
            return this;
        }

        /**
         * How long to wait between tries to connect. The wait doubles with each failure and is shortened at random by
         * up to a half. It starts again at the first wait after a connection that lived at least as long as the longest
         * wait.
         *
         * @param first first wait, more than 0; default 500 ms
         * @param longest longest wait, at least {@code first}; default 30 s
         * @return this
         * @throws IllegalArgumentException if they are not in that order
         */
        public Builder backoff(Duration first, Duration longest) {
            if (first.isNegative() || first.isZero() || longest.compareTo(first) < 0) {
                throw new IllegalArgumentException(
                        "back-off needs 0 < first <= longest, got first " + first + " and longest " + longest);
            }
            firstWait = first;
            longestWait = longest;
            return this;
        }

        /**
         * Where log lines go.
         *
         * @param log takes one line without line end; called from a thread of its own. When it is too slow, lines are
         *     dropped, and how many is logged
         * @return this
         */
        public Builder log(Consumer<String> log) {
            this.log = log;
            return this;
        }

        /** Time for tests: monotonic nanoseconds. Time-outs follow it, waits between connections do not. */
        Builder nanoClock(LongSupplier clock) {
            nanoClock = clock;
            return this;
        }

        /** Pretends to run on a host of this byte order, for tests. */
        Builder byteOrder(ByteOrder hostOrder) {
            order = hostOrder;
            return this;
        }

        /**
         * Makes the client, not yet started.
         *
         * @return the client
         */
        public AttributeClient build() {
            return new AttributeClient(this);
        }
    }
}
