// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.math.BigInteger;

/**
 * One simulated device.
 *
 * @param installed the number of the installed version of type 5, attribute 2005
 * @param version the text of that version, or empty when nobody told
 * @param slot the slot it runs from, or empty when nobody told
 */
record Device(
        String deviceId, String deviceTypeId, String friendlyName, BigInteger installed, String version, String slot) {

    Device running(BigInteger number, String newVersion, String newSlot) {
        return new Device(deviceId, deviceTypeId, friendlyName, number, newVersion, newSlot);
    }
}
