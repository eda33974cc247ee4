// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The signed part of a metadata file. */
sealed interface Signed {
    /** The number of this file, at least 1; a newer one has a higher one. */
    long version();

    /** Until when it may be believed. */
    Instant expires();

    /** Which repository it is of, if it says so: the member {@value MetadataReader#REPOSITORY}. */
    Optional<String> repository();

    /**
     * Who may sign what.
     *
     * @param consistentSnapshot whether files have their version or hash in their name
     * @param roles root, timestamp, snapshot and targets
     */
    record Root(
            long version,
            Instant expires,
            Optional<String> repository,
            boolean consistentSnapshot,
            Map<String, Role> roles)
            implements Signed {
        public Root {
            roles = Map.copyOf(roles);
        }

        Role role(String name) {
            return roles.get(name);
        }
    }

    /**
     * Which snapshot is the newest.
     *
     * @param signed when it was signed, if it says so: the member {@value MetadataReader#SIGNED_AT}
     * @param snapshot what snapshot.json is
     */
    record Timestamp(
            long version, Instant expires, Optional<String> repository, Optional<Instant> signed, FileInfo snapshot)
            implements Signed {}

    /**
     * Which files belong together.
     *
     * @param files what targets.json and the files of delegated roles are, by name
     */
    record Snapshot(long version, Instant expires, Optional<String> repository, Map<String, FileInfo> files)
            implements Signed {
        public Snapshot {
            files = Map.copyOf(files);
        }
    }

    /**
     * What there is to download, and who else may name some of it.
     *
     * @param targets by path
     * @param delegations in the order in which they are asked
     */
    record Targets(
            long version,
            Instant expires,
            Optional<String> repository,
            Map<String, TargetFile> targets,
            List<Delegation> delegations)
            implements Signed {
        public Targets {
            targets = Map.copyOf(targets);
            delegations = List.copyOf(delegations);
        }
    }
}
