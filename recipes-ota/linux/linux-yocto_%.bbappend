# SPDX-License-Identifier: MIT
#
# Nothing changes without verified boot. A kernel of another recipe gets these lines from its machine.
require ${@'recipes-ota/linux/ota-verified-kernel.inc' if d.getVar('OTA_VERIFIED_BOOT') == '1' else ''}
