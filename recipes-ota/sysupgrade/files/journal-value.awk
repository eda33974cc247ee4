# SPDX-License-Identifier: MIT
#
# journal-value.awk - standard input, any text and one more character, as the value of a journal line: in quotes, with \" \\ \n \t \r
# and \xHH for what would end the value or the line. A newline is the end of a record here, but for the last.

BEGIN {
    text = ""
    for (i = 1; i < 32; i++) code[sprintf("%c", i)] = sprintf("\\x%02x", i)
    code[sprintf("%c", 127)] = "\\x7f"
    code["\t"] = "\\t"
    code["\r"] = "\\r"
    code["\""] = "\\\""
    code["\\"] = "\\\\"
}

NR > 1 { text = text "\\n" }

{
    size = length($0)
    for (i = 1; i <= size; i++) {
        letter = substr($0, i, 1)
        text = text ((letter in code) ? code[letter] : letter)
    }
}

END { printf "\"%s\"\n", substr(text, 1, length(text) - 1) }
