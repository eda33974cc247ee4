// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** The calls of the service that the commands need ("OTA service", section 4; the numbers are those of its table). */
final class OtaService {

    private static final int PAGE_SIZE = 200;
    private static final int MOST_PAGES = 10_000;
    private static final int INSTALLED_ATTRIBUTE = 2000 + OtaRecord.HUB_TYPE;

    private final Rest rest;
    private final Conf conf;
    private final String partner;
    private final String deviceType;
    private List<String> accounts;

    OtaService(Rest rest, Conf conf) {
        this.rest = rest;
        this.conf = conf;
        partner = "/v1/ota/partners/" + ServiceUrl.segment(conf.partnerId());
        deviceType = partner + "/deviceTypes/" + ServiceUrl.segment(conf.deviceTypeId());
    }

    Rest rest() {
        return rest;
    }

    private static ObjectNode object() {
        return JsonNodeFactory.instance.objectNode();
    }

    private static ServiceAnswer expect(int status, ServiceAnswer answer) throws OtaException {
        if (answer.status() != status) {
            throw answer.problem();
        }
        return answer;
    }

    // ---- records ----

    /** 2. */
    boolean exists(String name, String version) throws OtaException {
        ServiceAnswer answer = expect(
                200,
                rest.call(
                        "GET",
                        partner + "/pool/types/" + OtaRecord.HUB_TYPE + "/names/" + ServiceUrl.segment(name)
                                + "/versions/" + ServiceUrl.segment(version) + "/exists",
                        null,
                        Rest.Repeat.ALWAYS));
        JsonNode value = answer.json().path("value");
        if (!value.isBoolean()) {
            throw new OtaException(
                    ExitStatus.SERVICE,
                    "HTTP 200 from " + answer.method() + " " + answer.path() + ": expected true or false");
        }
        return value.booleanValue();
    }

    /** 3; empty when the service says that there is such a record. */
    Optional<OtaRecord> create(String version) throws OtaException {
        ObjectNode wanted = object().put("name", conf.name());
        if (conf.description() != null) {
            wanted.put("description", conf.description());
        }
        wanted.put("type", OtaRecord.HUB_TYPE).put("version", version).put("url", "");
        putTags(wanted);
        ServiceAnswer answer = rest.call("POST", partner + "/pool", wanted, Rest.Repeat.ONLY_IF_NOT_DONE);
        return answer.status() == 409
                ? Optional.empty()
                : Optional.of(OtaRecord.of("the new record", expect(201, answer).json(), ExitStatus.SERVICE));
    }

    private void putTags(ObjectNode target) {
        if (!conf.tags().isEmpty()) {
            ArrayNode tags = target.putArray("tags");
            conf.tags().forEach(tags::add);
        }
    }

    /** 5: there is no call for a single record. */
    Optional<OtaRecord> poolRecord(String name, String version) throws OtaException {
        return pool().stream()
                .filter(record -> record.name().equals(name) && record.version().equals(version))
                .findFirst();
    }

    /** 5. */
    Optional<OtaRecord> poolRecord(BigInteger versionNumber) throws OtaException {
        return pool().stream()
                .filter(record -> record.versionNumber().equals(versionNumber))
                .findFirst();
    }

    /** 5. */
    List<OtaRecord> pool() throws OtaException {
        return list(partner + "/pool/types/" + OtaRecord.HUB_TYPE);
    }

    /** 6: the documented members only, and all of them, because the rest may be taken for empty. */
    void setUrl(OtaRecord record, String url) throws OtaException {
        ObjectNode wanted = object().put("name", record.name())
                .put("version", record.version())
                .put("url", url);
        if (record.json().path("description").isTextual()) {
            wanted.put("description", record.text("description"));
        }
        if (record.json().path("tags").isArray()) {
            wanted.set("tags", record.json().get("tags"));
        }
        expect(
                204,
                rest.call(
                        "PUT",
                        partner + "/pool/types/" + OtaRecord.HUB_TYPE + "/versionNumbers/" + record.versionNumber(),
                        wanted,
                        Rest.Repeat.ALWAYS));
    }

    // ---- binaries ----

