// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.net.URI;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

import org.metaotamgr.agent.Target;
import org.metaotamgr.http.Json;

/**
 * The list of a repository, {@code index.json}; read only after its signature was checked.
 *
 * @param repository the name of the repository
 * @param generation a number that grows with each list
 * @param created when it was signed
 * @param expires when it is too old to be believed
 * @param entries what is offered
 */
record Index(String repository, long generation, Instant created, Instant expires, List<Entry> entries) {
    static final String FORMAT = "otamgr-repository-1";
    private static final Set<String> KEYS = Set.of("format", "repository", "generation", "created", "expires", "targets");
    private static final Set<String> TARGET_KEYS =
            Set.of("name", "version", "compatible", "bundle", "bytes", "sha256", "minimum");
    private static final int MAX_TARGETS = 1000;
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}");
    private static final Pattern SEGMENT = Pattern.compile("[A-Za-z0-9_+~][A-Za-z0-9._+~-]*");
    private static final int MAX_PATH = 255;

    /**
     * One bundle.
     *
     * @param target the target
     * @param minimum the lowest version that has to run on a device before it takes this one
     */
    record Entry(Target target, Optional<String> minimum) {
    }

    /** Whether a text may be the name of a repository; it becomes part of a file name. */
    static boolean isName(String text) {
        return NAME.matcher(text).matches();
    }

    static Index parse(byte[] content, URI folder) throws Json.MalformedException {
        Json root = Json.object("index.json", content);
        if (!root.string("format").equals(FORMAT)) {
            throw root.wrong("format", FORMAT);
        }
        root.refuseOthersThan(KEYS);
        String repository = root.string("repository");
        if (!isName(repository)) {
            throw root.wrong("repository", "a name of 1 to 64 letters, digits and . _ -");
        }
        List<Entry> entries = new ArrayList<>();
        Set<String> names = new HashSet<>();
        if (!root.has("targets")) {
            throw root.wrong("targets", "a list");
        }
        for (Json object : root.objects("targets", MAX_TARGETS)) {
            Entry entry = entry(object, folder);
            if (!names.add(entry.target().name())) {
                throw object.wrong("name", "a name that no other target has");
            }
            entries.add(entry);
        }
        return new Index(repository, root.number("generation", 1), time(root, "created"), time(root, "expires"),
                List.copyOf(entries));
    }

    private static Instant time(Json root, String key) throws Json.MalformedException {
        try {
            return Instant.parse(root.string(key));
        } catch (DateTimeException e) {
            throw root.wrong(key, "a time such as \"2026-01-31T12:00:00Z\"");
        }
    }

    private static Entry entry(Json object, URI folder) throws Json.MalformedException {
        object.refuseOthersThan(TARGET_KEYS);
        String path = object.string("bundle");
        if (!isPath(path)) {
            throw object.wrong("bundle", "a path below the folder of the index, of letters, digits and . _ + ~ - /");
        }
        Optional<String> minimum = object.has("minimum") ? Optional.of(object.string("minimum")) : Optional.empty();
        if (minimum.isPresent() && !Target.isVersion(minimum.get())) {
            throw object.wrong("minimum", "a version");
        }
        if (!Target.isVersion(object.string("version"))) {
            throw object.wrong("version", "a version");
        }
        try {
            return new Entry(new Target(object.string("name"), object.string("version"),
                    Optional.of(object.string("compatible")), object.number("bytes", 1), object.string("sha256"),
                    Optional.of(object.string("sha256")), Map.of("url", folder.resolve(path).toString())), minimum);
        } catch (IllegalArgumentException e) {
            throw new Json.MalformedException(object.where() + ": " + e.getMessage());
        }
    }

    /** Nothing that leaves the folder, or means something in a URL. */
    private static boolean isPath(String path) {
        if (path.isEmpty() || path.length() > MAX_PATH) {
            return false;
        }
        for (String segment : path.split("/", -1)) {
            if (!SEGMENT.matcher(segment).matches()) {
                return false;
            }
        }
        return true;
    }
}
