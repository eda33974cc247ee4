# SPDX-License-Identifier: MIT
#
# doctor.awk - the findings of ota-doctor as JSON, from its two files: what was repaired, and the findings, with tabs between their parts. After
# json.awk.

BEGIN { FS = "\t" }

FILENAME ~ /\/fixed$/ { fixed = fixed (fixed == "" ? "" : ",") quoted($0); next }

{
    count[$1]++
    checks = checks (checks == "" ? "" : ",") "{\"check\":" quoted($2) ",\"level\":" quoted($1) ",\"found\":" quoted($3) \
        ",\"expected\":" quoted($4) ",\"do\":" quoted($5) "}"
}

END {
    printf "{\"verdict\":%s,\"problems\":%d,\"warnings\":%d,\"fixed\":[%s],\"checks\":[%s]}\n",
        quoted(count["problem"] ? "problems" : count["warning"] ? "warnings" : "ok"), count["problem"], count["warning"], fixed, checks
}
