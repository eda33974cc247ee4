# SPDX-License-Identifier: MIT
#
# json.awk - a text as a string of JSON. For other programs, in front of them: awk -f json.awk -f that.awk. Letter by letter, as each awk has its
# own idea of a backslash in what gsub() puts in.

function quoted(text,   out, i, size, letter) {
    size = length(text)
    for (i = 1; i <= size; i++) {
        letter = substr(text, i, 1)
        if (letter == "\"" || letter == "\\") letter = "\\" letter
        else if (letter == "\n") letter = "\\n"
        else if (letter == "\t") letter = "\\t"
        out = out letter
    }
    return "\"" out "\""
}
