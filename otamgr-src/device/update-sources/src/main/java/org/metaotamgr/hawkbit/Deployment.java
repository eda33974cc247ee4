// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.Version;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.http.Urls;

/**
 * What an action is about.
 *
 * @param target the update
 * @param download whether it may be downloaded now
 * @param update whether it may be installed now
 * @param window whether a maintenance window of the server decides that; else it is to be downloaded only
 * @param forced whether somebody at the server wants it on this device now; else the device may choose when
 */
record Deployment(Target target, boolean download, boolean update, boolean window, boolean forced) {
    /** The detail of a target that was assigned for the pull only. */
    static final String PULL_ONLY = "pullOnly";

    private static final int MAX_CHUNKS = 64;
    private static final int MAX_ARTIFACTS = 64;
    private static final int SHA1_DIGITS = 40;

    /** The server does not speak of the action that was asked for: nothing of it can be judged. */
    static final class OtherActionException extends Exception {
        private static final long serialVersionUID = 1L;

        OtherActionException(String message) {
            super(message);
        }
    }

    /** An artifact and the software module that it belongs to. */
    private record Candidate(JsonFields chunk, JsonFields artifact) {}

    /**
     * Reads it.
     *
     * @param action the resource
     * @param key deployment, or confirmation
     * @param id the id of the action
     * @param part the type of the software module that is for this agent; empty for any
     * @param secureOnly whether artifacts have to come over https
     */
    static Deployment of(JsonFields action, String key, String id, Optional<String> part, boolean secureOnly)
            throws JsonFields.MalformedException, OtherActionException {
        boolean isAbout = action.node().path("id").asText().equals(id)
                && action.node().path(key).isObject();
        if (!isAbout) {
            throw new OtherActionException(action.where() + ": expected the action " + id + ", found something else");
        }
        JsonFields deployment = action.object(key);
        List<Candidate> candidates = new ArrayList<>();
        for (JsonFields chunk : deployment.objects("chunks", MAX_CHUNKS)) {
            if (part.isEmpty() || part.get().equals(chunk.string("part"))) {
                for (JsonFields artifact : chunk.objects("artifacts", MAX_ARTIFACTS)) {
                    candidates.add(new Candidate(chunk, artifact));
                }
            }
        }
        if (candidates.size() != 1) {
            throw new JsonFields.MalformedException(deployment.where() + ": expected one software module"
                    + part.map(type -> " of the type " + type).orElse("") + " with one artifact, the bundle; found "
                    + candidates.size() + " artifacts");
        }
        boolean window = deployment.has("maintenanceWindow");
        boolean isPullOnly = !window && !isWanted(deployment, "update");
        return new Deployment(
                target(candidates.get(0), id, secureOnly, isPullOnly),
                isWanted(deployment, "download"),
                isWanted(deployment, "update")
                        && !(window && deployment.string("maintenanceWindow").equals("unavailable")),
                window,
                deployment.string("download").equals("forced"));
    }

    private static boolean isWanted(JsonFields deployment, String key) throws JsonFields.MalformedException {
        return switch (deployment.string(key)) {
            case "forced", "attempt" -> true;
            case "skip" -> false;
            default -> throw deployment.wrong(key, "forced, attempt or skip");
        };
    }

    private static Target target(Candidate candidate, String id, boolean secureOnly, boolean isPullOnly)
            throws JsonFields.MalformedException {
        JsonFields chunk = candidate.chunk();
        JsonFields artifact = candidate.artifact();
        if (chunk.has("encrypted") && chunk.node().get("encrypted").asBoolean()) {
            throw chunk.wrong("encrypted", "an artifact that is not encrypted");
        }
        String version = chunk.string("version");
        if (!Version.isVersion(version)) {
            throw new JsonFields.MalformedException(chunk.where() + ": " + Version.problem(version));
        }
        String name = (chunk.string("name") + "-" + version).replaceAll("[^A-Za-z0-9._+~:-]", "_");
        Optional<String> sha256 = hash(artifact.object("hashes"));
        long bytes = artifact.number("size", 1);
        Map<String, String> details = new HashMap<>(Map.of("action", id, "url", link(artifact, secureOnly)));
        if (isPullOnly) {
            details.put(PULL_ONLY, "true");
        }
        Map<String, String> metadata = new HashMap<>();
        for (JsonFields entry : chunk.objects("metadata", MAX_ARTIFACTS)) {
            metadata.put(entry.string("key"), entry.string("value"));
        }
        try {
            return new Target(
                    name.substring(0, Math.min(name.length(), 128)),
                    version,
                    Optional.ofNullable(metadata.get("compatible")),
                    bytes,
                    sha256.orElseGet(() -> substitute(artifact, bytes)),
                    sha256,
                    details);
        } catch (IllegalArgumentException e) {
            throw new JsonFields.MalformedException(chunk.where() + ": " + e.getMessage());
        }
    }

    /** Not every server knows the SHA-256; then the bundle has to prove itself. */
    private static Optional<String> hash(JsonFields hashes) throws JsonFields.MalformedException {
        return hashes.has("sha256") ? Optional.of(hashes.string("sha256")) : Optional.empty();
    }

    /** What tells one file of a server without SHA-256 from another. */
    private static String substitute(JsonFields artifact, long bytes) {
        String sha1 = artifact.node().path("hashes").path("sha1").asText();
        String known = "hawkbit " + bytes + " "
                + (sha1.length() == SHA1_DIGITS
                        ? sha1
                        : artifact.node().path("_links").toString());
        try {
            return HexFormat.of()
                    .formatHex(MessageDigest.getInstance("SHA-256").digest(known.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    /** {@code download}, as the specification has it, is over TLS, and {@code download-http} is not; servers mix them up. */
    private static String link(JsonFields artifact, boolean secureOnly) throws JsonFields.MalformedException {
        JsonFields links = artifact.object("_links");
        for (String relation : List.of("download", "download-http")) {
            if (links.has(relation)) {
                Optional<URI> uri = Urls.parse(links.object(relation).string("href"));
                if (uri.isPresent() && (!secureOnly || uri.get().getScheme().equals("https"))) {
                    return uri.get().toString();
                }
            }
        }
        throw artifact.wrong("_links", "a download link" + (secureOnly ? " with https" : ""));
    }
}
