# SPDX-License-Identifier: MIT
#
# Signs updates, and lets devices trust the key: for images that inherit ota-image. One line in local.conf does it for all of them,
#
#   IMAGE_CLASSES += "ota-bundle"
#
# or for one image: inherit core-image ota-image ota-bundle
#
# Deploys
#   OTA_BUNDLE_NAME     the update as a signed bundle, beside OTA_UPDATE_NAME; sysupgrade takes either
# and puts into the image
#   /etc/otamgr/keys.d          who may sign updates for it, and who may no more
#   /etc/otamgr/compatible      the board that its bundles must be for
#   /etc/otamgr/sysupgrade.conf whether updates must be signed
#   /etc/otamgr/tuf/root.json   the root of the repository that updates come from, if OTA_TUF_ROOT names one
#
# Keys change with updates: docs/bundles.md. The bundle of an image is verified with the keys of that image before it is deployed.

# Private key, Ed25519 or P-256, PEM: scripts/ota-bundle keygen. Without one a key for development is made where TOPDIR is.
OTA_BUNDLE_KEY ?= "${OTA_DEVELOPMENT_KEY}"
OTA_DEVELOPMENT_KEY = "${TOPDIR}/ota-development-keys/development.key"
# Certificates of the key, PEM, leaf first, for devices that trust an authority.
OTA_BUNDLE_CERT ?= ""
# Public keys and certificates of authorities, PEM files, that devices trust. Empty: the public key of OTA_BUNDLE_KEY.
OTA_BUNDLE_TRUST ?= ""
# Lists *.revoked of keys and certificates that devices with this image trust no more: scripts/ota-bundle fingerprint.
OTA_BUNDLE_REVOKED ?= ""
# Certificates of those for whom the bundle is encrypted, PEM files. Empty: it is not.
OTA_BUNDLE_RECIPIENTS ?= ""
# Files of keys that many devices have, for whom it is encrypted as well: 64 hexadecimal digits (openssl rand -hex 32).
OTA_BUNDLE_SHARED_KEYS ?= ""
# Where devices have the key for that: a file with the private or the shared one, or a pkcs11: URI.
OTA_DECRYPTION_KEY ?= ""
# Further private keys that sign the bundle as well, while devices change from one key to another.
OTA_BUNDLE_ALSO ?= ""
# root.json of the TUF repository (scripts/ota-repository init), for devices that take their updates from one.
OTA_TUF_ROOT ?= ""
# An SBOM and a report of vulnerabilities, files whose hashes the bundle's manifest is to have. Empty: those that create-spdx (SPDX 2.2), vex
# and cve-check have made with the root file system, if there are any. The list of packages is always bound.
OTA_BUNDLE_SBOM ?= ""
OTA_BUNDLE_VEX ?= ""
# Numbers with dots. Empty: the version of the OTA record, else 0. Devices refuse what is older than the newest they have committed.
OTA_BUNDLE_VERSION ?= ""
# 2: a signed index of the blocks of a file system. 1: the image as it is, and what devices before format 2 take. Empty: 2 for file systems, 1
# for tar archives.
OTA_BUNDLE_FORMAT ?= ""
# Images beside the root file system, NAME=FILE or NAME=FILE,optional, a FILE in DEPLOY_DIR_IMAGE or with its whole path: devices have a
# target for each NAME in /etc/otamgr/images.d.
OTA_BUNDLE_IMAGES ?= ""
# A device that takes none passes it over.
OTA_BUNDLE_BOOT_LOADER = "${@'boot-loader=%s,optional' % d.getVar('OTA_BOOT_LOADER') if d.getVar('OTA_BOOT_LOADER') else ''}"
OTA_BUNDLE_DESCRIPTION ?= "${IMAGE_BASENAME} for ${MACHINE}, ${DISTRO_NAME} ${DISTRO_VERSION}"
OTA_BUNDLE_NAME ?= "${@(d.getVar('OTA_UPDATE_NAME') or 'update').rsplit('.', 1)[0]}.bundle"
# The board; an image for one must not be installed on another.
OTA_COMPATIBLE ?= "${MACHINE}"
# yes: devices refuse images that are not signed, OTA_UPDATE_NAME among them. no: they take both.
OTA_REQUIRE_SIGNATURE ?= "no"
# Where the recipe ota-record looks, too.
OTA_RECORD_DIR ?= "${TMPDIR}"

