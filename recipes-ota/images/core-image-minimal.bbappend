# SPDX-License-Identifier: MIT
#
# Makes core-image-minimal an image that updates itself. Set OTA_CORE_IMAGE_MINIMAL = "0" to leave it alone; for an image of your own
# write: inherit ota-image
OTA_CORE_IMAGE_MINIMAL ??= "1"
OTA_UPDATE_NAME ?= "hub_update.bin"

# nooelint: oelint.var.inherit.inherit_defer - the class appends to IMAGE_FSTYPES, which image.bbclass reads before deferred classes
inherit ${@'ota-image' if d.getVar('OTA_CORE_IMAGE_MINIMAL') == '1' else ''}
