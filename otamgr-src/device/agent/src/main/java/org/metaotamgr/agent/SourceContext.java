// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.time.Clock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;

/**
 * What the device offers to a source.
 *
 * @param log where to tell about it
 * @param clock the device's clock, with its local time; it may be wrong, and jump
 * @param files the steps of durable writes, for {@link org.metaotamgr.device.DurableFile}
 * @param stateDirectory a folder that survives updates, for what a source has to remember; it exists. File names begin
 *     with the name of the source
 * @param verifier checks signatures with the keys of the device
 * @param needs says which bytes of a bundle the device lacks
 */
public record SourceContext(
        EventLog log, Clock clock, FileOperations files, Path stateDirectory, Verifier verifier, Needs needs) {}
