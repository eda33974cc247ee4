# SPDX-License-Identifier: MIT
#
# mounts.awk - of the mounts that the kernel lists (/proc/self/mountinfo) the last one on a place, which is the visible one (-v field=5
# -v wanted=/data), or the first one of a device (-v field=3 -v wanted=179:2): "found", its device, place, type, and options. "none" when there
# is no such mount; nothing when the list is not whole, as it always has a mount on /.

$5 == "/" { whole = 1 }

$field == wanted && (field == 5 || said == "") {
    type = ""
    for (i = 7; i < NF && type == ""; i++) if ($i == "-") type = $(i + 1)
    said = "found " $3 " " $5 " " type " " $6 "," $NF
}

END { if (said != "") print said; else if (whole) print "none" }