OTA_TRUST = "${WORKDIR}/ota-trust"

# ---- who is trusted --------------------------------------------------------------------------------------------------

# A task of its own: a key made under pseudo would be known to pseudo for ever.
python do_ota_trust () {
    import os, shutil
    from otamgr import bundle
    if not bb.data.inherits_class('ota-image', d):
        return
    words = ('yes', 'no')
    if d.getVar('OTA_REQUIRE_SIGNATURE') not in words:
        bb.fatal('OTA_REQUIRE_SIGNATURE: expected one of %s, found "%s"' % (', '.join(words), d.getVar('OTA_REQUIRE_SIGNATURE')))
    key = d.getVar('OTA_BUNDLE_KEY')
    keys = os.path.join(d.getVar('OTA_TRUST'), 'keys.d')
    bb.utils.mkdirhier(keys)
    try:
        if key == d.getVar('OTA_DEVELOPMENT_KEY'):
            if not os.path.exists(key):
                try:
                    bundle.make_key(key)
                except bundle.BundleError:
                    # Another image of the same build may have been first.
                    if not os.path.exists(key):
                        raise
            bb.warn('OTA_BUNDLE_KEY is not set: updates are signed with the DEVELOPMENT KEY %s, which was made on this machine, is protected by '
                    'nothing and is lost with the folder. Devices with this image trust it. For anything that leaves your desk make a key with '
                    '"scripts/ota-bundle keygen" and set OTA_BUNDLE_KEY.' % key)
        elif not os.path.exists(key):
            bb.fatal('OTA_BUNDLE_KEY: expected a private key, found no file %s. Make one with: scripts/ota-bundle keygen' % key)
        trusted = (d.getVar('OTA_BUNDLE_TRUST') or '').split()
        for number, path in enumerate(trusted):
            if not os.path.exists(path):
                bb.fatal('OTA_BUNDLE_TRUST: expected public keys and certificates, found no file %s' % path)
            bundle.check_trusted(path)
            shutil.copyfile(path, os.path.join(keys, '%02d-%s.pem' % (number, os.path.splitext(os.path.basename(path))[0])))
        if not trusted:
            bundle.write_public_key(key, os.path.join(keys, 'signer.pem'))
        for number, path in enumerate((d.getVar('OTA_BUNDLE_REVOKED') or '').split()):
            if not os.path.exists(path):
                bb.fatal('OTA_BUNDLE_REVOKED: expected lists of fingerprints, found no file %s' % path)
            with open(path, encoding='utf-8', errors='replace') as f:
                bundle.revoked_fingerprints(path, f.read())
            shutil.copyfile(path, os.path.join(keys, '%02d-%s.revoked' % (number, os.path.splitext(os.path.basename(path))[0])))
    except bundle.BundleError as e:
        bb.fatal(str(e))
    root = d.getVar('OTA_TUF_ROOT')
    if root:
        if not os.path.exists(root):
            bb.fatal('OTA_TUF_ROOT: expected the root.json of a repository, found no file %s. Make one with: scripts/ota-repository init' % root)
        shutil.copyfile(root, os.path.join(d.getVar('OTA_TRUST'), 'root.json'))
    settings = 'REQUIRE_SIGNATURE=' + d.getVar('OTA_REQUIRE_SIGNATURE')
    formats = (d.getVar('OTA_BOOT_FORMATS') or '').split()
    if formats:
        settings += '\nBOOT_FORMATS=' + ','.join(formats)
    if d.getVar('OTA_DECRYPTION_KEY'):
        settings += '\nDECRYPTION_KEY=' + d.getVar('OTA_DECRYPTION_KEY')
    for name, text in (('compatible', d.getVar('OTA_COMPATIBLE')), ('sysupgrade.conf', settings)):
        with open(os.path.join(d.getVar('OTA_TRUST'), name), 'w') as f:
            f.write(text + '\n')
}
do_ota_trust[cleandirs] = "${OTA_TRUST}"
do_ota_trust[depends] += "openssl-native:do_populate_sysroot"
# What is in the files counts. Patterns, because BitBake asks only once whether a file without one exists.
do_ota_trust[file-checksums] += "${OTA_BUNDLE_KEY}*:True ${@' '.join(path + '*:True' for path in ' '.join(d.getVar(name) or '' for name in ('OTA_BUNDLE_TRUST', 'OTA_BUNDLE_REVOKED', 'OTA_TUF_ROOT')).split())}"
addtask ota_trust after do_prepare_recipe_sysroot before do_rootfs

