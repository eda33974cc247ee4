// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.stream.LongStream;

/**
 * Another role that may name some of the targets.
 *
 * @param role who may sign for it
 * @param terminating whether nobody is asked after it for paths that are its own
 * @param scope which paths are its own, and the name of the role that names them
 */
record Delegation(Role role, boolean terminating, Scope scope) {
    /** Which paths a delegation is for. */
    sealed interface Scope {
        /** The name of the delegated role for a path, or empty if the path is not its own. */
        Optional<String> roleFor(String path);

        /** All roles that it names, in order; those of bins only as far as a client would ever ask. */
        List<String> roles();
    }

    /** Paths that match a pattern. */
    record Patterns(String name, List<String> patterns) implements Scope {
        Patterns {
            patterns = List.copyOf(patterns);
        }

        @Override
        public List<String> roles() {
            return List.of(name);
        }

        @Override
        public Optional<String> roleFor(String path) {
            return patterns.stream().anyMatch(pattern -> PathPattern.matches(pattern, path))
                    ? Optional.of(name)
                    : Optional.empty();
        }
    }

    /** Paths whose SHA-256 begins with some digits. */
    record HashPrefixes(String name, List<String> prefixes) implements Scope {
        HashPrefixes {
            prefixes = List.copyOf(prefixes);
        }

        @Override
        public List<String> roles() {
            return List.of(name);
        }

        @Override
        public Optional<String> roleFor(String path) {
            String hash = HexFormat.of().formatHex(Sha256.of(path.getBytes(StandardCharsets.UTF_8)));
            return prefixes.stream().anyMatch(hash::startsWith) ? Optional.of(name) : Optional.empty();
        }
    }

    /** All paths, spread over 2^bits roles by the beginning of their SHA-256. */
    record Bins(String prefix, int bits) implements Scope {
        private static final long MOST_BINS = 4096;

        @Override
        public List<String> roles() {
            return LongStream.range(0, Math.min(MOST_BINS, 1L << bits))
                    .mapToObj(this::role)
                    .toList();
        }

        @Override
        public Optional<String> roleFor(String path) {
            byte[] hash = Sha256.of(path.getBytes(StandardCharsets.UTF_8));
            long first = (hash[0] & 0xFFL) << 24 | (hash[1] & 0xFF) << 16 | (hash[2] & 0xFF) << 8 | hash[3] & 0xFF;
            return Optional.of(role(first >>> Integer.SIZE - bits));
        }

        private String role(long bin) {
            int digits = Long.toHexString((1L << bits) - 1).length();
            String number = Long.toHexString(bin);
            return prefix + "-" + "0".repeat(digits - number.length()) + number;
        }
    }
}
