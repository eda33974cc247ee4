# SPDX-License-Identifier: MIT
#
# journal.awk - the reader of the journal. A line is `TIME EVENT KEY=VALUE...`, a value a word or a text in quotes with escapes, as
# journal-value.awk writes it. Prints for every line that is one, separated by tabs:
#
#   TIME EVENT yes|torn KEY=VALUE...     values without quotes, escapes as they are: no tab and no newline is in them
#
# and `? ? torn` for what is no line. Lines of before escapes were defined have none; a quote inside of theirs does no harm, since a
# text ends at the quote before the next KEY= or the end of the line.

function foreign() { print "?\t?\ttorn" }

/^[ \t]*$/ { next }

$1 !~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]Z$/ || $2 !~ /^[a-z][a-z0-9-]*$/ { foreign(); next }

{
    values = ""
    whole = "yes"
    rest = $0
    sub(/^[ \t]*[^ \t]+[ \t]+[^ \t]+/, "", rest)
    # What links the line to those before it is for who verifies the journal.
    sub(/[ \t]link=[0-9]+:[0-9a-f]*$/, "", rest)
    for (;;) {
        sub(/^[ \t]+/, "", rest)
        if (rest == "") break
        word = rest
        sub(/[ \t].*/, "", word)
        if (word !~ /^[A-Za-z][A-Za-z0-9_-]*=/) {
            whole = "torn"
            rest = substr(rest, length(word) + 1)
            continue
        }
        key = word
        sub(/=.*/, "", key)
        rest = substr(rest, length(key) + 2)
        if (substr(rest, 1, 1) != "\"") {
            text = rest
            sub(/[ \t].*/, "", text)
            rest = substr(rest, length(text) + 1)
        } else {
            text = ""
            ended = 0
            size = length(rest)
            for (at = 2; at <= size; at++) {
                letter = substr(rest, at, 1)
                if (letter == "\\" && at < size) {
                    text = text letter substr(rest, at + 1, 1)
                    at++
                } else if (letter == "\"" && substr(rest, at + 1) ~ /^[ \t]*$|^[ \t]+[A-Za-z][A-Za-z0-9_-]*=/) {
                    ended = 1
                    break
                } else text = text (letter == "\t" ? " " : letter)
            }
            rest = substr(rest, at + 1)
            if (!ended) {
                text = text " (torn)"
                whole = "torn"
            }
        }
        values = values "\t" key "=" text
    }
    print $1 "\t" $2 "\t" whole values
}
