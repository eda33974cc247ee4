// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;
import java.time.Duration;

/**
 * What happens to updates that failed.
 *
 * @param directory the folder of the file that remembers them; it survives updates
 * @param attempts how often an update may fail before it is refused, at least 1
 * @param backoff how long an update that failed once has to wait, doubled with each more failure; zero for no wait
 */
public record RetryPolicy(Path directory, int attempts, Duration backoff) {}
