// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import java.net.URI;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

import org.metaotamgr.agent.Target;
import org.metaotamgr.http.Json;

/**
 * What an action is about.
 *
 * @param target the update
 * @param download whether it may be downloaded now
 * @param update whether it may be installed now
 * @param window whether a maintenance window of the server decides that; else it is to be downloaded only
 */
record Deployment(Target target, boolean download, boolean update, boolean window) {
    private static final int MAX_CHUNKS = 64;
    private static final int MAX_ARTIFACTS = 64;

    /** An artifact and the software module that it belongs to. */
    private record Candidate(Json chunk, Json artifact) {
    }

    /**
     * Reads it.
     *
     * @param action the resource
     * @param key deployment, or confirmation
     * @param id the id of the action
     * @param part the type of the software module that is for this agent; empty for any
     * @param secureOnly whether artifacts have to come over https
     */
    static Deployment of(Json action, String key, String id, Optional<String> part, boolean secureOnly)
            throws Json.MalformedException {
        if (!action.string("id").equals(id)) {
            throw action.wrong("id", id);
        }
        Json deployment = action.object(key);
        List<Candidate> candidates = new ArrayList<>();
        for (Json chunk : deployment.objects("chunks", MAX_CHUNKS)) {
            if (part.isEmpty() || part.get().equals(chunk.string("part"))) {
                for (Json artifact : chunk.objects("artifacts", MAX_ARTIFACTS)) {
                    candidates.add(new Candidate(chunk, artifact));
                }
            }
        }
        if (candidates.size() != 1) {
            throw new Json.MalformedException(deployment.where() + ": expected one software module"
                    + part.map(type -> " of the type " + type).orElse("") + " with one artifact, the bundle; found "
                    + candidates.size() + " artifacts");
        }
        boolean window = deployment.has("maintenanceWindow");
        return new Deployment(target(candidates.get(0), id, secureOnly), isWanted(deployment, "download"),
                isWanted(deployment, "update")
                        && !(window && deployment.string("maintenanceWindow").equals("unavailable")), window);
    }

    private static boolean isWanted(Json deployment, String key) throws Json.MalformedException {
        return switch (deployment.string(key)) {
            case "forced", "attempt" -> true;
            case "skip" -> false;
            default -> throw deployment.wrong(key, "forced, attempt or skip");
        };
    }

    private static Target target(Candidate candidate, String id, boolean secureOnly) throws Json.MalformedException {
        Json chunk = candidate.chunk();
        Json artifact = candidate.artifact();
        if (chunk.has("encrypted") && chunk.node().get("encrypted").asBoolean()) {
            throw chunk.wrong("encrypted", "an artifact that is not encrypted");
        }
        String version = chunk.string("version");
        String name = (chunk.string("name") + "-" + version).replaceAll("[^A-Za-z0-9._+~:-]", "_");
        String sha256 = artifact.object("hashes").string("sha256");
        Map<String, String> metadata = new HashMap<>();
        for (Json entry : chunk.objects("metadata", MAX_ARTIFACTS)) {
            metadata.put(entry.string("key"), entry.string("value"));
        }
        try {
            return new Target(name.substring(0, Math.min(name.length(), 128)), version,
                    Optional.ofNullable(metadata.get("compatible")), artifact.number("size", 1), sha256,
                    Optional.of(sha256), Map.of("action", id, "url", link(artifact, secureOnly)));
        } catch (IllegalArgumentException e) {
            throw new Json.MalformedException(chunk.where() + ": " + e.getMessage());
        }
    }

    /** {@code download}, as the specification has it, is over TLS, and {@code download-http} is not; servers mix them up. */
    private static String link(Json artifact, boolean secureOnly) throws Json.MalformedException {
        Json links = artifact.object("_links");
        for (String relation : List.of("download", "download-http")) {
            if (links.has(relation)) {
                String href = links.object(relation).string("href");
                URI uri = uri(href);
                if (uri != null && uri.getHost() != null && ("https".equals(uri.getScheme())
                        || "http".equals(uri.getScheme()) && !secureOnly)) {
                    return href;
                }
            }
        }
        throw artifact.wrong("_links", "a download link" + (secureOnly ? " with https" : ""));
    }

    private static URI uri(String text) {
        try {
            return URI.create(text);
        } catch (IllegalArgumentException e) {
            return null;
        }
    }
}
