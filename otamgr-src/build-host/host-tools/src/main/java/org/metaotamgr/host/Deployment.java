// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** Pushes one image to devices, to each at most once, also over several runs. */
final class Deployment {

    private static final int BLOCK = 64;
    private static final int MOST_DOUBTS = 4;

    /** How it ended for a device. */
    enum Outcome {
        /** The service has accepted the push in this run, or has it from a run whose end is not known. */
        ACCEPTED("accepted"),
        /** Accepted by an earlier run. */
        EARLIER("accepted earlier"),
        /** Refused: the device did not get the image. */
        FAILED("failed"),
        /** The answer was lost, and the service does not tell whether the push happened. */
        UNCLEAR("unclear");

        private final String words;

        Outcome(String words) {
            this.words = words;
        }

        String words() {
            return words;
        }
    }

    record Result(Outcome outcome, String message) {}

    private final OtaService service;
    private final OtaRecord image;
    private final Output output;
    private final Progress progress;
    private final boolean repeatUnclear;
    private final Map<String, Result> results = new LinkedHashMap<>();
    private Optional<DeployJournal> journal = Optional.empty();
    private OtaException stop;
    private int done;

    Deployment(OtaService service, OtaRecord image, Output output, Progress progress, boolean repeatUnclear) {
        this.service = service;
        this.image = image;
        this.output = output;
        this.progress = progress;
        this.repeatUnclear = repeatUnclear;
    }

    /** Finds the image by its id among those of the device type. */
    static OtaRecord image(OtaService service, String imageId) throws OtaException {
        service.rest().login();
        List<OtaRecord> images = service.images();
        OtaRecord image = images.stream()
                .filter(candidate -> new BigInteger(candidate.id()).equals(new BigInteger(imageId)))
                .findFirst()
                .orElseThrow(() -> new OtaException(
                        ExitStatus.CONFLICT,
                        "image " + imageId + ": the device type has no image with this id"
                                + (images.isEmpty()
                                        ? "; it has none at all"
                                        : "; ota image list shows its " + images.size())
                                + " (the id in a record file is that of the record, not of the image)"));
        if (image.url().isEmpty()) {
            throw new OtaException(
                    ExitStatus.CONFLICT, "image " + imageId + " has no URL, so no device can get it; upload it again");
        }
        return image;
    }

    /**
     * Pushes to all devices.
     *
     * @param journalFile where to note what is done, or empty for a deployment that cannot be resumed
     * @param jobs how many pushes may be under way at once
     */
    Map<String, Result> run(List<String> devices, Optional<Path> journalFile, String deployment, int jobs)
            throws OtaException {
        if (journalFile.isEmpty()) {
            push(devices, Map.of(), jobs);
            return results;
        }
        try (DeployJournal opened = DeployJournal.open(journalFile.get(), deployment)) {
            journal = Optional.of(opened);
            push(devices, opened.known(), jobs);
            return results;
        } catch (IOException e) {
            throw new OtaException(ExitStatus.LOCAL, journalFile.get() + ": the journal cannot be closed");
        }
    }

