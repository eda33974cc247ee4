// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.metaotamgr.fuzz.Input;

/** A stream gives the same messages however it is cut, and whatever they hold is classified. */
public final class FuzzStream {
    private FuzzStream() {}

    public static void fuzzerTestOneInput(byte[] data) {
        Input input = new Input(data);
        ByteOrder order = (input.next() & 1) == 0 ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
        int step = 1 + input.next();
        byte[] stream = input.rest();
        List<Frame> whole = frames(order, stream, Math.max(stream.length, 1));
        List<Frame> cut = frames(order, stream, step);
        Input.require(whole.size() == cut.size(), "the same messages");
        MessageCodec codec = new MessageCodec(order);
        for (int i = 0; i < whole.size(); i++) {
            Frame frame = whole.get(i);
            Input.require(
                    Arrays.equals(frame.body(), cut.get(i).body())
                            && frame.sequence() == cut.get(i).sequence(),
                    "the same content");
            codec.classify(frame);
            replies(codec, frame.body());
        }
    }

    private static void replies(MessageCodec codec, byte[] body) {
        try {
            codec.openReply(body);
        } catch (MalformedMessageException e) {
            Input.require(e.getMessage() != null, "a reason");
        }
        try {
            codec.getReply(body);
        } catch (MalformedMessageException e) {
            Input.require(e.getMessage() != null, "a reason");
        }
        try {
            codec.ack(body);
        } catch (MalformedMessageException e) {
            Input.require(e.getMessage() != null, "a reason");
        }
    }

    private static List<Frame> frames(ByteOrder order, byte[] stream, int step) {
        MessageReader reader = new MessageReader(order);
        List<Frame> frames = new ArrayList<>();
        try {
            for (int at = 0; at < stream.length; at += step) {
                reader.append(stream, at, Math.min(step, stream.length - at));
                for (Frame frame = reader.next(); frame != null; frame = reader.next()) {
                    frames.add(frame);
                }
                Input.require(reader.held() <= Protocol.MAX_MESSAGE + step, "that no more than a message is held");
            }
        } catch (FramingLostException e) {
            return frames;
        }
        return frames;
    }
}
