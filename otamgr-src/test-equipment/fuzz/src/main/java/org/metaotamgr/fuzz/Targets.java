// SPDX-License-Identifier: MIT
package org.metaotamgr.fuzz;

import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.metaotamgr.agent.FuzzState;
import org.metaotamgr.agent.FuzzVersion;
import org.metaotamgr.bundle.FuzzBundle;
import org.metaotamgr.control.FuzzControl;
import org.metaotamgr.daemon.FuzzConfiguration;
import org.metaotamgr.daemon.FuzzUpdatePath;
import org.metaotamgr.device.FuzzLines;
import org.metaotamgr.hawkbit.FuzzHawkbit;
import org.metaotamgr.host.FuzzHostAnswer;
import org.metaotamgr.http.FuzzAnswer;
import org.metaotamgr.http.FuzzUrls;
import org.metaotamgr.tuf.FuzzMetadata;
import org.metaotamgr.wire.FuzzConversation;
import org.metaotamgr.wire.FuzzStream;

/** All that is fuzzed. The name of a target is that of its corpus, too. */
public final class Targets {
    private Targets() {}

    /**
     * The targets.
     *
     * @return the method of each, by name
     */
    public static Map<String, Consumer<byte[]>> all() {
        return new TreeMap<>(Map.ofEntries(
                Map.entry("answer", FuzzAnswer::fuzzerTestOneInput),
                Map.entry("bundle", FuzzBundle::fuzzerTestOneInput),
                Map.entry("configuration", FuzzConfiguration::fuzzerTestOneInput),
                Map.entry("control", FuzzControl::fuzzerTestOneInput),
                Map.entry("conversation", FuzzConversation::fuzzerTestOneInput),
                Map.entry("hawkbit", FuzzHawkbit::fuzzerTestOneInput),
                Map.entry("hostanswer", FuzzHostAnswer::fuzzerTestOneInput),
                Map.entry("lines", FuzzLines::fuzzerTestOneInput),
                Map.entry("metadata", FuzzMetadata::fuzzerTestOneInput),
                Map.entry("state", FuzzState::fuzzerTestOneInput),
                Map.entry("stream", FuzzStream::fuzzerTestOneInput),
                Map.entry("updatepath", FuzzUpdatePath::fuzzerTestOneInput),
                Map.entry("urls", FuzzUrls::fuzzerTestOneInput),
                Map.entry("version", FuzzVersion::fuzzerTestOneInput)));
    }
}
