// SPDX-License-Identifier: MIT
package org.metaotamgr.wire;

/**
 * A message whose body cannot be parsed or does not have the parameters that it must have. The stream is not affected:
 * the next message can be read. A request is answered with {@link AttributeStatus#BAD_TLV}.
 */
public final class MalformedMessageException extends Exception {
    private static final long serialVersionUID = 1L;

    MalformedMessageException(String message) {
        super(message);
    }
}
