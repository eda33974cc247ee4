// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.time.Instant;

/**
 * What a device knows of the time.
 *
 * @param clock its clock; it may stand at 1970
 * @param notBefore a time that has surely passed, such as that of the system's build; {@link Instant#EPOCH} if there is none
 */
public record Time(Instant clock, Instant notBefore) {
    /**
     * The time of a clock alone.
     *
     * @param clock the time
     * @return that time
     */
    public static Time of(Instant clock) {
        return new Time(clock, Instant.EPOCH);
    }

    /**
     * The time to judge metadata by: the clock, but not before what has surely passed. That is not believed beyond the end of the root:
     * nobody builds a system for a repository whose root has expired, so the machine that built it had a wrong clock, and its devices
     * must not refuse all that is published until then.
     */
    Instant judgedBy(Instant rootExpires) {
        return notBefore.isAfter(clock) && notBefore.isBefore(rootExpires) ? notBefore : clock;
    }
}