    private void push(List<String> devices, Map<String, DeployJournal.Entry> known, int jobs) throws OtaException {
        List<String> open = new ArrayList<>();
        for (String device : devices) {
            if (known.get(device) == DeployJournal.Entry.ACCEPTED) {
                results.put(device, new Result(Outcome.EARLIER, ""));
                done++;
            } else {
                // The place in the result is that of the list, whatever comes first.
                results.put(device, null);
                open.add(device);
            }
        }
        if (done > 0) {
            output.note("Going on: " + done + " of " + devices.size() + " devices have got the image in earlier runs");
        }
        ExecutorService workers = Executors.newFixedThreadPool(jobs);
        Semaphore free = new Semaphore(BLOCK + jobs);
        try {
            for (int from = 0; from < open.size() && stopped() == null; from += BLOCK) {
                List<String> block = open.subList(from, Math.min(open.size(), from + BLOCK));
                free.acquire(block.size());
                List<String> sure = block.stream()
                        .filter(device -> !doubtful(known.get(device)))
                        .toList();
                if (journal.isPresent() && !sure.isEmpty()) {
                    journal.get().sending(sure);
                }
                for (String device : block) {
                    workers.execute(() -> {
                        try {
                            one(device, doubtful(known.get(device)), devices.size());
                        } finally {
                            free.release();
                        }
                    });
                }
            }
            workers.shutdown();
            workers.awaitTermination(Long.MAX_VALUE, TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new OtaException(ExitStatus.NETWORK, "interrupted; run the command again to go on");
        } finally {
            workers.shutdownNow();
            progress.end();
        }
        results.values().removeIf(result -> result == null);
        if (stopped() != null) {
            throw new OtaException(
                    stopped().status(),
                    stopped().getMessage() + "\nstopped after " + done + " of " + devices.size() + " devices"
                            + (journal.isPresent() ? "; run the command again to go on" : ""));
        }
    }

    private static boolean doubtful(DeployJournal.Entry entry) {
        return entry == DeployJournal.Entry.SENDING || entry == DeployJournal.Entry.UNCLEAR;
    }

    private synchronized OtaException stopped() {
        return stop;
    }

    private void one(String device, boolean doubtful, int total) {
        if (stopped() != null) {
            return;
        }
        try {
            Result result = doubtful ? afterDoubt(device, "an earlier run ended before the answer came") : send(device);
            if (journal.isPresent()) {
                DeployJournal.Entry entry =
                        switch (result.outcome()) {
                            case ACCEPTED, EARLIER -> DeployJournal.Entry.ACCEPTED;
                            case FAILED -> DeployJournal.Entry.FAILED;
                            case UNCLEAR -> DeployJournal.Entry.UNCLEAR;
                        };
                journal.get().ended(device, entry, result.message());
            }
            synchronized (this) {
                results.put(device, result);
                done++;
                progress.update(done, total);
            }
        } catch (OtaException e) {
            synchronized (this) {
                // What stops one device stops all: a refused account, a service that is gone, a full disk.
                stop = stop == null ? e : stop;
            }
        } catch (RuntimeException e) {
            synchronized (this) {
                stop = new OtaException(ExitStatus.DEFECT, "defect of this tool at device " + device + ": " + e);
            }
        }
    }

    private Result send(String device) throws OtaException {
        try {
            return judge(service.push(image.id(), device));
        } catch (OtaException.Unclear e) {
            return afterDoubt(device, e.getMessage());
        }
    }

    private static Result judge(ServiceAnswer answer) throws OtaException {
        if (answer.status() == 202) {
            return new Result(Outcome.ACCEPTED, "");
        }
        if (answer.status() == 403 || answer.status() == 429) {
            throw answer.problem();
        }
        return new Result(Outcome.FAILED, answer.message());
    }

    /** Asks the device's account whether the push has arrived, and pushes only when it has not. */
    private Result afterDoubt(String device, String firstDoubt) throws OtaException {
        String doubt = firstDoubt;
        for (int attempt = 0; attempt < MOST_DOUBTS; attempt++) {
            Optional<OtaService.DeviceState> state = service.device(device);
            if (state.isEmpty() && !repeatUnclear) {
                return new Result(
                        Outcome.UNCLEAR, doubt + "; the service does not tell whether the device is updating");
            }
            if (state.isPresent()
                    && (state.get().updating()
                            || state.get()
                                    .installed()
                                    .filter(image.versionNumber()::equals)
                                    .isPresent())) {
                return new Result(
                        Outcome.ACCEPTED,
                        "found " + (state.get().updating() ? "updating" : "installed") + " after: " + doubt);
            }
            if (journal.isPresent()) {
                journal.get().sending(List.of(device));
            }
            try {
                return judge(service.push(image.id(), device));
            } catch (OtaException.Unclear e) {
                doubt = e.getMessage();
            }
        }
        return new Result(Outcome.UNCLEAR, doubt);
    }

    /** Waits until the devices report the image as installed. Returns those that do not in time. */
    List<String> await(List<String> devices, Duration longest, ProcessContext context) throws OtaException {
        long end = context.clock().millis() + longest.toMillis();
        List<String> waiting = new ArrayList<>(devices);
        while (true) {
            List<String> still = new ArrayList<>();
            for (String device : waiting) {
                if (service.device(device)
                        .flatMap(OtaService.DeviceState::installed)
                        .filter(number -> number.compareTo(image.versionNumber()) >= 0)
                        .isEmpty()) {
                    still.add(device);
                }
            }
            waiting = still;
            progress.update(devices.size() - waiting.size(), devices.size());
            long left = end - context.clock().millis();
            if (waiting.isEmpty() || left <= 0) {
                progress.end();
                return waiting;
            }
            try {
                context.sleeper().sleep(Duration.ofMillis(Math.min(left, 2000)));
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new OtaException(ExitStatus.NETWORK, "interrupted");
            }
        }
    }
}
