# SPDX-License-Identifier: MIT
#
# settings.awk - the reader of sysupgrade.conf, trial.conf and slots.conf: lines KEY=VALUE, # begins a comment line.
#
# known   the keys, between blanks
# name    of the file, for the complaint
#
# Blanks around the equals sign and at the ends, a carriage return at the end of a line, a byte order mark at the beginning and quotes
# around the value are passed over. Everything else that is not understood is complained about, and never taken as not said.
# Prints `value KEY=VALUE` for what is understood, and `problem TEXT` for every line that is not.

function complain(expected,   shown) {
    shown = substr(line, 1, 60)
    gsub(/[^ -~]/, "?", shown)
    print "problem " name ", line " FNR ": '" shown "', expected " expected
}

BEGIN { count = split(known, names, " "); for (i = 1; i <= count; i++) is_known[names[i]] = 1 }

{
    line = $0
    if (FNR == 1) sub(/^\357\273\277/, "", line)
    sub(/\r$/, "", line)
    sub(/^[ \t]+/, "", line)
    sub(/[ \t]+$/, "", line)
    if (line == "" ) next
    if (line ~ /\r/) { complain("lines that end with a newline"); next }
    if (line ~ /^#/) next
    if (line !~ /^[A-Za-z0-9_]+[ \t]*=/) { complain("KEY=VALUE"); next }
    key = line
    sub(/[ \t]*=.*/, "", key)
    value = line
    sub(/^[^=]*=[ \t]*/, "", value)
    if (!(key in is_known)) { complain("one of the keys " known); next }
    if (value ~ /^".*"$/ || value ~ /^'.*'$/) {
        if (length(value) > 1) value = substr(value, 2, length(value) - 2)
    }
    if (value == "") { complain("a value after the equals sign"); next }
    if (value ~ /["'\\]/ || value ~ /[^ -~]/) { complain("a value of printable characters, perhaps in quotes"); next }
    if ((key in said) && said[key] != value) { complain("the key once; it is there with '" said[key] "', too"); next }
    if (!(key in said)) order[++keys] = key
    said[key] = value
}

END { for (i = 1; i <= keys; i++) print "value " order[i] "=" said[order[i]] }
