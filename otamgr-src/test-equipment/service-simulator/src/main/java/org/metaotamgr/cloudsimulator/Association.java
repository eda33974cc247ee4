// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * An image offered for one device type. It has an id of its own and keeps the record as it was when it was associated.
 *
 * @param modified whether the client sent something else than the pool's record, which the documentation warns of
 */
record Association(String id, String deviceTypeId, PoolRecord record, boolean modified) {

    ObjectNode json() {
        ObjectNode node = record.json();
        node.put("id", id);
        node.put("deviceTypeId", deviceTypeId);
        return node;
    }
}
