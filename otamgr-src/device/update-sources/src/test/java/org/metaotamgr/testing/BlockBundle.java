// SPDX-License-Identifier: MIT
package org.metaotamgr.testing;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** An old system, a new one that shares most of its content with it, and the new one's bundle of format 2. */
public final class BlockBundle {
    /** What both systems have. */
    public static final int SHARED = 3_000_000;
    /** In how many places the new is between the old. */
    public static final int PLACES = 7;

    public final byte[] oldImage;
    public final byte[] newImage;
    public final byte[] content;
    /** The SHA-256 of its manifest. */
    public final String manifest;

    /** newBytes: what only the new system has; random, so that it cannot be compressed. options: of ota-bundle create. */
    public BlockBundle(Workshop workshop, String key, int newBytes, String... options) throws Exception {
        Map<String, byte[]> files = new HashMap<>();
        for (int at = 0; at < PLACES; at++) {
            files.put(at + "-shared", shared(at));
        }
        oldImage = Files.readAllBytes(workshop.makeFileSystem("old", files));
        for (int at = 0; at < PLACES; at++) {
            files.put(at + "-new", Workshop.random(newBytes / PLACES, 100 + at));
        }
        newImage = Files.readAllBytes(workshop.makeFileSystem("new", files));
        Path bundle = workshop.bundleOf("new", key, "qemuarm64", "2.0", options);
        manifest = Parts.manifestHash(bundle);
        content = Files.readAllBytes(bundle);
    }

    /** The content of a file that both systems have. */
    public static byte[] shared(int at) {
        return Workshop.random(SHARED / PLACES, at);
    }
}
