// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.io.Closeable;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;

/** What the service knows, and its rules. Every method is safe to call from any thread. */
final class ServiceState implements Closeable {

    /** The firmware type of a whole Linux image. */
    static final int HUB_TYPE = 5;

    private static final long SEEN_MILLISECONDS = 10_000;
    private static final long FIRST_POOL_ID = 11561;
    private static final long FIRST_ASSOCIATION_ID = 49867;

    private final Settings settings;
    private final Store store;
    private final Store.Table<PoolRecord> pool;
    private final Store.Table<Association> associations;
    private final Store.Table<Device> devices;
    private final Store.Table<Push> pushes;
    private final Store.Table<FirmwareType> types;
    private final Map<Integer, BigInteger> nextVersionNumber = new HashMap<>();
    private final Map<String, Push> latestPush = new HashMap<>();
    private final Map<String, Long> seen = new HashMap<>();
    private final Path temporary;
    private final Path repository;
    private long nextPoolId;
    private long nextAssociationId;
    private long nextPushId;
    private long revision = 1;
    private boolean closed;

    /** A kind of firmware; {@code versionAttributeId} is the attribute in which a device reports its version. */
    record FirmwareType(
            String id, String name, String description, int type, long createdTimestamp, long updatedTimestamp) {
        int versionAttributeId() {
            return 2000 + type;
        }
    }

    /** What a device is to install. */
    record Offer(Push push, Association image, Path file, String sha256) {}

    ServiceState(Settings settings) throws IOException {
        this.settings = settings;
        Path folder = settings.folder();
        store = new Store(folder);
        pool = store.table("pool", PoolRecord.class);
        associations = store.table("association", Association.class);
        devices = store.table("device", Device.class);
        pushes = store.table("push", Push.class);
        types = store.table("type", FirmwareType.class);
        temporary = Files.createDirectories(folder.resolve("temporary"));
        repository = Files.createDirectories(folder.resolve("repository"));
        removeHalfUploads();
        pool.all()
                .forEach(record -> nextVersionNumber.merge(
                        record.type(), new BigInteger(record.versionNumber()).add(BigInteger.ONE), BigInteger::max));
        nextPoolId = pool.all().stream()
                .mapToLong(record -> Long.parseLong(record.id()) + 1)
                .max()
                .orElse(FIRST_POOL_ID);
        nextAssociationId = Math.max(
                nextPoolId + 1,
                associations.all().stream()
                        .mapToLong(image -> Long.parseLong(image.id()) + 1)
                        .max()
                        .orElse(FIRST_ASSOCIATION_ID));
        nextPushId = pushes.all().stream()
                .mapToLong(push -> Long.parseLong(push.id()) + 1)
                .max()
                .orElse(1);
        pushes.all().forEach(push -> latestPush.put(push.deviceId(), push));
        if (types.size() == 0) {
            long now = now();
            types.put("5", new FirmwareType("5", "hub", "Full Linux image", HUB_TYPE, now, now));
        }
    }

    private void removeHalfUploads() throws IOException {
        try (var files = Files.newDirectoryStream(temporary, "*.part")) {
            for (Path file : files) {
                Files.delete(file);
            }
        }
    }

    private long now() {
        return settings.clock().millis();
    }

    private void changed() {
        revision++;
        notifyAll();
    }

    // ---- records ----

    synchronized boolean exists(String partner, int type, String name, String version, String exceptId) {
        return pool.all().stream()
                .anyMatch(record -> record.partnerId().equals(partner)
                        && record.type() == type
                        && record.name().equals(name)
                        && record.version().equals(version)
                        && !record.id().equals(exceptId));
    }

    synchronized PoolRecord create(
            String partner, int type, String name, String version, String description, List<String> tags, String url)
            throws ApiException {
        if (exists(partner, type, name, version, null)) {
            throw ApiException.conflict("A firmware image with type " + type + ", name " + name + " and version "
                    + version + " already exists");
        }
        BigInteger number = nextVersionNumber.getOrDefault(type, settings.firstVersionNumber());
        nextVersionNumber.put(type, number.add(BigInteger.ONE));
        long now = now();
        PoolRecord record = new PoolRecord(
                Long.toString(nextPoolId++),
                partner,
                name,
                description,
                type,
                version,
                number.toString(),
                url,
                tags,
                now,
                now);
        pool.put(record.id(), record);
        changed();
        return record;
    }

