# SPDX-License-Identifier: MIT
#
# fw-env-config.awk - the reader of /etc/fw_env.config in both of its forms: lines DEVICE OFFSET SIZE, and the YAML of libubootenv
# since 0.3.4 with one set of variables. Prints `copy DEVICE OFFSET SIZE` for each copy and `lock FILE`, or `problem TEXT`.

function problem(text) {
    if (!failed) print "problem " text
    failed = 1
}

function unquoted(text) {
    sub(/[ \t]+#.*$/, "", text)
    gsub(/^[ \t]+|[ \t]+$/, "", text)
    if (text ~ /^".*"$/ || text ~ /^'.*'$/) text = substr(text, 2, length(text) - 2)
    return text
}

function copy_ended() {
    if (!in_device) return
    if (path == "" || offset == "") problem("a device without path or offset")
    count++
    paths[count] = path
    offsets[count] = offset
    in_device = 0
}

{ sub(/\r$/, "") }
/^[ \t]*(#|$)/ || /^---/ { next }

# The first line tells which form it is.
form == "" { form = ($0 ~ /^[^ \t:]+[ \t]*:[ \t]*(#.*)?$/) ? "yaml" : "text" }

form == "text" {
    if (NF < 3) problem("the line '" $0 "', expected DEVICE OFFSET SIZE")
    else print "copy " $1 " " $2 " " $3
    next
}

/^[^ \t]/ {
    copy_ended()
    if (sets++) problem("more than one set of variables, expected the one of the boot loader")
    next
}

{
    entry = $0
    sub(/^[ \t]+/, "", entry)
    if (entry ~ /^-/) {
        copy_ended()
        if (!in_devices) next
        in_device = 1
        path = offset = ""
        sub(/^-[ \t]*/, "", entry)
        if (entry == "") next
    }
    at = index(entry, ":")
    if (!at) { problem("the line '" $0 "', expected KEY: VALUE"); next }
    key = unquoted(substr(entry, 1, at - 1))
    value = unquoted(substr(entry, at + 1))
    if (key == "devices") in_devices = 1
    else if (key == "path" && in_device) path = value
    else if (key == "offset" && in_device) offset = value
    else if (key == "size" && !in_device) size = value
    else if (key == "lockfile" && !in_device) print "lock " value
    else if (key ~ /^(writelist|variables)$/) { copy_ended(); in_devices = 0 }
    next
}

END {
    if (form != "yaml" || failed) exit
    copy_ended()
    if (size == "") problem("no size")
    else if (!failed) for (i = 1; i <= count; i++) print "copy " paths[i] " " offsets[i] " " size
}
