// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.metaotamgr.tuf.TufException.Reason;

/** A repository in memory, made with nothing of the client but its canonical form; a test may sign and publish what it likes. */
final class RepositoryOnPaper implements Transport {
    static final Instant FAR = Instant.parse("2099-01-01T00:00:00Z");
    private static final int RAW_KEY_BYTES = 32;

    final Map<String, byte[]> published = new HashMap<>();
    final List<String> asked = new ArrayList<>();
    final Map<String, List<KeyPair>> keys = new TreeMap<>();
    final Map<String, Integer> thresholds = new HashMap<>();
    final Map<String, Long> versions = new HashMap<>();
    final Map<String, Instant> expires = new HashMap<>();
    final Map<String, String> targets = new TreeMap<>();
    /** Who else signs the next root: the keys that devices know. */
    final List<KeyPair> formerRootKeys = new ArrayList<>();

    Optional<String> name = Optional.empty();
    Optional<Instant> signedAt = Optional.empty();

    RepositoryOnPaper() {
        for (String role : List.of("root", "timestamp", "snapshot", "targets")) {
            keys.put(role, new ArrayList<>(List.of(newKey())));
            versions.put(role, 0L);
        }
    }

    static KeyPair newKey() {
        try {
            return KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String raw(KeyPair key) {
        byte[] encoded = key.getPublic().getEncoded();
        return HexFormat.of().formatHex(Arrays.copyOfRange(encoded, encoded.length - RAW_KEY_BYTES, encoded.length));
    }

    private ObjectNode signedPart(String type, String role) {
        ObjectNode signed = JsonNodeFactory.instance.objectNode();
        signed.put("_type", type)
                .put("spec_version", "1.0.31")
                .put("version", versions.merge(role, 1L, Long::sum))
                .put("expires", expires.getOrDefault(role, FAR).toString());
        name.ifPresent(text -> signed.put(MetadataReader.REPOSITORY, text));
        return signed;
    }

    static byte[] signed(ObjectNode signed, List<KeyPair> signers) {
        ObjectNode file = JsonNodeFactory.instance.objectNode();
        file.set("signed", signed);
        byte[] content = CanonicalJson.encode(signed);
        for (KeyPair key : signers) {
            try {
                Signature signature = Signature.getInstance("Ed25519");
                signature.initSign(key.getPrivate());
                signature.update(content);
                file.withArray("signatures")
                        .addObject()
                        .put("keyid", raw(key))
                        .put("sig", HexFormat.of().formatHex(signature.sign()));
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException(e);
            }
        }
        file.withArray("signatures");
        return file.toString().getBytes(StandardCharsets.UTF_8);
    }

    byte[] publishRoot() {
        ObjectNode signed = signedPart("root", "root");
        signed.put("consistent_snapshot", true);
        keys.forEach((role, pairs) -> {
            ObjectNode entry = signed.withObject("/roles").putObject(role);
            entry.put("threshold", thresholds.getOrDefault(role, 1)).putArray("keyids");
            for (KeyPair pair : pairs) {
                entry.withArray("keyids").add(raw(pair));
                ObjectNode key = signed.withObject("/keys").putObject(raw(pair));
                key.put("keytype", "ed25519")
                        .put("scheme", "ed25519")
                        .putObject("keyval")
                        .put("public", raw(pair));
            }
        });
        List<KeyPair> signers = new ArrayList<>(keys.get("root"));
        signers.addAll(formerRootKeys);
        formerRootKeys.clear();
        byte[] file = signed(signed, signers);
        published.put(versions.get("root") + ".root.json", file);
        return file;
    }

    /** Rotates the keys of a role. */
    void rotate(String role) {
        if (role.equals("root")) {
            formerRootKeys.addAll(keys.get(role));
        }
        keys.put(role, new ArrayList<>(List.of(newKey())));
    }

    void publishTargets() {
        ObjectNode signed = signedPart("targets", "targets");
        signed.putObject("targets");
        targets.forEach((path, content) -> {
            byte[] bytes = content.getBytes(StandardCharsets.UTF_8);
            ObjectNode target = signed.withObject("/targets").putObject(path);
            target.put("length", bytes.length)
                    .putObject("hashes")
                    .put("sha256", HexFormat.of().formatHex(Sha256.of(bytes)));
        });
        published.put(versions.get("targets") + ".targets.json", signed(signed, keys.get("targets")));
    }

    void publishSnapshot() {
        ObjectNode signed = signedPart("snapshot", "snapshot");
        signed.putObject("meta").putObject("targets.json").put("version", versions.get("targets"));
        published.put(versions.get("snapshot") + ".snapshot.json", signed(signed, keys.get("snapshot")));
    }

    void publishTimestamp() {
        ObjectNode signed = signedPart("timestamp", "timestamp");
        signed.putObject("meta").putObject("snapshot.json").put("version", versions.get("snapshot"));
        signedAt.ifPresent(time -> signed.put(MetadataReader.SIGNED_AT, time.toString()));
        published.put("timestamp.json", signed(signed, keys.get("timestamp")));
    }

    /** All but the root. */
    void publish() {
        publishTargets();
        publishSnapshot();
        publishTimestamp();
    }

    @Override
    public byte[] metadata(String file, int limit) throws TufException {
        asked.add(file);
        byte[] content = published.get(file);
        if (content == null) {
            throw new TufException(Reason.NOT_FOUND, file + ": not there");
        }
        if (content.length > limit) {
            throw new TufException(Reason.MALFORMED, file + ": too long");
        }
        return content;
    }
}