    synchronized List<PoolRecord> pool(String partner) {
        return pool.all().stream()
                .filter(record -> record.partnerId().equals(partner))
                .toList();
    }

    synchronized Optional<PoolRecord> poolRecord(String partner, int type, BigInteger versionNumber) {
        return pool.all().stream()
                .filter(record -> record.partnerId().equals(partner)
                        && record.type() == type
                        && new BigInteger(record.versionNumber()).equals(versionNumber))
                .findFirst();
    }

    synchronized void update(
            PoolRecord old, String name, String version, String description, List<String> tags, String url)
            throws ApiException {
        if (exists(old.partnerId(), old.type(), name, version, old.id())) {
            throw ApiException.conflict(
                    "Another firmware image has type " + old.type() + ", name " + name + " and version " + version);
        }
        pool.put(old.id(), pool.get(old.id()).updated(name, version, description, tags, url, now()));
        changed();
    }

    // ---- binaries ----

    Path newUpload() throws IOException {
        return Files.createTempFile(temporary, "upload-", ".part");
    }

    void uploaded(Path part, String sha256) throws IOException {
        Files.move(
                part, temporary.resolve(sha256), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    synchronized void moveToRepository(String sha256) throws ApiException, IOException {
        Path source = temporary.resolve(sha256);
        if (Files.exists(source)) {
            Files.move(
                    source,
                    repository.resolve(sha256),
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        } else if (!Files.exists(repository.resolve(sha256))) {
            throw ApiException.notFound("No uploaded binary has this SHA-256");
        }
    }

    Optional<Path> binary(String sha256) {
        Path file = repository.resolve(sha256);
        return sha256.matches("[0-9a-f]{64}") && Files.isRegularFile(file) ? Optional.of(file) : Optional.empty();
    }

    private static String shaOf(String url) {
        return url.substring(url.lastIndexOf('/') + 1);
    }

    // ---- associations ----

    synchronized Association associate(String deviceType, PoolRecord record, boolean modified) throws ApiException {
        boolean taken = associations.all().stream()
                .anyMatch(image -> image.deviceTypeId().equals(deviceType)
                        && image.record().type() == record.type()
                        && image.record().versionNumber().equals(record.versionNumber()));
        if (taken) {
            throw ApiException.conflict("A firmware image with this type and version already exists: " + record.type()
                    + ", " + record.version());
        }
        Association image = new Association(Long.toString(nextAssociationId++), deviceType, record, modified);
        associations.put(image.id(), image);
        changed();
        return image;
    }

    synchronized List<Association> images(String deviceType) {
        return associations.all().stream()
                .filter(image -> image.deviceTypeId().equals(deviceType))
                .toList();
    }

    synchronized Optional<Association> image(String deviceType, int type, BigInteger versionNumber) {
        return images(deviceType).stream()
                .filter(image -> image.record().type() == type
                        && new BigInteger(image.record().versionNumber()).equals(versionNumber))
                .findFirst();
    }

    synchronized Optional<Association> image(String id) {
        return Optional.ofNullable(associations.get(id));
    }

    synchronized List<Association> associationsOf(PoolRecord record) {
        return associations.all().stream()
                .filter(image -> image.record().id().equals(record.id()))
                .toList();
    }

    synchronized void dissociate(Association image) {
        associations.remove(image.id());
        changed();
    }

    // ---- types and tags ----

    synchronized List<FirmwareType> types() {
        return List.copyOf(types.all());
    }

    synchronized FirmwareType createType(String name, int type, String description) throws ApiException {
        if (types.get(Integer.toString(type)) != null) {
            throw ApiException.conflict("A firmware type " + type + " already exists");
        }
        long now = now();
        FirmwareType created = new FirmwareType(Integer.toString(type), name, description, type, now, now);
        types.put(created.id(), created);
        return created;
    }

    synchronized void renameType(FirmwareType old, String name, String description) {
        types.put(
                old.id(),
                new FirmwareType(
                        old.id(),
                        name,
                        description,
                        old.type(),
                        old.createdTimestamp(),
                        Math.max(now(), old.updatedTimestamp() + 1)));
    }

    synchronized List<String> tags(String partner) {
        TreeSet<String> all = new TreeSet<>();
        pool(partner).forEach(record -> all.addAll(record.tags()));
        return List.copyOf(all);
    }

    // ---- devices ----

    synchronized void addDevices(String deviceType, List<String> ids) {
        Map<String, Device> added = new LinkedHashMap<>();
        for (String id : ids) {
            if (devices.get(id) == null) {
                added.put(id, new Device(id, deviceType, "Simulated device " + id, BigInteger.ZERO, "", ""));
            }
        }
        devices.putAll(added);
        changed();
    }

    synchronized List<Device> devices() {
        return List.copyOf(devices.all());
    }

    synchronized Optional<Device> device(String id) {
        return Optional.ofNullable(devices.get(id));
    }

    /** A device has asked for something. Many ask often, so the page is told only of what it would show in other words. */
    synchronized void seen(Device device) {
        long now = now();
        Long before = seen.put(device.deviceId(), now);
        if (before == null || now - before >= SEEN_MILLISECONDS) {
            changed();
        }
    }

    /** When a device was last heard of since the service started. */
    synchronized Optional<Long> lastSeen(String deviceId) {
        return Optional.ofNullable(seen.get(deviceId));
    }

    synchronized boolean updating(String deviceId) {
        Push latest = latestPush.get(deviceId);
        return latest != null && latest.outcome().open();
    }

    synchronized void push(Association image, Device device) throws ApiException {
        Device now = devices.get(device.deviceId());
        boolean newer = new BigInteger(image.record().versionNumber()).compareTo(now.installed()) > 0;
        if (!newer && settings.strict()) {
            throw ApiException.conflict("The device has version number " + now.installed() + ", and "
                    + image.record().versionNumber() + " is not newer");
        }
        Push before = latestPush.get(device.deviceId());
        if (before != null && before.outcome().open()) {
            save(before.with(Push.Outcome.REPLACED, before.phase(), before.percent()));
        }
        Push.Outcome outcome =
                !newer ? Push.Outcome.NOT_NEWER : image.record().hasUrl() ? Push.Outcome.OFFERED : Push.Outcome.NO_URL;
        save(new Push(Long.toString(nextPushId++), image.id(), device.deviceId(), now(), outcome, "", 0));
        settings.log().accept("push of image " + image.id() + " to " + device.deviceId() + ": " + outcome.text());
        changed();
    }

    private void save(Push push) {
        pushes.put(push.id(), push);
        latestPush.put(push.deviceId(), push);
    }

    synchronized List<Push> pushes() {
        return List.copyOf(pushes.all());
    }

    synchronized Optional<Push> latestPush(String deviceId) {
        return Optional.ofNullable(latestPush.get(deviceId));
    }

    /** What a device is to download now, or empty when nothing is pending. */
    synchronized Optional<Offer> offer(String deviceId) {
        Push push = latestPush.get(deviceId);
        if (push == null || !push.outcome().open()) {
            return Optional.empty();
        }
        Association image = associations.get(push.imageId());
        if (image == null) {
            return Optional.empty();
        }
        String sha256 = shaOf(image.record().url());
        return binary(sha256).map(file -> new Offer(push, image, file, sha256));
    }

    synchronized void downloading(Offer offer, int percent) {
        Push push = pushes.get(offer.push().id());
        if (push.outcome() == Push.Outcome.OFFERED) {
            save(push.with(Push.Outcome.DOWNLOADING, "download", percent));
        } else if (push.outcome() == Push.Outcome.DOWNLOADING && push.percent() != percent) {
            Push moved = push.with(push.outcome(), "download", percent);
            pushes.putFleeting(moved.id(), moved);
            latestPush.put(moved.deviceId(), moved);
        } else {
            return;
        }
        changed();
    }

    /** A device tells how far it is. The phases {@code failed} and {@code rolled-back} end the update. */
    synchronized void report(Device device, String phase, int percent, String message, String slot) {
        Device known = devices.get(device.deviceId());
        if (!slot.isEmpty() && !slot.equals(known.slot())) {
            devices.put(known.deviceId(), known.running(known.installed(), known.version(), slot));
        }
        Push push = latestPush.get(device.deviceId());
        if (push != null && push.outcome().open()) {
            boolean ended = phase.equals("failed") || phase.equals("rolled-back");
            Push.Outcome outcome = ended
                    ? Push.Outcome.FAILED
                    : phase.equals("download") ? Push.Outcome.DOWNLOADING : Push.Outcome.INSTALLING;
            Push moved = push.with(outcome, message.isEmpty() ? phase : phase + ": " + message, percent);
            if (moved.outcome() == push.outcome()) {
                pushes.putFleeting(moved.id(), moved);
                latestPush.put(moved.deviceId(), moved);
            } else {
                save(moved);
            }
            if (ended) {
                settings.log().accept("device " + device.deviceId() + ": " + moved.phase());
            }
        }
        changed();
    }

    /**
     * A device tells which version it runs: by number, or by the version text of an image of its device type.
     *
     * @throws ApiException 400 when neither names a version that can be
     */
    synchronized Device installed(Device device, String number, String version, String slot) throws ApiException {
        Optional<Association> image = images(device.deviceTypeId()).stream()
                .filter(candidate -> number.isEmpty()
                        ? candidate.record().version().equals(version)
                        : candidate.record().versionNumber().equals(number))
                .max(Comparator.comparing(
                        candidate -> new BigInteger(candidate.record().versionNumber())));
        BigInteger running;
        if (!number.isEmpty()) {
            if (!number.matches("[0-9]{1,20}")) {
                throw ApiException.badRequest("versionNumber: expected digits, found something else");
            }
            running = new BigInteger(number);
        } else {
            running = image.map(found -> new BigInteger(found.record().versionNumber()))
                    .orElse(devices.get(device.deviceId()).installed());
        }
        String text =
                version.isEmpty() ? image.map(found -> found.record().version()).orElse("") : version;
        Device now = devices.get(device.deviceId())
                .running(
                        running,
                        text,
                        slot.isEmpty() ? devices.get(device.deviceId()).slot() : slot);
        devices.put(now.deviceId(), now);
        Push push = latestPush.get(device.deviceId());
        if (push != null && push.outcome().open()) {
            Association pushed = associations.get(push.imageId());
            if (pushed != null && new BigInteger(pushed.record().versionNumber()).equals(running)) {
                save(push.with(Push.Outcome.INSTALLED, "installed", 100));
                settings.log()
                        .accept("device " + device.deviceId() + " runs image " + push.imageId() + ", version "
                                + pushed.record().version());
            }
        }
        changed();
        return now;
    }

    /** Installs what has been offered for long enough, for devices that have no hubby of their own. */
    synchronized void installDue(Duration delay) throws ApiException {
        long before = now() - delay.toMillis();
        List<Push> due = new ArrayList<>();
        for (Push push : latestPush.values()) {
            if (push.outcome().open() && push.time() <= before && associations.get(push.imageId()) != null) {
                due.add(push);
            }
        }
        for (Push push : due) {
            Device device = devices.get(push.deviceId());
            Association image = associations.get(push.imageId());
            installed(
                    device,
                    image.record().versionNumber(),
                    image.record().version(),
                    device.slot().equals("a") ? "b" : "a");
        }
    }

    // ---- for the page ----

    synchronized long revision() {
        return revision;
    }

    /** Something that only the page shows has changed. */
    synchronized void touch() {
        changed();
    }

    /** Waits until something has changed since a revision, at most this long. */
    synchronized void awaitChange(long since, Duration longest) throws InterruptedException {
        long end = System.nanoTime() + longest.toNanos();
        while (revision <= since && !closed) {
            long left = (end - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                return;
            }
            wait(left);
        }
    }

    @Override
    public synchronized void close() throws IOException {
        closed = true;
        notifyAll();
        store.close();
    }
}
