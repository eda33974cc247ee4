// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.nio.file.Path;
import java.util.Optional;

/** Brings an image to where devices can get it. Each step asks first how far an earlier try has come. */
final class ImageUpload {

    private final OtaService service;
    private final Conf conf;
    private final ProcessContext context;
    private final Output output;
    private final boolean showProgress;

    /**
     * The image for pushes, and whether it was there before.
     *
     * @param bytes how many bytes were sent in the end; 0 when the service had them
     * @param milliseconds how long that took, with all tries
     */
    record Done(OtaRecord image, boolean already, long bytes, long milliseconds) {}

    ImageUpload(OtaService service, Conf conf, ProcessContext context, Output output, boolean showProgress) {
        this.service = service;
        this.conf = conf;
        this.context = context;
        this.output = output;
        this.showProgress = showProgress;
    }

    Done upload(String version, RecordFile recordFile, Path image) throws OtaException {
        OtaRecord local = recordFile.read(output);
        check(local, version, recordFile.path());
        service.rest().login();
        if (!service.exists(conf.name(), version)) {
            throw new OtaException(
                    ExitStatus.CONFLICT,
                    "the service has no record " + conf.name() + ", version " + version
                            + "; create it with ota record create, then build the image with it");
        }
        Optional<OtaRecord> present = service.image(local.versionNumber());
        if (present.isPresent()) {
            return already(present.get());
        }
        OtaRecord pool = pool(local);
        long size = 0;
        long milliseconds = 0;
        if (pool.url().isEmpty()) {
            ImageFile file = ImageFile.of(image, context, showProgress);
            size = file.size();
            long started = System.nanoTime();
            service.upload(file, local, context, showProgress);
            milliseconds = (System.nanoTime() - started) / 1_000_000;
            String url = store(file, local);
            service.setUrl(pool, url);
            pool = pool(local);
            if (!pool.url().equals(url)) {
                throw new OtaException(
                        ExitStatus.SERVICE,
                        "the service has not kept the URL of the image in its record; nothing was offered to devices, upload again");
            }
        } else {
            output.note("The image is on the service already; it is not sent again.");
        }
        return new Done(associate(pool), false, size, milliseconds);
    }

    private Done already(OtaRecord present) throws OtaException {
        if (present.url().isEmpty()) {
            throw new OtaException(
                    ExitStatus.CONFLICT,
                    "image " + present.id() + " is associated without a URL, so no device can get it; remove it with "
                            + "ota image dissociate --version-number " + present.versionNumber() + " and upload again");
        }
        return new Done(present, true, 0, 0);
    }

    private void check(OtaRecord local, String version, Path file) throws OtaException {
        String[][] pairs = {
            {"version", version, local.version()},
            {"name", conf.name(), local.name()},
            {
                "partnerId",
                conf.partnerId(),
                local.text("partnerId").isEmpty() ? conf.partnerId() : local.text("partnerId")
            },
            {"type", Integer.toString(OtaRecord.HUB_TYPE), local.text("type")}
        };
        for (String[] pair : pairs) {
            if (!pair[1].equals(pair[2])) {
                throw new OtaException(
                        ExitStatus.CONFLICT,
                        file + ": " + pair[0] + ": expected " + pair[1]
                                + " from the configuration and the command line, found " + pair[2]
                                + "; is the record of another build in the way?");
            }
        }
    }

    private OtaRecord pool(OtaRecord local) throws OtaException {
        return service.poolRecord(local.versionNumber())
                .orElseThrow(() -> new OtaException(
                        ExitStatus.CONFLICT,
                        "the service has no record with version number " + local.versionNumber()
                                + ", which is in the record file; is the file from another service?"));
    }

    /** Moves what is uploaded; it may be cleared away before that, and is uploaded once more then. */
    private String store(ImageFile image, OtaRecord local) throws OtaException {
        Optional<String> url = service.moveToRepository(image.sha256());
        if (url.isEmpty()) {
            output.note("The service does not have the uploaded bytes any more; sending the image again");
            service.upload(image, local, context, showProgress);
            url = service.moveToRepository(image.sha256());
        }
        return url.orElseThrow(() -> new OtaException(
                ExitStatus.SERVICE, "the service loses what is uploaded before it can be moved to the repository"));
    }

    private OtaRecord associate(OtaRecord pool) throws OtaException {
        Optional<OtaRecord> image;
        try {
            image = service.associate(pool);
        } catch (OtaException.Unclear e) {
            output.note(e.getMessage() + "; asking whether the image was associated");
            image = service.image(pool.versionNumber());
            if (image.isEmpty()) {
                throw new OtaException(
                        e.status(),
                        e.getMessage() + "; the image is stored, but not associated: run the command again");
            }
            output.note("It was.");
        }
        if (image.isEmpty()) {
            image = service.image(pool.versionNumber());
        }
        return image.filter(found -> !found.url().isEmpty())
                .orElseThrow(() -> new OtaException(
                        ExitStatus.CONFLICT,
                        "the service refuses to associate the image, because there is another one of this type and version "
                                + pool.version()));
    }
}
