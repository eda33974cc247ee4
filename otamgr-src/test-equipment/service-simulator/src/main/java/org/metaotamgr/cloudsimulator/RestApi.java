// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/** The REST interface of the OTA service ("OTA service", sections 1, 4 and 7). */
final class RestApi {

    private static final int LONGEST_NAME = 35;
    private static final int LONGEST_DESCRIPTION = 500;
    private static final int LONGEST_TAG = 35;
    private static final int LONGEST_OTHER = 4096;
    private static final int STANDARD_PAGE = 50;
    private static final int LARGEST_PAGE = 1000;
    private static final int BLOCK = 128 * 1024;

    private final Settings settings;
    private final ServiceState state;
    private final Tokens tokens;
    private final ObjectMapper json;
    private final Supplier<String> address;

    RestApi(Settings settings, ServiceState state, Tokens tokens, ObjectMapper json, Supplier<String> address) {
        this.settings = settings;
        this.state = state;
        this.tokens = tokens;
        this.json = json;
        this.address = address;
    }

    Reply answer(Call call) throws IOException, ApiException {
        if (call.route() == Route.TOKEN) {
            return token(call);
        }
        requireToken(call);
        String partner = null;
        String deviceType = null;
        switch (call.route()) {
            case ME, DEVICES, DEVICE -> {}
            default -> partner = partner(call);
        }
        switch (call.route()) {
            case ASSOCIATE, IMAGES, IMAGES_TYPE, IMAGE, DISSOCIATE, PUSH -> deviceType = deviceType(call);
            default -> {}
        }
        return switch (call.route()) {
            case EXISTS -> Reply.json(
                    200,
                    json.createObjectNode()
                            .put(
                                    "value",
                                    state.exists(
                                            partner,
                                            call.type(),
                                            call.parameter("name"),
                                            call.parameter("version"),
                                            call.query().get("excludeFirmwareImageId"))));
            case CREATE -> create(call, partner);
            case POOL -> page(call, state.pool(partner), PoolRecord::json);
            case POOL_TYPE -> page(call, ofType(state.pool(partner), call.type()), PoolRecord::json);
            case UPDATE -> update(call, partner);
            case ASSOCIATIONS -> associations(poolRecord(call, partner));
            case UPLOAD -> upload(call);
            case MOVE -> move(call);
            case ASSOCIATE -> associate(call, partner, deviceType);
            case IMAGES -> page(call, state.images(deviceType), Association::json);
            case IMAGES_TYPE -> {
                int type = call.type();
                yield page(
                        call,
                        state.images(deviceType).stream()
                                .filter(image -> image.record().type() == type)
                                .toList(),
                        Association::json);
            }
            case IMAGE -> Reply.json(200, image(call, deviceType).json());
            case DISSOCIATE -> {
                state.dissociate(image(call, deviceType));
                yield Reply.empty(204);
            }
            case PUSH -> push(call, deviceType);
            case TAGS -> Reply.json(200, json.valueToTree(state.tags(partner)));
            case TYPES -> types(partner);
            case CREATE_TYPE -> createType(call, partner);
            case TYPE -> Reply.json(200, json(firmwareType(call), partner));
            case RENAME_TYPE -> {
                ObjectNode wanted = call.object();
                state.renameType(
                        firmwareType(call),
                        Call.requiredText(wanted, "name", LONGEST_NAME),
                        Call.optionalText(wanted, "description", LONGEST_DESCRIPTION));
                yield Reply.empty(204);
            }
            case ME -> me();
            case DEVICES -> devices(call);
            case DEVICE -> device(call);
            default -> throw new IllegalStateException(call.route() + " is not a REST call");
        };
    }

    // ---- who may call ----

    private Reply token(Call call) throws IOException, ApiException {
        Credentials known = settings.credentials();
        call.requireMediaType("application/x-www-form-urlencoded");
        Map<String, String> form = UrlCoding.decodeForm(call.shortBody());
        String basic = call.header("Authorization");
        if (!basic.startsWith("Basic ") || !Tokens.same(basic.substring(6), known.authString())) {
            throw new ApiException(401, "unauthorized", "Bad client credentials");
        }
        if (!"password".equals(form.get("grant_type"))) {
            throw new ApiException(401, "unsupported_grant_type", "Expected grant_type password");
        }
        if (!Tokens.same(form.getOrDefault("username", ""), known.username())
                || !Tokens.same(form.getOrDefault("password", ""), known.userpw())) {
            throw new ApiException(401, "unauthorized", "Bad credentials");
        }
        return Reply.json(
                200,
                json.createObjectNode()
                        .put("access_token", tokens.issue())
                        .put("token_type", "bearer")
                        .put("expires_in", settings.tokenLife().toSeconds())
                        .put("scope", "partner account"));
    }

