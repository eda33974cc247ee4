// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import org.metaotamgr.tuf.Signed.Root;
import org.metaotamgr.tuf.Signed.Snapshot;
import org.metaotamgr.tuf.Signed.Targets;
import org.metaotamgr.tuf.Signed.Timestamp;

/**
 * Reads the four kinds of metadata files. Members that are not known are part of what was signed and otherwise nothing
 * here; those that are known have to be of their kind.
 */
final class MetadataReader {
    /** A member that a repository may add to all that it signs, so that one of two with the same keys is not taken for the other. */
    static final String REPOSITORY = "x-otamgr-repository";

    /** A member that a repository may add to its timestamp: since when it has been true. */
    static final String SIGNED_AT = "x-otamgr-signed";

    private static final int MAX_BINS_BITS = 32;

    private final String name;

    private MetadataReader(String name) {
        this.name = name;
    }

    /** Makes the signed part of one kind. */
    @FunctionalInterface
    private interface Body<T> {
        T read(MetadataReader reader, JsonNode signed, long version, Instant expires, Optional<String> repository)
                throws TufException;
    }

    static Metadata<Root> root(String name, byte[] content) throws TufException {
        return read(name, content, "root", (reader, signed, version, expires, repository) -> {
            Map<String, Key> keys = reader.keys(reader.member(signed, "keys"));
            JsonNode roles = reader.member(signed, "roles");
            Map<String, Role> read = new HashMap<>();
            for (String role : List.of("root", "timestamp", "snapshot", "targets")) {
                read.put(role, reader.role(reader.member(roles, role), keys));
            }
            JsonNode consistent = signed.get("consistent_snapshot");
            return new Root(version, expires, repository, consistent != null && consistent.asBoolean(false), read);
        });
    }

    static Metadata<Timestamp> timestamp(String name, byte[] content) throws TufException {
        return read(
                name,
                content,
                "timestamp",
                (reader, signed, version, expires, repository) -> new Timestamp(
                        version,
                        expires,
                        repository,
                        reader.signedAt(signed, expires),
                        reader.fileInfo(reader.member(reader.member(signed, "meta"), "snapshot.json"))));
    }

    /** Whoever signs with a clock that is so wrong is told by every device, before one without a clock believes it. */
    private Optional<Instant> signedAt(JsonNode signed, Instant expires) throws TufException {
        if (!signed.has(SIGNED_AT)) {
            return Optional.empty();
        }
        Instant found = time(signed, SIGNED_AT);
        if (found.isAfter(expires)) {
            throw StrictJson.malformed(name, SIGNED_AT + " before " + expires + ", when it ends", found.toString());
        }
        return Optional.of(found);
    }

    static Metadata<Snapshot> snapshot(String name, byte[] content) throws TufException {
        return read(name, content, "snapshot", (reader, signed, version, expires, repository) -> {
            Map<String, FileInfo> files = new HashMap<>();
            for (Map.Entry<String, JsonNode> file :
                    reader.member(signed, "meta").properties()) {
                files.put(file.getKey(), reader.fileInfo(file.getValue()));
            }
            return new Snapshot(version, expires, repository, files);
        });
    }

    static Metadata<Targets> targets(String name, byte[] content) throws TufException {
        return read(name, content, "targets", (reader, signed, version, expires, repository) -> {
            Map<String, TargetFile> targets = new HashMap<>();
            for (Map.Entry<String, JsonNode> target :
                    reader.member(signed, "targets").properties()) {
                JsonNode value = target.getValue();
                Optional<JsonNode> custom =
                        Optional.ofNullable(value.get("custom")).filter(JsonNode::isObject);
                targets.put(
                        target.getKey(),
                        new TargetFile(
                                target.getKey(),
                                reader.number(value, "length", 0),
                                reader.hashes(reader.member(value, "hashes")),
                                custom));
            }
            List<Delegation> delegations = new ArrayList<>();
            JsonNode found = signed.get("delegations");
            if (found != null && !found.isNull()) {
                reader.delegations(found, delegations);
            }
            return new Targets(version, expires, repository, targets, delegations);
        });
    }

    private static <T extends Signed> Metadata<T> read(String name, byte[] content, String type, Body<T> body)
            throws TufException {
        MetadataReader reader = new MetadataReader(name);
        ObjectNode file = StrictJson.object(name, content);
        JsonNode signed = reader.member(file, "signed");
        if (!signed.isObject()) {
            throw StrictJson.malformed(name, "an object as signed", signed.toString());
        }
        String found = reader.text(signed, "_type");
        if (!found.equals(type)) {
            throw StrictJson.malformed(name, "metadata of type " + type, found);
        }
        String specification = reader.text(signed, "spec_version");
        if (!specification.startsWith("1.")) {
            throw StrictJson.malformed(name, "version 1 of the specification", specification);
        }
        JsonNode repository = signed.get(REPOSITORY);
        T read = body.read(
                reader,
                signed,
                reader.number(signed, "version", 1),
                reader.time(signed, "expires"),
                repository == null ? Optional.empty() : Optional.of(repository.asText()));
        return new Metadata<>(read, CanonicalJson.encode(signed), reader.signatures(reader.member(file, "signatures")));
    }

