# SPDX-License-Identifier: MIT
#
# Installs published jars into ${datadir}/java, where meta-java puts its own, named without version: jackson-core.jar.
#
#   inherit ota-maven-jar
#   MAVEN_JARS = "com.fasterxml.jackson.core:jackson-core:${PV}"
#   SRC_URI[jackson-core.sha256sum] = "…"
#
# MAVEN_JARS holds group:artifact:version coordinates; the name of the checksum is the artifact. The jars come from the Maven
# repository OTAMGR_MAVEN_MIRROR, or, without one, from DL_DIR and PREMIRRORS as any other source:
#
#   OTAMGR_MAVEN_MIRROR = "https://repository.example.com/maven2"
#
# MAVEN_LICENSE_FILES are members of the first jar that become files in ${S}/license, for LIC_FILES_CHKSUM.

# "invalid" is reserved and never resolves: the address stands for "not set" and still lets mirrors match.
OTAMGR_MAVEN_MIRROR ??= "https://otamgr-maven-mirror-is-not-set.invalid"
MAVEN_JARS ??= ""
MAVEN_LICENSE_FILES ??= ""

SRC_URI = "${@' '.join(otamgr.maven.uri(c) for c in d.getVar('MAVEN_JARS').split())}"
# UNPACKDIR is wrynose's, scarthgap has none.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

python ota_maven_fetch () {
    # Fetched here first, to explain what is missing instead of an address that does not resolve.
    if not d.getVar('OTAMGR_MAVEN_MIRROR').endswith('.invalid'):
        return
    fetcher = bb.fetch2.Fetch(d.getVar('SRC_URI').split(), d)
    try:
        fetcher.download()
    except bb.fetch2.BBFetchException:
        bb.fatal('No source for %s: OTAMGR_MAVEN_MIRROR is not set, and neither DL_DIR (%s) nor PREMIRRORS have it. '
                 'Set OTAMGR_MAVEN_MIRROR, for example in conf/local.conf, to the address of a Maven repository that has '
                 'these artifacts, up to and without the group, or put the jars into DL_DIR.'
                 % (' '.join(d.getVar('MAVEN_JARS').split()), d.getVar('DL_DIR')))
}
do_fetch[prefuncs] += "ota_maven_fetch"

python ota_maven_unpack_license () {
    import os, shutil, zipfile
    jars = d.getVar('MAVEN_JARS').split()
    # From a repository that is a folder (file://) BitBake would copy the folders above, too.
    fetcher = bb.fetch2.Fetch(d.getVar('SRC_URI').split(), d)
    for url in fetcher.urls:
        path = fetcher.localpath(url)
        name = os.path.join(d.getVar('S'), os.path.basename(path))
        if fetcher.ud[url].type == 'file' and not os.path.exists(name):
            shutil.copyfile(path, name)
    folder = os.path.join(d.getVar('S'), 'license')
    bb.utils.mkdirhier(folder)
    with zipfile.ZipFile(os.path.join(d.getVar('S'), otamgr.maven.file_name(jars[0]))) as jar:
        for member in (d.getVar('MAVEN_LICENSE_FILES') or '').split():
            with open(os.path.join(folder, os.path.basename(member)), 'wb') as out:
                out.write(jar.read(member))
}
do_unpack[postfuncs] += "ota_maven_unpack_license"
do_unpack[vardeps] += "MAVEN_LICENSE_FILES"

do_install () {
    install -d ${D}${datadir}/java
    for jar in ${@' '.join('%s:%s' % (otamgr.maven.artifact(c), otamgr.maven.file_name(c)) for c in d.getVar('MAVEN_JARS').split())}; do
        install -m 0644 ${S}/${jar#*:} ${D}${datadir}/java/${jar%%:*}.jar
    done
}

FILES:${PN} += "${datadir}/java"