ota_trust_install () {
    if [ -e ${OTA_TRUST}/compatible ]; then
        install -d ${IMAGE_ROOTFS}${sysconfdir}/otamgr/keys.d
        install -m 0644 ${OTA_TRUST}/keys.d/* ${IMAGE_ROOTFS}${sysconfdir}/otamgr/keys.d
        install -m 0644 ${OTA_TRUST}/compatible ${OTA_TRUST}/sysupgrade.conf ${IMAGE_ROOTFS}${sysconfdir}/otamgr
        if [ -e ${OTA_TRUST}/root.json ]; then
            install -D -m 0644 ${OTA_TRUST}/root.json ${IMAGE_ROOTFS}${sysconfdir}/otamgr/tuf/root.json
        fi
    fi
}
ROOTFS_POSTPROCESS_COMMAND:append = " ota_trust_install"

# ---- the bundle ------------------------------------------------------------------------------------------------------

def ota_bundle_version(d):
    import json, os
    version = d.getVar('OTA_BUNDLE_VERSION')
    if version:
        return version
    # The documentation of the platform writes the name with hyphens, its tools with underscores.
    for name in ('full_ota_record.json', 'full-ota-record.json'):
        record = os.path.join(d.getVar('OTA_RECORD_DIR'), name)
        if os.path.exists(record):
            with open(record) as f:
                return str(json.load(f).get('version', ''))
    bb.warn('OTA_BUNDLE_VERSION is not set and there is no OTA record in %s: the bundle has version 0, and devices cannot tell an old update '
            'from a new one' % d.getVar('OTA_RECORD_DIR'))
    return '0'

def ota_bundle_images(d):
    import os
    from otamgr import bundle
    images = [bundle.further_named(word) for word in ((d.getVar('OTA_BUNDLE_IMAGES') or '') + ' ' + d.getVar('OTA_BUNDLE_BOOT_LOADER')).split()]
    return [(name, bundle.Path(os.path.join(d.getVar('DEPLOY_DIR_IMAGE'), path)), is_optional) for name, path, is_optional in images]

python ota_bundle_make () {
    import os
    from otamgr import bundle, judge, sbom
    if not bb.data.inherits_class('ota-image', d):
        return
    folder = d.getVar('IMGDEPLOYDIR')
    engine = os.path.join(d.getVar('STAGING_DIR_NATIVE') or '', 'usr/lib/otamgr/ota-content')
    if os.path.exists(engine):
        os.environ['OTA_CONTENT'] = engine
    image = os.path.realpath(os.path.join(folder, '%s.%s' % (d.getVar('IMAGE_LINK_NAME'), d.getVar('OTA_SLOT_TYPE'))))
    name = d.getVar('IMAGE_NAME') + '.bundle'
    try:
        about = sbom.made_with_image(folder, d.getVar('IMAGE_LINK_NAME'))
        if not (bb.data.inherits_class('vex', d) or bb.data.inherits_class('cve-check', d)):
            # NAME.json of another class.
            about.pop('vex', None)
        for kind in ('sbom', 'vex'):
            if d.getVar('OTA_BUNDLE_' + kind.upper()):
                about[kind] = d.getVar('OTA_BUNDLE_' + kind.upper())
        extra = sbom.extra_lines(d.getVar('OTA_SUPPORT_UNTIL'), d.getVar('OTA_SECURITY_CONTACT'),
                                 packages=os.path.join(folder, d.getVar('IMAGE_LINK_NAME') + '.packages.gz'), **about)
        made = bundle.create(os.path.join(folder, name), image, d.getVar('OTA_BUNDLE_KEY'), d.getVar('OTA_COMPATIBLE'), ota_bundle_version(d),
                             d.getVar('OTA_BUNDLE_CERT') or None, d.getVar('OTA_BUNDLE_DESCRIPTION'),
                             extra=extra, form=bundle.form_named(d.getVar('OTA_BUNDLE_FORMAT')),
                             judge=lambda made: judge.as_device(made, d.getVar('OTA_BUNDLE_KEY'), bb.warn),
                             also=(d.getVar('OTA_BUNDLE_ALSO') or '').split(), images=ota_bundle_images(d))
        recipients = (d.getVar('OTA_BUNDLE_RECIPIENTS') or '').split()
        shared = (d.getVar('OTA_BUNDLE_SHARED_KEYS') or '').split()
        if recipients or shared:
            # Signed anew, and not by the others: the manifest is another one.
            if d.getVar('OTA_BUNDLE_ALSO'):
                bb.fatal('OTA_BUNDLE_RECIPIENTS or OTA_BUNDLE_SHARED_KEYS, and OTA_BUNDLE_ALSO: expected one of them, found both; sign the encrypted bundle with: ota-bundle sign --add')
            made = bundle.encrypt(os.path.join(folder, name), os.path.join(folder, name), d.getVar('OTA_BUNDLE_KEY'),
                                  d.getVar('OTA_BUNDLE_CERT') or None, recipients, shared=shared)
        with bundle.open_bundle(os.path.join(folder, name)) as opened:
            signer = opened.signed_by([os.path.join(d.getVar('OTA_TRUST'), 'keys.d')])
    except bundle.SignatureError as e:
        bb.fatal('The devices of this image would refuse its bundle: %s (OTA_BUNDLE_KEY %s, OTA_BUNDLE_CERT "%s", OTA_BUNDLE_TRUST "%s")'
                 % (e, d.getVar('OTA_BUNDLE_KEY'), d.getVar('OTA_BUNDLE_CERT'), d.getVar('OTA_BUNDLE_TRUST')))
    except (bundle.BundleError, sbom.SbomError, OSError) as e:
        bb.fatal('The bundle cannot be made: %s' % e)
    link = os.path.join(folder, d.getVar('OTA_BUNDLE_NAME'))
    bb.utils.remove(link)
    os.symlink(name, link)
    bb.note('%s: version %s for %s, trusted by its devices through %s' % (name, made['version'], made['compatible'], os.path.basename(signer)))
}
IMAGE_POSTPROCESS_COMMAND:append = " ota_bundle_make"
do_image_complete[depends] += "openssl-native:do_populate_sysroot ota-content-native:do_populate_sysroot"
do_image_complete[depends] += "${@'virtual/bootloader:do_deploy' if d.getVar('OTA_BOOT_LOADER') else ''}"
do_image_complete[file-checksums] += "${OTA_BUNDLE_KEY}*:True ${@d.getVar('OTA_BUNDLE_CERT') + '*:True' if d.getVar('OTA_BUNDLE_CERT') else ''} \
    ${@' '.join(path + '*:True' for path in ((d.getVar('OTA_BUNDLE_ALSO') or '') + ' ' + (d.getVar('OTA_BUNDLE_RECIPIENTS') or '') + ' ' + (d.getVar('OTA_BUNDLE_SHARED_KEYS') or '')).split())} \
    ${OTA_RECORD_DIR}/full*ota*record.json:True"
do_image_complete[vardepsexclude] += "OTA_RECORD_DIR"
