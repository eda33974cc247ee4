// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

/**
 * How much a repository may ask of a client.
 *
 * @param rootBytes the largest root metadata, in bytes
 * @param timestampBytes the largest timestamp metadata, in bytes
 * @param snapshotBytes the largest snapshot metadata, in bytes
 * @param targetsBytes the largest targets metadata of one role, in bytes
 * @param rootRotations how many new roots are followed in one refresh
 * @param roles how many roles are asked for one target
 */
public record Limits(
        int rootBytes, int timestampBytes, int snapshotBytes, int targetsBytes, int rootRotations, int roles) {
    /** For a device with a heap of 16 MB. */
    public static final Limits DEVICE = new Limits(128 << 10, 16 << 10, 256 << 10, 1 << 20, 256, 32);
}
