// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.util.List;

/**
 * What attrd knows about an attribute (attribute protocol, section 9).
 *
 * @param id number of the attribute
 * @param name its Afero name
 * @param owner name that the owning client opens with; {@link #ATTRD} for attrd's own
 * @param writable others than the owner may set it
 * @param notifying listeners are told when it changes
 * @param hidden not shown to the edge MCU
 */
public record Attribute(int id, String name, String owner, boolean writable, boolean notifying, boolean hidden) {
    /** Owner of the attributes which attrd answers for itself. */
    public static final String ATTRD = "IPC.ATTRD";
    /** The cloud agent. */
    public static final String HUBBY = "IPC.HUBBY";
    /** The update daemon. */
    public static final String OTAMGR = "IPC.OTAMGR";
    /** The command line tool; the only name that several clients may use at the same time. */
    public static final String ATTRC = "IPC.ATTRC";

    /** Whether hubby reaches the cloud: 0 not known, 1 yes, 2 not now. */
    public static final int HUBBY_STATE = 51611;
    /** Path without extension of a downloaded update. */
    public static final int HUBBY_OTA_UPGRADE_PATH = 51612;
    /** attrd's log level. */
    public static final int ATTRD_DEBUG_LEVEL = 51613;
    /** Where hubby has to download to. */
    public static final int OTAMGR_OTA_UPD_PATH_PREFIX = 51618;
    /** A new device profile arrived. */
    public static final int HUBBY_PROFILE_UPDATED = 51619;
    /** attrd's build. */
    public static final int ATTRD_REVISION = 51623;
    /** A command from the cloud; the first byte says which. */
    public static final int HUBBY_COMMAND = 65012;
    /** State of the secure radio. */
    public static final int HUBBY_ASR_STATE = 65013;
    /** Why the device was rebooted last. */
    public static final int ATTRD_REBOOT_REASON = 65019;

    /** The attributes of the update service. */
    static List<Attribute> table() {
        return List.of(
                new Attribute(HUBBY_STATE, "HUBBY_STATE", HUBBY, false, true, false),
                new Attribute(HUBBY_OTA_UPGRADE_PATH, "HUBBY_OTA_UPGRADE_PATH", HUBBY, false, true, false),
                new Attribute(ATTRD_DEBUG_LEVEL, "ATTRD_DEBUG_LEVEL", ATTRD, true, false, false),
                new Attribute(OTAMGR_OTA_UPD_PATH_PREFIX, "OTAMGR_OTA_UPD_PATH_PREFIX", OTAMGR, false, false, true),
                new Attribute(HUBBY_PROFILE_UPDATED, "HUBBY_PROFILE_UPDATED", HUBBY, false, true, false),
                new Attribute(ATTRD_REVISION, "ATTRD_REVISION", ATTRD, false, false, false),
                new Attribute(HUBBY_COMMAND, "HUBBY_COMMAND", HUBBY, true, true, false),
                new Attribute(HUBBY_ASR_STATE, "HUBBY_ASR_STATE", HUBBY, false, true, false),
                new Attribute(ATTRD_REBOOT_REASON, "ATTRD_REBOOT_REASON", ATTRD, false, true, false));
    }
}
