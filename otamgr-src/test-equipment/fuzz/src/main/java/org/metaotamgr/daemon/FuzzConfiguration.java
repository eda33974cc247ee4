// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.metaotamgr.agent.ConfigObject;
import org.metaotamgr.device.BoundedJson;
import org.metaotamgr.device.ConfigException;
import org.metaotamgr.fuzz.Input;

/** Any configuration is read or refused with a sentence that says what was expected. */
public final class FuzzConfiguration {
    private FuzzConfiguration() {}

    public static void fuzzerTestOneInput(byte[] data) {
        JsonNode root;
        try {
            root = BoundedJson.tree(data);
        } catch (IOException e) {
            return;
        }
        List<String> warnings = new ArrayList<>();
        try {
            OtamgrConfig.of(ConfigObject.of("otamgr.json", root, warnings::add));
        } catch (ConfigException e) {
            Input.require(e.getMessage().contains("expected"), "what was expected in: " + e.getMessage());
            Input.require(e.getMessage().chars().noneMatch(one -> one < ' '), "a message of one line");
        }
        warnings.forEach(
                warning -> Input.require(warning.chars().noneMatch(one -> one < ' '), "a warning of one line"));
    }
}