    /**
     * 7, with as many tries as it takes: the whole image each time, because the service has no way to go on in the middle.
     *
     * @param record whose association is asked for between two tries: a refused token shows there, and a service that is back
     * @throws OtaException if the service has other bytes than the file had when it was hashed
     */
    void upload(ImageFile image, OtaRecord record, ProcessContext context, boolean showProgress) throws OtaException {
        String path = partner + "/binaries";
        int refusals = 0;
        for (int attempt = 0; ; attempt++) {
            UploadBody body = new UploadBody(image.path(), image.size());
            Progress progress = new Progress(
                    context, showProgress, image.path().getFileName().toString(), Progress.Unit.BYTES);
            try {
                ServiceAnswer answer = rest.upload(path, body, progress);
                progress.end();
                int status = answer.status();
                if (status == 200) {
                    verify(answer, image.sha256());
                    return;
                }
                if (status == 401 && refusals++ == 0) {
                    continue;
                }
                if (status != 429 && (status < 502 || status > 504)) {
                    OtaException problem = answer.problem();
                    throw new OtaException(problem.status(), image.path() + ": " + problem.getMessage());
                }
                rest.pauseAfter(answer, attempt);
            } catch (IOException e) {
                progress.end();
                if (body.failure() != null) {
                    throw new OtaException(
                            ExitStatus.LOCAL,
                            image.path() + ": cannot be read: " + body.failure().getMessage());
                }
                rest.pauseAfter(path, e, attempt);
                image(record.versionNumber());
            }
        }
    }

    private static void verify(ServiceAnswer answer, String sha256) throws OtaException {
        String told = answer.json().path("value").asText("").toLowerCase(Locale.ROOT);
        if (!told.equals(sha256)) {
            throw new OtaException(
                    ExitStatus.SERVICE,
                    "the service has other bytes than the file: SHA-256 expected " + sha256 + ", found "
                            + (told.matches("[0-9a-f]{64}") ? told : "none") + "; nothing was published, upload again");
        }
    }

    /** 8; empty when the service does not have the bytes any more. */
    Optional<String> moveToRepository(String sha256) throws OtaException {
        ServiceAnswer answer = rest.call(
                "POST", partner + "/binaries/moveToRepository", object().put("value", sha256), Rest.Repeat.ALWAYS);
        if (answer.status() == 404) {
            return Optional.empty();
        }
        String url = expect(200, answer).json().path("value").asText("");
        if (url.isBlank()) {
            throw new OtaException(
                    ExitStatus.SERVICE,
                    "HTTP 200 from POST " + answer.path() + ": expected the URL of the image, found none");
        }
        return Optional.of(url);
    }

    // ---- associations ----

    /** 9, with the record exactly as the pool has it; empty when the service says that there is such an image. */
    Optional<OtaRecord> associate(OtaRecord record) throws OtaException {
        ServiceAnswer answer =
                rest.call("POST", deviceType + "/firmwareImages", record.json(), Rest.Repeat.ONLY_IF_NOT_DONE);
        return answer.status() == 409
                ? Optional.empty()
                : Optional.of(OtaRecord.of("the new image", expect(201, answer).json(), ExitStatus.SERVICE));
    }

    /** 11. */
    List<OtaRecord> images() throws OtaException {
        return list(deviceType + "/firmwareImages/types/" + OtaRecord.HUB_TYPE);
    }

    /** 12; empty when the image is not associated. */
    Optional<OtaRecord> image(BigInteger versionNumber) throws OtaException {
        ServiceAnswer answer = rest.call("GET", imagePath(versionNumber), null, Rest.Repeat.ALWAYS);
        return answer.status() == 404
                ? Optional.empty()
                : Optional.of(OtaRecord.of("the image", expect(200, answer).json(), ExitStatus.SERVICE));
    }

    /** 14; false when the image was not associated. */
    boolean dissociate(BigInteger versionNumber) throws OtaException {
        ServiceAnswer answer = rest.call("DELETE", imagePath(versionNumber), null, Rest.Repeat.ALWAYS);
        return answer.status() != 404 && expect(204, answer) != null;
    }

    private String imagePath(BigInteger versionNumber) {
        return deviceType + "/firmwareImages/types/" + OtaRecord.HUB_TYPE + "/versionNumbers/" + versionNumber;
    }

    /** 13; the answer of the service, which is 202 when it has accepted. */
    ServiceAnswer push(String imageId, String deviceId) throws OtaException {
        return rest.call(
                "PUT",
                deviceType + "/firmwareImages/" + ServiceUrl.segment(imageId) + "/push",
                object().put("value", deviceId),
                Rest.Repeat.ONLY_IF_NOT_DONE);
    }

