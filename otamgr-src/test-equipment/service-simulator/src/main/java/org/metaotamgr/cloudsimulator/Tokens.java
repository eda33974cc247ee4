// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** Access tokens that are valid now. They do not outlive the process. */
final class Tokens {

    private final SecureRandom random = new SecureRandom();
    private final Map<String, Instant> ends = new HashMap<>();
    private final Set<String> issued = new HashSet<>();
    private final Clock clock;
    private final Duration life;

    Tokens(Clock clock, Duration life) {
        this.clock = clock;
        this.life = life;
    }

    synchronized String issue() {
        Instant now = clock.instant();
        ends.values().removeIf(end -> !end.isAfter(now));
        byte[] bytes = new byte[24];
        random.nextBytes(bytes);
        String token = Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
        ends.put(token, now.plus(life));
        issued.add(token);
        return token;
    }

    synchronized boolean valid(String token) {
        Instant end = ends.get(token);
        return end != null && end.isAfter(clock.instant());
    }

    synchronized Set<String> issued() {
        return Set.copyOf(issued);
    }

    synchronized void expireAll() {
        ends.clear();
    }

    static boolean same(String one, String other) {
        return MessageDigest.isEqual(one.getBytes(StandardCharsets.UTF_8), other.getBytes(StandardCharsets.UTF_8));
    }
}
