// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

/** The attributes that matter here (attribute protocol, section 9). */
final class Attributes {
    /** One byte: whether hubby reaches the cloud, see {@link HubbyState}. */
    static final int HUBBY_STATE = 51611;
    /** Where hubby put an update, see {@link UpdatePath}. */
    static final int HUBBY_OTA_UPGRADE_PATH = 51612;
    /** Where hubby shall put updates; the only attribute that otamgr owns. */
    static final int OTAMGR_OTA_UPD_PATH_PREFIX = 51618;
    /** Four bytes, see {@link HubbyCommand}. */
    static final int HUBBY_COMMAND = 65012;

    private Attributes() {}
}
