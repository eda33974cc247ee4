// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

/** An update path breaks a rule. The message says which one, printable, in one line. */
final class UpdateRefusedException extends Exception {
    private static final long serialVersionUID = 1L;

    UpdateRefusedException(String message) {
        super(message);
    }
}