    // ---- lists ----

    /** All pages. A list that fits into the standard first page takes the one call that the original tools make. */
    private List<OtaRecord> list(String path) throws OtaException {
        JsonNode first = page(path);
        List<OtaRecord> records = new ArrayList<>();
        if (first.path("totalPages").asInt(1) <= 1) {
            add(first, path, records);
            return records;
        }
        Map<String, OtaRecord> byId = new LinkedHashMap<>();
        for (int number = 0; number < MOST_PAGES; number++) {
            // A stable order, so that rows do not move from page to page while there are new ones.
            JsonNode page = page(path + "?page=" + number + "&size=" + PAGE_SIZE + "&sort=id,asc");
            List<OtaRecord> content = new ArrayList<>();
            add(page, path, content);
            content.forEach(record -> byId.put(record.id(), record));
            if (content.isEmpty() || number + 1 >= page.path("totalPages").asInt(0)) {
                return List.copyOf(byId.values());
            }
        }
        throw new OtaException(ExitStatus.SERVICE, "GET " + path + ": more than " + MOST_PAGES + " pages");
    }

    private JsonNode page(String path) throws OtaException {
        return expect(200, rest.call("GET", path, null, Rest.Repeat.ALWAYS)).json();
    }

    private static void add(JsonNode page, String path, List<OtaRecord> records) throws OtaException {
        if (!page.path("content").isArray()) {
            throw new OtaException(ExitStatus.SERVICE, "GET " + path + ": expected a page with content");
        }
        for (JsonNode record : page.get("content")) {
            records.add(OtaRecord.of("a record in the list", record, ExitStatus.SERVICE));
        }
    }

    // ---- devices ----

    /**
     * A device as the account service knows it.
     *
     * @param installed the version number it reports, empty when it reports none
     */
    record DeviceState(String deviceId, String deviceTypeId, boolean updating, Optional<BigInteger> installed) {}

    /** 22; empty when none of the accounts of the user has such a device, or the user may not ask. */
    Optional<DeviceState> device(String deviceId) throws OtaException {
        for (String account : accounts()) {
            ServiceAnswer answer = rest.call(
                    "GET",
                    "/v1/accounts/" + ServiceUrl.segment(account) + "/devices/" + ServiceUrl.segment(deviceId)
                            + "?expansions=state,attributes",
                    null,
                    Rest.Repeat.ALWAYS);
            if (answer.status() == 200) {
                JsonNode node = answer.json();
                return Optional.of(state(deviceId, node.isArray() ? node.path(0) : node));
            }
            if (answer.status() != 403 && answer.status() != 404) {
                throw answer.problem();
            }
        }
        return Optional.empty();
    }

    /** 21; the answer holds a client secret, so nothing of it but the ids is kept. */
    private synchronized List<String> accounts() throws OtaException {
        if (accounts == null) {
            ServiceAnswer answer = rest.call("GET", "/v1/users/me", null, Rest.Repeat.ALWAYS);
            List<String> found = new ArrayList<>();
            if (answer.status() != 403 && answer.status() != 404) {
                for (JsonNode access : expect(200, answer).json().path("accountAccess")) {
                    String id = access.path("account").path("accountId").asText("");
                    if (!id.isEmpty()) {
                        found.add(id);
                    }
                }
            }
            accounts = List.copyOf(found);
        }
        return accounts;
    }

    private static DeviceState state(String deviceId, JsonNode node) {
        Optional<BigInteger> installed = Optional.empty();
        for (JsonNode attribute : node.path("attributes")) {
            String data = attribute.path("data").asText("");
            if (attribute.path("id").asInt() == INSTALLED_ATTRIBUTE && data.matches("([0-9a-fA-F]{2}){1,8}")) {
                byte[] little = HexFormat.of().parseHex(data);
                byte[] big = new byte[little.length];
                for (int i = 0; i < little.length; i++) {
                    big[i] = little[little.length - 1 - i];
                }
                installed = Optional.of(new BigInteger(1, big));
            }
        }
        return new DeviceState(
                deviceId,
                node.path("deviceTypeId").asText(""),
                node.path("updating").asBoolean(),
                installed);
    }
}
