// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.util.Optional;
import org.metaotamgr.wire.AttributeStatus;

/**
 * What an {@link AttributeClient} tells and asks its user. All calls except {@link #read} come from one event thread,
 * one at a time, in the order in which things happened. {@link #read} comes from a thread of its own, possibly while
 * another call is running, because its answer must not wait for anything. None comes from the thread that reads the
 * socket: a slow handler delays later calls, but neither acks, nor the receiving of large values, nor the answers to
 * gets. The event thread also completes the futures of the client, so a handler must not wait for one: chain what comes
 * next to the future instead. An exception thrown by a handler is logged and counts as "not served" ({@link #read}) or
 * {@link AttributeStatus#UNSPECIFIED} ({@link #written}).
 */
public interface AttributeHandler {
    /**
     * The daemon accepted this client. Values are not replayed: whoever needs the current value of an attribute has to
     * get it now, after each connect. Notifications of default values may come before this call.
     *
     * @param peer the process at the other end of the socket
     */
    default void connected(Peer peer) {}

    /**
     * A connection that had been told by {@link #connected} is gone. The client goes on trying by itself.
     *
     * @param reason one line for people
     */
    default void disconnected(String reason) {}

    /**
     * An attribute has a new value. It has been acknowledged already. Usually the attribute is in one of the listen
     * ranges; the daemon may also tell default values of attributes which this client owns.
     *
     * @param attributeId the attribute
     * @param value the value, 0 to 65534 bytes, whatever the sender put in: it need not end with a NUL
     */
    default void notified(int attributeId, byte[] value) {}

    /**
     * Notifications were refused, because too much waited for this handler or was half arrived, or did not come to their end. What is
     * needed has to be got now.
     */
    default void missed() {}

    /**
     * Somebody gets an attribute which this client owns. Called from a thread of its own, so it must be safe to call
     * while another call is running. The asker gives up after 5 s; shortly before that the client answers
     * {@link AttributeStatus#NOT_IMPLEMENTED} itself.
     *
     * @param attributeId the attribute
     * @return its value, 0 to 65534 bytes, or empty if this client does not serve it
     */
    default Optional<byte[]> read(int attributeId) {
        return Optional.empty();
    }

    /**
     * Somebody sets an attribute which this client owns. If this takes close to 5 s, the setter is told
     * {@link AttributeStatus#TIMEOUT}.
     *
     * @param attributeId the attribute
     * @param value the wanted value, 0 to 65534 bytes
     * @return {@link AttributeStatus#OK} if the value was taken, else why not
     */
    default AttributeStatus written(int attributeId, byte[] value) {
        return AttributeStatus.NOT_IMPLEMENTED;
    }
}
