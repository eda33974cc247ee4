# SPDX-License-Identifier: MIT
SUMMARY = "OTA records of the image: which version the device reports to the cloud"
DESCRIPTION = "Puts full_ota_record.json and app_ota_record.json from BitBake's TMPDIR, where the host tools write them, into /etc."
SECTION = "base"
CVE_PRODUCT = "meta-otamgr"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://COPYING.MIT;md5=b44289d2f002ad479303b4c09697109d"

FILESEXTRAPATHS:prepend := "${THISDIR}/../..:"
SRC_URI = "file://COPYING.MIT"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"

# Where the records are, and whether an image may be built without the one of the system.
OTA_RECORD_DIR ?= "${TMPDIR}"
OTA_RECORD_REQUIRED ?= "0"

# The record is that of one image for one board: two machines may be built in one TMPDIR.
PACKAGE_ARCH = "${MACHINE_ARCH}"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

python do_install () {
    import json, os, shutil
    records = (('full_ota_record.json', 'full-ota-record.json'), ('app_ota_record.json', 'app-ota-record.json'))
    target = d.getVar('D') + d.getVar('sysconfdir')
    bb.utils.mkdirhier(target)
    for name, other in records:
        # The documentation of the platform writes the names with hyphens, its tools with underscores.
        for found in (name, other):
            path = os.path.join(d.getVar('OTA_RECORD_DIR'), found)
            if os.path.exists(path):
                break
        else:
            path = None
        if path is None:
            if name == 'full_ota_record.json':
                text = ('%s is missing in %s: the image has no version to report to the cloud. Create it with: '
                        'scripts/ota record create' % (name, d.getVar('OTA_RECORD_DIR')))
                if bb.utils.to_boolean(d.getVar('OTA_RECORD_REQUIRED')):
                    bb.fatal(text)
                bb.warn(text)
            continue
        try:
            with open(path) as f:
                record = json.load(f)
        except ValueError as e:
            bb.fatal('%s: expected a JSON object, found something else: %s' % (path, e))
        if not isinstance(record, dict) or 'versionNumber' not in record:
            bb.fatal('%s: expected a JSON object with the key versionNumber, found none' % path)
        shutil.copyfile(path, os.path.join(target, name))
        os.chmod(os.path.join(target, name), 0o644)
}
# Content and presence count: a new record makes this package and the image anew, nothing else. A pattern, because BitBake asks
# only once, when it parses, whether a file without one exists.
do_install[file-checksums] += "${OTA_RECORD_DIR}/*ota*record.json:True"
# The folder is another one on every machine; what is in it is what counts.
do_install[vardepsexclude] += "OTA_RECORD_DIR"

ALLOW_EMPTY:${PN} = "1"
