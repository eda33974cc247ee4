// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.util.Optional;

/**
 * What runs on the device.
 *
 * @param name the name of the target that was installed; empty if the system was not installed by an update whose name
 *     is known
 * @param version its version, from {@code /etc/otamgr/manifest}; empty if the build did not say
 * @param compatible the board, from {@code /etc/otamgr/compatible}; empty if the build did not say
 * @param floor the lowest version that may be installed (U-Boot environment, {@code ota_floor}); empty if there is none
 */
public record InstalledSystem(
        Optional<String> name, Optional<String> version, Optional<String> compatible, Optional<String> floor) {}
