# SPDX-License-Identifier: MIT
#
# The OTA_ settings of recipes-ota/u-boot/ota-env.inc for recipes, and templates filled from them. Settings that do not fit together
# end the build, with a sentence for each problem.

inherit ota-python

require recipes-ota/u-boot/ota-env.inc

python ota_layout_check () {
    found = otamgr.layout.problems(d)
    if found:
        bb.fatal('The settings of disk and U-Boot environment do not fit together (README, table of variables):\n  %s' % '\n  '.join(found))
}

# ota_fill(d, template, result): a file with every @OTA_WORD@ replaced.
def ota_fill(d, template, result):
    with open(template) as f:
        text = f.read()
    with open(result, 'w') as f:
        f.write(otamgr.layout.fill(text, d))
