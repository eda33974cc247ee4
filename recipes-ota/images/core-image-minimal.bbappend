# SPDX-License-Identifier: MIT
#
# Makes core-image-minimal an image that updates itself, on machines that ota-env.inc names and on those that ask for it. Set
# OTA_CORE_IMAGE_MINIMAL = "0" to leave it alone; for an image of your own write: inherit ota-image
OTA_CORE_IMAGE_MINIMAL ??= "1"
# The settings, OTA_ENABLE among them. A class is read once, also where ota-image inherits it again.
inherit ota-layout
OTA_UPDATE_NAME ?= "hub_update.bin"

# nooelint: oelint.var.inherit.inherit_defer - the class appends to IMAGE_FSTYPES, which image.bbclass reads before deferred classes
inherit ${@'ota-image' if d.getVar('OTA_CORE_IMAGE_MINIMAL') == '1' and d.getVar('OTA_ENABLE') == '1' else ''}
