// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.Version;
import org.metaotamgr.agent.Window;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.repository.Rollout.Phase;
import org.metaotamgr.tuf.TargetFile;

/**
 * What the member {@value #CUSTOM} of a target's custom data says.
 *
 * @param target the target
 * @param minimum the lowest version that has to run on a device before it takes this one
 * @param floor the lowest version that devices of its board may still install, whatever else the repository has
 * @param rollout who gets it when, if not everybody at once
 */
record Offer(Target target, Optional<String> minimum, Optional<String> floor, Optional<Rollout> rollout) {
    static final String CUSTOM = "otamgr";
    /** Of {@link Target#details}: the path of the target in the repository, by which it is found again. */
    static final String PATH = "path";
    /** Where its file is, below the repository's folder. */
    static final String FILE = "file";

    /** The SHA-256 of its bundle's manifest, if it can be pulled in parts. */
    static final String MANIFEST = "manifest";

    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");
    private static final int MAX_PHASES = 100;
    private static final int MAX_WINDOWS = 20;
    private static final int WHOLE = 100_000;

    /**
     * Reads it.
     *
     * @param file a target
     * @param remote where it is, below the folder of targets
     * @return the offer; empty if it is none for this program
     * @throws JsonFields.MalformedException if it is one, but not as it has to be
     */
    static Optional<Offer> of(TargetFile file, String remote) throws JsonFields.MalformedException {
        if (file.custom().isEmpty() || !file.custom().get().has(CUSTOM)) {
            return Optional.empty();
        }
        String where = "targets.json " + file.path();
        JsonFields custom = new JsonFields(where, file.custom().get()).object(CUSTOM);
        custom.refuseOthersThan(Set.of("compatible", "version", "minimum", "floor", "rollout", "manifest-sha256"));
        String sha256 = file.hashes().get("sha256");
        if (sha256 == null) {
            throw new JsonFields.MalformedException(
                    where + ": expected a SHA-256, found " + file.hashes().keySet());
        }
        Map<String, String> details = new HashMap<>(Map.of(PATH, file.path(), FILE, remote));
        if (custom.has("manifest-sha256")) {
            String manifest = custom.string("manifest-sha256");
            if (!SHA256.matcher(manifest).matches()) {
                throw custom.wrong("manifest-sha256", "64 hexadecimal digits in lower case");
            }
            details.put(MANIFEST, manifest);
        }
        Optional<Rollout> rollout = Optional.empty();
        if (custom.has("rollout")) {
            JsonFields policy = custom.object("rollout");
            rollout = Optional.of(rollout(policy));
        }
        try {
            Target target = new Target(
                    name(file.path()),
                    custom.string("version"),
                    Optional.of(custom.string("compatible")),
                    file.length(),
                    sha256,
                    Optional.of(sha256),
                    details);
            return Optional.of(new Offer(target, version(custom, "minimum"), version(custom, "floor"), rollout));
        } catch (IllegalArgumentException e) {
            throw new JsonFields.MalformedException(where + ": " + e.getMessage());
        }
    }

    private static Optional<String> version(JsonFields custom, String key) throws JsonFields.MalformedException {
        if (!custom.has(key)) {
            return Optional.empty();
        }
        String version = custom.string(key);
        if (!Target.isVersion(version)) {
            throw custom.wrong(key, "a version");
        }
        return Optional.of(version);
    }

    /**
     * Whether it is about an update that came from elsewhere: that has the same hash, or, where nobody told the hash, the same
     * version, board and length.
     *
     * @param other an update of another source
     * @return whether it is the same file
     */
    boolean isOf(Target other) {
        if (other.sha256().isPresent()) {
            return other.sha256().equals(target.sha256());
        }
        return other.bytes() == target.bytes()
                && new Version(other.version()).isSame(new Version(target.version()))
                && (other.compatible().isEmpty() || other.compatible().equals(target.compatible()));
    }

    /** A name for people, which may have no slash. */
    private static String name(String path) {
        String name = path.endsWith(".bundle") ? path.substring(0, path.length() - ".bundle".length()) : path;
        return name.replace('/', ':');
    }

    private static Rollout rollout(JsonFields json) throws JsonFields.MalformedException {
        // "halted", since when it is, is for whoever lets it go on.
        json.refuseOthersThan(Set.of("start", "state", "phases", "windows", "halted"));
        Instant start;
        try {
            start = Instant.parse(json.string("start"));
        } catch (DateTimeException e) {
            throw json.wrong("start", "a time such as 2027-01-31T12:00:00Z");
        }
        Rollout.State state =
                switch (json.string("state")) {
                    case "running" -> Rollout.State.RUNNING;
                    case "halted" -> Rollout.State.HALTED;
                    case "recalled" -> Rollout.State.RECALLED;
                    default -> throw json.wrong("state", "running, halted or recalled");
                };
        List<Phase> phases = new ArrayList<>();
        for (JsonFields phase : json.objects("phases", MAX_PHASES)) {
            phase.refuseOthersThan(Set.of("share", "hours"));
            long share = phase.number("share", 0);
            if (share > WHOLE) {
                throw phase.wrong("share", "thousandths of a percent, at most " + WHOLE);
            }
            phases.add(new Phase(
                    share / (double) WHOLE,
                    phase.has("hours") ? Duration.ofHours(phase.number("hours", 1)) : Duration.ZERO));
        }
        if (phases.isEmpty()) {
            throw json.wrong("phases", "at least one phase");
        }
        List<Window> windows = new ArrayList<>();
        for (String text : json.strings("windows", MAX_WINDOWS)) {
            windows.add(
                    Window.parse(text).orElseThrow(() -> json.wrong("windows", "times such as mon-fri 22:00-04:00")));
        }
        return new Rollout(start, phases, state, windows);
    }
}
