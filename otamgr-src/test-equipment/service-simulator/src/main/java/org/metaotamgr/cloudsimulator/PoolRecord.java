// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/** The service's record of one image. {@code description} is null when the client gave none. */
record PoolRecord(
        String id,
        String partnerId,
        String name,
        String description,
        int type,
        String version,
        String versionNumber,
        String url,
        List<String> tags,
        long createdTimestamp,
        long updatedTimestamp) {

    PoolRecord updated(
            String newName, String newVersion, String newDescription, List<String> newTags, String newUrl, long now) {
        return new PoolRecord(
                id,
                partnerId,
                newName,
                newDescription,
                type,
                newVersion,
                versionNumber,
                newUrl,
                newTags,
                createdTimestamp,
                Math.max(now, updatedTimestamp + 1));
    }

    boolean hasUrl() {
        return !url.isEmpty();
    }

    /** The record as it goes over the wire: ids are strings, times are milliseconds, what has no value is absent. */
    ObjectNode json() {
        ObjectNode node = JsonNodeFactory.instance.objectNode();
        node.put("id", id);
        node.put("name", name);
        if (description != null) {
            node.put("description", description);
        }
        node.put("type", type);
        node.put("version", version);
        node.put("versionNumber", versionNumber);
        node.put("url", url);
        var list = node.putArray("tags");
        tags.forEach(list::add);
        node.put("partnerId", partnerId);
        node.put("createdTimestamp", createdTimestamp);
        node.put("updatedTimestamp", updatedTimestamp);
        return node;
    }
}
