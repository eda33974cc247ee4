// SPDX-License-Identifier: MIT
package org.metaotamgr.ota;

/** The configuration cannot be used. The message names the file, the key, what was expected and what was found. */
public final class ConfigException extends Exception {
    private static final long serialVersionUID = 1L;

    ConfigException(String message) {
        super(message);
    }
}
