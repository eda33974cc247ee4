// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.IOException;
import java.util.Optional;

/** Creates a record on the service and writes it down, or writes down one that is there. */
final class RecordCreation {

    private final OtaService service;
    private final Conf conf;
    private final Output output;

    RecordCreation(OtaService service, Conf conf, Output output) {
        this.service = service;
        this.conf = conf;
        this.output = output;
    }

    OtaRecord create(String version, RecordFile file) throws OtaException {
        file.checkWritable();
        service.rest().login();
        if (service.exists(conf.name(), version)) {
            throw exists(version);
        }
        Optional<OtaRecord> created;
        try {
            created = service.create(version);
        } catch (OtaException.Unclear e) {
            output.note(e.getMessage() + "; asking whether the record was created");
            created = service.poolRecord(conf.name(), version);
            if (created.isEmpty()) {
                throw new OtaException(e.status(), e.getMessage() + "; the record was not created");
            }
            output.note("It was.");
        }
        OtaRecord record = created.orElseThrow(() -> exists(version));
        write(record, file);
        return record;
    }

    OtaRecord recover(String version, RecordFile file) throws OtaException {
        file.checkWritable();
        service.rest().login();
        OtaRecord record = service.poolRecord(conf.name(), version)
                .orElseThrow(() -> new OtaException(
                        ExitStatus.CONFLICT,
                        "the service has no record " + conf.name() + ", version " + version
                                + "; create it with ota record create"));
        write(record, file);
        return record;
    }

    private OtaException exists(String version) {
        return new OtaException(
                ExitStatus.CONFLICT,
                "a record " + conf.name() + ", version " + version
                        + " exists already; use the next build number, or get its file with ota record recover");
    }

    private void write(OtaRecord record, RecordFile file) throws OtaException {
        try {
            file.write(record);
        } catch (IOException e) {
            // It can neither be created again nor be deleted: this must not be lost.
            output.line(PythonJson.write(record.json()));
            output.json(record.json());
            throw new OtaException(
                    ExitStatus.LOCAL,
                    file.path() + ": cannot be written; the record is on the service and on standard output, and "
                            + "ota record recover writes the file later");
        }
    }
}