    private Map<String, byte[]> signatures(JsonNode list) throws TufException {
        if (!list.isArray()) {
            throw StrictJson.malformed(name, "a list as signatures", list.toString());
        }
        Map<String, byte[]> signatures = new LinkedHashMap<>();
        for (JsonNode each : list) {
            String id = text(each, "keyid");
            byte[] signature;
            try {
                signature = HexFormat.of().parseHex(text(each, "sig"));
            } catch (IllegalArgumentException e) {
                // Somebody else's signature that nobody can read is no reason to refuse those of the others.
                signature = new byte[0];
            }
            if (signatures.put(id, signature) != null) {
                throw StrictJson.malformed(name, "one signature for each key", "two of " + id);
            }
        }
        return signatures;
    }

    private Map<String, Key> keys(JsonNode keys) throws TufException {
        Map<String, Key> read = new HashMap<>();
        for (Map.Entry<String, JsonNode> key : keys.properties()) {
            read.put(
                    key.getKey(),
                    new Key(
                            text(key.getValue(), "keytype"),
                            text(key.getValue(), "scheme"),
                            text(member(key.getValue(), "keyval"), "public")));
        }
        return read;
    }

    private Role role(JsonNode role, Map<String, Key> keys) throws TufException {
        Map<String, Key> own = new HashMap<>();
        Set<String> ids = new HashSet<>();
        for (JsonNode id : member(role, "keyids")) {
            if (!ids.add(id.asText())) {
                throw StrictJson.malformed(name, "each key of a role once", id.asText() + " twice");
            }
            Key key = keys.get(id.asText());
            if (key != null) {
                own.put(id.asText(), key);
            }
        }
        return new Role(own, (int) Math.min(Integer.MAX_VALUE, number(role, "threshold", 1)));
    }

    private void delegations(JsonNode found, List<Delegation> delegations) throws TufException {
        Map<String, Key> keys = keys(member(found, "keys"));
        JsonNode bins = found.get("succinct_roles");
        JsonNode roles = found.get("roles");
        if ((bins == null) == (roles == null)) {
            throw StrictJson.malformed(name, "delegations with either roles or succinct_roles", found.toString());
        }
        if (bins != null) {
            long bits = number(bins, "bit_length", 1);
            if (bits > MAX_BINS_BITS) {
                throw StrictJson.malformed(name, "a bit_length from 1 to " + MAX_BINS_BITS, Long.toString(bits));
            }
            delegations.add(
                    new Delegation(role(bins, keys), true, new Delegation.Bins(text(bins, "name_prefix"), (int) bits)));
            return;
        }
        Set<String> names = new HashSet<>(Set.of("root", "timestamp", "snapshot", "targets"));
        for (JsonNode each : roles) {
            String role = text(each, "name");
            if (role.isEmpty() || !names.add(role)) {
                throw StrictJson.malformed(name, "each delegated role once, none named like a top-level role", role);
            }
            JsonNode paths = each.get("paths");
            JsonNode prefixes = each.get("path_hash_prefixes");
            if ((paths == null) == (prefixes == null)) {
                throw StrictJson.malformed(
                        name, "either paths or path_hash_prefixes for the role " + role, each.toString());
            }
            Delegation.Scope scope = paths != null
                    ? new Delegation.Patterns(role, texts(paths))
                    : new Delegation.HashPrefixes(role, texts(prefixes));
            delegations.add(
                    new Delegation(role(each, keys), member(each, "terminating").asBoolean(false), scope));
        }
    }

    private List<String> texts(JsonNode list) throws TufException {
        List<String> texts = new ArrayList<>();
        for (JsonNode each : list) {
            if (!each.isTextual()) {
                throw StrictJson.malformed(name, "a list of texts", list.toString());
            }
            texts.add(each.textValue());
        }
        return texts;
    }

    private FileInfo fileInfo(JsonNode file) throws TufException {
        JsonNode hashes = file.get("hashes");
        return new FileInfo(
                number(file, "version", 1),
                file.has("length") ? OptionalLong.of(number(file, "length", 0)) : OptionalLong.empty(),
                hashes == null ? Map.of() : hashes(hashes));
    }

    private Map<String, String> hashes(JsonNode hashes) throws TufException {
        Map<String, String> read = new HashMap<>();
        for (Map.Entry<String, JsonNode> hash : hashes.properties()) {
            read.put(hash.getKey(), text(hashes, hash.getKey()));
        }
        if (read.isEmpty()) {
            throw StrictJson.malformed(name, "a hash", hashes.toString());
        }
        return read;
    }

    private Instant time(JsonNode signed, String key) throws TufException {
        String text = text(signed, key);
        try {
            return Instant.parse(text);
        } catch (DateTimeException e) {
            throw StrictJson.malformed(name, "a time such as 2030-01-31T00:00:00Z as " + key, text);
        }
    }

    private JsonNode member(JsonNode object, String key) throws TufException {
        JsonNode found = object.get(key);
        if (found == null || found.isNull()) {
            throw StrictJson.malformed(name, "a member " + key, "none");
        }
        return found;
    }

    private String text(JsonNode object, String key) throws TufException {
        JsonNode found = member(object, key);
        if (!found.isTextual()) {
            throw StrictJson.malformed(name, "a text as " + key, found.toString());
        }
        return found.textValue();
    }

    private long number(JsonNode object, String key, long least) throws TufException {
        JsonNode found = member(object, key);
        if (!found.isIntegralNumber() || !found.canConvertToLong() || found.longValue() < least) {
            throw StrictJson.malformed(name, "a whole number of at least " + least + " as " + key, found.toString());
        }
        return found.longValue();
    }
}