    private void requireToken(Call call) throws ApiException {
        String bearer = call.header("Authorization");
        if (!bearer.startsWith("Bearer ")) {
            throw new ApiException(401, "unauthorized", "Full authentication is required to access this resource");
        }
        if (!tokens.valid(bearer.substring(7))) {
            throw new ApiException(401, "invalid_token", "The access token is unknown or has expired");
        }
    }

    private String partner(Call call) throws ApiException {
        String partner = call.parameter("partner");
        if (partner.equals(Credentials.FOREIGN_PARTNER)) {
            throw new ApiException(403, "access_denied", "The account has no privilege for this partner");
        }
        if (!partner.equals(settings.credentials().partnerId())) {
            throw ApiException.notFound("No such partner");
        }
        return partner;
    }

    private String deviceType(Call call) throws ApiException {
        String deviceType = call.parameter("deviceType");
        if (!settings.credentials().deviceTypeIds().contains(deviceType)) {
            throw ApiException.notFound("No such device type");
        }
        return deviceType;
    }

    // ---- records ----

    private Reply create(Call call, String partner) throws IOException, ApiException {
        ObjectNode wanted = call.object();
        String name = Call.requiredText(wanted, "name", LONGEST_NAME);
        String version = Call.requiredText(wanted, "version", LONGEST_OTHER);
        String description = Call.optionalText(wanted, "description", LONGEST_DESCRIPTION);
        String url = Call.optionalText(wanted, "url", LONGEST_OTHER);
        List<String> tags = Call.optionalTexts(wanted, "tags", LONGEST_TAG);
        return Reply.json(
                201,
                state.create(
                                partner,
                                Call.requiredInteger(wanted, "type"),
                                name,
                                version,
                                description,
                                tags,
                                url == null ? "" : url)
                        .json());
    }

    private Reply update(Call call, String partner) throws IOException, ApiException {
        ObjectNode wanted = call.object();
        PoolRecord old = poolRecord(call, partner);
        String name = Call.requiredText(wanted, "name", LONGEST_NAME);
        String version = Call.requiredText(wanted, "version", LONGEST_OTHER);
        String url = Call.optionalText(wanted, "url", LONGEST_OTHER);
        if (url == null) {
            throw ApiException.badRequest("url: is missing");
        }
        state.update(
                old,
                name,
                version,
                Call.optionalText(wanted, "description", LONGEST_DESCRIPTION),
                Call.optionalTexts(wanted, "tags", LONGEST_TAG),
                call.has(Fault.Kind.FORGET_URL) ? old.url() : url);
        return Reply.empty(204);
    }

    private PoolRecord poolRecord(Call call, String partner) throws ApiException {
        return state.poolRecord(partner, call.type(), call.versionNumber())
                .orElseThrow(() -> ApiException.notFound("No pool record with this type and version number"));
    }

    private static List<PoolRecord> ofType(List<PoolRecord> records, int type) {
        return records.stream().filter(record -> record.type() == type).toList();
    }

    private Reply associations(PoolRecord record) {
        ArrayNode list = json.createArrayNode();
        for (Association image : state.associationsOf(record)) {
            list.addObject()
                    .put("name", "Simulated partner")
                    .put("partnerId", record.partnerId())
                    .put("email", settings.credentials().username())
                    .put("deviceTypeId", image.deviceTypeId())
                    .put("deviceTypeName", "Simulated device type")
                    .put("firmwareImageId", image.id());
        }
        return Reply.json(200, list);
    }

    // ---- binaries ----

