# SPDX-License-Identifier: MIT
#
# Manual pages and completion for bash, made from what the commands of a recipe say when they are asked for --help, in the packages
# PN-doc and PN-bash-completion, which no image has unless it is asked to.
#
# OTA_MAN_PAGES names shell scripts in S, each with a summary: "ota-slot=state of the slots; ota-why=how an update ended"
# OTA_MAN_PARTS names folders with parts of the scripts that other recipes install.
# OTA_MAN_PROGRAMS names programs of other recipes that the scripts want to find beside their parts before they say anything.

inherit ota-python

# Not OpenEmbedded's class for it, which has bash-completion built for every image: who wants this has that.
PACKAGE_BEFORE_PN += "${PN}-bash-completion"
FILES:${PN}-bash-completion += "${datadir}/bash-completion"

python ota_man_install () {
    import os, shutil, subprocess
    source, target = d.getVar('S'), d.getVar('D')
    pages, completions = target + d.getVar('mandir') + '/man8', target + d.getVar('datadir') + '/bash-completion/completions'
    bb.utils.mkdirhier(pages)
    bb.utils.mkdirhier(completions)
    # The parts of the scripts, at a place where they can be run.
    parts = os.path.join(d.getVar('WORKDIR'), 'ota-man')
    bb.utils.remove(parts, True)
    bb.utils.mkdirhier(parts)
    for folder in [source] + (d.getVar('OTA_MAN_PARTS') or '').split():
        for name in os.listdir(folder):
            if os.path.isfile(os.path.join(folder, name)):
                shutil.copy(os.path.join(folder, name), parts)
    for name in (d.getVar('OTA_MAN_PROGRAMS') or '').split():
        with open(os.path.join(parts, name), 'w') as f:
            f.write('#!/bin/sh\nexit 1\n')
        os.chmod(os.path.join(parts, name), 0o755)
    for entry in d.getVar('OTA_MAN_PAGES').split(';'):
        name, _, summary = (part.strip() for part in entry.partition('='))
        # The script as it will be, but for where its parts lie now.
        with open(os.path.join(source, name)) as f:
            script = f.read().replace(d.getVar('nonarch_libdir') + '/otamgr', parts)
        done = subprocess.run(['sh', '-s', '--', '--help'], input=script, capture_output=True, text=True)
        if done.returncode != 0 or not done.stdout:
            bb.fatal('%s --help: expected its help, found exit status %d and: %s' % (name, done.returncode, done.stderr))
        with open(os.path.join(pages, name + '.8'), 'w') as f:
            f.write(otamgr.man.page(name, 8, summary, done.stdout, d.getVar('PV')))
        with open(os.path.join(completions, name), 'w') as f:
            f.write(otamgr.man.completion(name, done.stdout))
}
do_install[postfuncs] += "ota_man_install"
do_install[vardeps] += "OTA_MAN_PAGES OTA_MAN_PARTS OTA_MAN_PROGRAMS"
