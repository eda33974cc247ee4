// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbitsimulator;

import java.util.Map;

/**
 * What is assigned: a distribution set of one software module with one artifact.
 *
 * @param name the name of the software module
 * @param version its version
 * @param part its type, such as os
 * @param fileName the name of the artifact
 * @param content the artifact
 * @param kind how it is meant
 * @param needsConfirmation whether it waits to be confirmed
 * @param hasWindow whether it has a maintenance schedule
 * @param metadata what the module says about itself, visible for targets
 */
public record Assignment(
        String name,
        String version,
        String part,
        String fileName,
        Artifact content,
        Kind kind,
        boolean needsConfirmation,
        boolean hasWindow,
        Map<String, String> metadata) {
    /** How an assignment is meant. */
    public enum Kind {
        /** The device must take it. */
        FORCED,
        /** The device may take it. */
        SOFT,
        /** It shall be downloaded, and not installed. */
        DOWNLOAD_ONLY
    }

    /**
     * A forced one without confirmation and schedule.
     *
     * @param name the name of the software module
     * @param version its version
     * @param content the artifact
     * @return the assignment
     */
    public static Assignment forced(String name, String version, byte[] content) {
        return forced(name, version, Artifact.of(content));
    }

    /**
     * A forced one without confirmation and schedule.
     *
     * @param name the name of the software module
     * @param version its version
     * @param content the artifact
     * @return the assignment
     */
    public static Assignment forced(String name, String version, Artifact content) {
        return new Assignment(name, version, "os", name + ".bundle", content, Kind.FORCED, false, false, Map.of());
    }

    /**
     * The same, meant otherwise.
     *
     * @param other how
     * @return the assignment
     */
    public Assignment as(Kind other) {
        return new Assignment(name, version, part, fileName, content, other, needsConfirmation, hasWindow, metadata);
    }

    /**
     * The same, to be confirmed first.
     *
     * @return the assignment
     */
    public Assignment confirmedFirst() {
        return new Assignment(name, version, part, fileName, content, kind, true, hasWindow, metadata);
    }

    /**
     * The same, with a maintenance schedule whose window is closed.
     *
     * @return the assignment
     */
    public Assignment inWindow() {
        return new Assignment(name, version, part, fileName, content, kind, needsConfirmation, true, metadata);
    }

    /**
     * The same, saying more.
     *
     * @param values metadata
     * @return the assignment
     */
    public Assignment saying(Map<String, String> values) {
        return new Assignment(name, version, part, fileName, content, kind, needsConfirmation, hasWindow, values);
    }
}