    private Reply upload(Call call) throws IOException, ApiException {
        call.requireMediaType("application/octet-stream", "multipart/form-data");
        Path part = state.newUpload();
        try {
            MessageDigest digest = sha256();
            long received;
            try (OutputStream file = Files.newOutputStream(part)) {
                InputStream source = call.mediaType().equals("multipart/form-data")
                        ? new MultipartFile(call.stream(), call.header("Content-Type"))
                        : call.stream();
                received = copy(source, file, digest);
            }
            if (received == 0) {
                throw ApiException.badRequest("The binary is empty");
            }
            String sha256 = HexFormat.of().formatHex(digest.digest());
            state.uploaded(part, sha256);
            settings.log().accept("uploaded " + received + " bytes, SHA-256 " + sha256);
            return Reply.value(call.has(Fault.Kind.WRONG_SHA) ? otherThan(sha256) : sha256);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    static String otherThan(String sha256) {
        return (sha256.startsWith("0") ? "1" : "0") + sha256.substring(1);
    }

    private static long copy(InputStream source, OutputStream target, MessageDigest digest) throws IOException {
        byte[] block = new byte[BLOCK];
        long total = 0;
        for (int length = source.read(block); length >= 0; length = source.read(block)) {
            digest.update(block, 0, length);
            target.write(block, 0, length);
            total += length;
        }
        return total;
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java runtime has SHA-256", e);
        }
    }

    private Reply move(Call call) throws IOException, ApiException {
        String sha256 = Call.requiredText(call.object(), "value", 64);
        if (!sha256.matches("[0-9a-f]{64}")) {
            throw ApiException.notFound("No uploaded binary has this SHA-256");
        }
        state.moveToRepository(sha256);
        return Reply.value(address.get() + "/repository/" + sha256);
    }

    // ---- associations ----

    private Reply associate(Call call, String partner, String deviceType) throws IOException, ApiException {
        ObjectNode wanted = call.object();
        String number = Call.requiredText(wanted, "versionNumber", 20);
        int type = Call.requiredInteger(wanted, "type");
        if (!number.matches("[0-9]{1,20}")) {
            throw ApiException.badRequest("versionNumber: expected digits");
        }
        PoolRecord record = state.poolRecord(partner, type, new BigInteger(number))
                .orElseThrow(() -> ApiException.notFound("No pool record with this type and version number"));
        boolean modified = !wanted.equals(json.readTree(record.json().toString()));
        if (modified) {
            settings.log().accept("associated a record that differs from the pool's: version number " + number);
        }
        return Reply.json(201, state.associate(deviceType, record, modified).json());
    }

    private Association image(Call call, String deviceType) throws ApiException {
        return state.image(deviceType, call.type(), call.versionNumber())
                .orElseThrow(() -> ApiException.notFound("No firmware image with this type and version number"));
    }

    private Reply push(Call call, String deviceType) throws IOException, ApiException {
        String deviceId = Call.requiredText(call.object(), "value", LONGEST_OTHER);
        Association image = state.image(call.parameter("image"))
                .filter(found -> found.deviceTypeId().equals(deviceType))
                .orElseThrow(() -> ApiException.notFound("No firmware image with this id for this device type"));
        Device device = state.device(deviceId)
                .filter(found -> found.deviceTypeId().equals(deviceType))
                .orElseThrow(() -> ApiException.notFound("No device with this id and device type in the account"));
        state.push(image, device);
        return Reply.empty(202);
    }

    // ---- lists ----

    private interface ToJson<V> {
        ObjectNode of(V value);
    }

    private <V> Reply page(Call call, List<V> all, ToJson<V> toJson) throws ApiException {
        Map<String, String> query = call.query();
        int number = queryNumber(query, "page", 0, 0, Integer.MAX_VALUE);
        int size = queryNumber(query, "size", STANDARD_PAGE, 1, LARGEST_PAGE);
        List<ObjectNode> rows = new ArrayList<>();
        List<String> wantedTags = query.getOrDefault("tags", "").isEmpty()
                ? List.of()
                : Arrays.asList(query.get("tags").split(","));
        for (V value : all) {
            ObjectNode row = toJson.of(value);
            List<String> tags = new ArrayList<>();
            row.withArray("tags").forEach(tag -> tags.add(tag.asText()));
            if (tags.containsAll(wantedTags)) {
                rows.add(row);
            }
        }
        String sort = query.getOrDefault("sort", "");
        sort(rows, sort);
        long from = Math.min((long) number * size, rows.size());
        List<ObjectNode> content = rows.subList((int) from, (int) Math.min(from + size, rows.size()));
        ObjectNode page = json.createObjectNode();
        page.put("number", number)
                .put("size", size)
                .put("totalPages", (rows.size() + size - 1) / size)
                .put("numberOfElements", content.size())
                .put("totalElements", rows.size())
                .put("sort", sort);
        page.putArray("content").addAll(content);
        return Reply.json(200, page);
    }

    private static int queryNumber(Map<String, String> query, String name, int standard, int lowest, int highest)
            throws ApiException {
        String text = query.get(name);
        if (text == null) {
            return standard;
        }
        if (!text.matches("[0-9]{1,9}") || Integer.parseInt(text) < lowest || Integer.parseInt(text) > highest) {
            throw ApiException.badRequest(name + ": expected " + lowest + " to " + highest);
        }
        return Integer.parseInt(text);
    }

    private static void sort(List<ObjectNode> rows, String sort) throws ApiException {
        if (sort.isEmpty()) {
            return;
        }
        String[] parts = sort.split(",", -1);
        boolean descending = parts.length == 2 && parts[1].equals("desc");
        if (parts.length > 2 || parts.length == 2 && !descending && !parts[1].equals("asc")) {
            throw ApiException.badRequest("sort: expected FIELD, FIELD,asc or FIELD,desc");
        }
        Comparator<ObjectNode> order = (one, other) -> compare(one.path(parts[0]), other.path(parts[0]));
        rows.sort(descending ? Collections.reverseOrder(order) : order);
    }

    private static int compare(JsonNode one, JsonNode other) {
        String left = one.asText();
        String right = other.asText();
        boolean numbers = left.matches("[0-9]+") && right.matches("[0-9]+");
        return numbers ? new BigInteger(left).compareTo(new BigInteger(right)) : left.compareTo(right);
    }

    // ---- types ----

    private ServiceState.FirmwareType firmwareType(Call call) throws ApiException {
        int type = call.type();
        return state.types().stream()
                .filter(known -> known.type() == type)
                .findFirst()
                .orElseThrow(() -> ApiException.notFound("No such firmware type"));
    }

    private ObjectNode json(ServiceState.FirmwareType type, String partner) {
        ObjectNode node = json.createObjectNode().put("id", type.id()).put("name", type.name());
        if (type.description() != null) {
            node.put("description", type.description());
        }
        return node.put("type", type.type())
                .put("partnerId", partner)
                .put("createdTimestamp", type.createdTimestamp())
                .put("updatedTimestamp", type.updatedTimestamp())
                .put("versionAttributeId", type.versionAttributeId());
    }

    private Reply types(String partner) {
        ArrayNode list = json.createArrayNode();
        state.types().forEach(type -> list.add(json(type, partner)));
        return Reply.json(200, list);
    }

    private Reply createType(Call call, String partner) throws IOException, ApiException {
        ObjectNode wanted = call.object();
        int type = Call.requiredInteger(wanted, "type");
        if (type < 101 || type > 200) {
            throw ApiException.badRequest("type: expected 101 to 200");
        }
        return Reply.json(
                201,
                json(
                        state.createType(
                                Call.requiredText(wanted, "name", LONGEST_NAME),
                                type,
                                Call.optionalText(wanted, "description", LONGEST_DESCRIPTION)),
                        partner));
    }

    // ---- account and devices ----

    private Reply me() {
        Credentials known = settings.credentials();
        ObjectNode me = json.createObjectNode()
                .put("userId", known.accountId())
                .put("firstName", "Simulated")
                .put("lastName", "Developer");
        me.putObject("credential")
                .put("credentialId", known.username())
                .put("type", "email")
                .put("verified", true);
        ObjectNode account = me.putArray("accountAccess").addObject();
        account.putObject("account").put("accountId", known.accountId()).put("description", "Simulated account");
        account.putObject("privileges").put("owner", true).put("canWrite", true);
        ObjectNode partner = me.putArray("partnerAccess").addObject();
        partner.putObject("partner")
                .put("partnerId", known.partnerId())
                .put("name", "Simulated partner")
                .put("clientSecret", known.clientSecret());
        partner.putObject("privileges").put("manageDeviceProfiles", true);
        return Reply.json(200, me);
    }

    private void requireAccount(Call call) throws ApiException {
        if (!call.parameter("account").equals(settings.credentials().accountId())) {
            throw ApiException.notFound("No such account");
        }
    }

    private Reply devices(Call call) throws ApiException {
        requireAccount(call);
        List<String> expansions =
                List.of(call.query().getOrDefault("expansions", "").split(","));
        ArrayNode list = json.createArrayNode();
        state.devices().forEach(device -> list.add(json(device, expansions)));
        return Reply.json(200, list);
    }

    private Reply device(Call call) throws ApiException {
        requireAccount(call);
        List<String> expansions =
                List.of(call.query().getOrDefault("expansions", "").split(","));
        Optional<Device> device = state.device(call.parameter("device"));
        return Reply.json(200, json(device.orElseThrow(() -> ApiException.notFound("No such device")), expansions));
    }

    private ObjectNode json(Device device, List<String> expansions) {
        ObjectNode node = json.createObjectNode()
                .put("deviceId", device.deviceId())
                .put("deviceTypeId", device.deviceTypeId())
                .put("partnerId", settings.credentials().partnerId())
                .put("profileId", "simulated")
                .put("friendlyName", device.friendlyName())
                .put("updating", state.updating(device.deviceId()));
        if (expansions.contains("state")) {
            node.putObject("deviceState").put("available", true).put("linked", true);
        }
        if (expansions.contains("attributes")) {
            byte[] little = ByteBuffer.allocate(Long.BYTES)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(device.installed().longValue())
                    .array();
            node.putArray("attributes")
                    .addObject()
                    .put("id", 2000 + ServiceState.HUB_TYPE)
                    .put("data", HexFormat.of().formatHex(little))
                    .put("value", device.installed().toString());
        }
        return node;
    }
}
