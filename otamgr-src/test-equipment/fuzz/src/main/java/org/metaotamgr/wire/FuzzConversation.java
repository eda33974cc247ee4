// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.metaotamgr.fuzz.Input;

/**
 * The client of the attribute daemon as a state machine: whatever the peer says, in whatever order, each own request ends exactly
 * once, nothing is held beyond the bounds, and an end comes to all.
 */
public final class FuzzConversation {
    private static final int MOST_STEPS = 200;
    private static final int MOST_REQUESTS = 64;

    private final List<byte[]> sent = new ArrayList<>();
    private final MessageCodec codec = new MessageCodec(ByteOrder.LITTLE_ENDIAN);
    private long now = 1_000_000_000L;
    private int started;
    private int ended;
    private int lastRequest;
    private Message.Get wanted;
    private final Conversation conversation;

    private FuzzConversation(boolean isClient) {
        Conversation.Listener listener = new Conversation.Listener() {
            @Override
            public void opened(int requestId, Message.Open open) {
                conversation.replyOpen(requestId, AttributeStatus.OK);
            }

            @Override
            public void wanted(int requestId, Message.Get get) {
                lastRequest = requestId;
                wanted = get;
            }

            @Override
            public void arrived(Opcode opcode, int operationId, int attributeId, byte[] value) {
                Input.require(value.length <= 65_535, "a value of a length that can be said");
                if (opcode == Opcode.SET) {
                    conversation.replySet(operationId, 0);
                }
            }

            @Override
            public boolean hasRoom(int size) {
                return size < 20_000;
            }

            @Override
            public void log(String line) {
                Input.require(line.length() < 10_000, "a line of a log");
            }
        };
        conversation = isClient
                ? Conversation.client(ByteOrder.LITTLE_ENDIAN, () -> now, new Conversation.Ids(), sent::add, listener)
                : Conversation.daemon(
                        4, ByteOrder.LITTLE_ENDIAN, () -> now, new Conversation.Ids(), sent::add, listener);
    }

    public static void fuzzerTestOneInput(byte[] data) {
        Input input = new Input(data);
        FuzzConversation run = new FuzzConversation((input.next() & 1) == 0);
        try {
            for (int steps = 0; steps < MOST_STEPS && !input.isOver(); steps++) {
                run.step(input);
                Input.require(run.ended <= run.started, "that each request ends once");
                run.sent.clear();
            }
        } catch (FramingLostException e) {
            Input.require(e.getMessage() != null, "a reason");
        }
        run.conversation.abandon(AttributeStatus.UNSPECIFIED);
        Input.require(run.ended == run.started, "that each request has ended: " + run.started + ", found " + run.ended);
        Input.require(run.conversation.isSettled(), "nothing that waits after the end");
    }

    private void step(Input input) throws FramingLostException {
        switch (input.next() % 12) {
            case 0 -> receive(input.piece(255));
            case 1 -> receive(codec.encode(input.next16(), new Message.Get(input.next16(), input.next16())));
            case 2 -> {
                byte[] part = input.piece(200);
                Opcode opcode = input.next() % 2 == 0 ? Opcode.NOTIFY : Opcode.SET;
                receive(codec.encode(
                        input.next16(),
                        new Message.Packet(
                                opcode,
                                input.next(),
                                input.next(),
                                input.next16(),
                                input.next16(),
                                input.next16(),
                                part)));
            }
            case 3 -> receive(codec.encode(input.next(), new Message.Ack(input.next(), input.next())));
            case 4 -> receive(codec.encode(input.next(), new Message.SetReply(input.next(), input.next())));
            case 5 -> receive(codec.encode(
                    input.next(),
                    input.next() % 2 == 0
                            ? new Message.GetValue(input.piece(100))
                            : new Message.GetLater(input.next())));
            case 6 -> receive(codec.encode(input.next(), new Message.OpenReply(input.next())));
            case 7 -> {
                if (started < MOST_REQUESTS) {
                    started++;
                    conversation.get(input.next16(), this::end);
                }
            }
            case 8 -> {
                if (started < MOST_REQUESTS) {
                    started++;
                    conversation.set(input.next16(), new byte[input.next16() % 5000], this::end);
                }
            }
            case 9 -> {
                now += input.next16() * 1_000_000L;
                conversation.expire();
            }
            case 10 -> {
                if (wanted != null) {
                    conversation.replyGet(lastRequest, wanted, new byte[input.next16() % 3000]);
                    wanted = null;
                }
            }
            default -> {
                conversation.notifyPeer(input.next16(), new byte[input.next()]);
                conversation.nanosToDeadline();
            }
        }
    }

    private void end(int status, byte[] value) {
        ended++;
    }

    private void receive(byte[] bytes) throws FramingLostException {
        conversation.received(bytes, 0, bytes.length);
    }
}
