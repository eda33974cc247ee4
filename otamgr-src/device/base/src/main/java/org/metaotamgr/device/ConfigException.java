// SPDX-License-Identifier: MIT
package org.metaotamgr.device;

/** The configuration cannot be used. The message names the file, the key, what was expected and what was found. */
public final class ConfigException extends Exception {
    private static final long serialVersionUID = 1L;

    public ConfigException(String message) {
        super(message);
    }
}
