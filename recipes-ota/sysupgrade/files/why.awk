# SPDX-License-Identifier: MIT
#
# why.awk - the account of an update, for ota-why, from the records of journal.awk on standard input and WHY_... in the environment.

# ---- reading the journal -----------------------------------------------------------------------------------
BEGIN {
    FS = "\t"
    # What a line of each event ends with.
    last["update-started"] = "format"; last["armed"] = "tries"; last["update-failed"] = "reason"
    last["trial-boot"] = "tries"; last["deadline-passed"] = "deadline"; last["committed"] = "slot"
    last["cancelled"] = "state"; last["interrupted"] = "why"; last["cancel-failed"] = "reason"
    last["rolled-back"] = "why"; last["slot-mismatch"] = "committed"; last["boot-state-unknown"] = "reason"
    last["env-repaired"] = "copy"; last["deadline-passed-unseen"] = "reason"; last["etc-is-not-its-own"] = "reason"
    said["load-failed"] = "its kernel, device tree or boot files did not load"
    said["tries-used-up"] = "its boots were used up without a commit"
    said["environment-lost"] = "no copy of the U-Boot environment was valid, so a slot with a complete system was taken"
    said["signature-refused"] = "its kernel, device tree or initramfs is not what was signed"
    said["changed-block"] = "a block of its file system is not what was signed"
    said["below-floor"] = "its rollback index is below the lowest that U-Boot starts"
    said["slot-a-signature-refused"] = "the signed image of committed slot a was changed, so slot b took its place"
    said["slot-b-signature-refused"] = "the signed image of committed slot b was changed, so slot a took its place"
    said["slot-a-changed-block"] = "a block of committed slot a was changed, so slot b took its place"
    said["slot-b-changed-block"] = "a block of committed slot b was changed, so slot a took its place"
    said["slot-a-below-floor"] = "the rollback index of committed slot a is below the lowest that U-Boot starts, so slot b took its place"
    said["slot-b-below-floor"] = "the rollback index of committed slot b is below the lowest that U-Boot starts, so slot a took its place"
    said["slot-a-does-not-load"] = "committed slot a did not load, so slot b took its place"
    said["slot-b-does-not-load"] = "committed slot b did not load, so slot a took its place"
    codes_read("/usr/lib/otamgr/exit-codes")
}

# The table that sysupgrade --help shows.
function codes_read(table,   line, at) {
    line = ""
    while ((getline line < table) > 0) {
        at = index(line, "\t")
        if (line ~ /^[0-9]/ && at) meaning[substr(line, 1, at - 1)] = substr(line, at + 1)
    }
    close(table)
}

# A value of journal.awk as it was meant.
function meant(text,   out, i, size, letter, next_one) {
    if (index(text, "\\") == 0) return text
    size = length(text)
    for (i = 1; i <= size; i++) {
        letter = substr(text, i, 1)
        next_one = substr(text, i + 1, 1)
        if (letter != "\\" || next_one == "") { out = out letter; continue }
        i++
        if (next_one == "n") out = out "\n"
        else if (next_one == "t") out = out "\t"
        else if (next_one == "r") out = out " "
        else if (next_one == "\"" || next_one == "\\") out = out next_one
        else if (next_one == "x" && substr(text, i + 1, 2) ~ /^[0-9a-f][0-9a-f]$/) { out = out "?"; i += 2 }
        # A line of before escapes were defined.
        else out = out letter next_one
    }
    return out
}

$3 == "torn" && $1 == "?" { strange++; next }

{ record_taken() }

function record_taken(   n, i, at, name, whole, id) {
    n = events + 1
    keys[n] = ""
    for (i = 4; i <= NF; i++) {
        at = index($i, "=")
        name = substr($i, 1, at - 1)
        if (!((n, name) in value)) keys[n] = keys[n] (keys[n] == "" ? "" : " ") name
        value[n, name] = meant(substr($i, at + 1))
    }
    whole = $3 == "yes"
    # The last value of a line tells whether the line is whole.
    if (($2 in last) && !((n, last[$2]) in value && value[n, last[$2]] != "")) whole = 0
    if (!($2 in last) && !((n, "txn") in value)) whole = 0
    id = ((n, "txn") in value) ? value[n, "txn"] : ""
    # Half a line may hold half an id: it counts only for an update that is known anyway.
    if (!whole && (id == "" || !(id in known))) { forget(n); strange++; return }
    events = n
    time[n] = $1; event[n] = $2; owner[n] = id; torn[n] = !whole
    if (id != "") counted(n, id)
}

function forget(n,   names, count, i) {
    count = split(keys[n], names, " ")
    for (i = 1; i <= count; i++) delete value[n, names[i]]
    delete keys[n]
}

function of(n, name) { return ((n, name) in value) ? value[n, name] : "" }

# One more event of this update: where it stands now.
function counted(n, id,   what) {
    what = event[n]
    # The same id used again is a new attempt.
    if (!(id in known) || what == "update-started" || (ended(outcome[id]) && (what == "armed" || what == "update-failed"))) {
        if (!(id in known)) order[++updates] = id
        known[id] = 1; first[id] = n; outcome[id] = "unknown"; started[id] = armed[id] = failure[id] = rolled[id] = 0
        boots[id] = deadlines[id] = 0; slot[id] = ""; ending[id] = 0
    }
    newest = id
    last_event[id] = n
    if (what != "update-failed" && of(n, "slot") ~ /^[ab]$/) slot[id] = of(n, "slot")
    if (what == "update-started") { started[id] = n; outcome[id] = "stopped"; writer = id }
    else if (what == "armed") { armed[id] = n; outcome[id] = "armed" }
    else if (what == "update-failed") { failure[id] = ending[id] = n; outcome[id] = outcome[id] == "stopped" ? "failed" : "refused" }
    # The guard may have been about to note the boot when another program committed.
    else if (what == "trial-boot") { boots[id]++; if (!ended(outcome[id])) outcome[id] = "trial" }
    else if (what ~ /^(deadline-passed|deadline-passed-unseen|health-failed)$/) deadlines[id]++
    else if (what == "committed") { outcome[id] = "committed"; ending[id] = n }
    else if (what == "cancelled") { outcome[id] = "cancelled"; ending[id] = n }
    else if (what == "interrupted") { outcome[id] = "interrupted"; ending[id] = n }
    else if (what == "rolled-back") { outcome[id] = "rolled-back"; rolled[id] = ending[id] = n }
}

function ended(word) { return word ~ /^(committed|refused|failed|cancelled|interrupted|rolled-back)$/ }

# ---- the account -------------------------------------------------------------------------------------------
function other(letter) { return letter == "a" ? "b" : letter == "b" ? "a" : "?" }
function times(count, noun) { return count " " noun (count == 1 ? "" : "s") }
function without_end(text) { sub(/[. ]+$/, "", text); return text }
function u_boot_meaning(word) { return (word in said) ? said[word] : word == "" ? "" : "a word this version does not know" }
function code_meaning(code) { return (code in meaning) ? meaning[code] : "" }

# The environment knows more than the journal where the journal was lost, torn or not written yet.
function environment_heard(id) {
    if (state == "unknown" && env_slot == "") return
    if (!(id in known)) { outcome[id] = "unknown"; boots[id] = deadlines[id] = 0; slot[id] = "" }
    if (id == env_txn && env_trial != "") {
        slot[id] = env_trial
        # A trial that is pending although it has failed: an old copy of the environment came back.
        if (state != "mismatch" && !(state == "interrupted" && outcome[id] == "rolled-back")) outcome[id] = state == "unknown" ? "armed" : state
    } else if (id == env_failed && outcome[id] != "rolled-back") {
        outcome[id] = "rolled-back"
        if (slot[id] == "") slot[id] = other(env_slot)
    } else if (id == env_txn && (outcome[id] == "armed" || outcome[id] == "trial")) {
        # Not pending any more, not failed; only a commit moves ota_slot.
        outcome[id] = slot[id] == env_slot ? "committed" : "unknown"
    } else if (outcome[id] == "armed" || outcome[id] == "trial") {
        # Another update has been armed since.
        outcome[id] = "unknown"
    } else if (id == env_txn && outcome[id] == "unknown") {
        if (state == "committed" && marker == id) { outcome[id] = "committed"; slot[id] = running }
    }
    if (outcome[id] == "committed" && id == newest_known && slot[id] != "" &&
        env_failed_why ~ ("^slot-" slot[id] "-(does-not-load|signature-refused|changed-block|below-floor)$") && env_slot != slot[id]) outcome[id] = "displaced"
}

# Why a trial ended: the word of the trial guard, else what U-Boot and the boots tell.
function trial_end(id) {
    if (rolled[id] && of(rolled[id], "why") != "") return of(rolled[id], "why")
    if (env_failed == id && env_failed_why in said) return said[env_failed_why]
    if (deadlines[id] > 0) return "it was not committed before the deadline"
    return "the reason is not recorded"
}

# The line that decides, of what the dead system said.
function last_words(id) { return rolled[id] ? of(rolled[id], "last-words") : "" }
function said_last(id) { return last_words(id) == "" ? "" : " It said last: " without_end(last_words(id)) "." }

# How many boots U-Boot charged: all that it was given, when they were used up.
function charged(id) {
    if (!armed[id]) return ""
    return times(of(armed[id], "tries"), "boot") " charged, " boots[id] " reached the trial guard"
}

function in_brackets(text) { return text == "" ? "" : " (" text ")" }

function runs_now() { return running == "" ? "" : " Slot " running " runs." }

function answer_of(id,   what, text, code) {
    what = outcome[id]
    text = "Update " id " "
    if (what == "committed")
        return text "was committed: slot " slot[id] " is its system" in_brackets(boots[id] ? times(boots[id], "trial boot") : "") "." \
            (running != "" && id == newest_known && running != slot[id] ? " But slot " running " runs." : "")
    if (what == "displaced")
        return text "was committed, but later its slot " slot[id] " did not load any more: U-Boot took slot " other(slot[id]) "."
    if (what == "refused" || what == "failed") {
        code = of(failure[id], "code")
        return text (what == "refused" ? "was refused: " : "failed while it was installed: ") without_end(of(failure[id], "reason")) \
            in_brackets("code " code (code_meaning(code) == "" ? "" : ": " without_end(code_meaning(code)))) "." \
            (running == "" ? "" : " Slot " running " runs" (what == "refused" ? ", nothing was changed." : ", slot " slot[id] " is unusable until the next update."))
    }
    if (what == "stopped")
        return text "stopped without a word while slot " slot[id] " was written: power cut, reset or kill." runs_now()
    if (what == "rolled-back")
        return text "was rolled back" (slot[id] == "" ? "" : " to slot " other(slot[id])) ": " trial_end(id) in_brackets(charged(id)) "." said_last(id)
    if (what == "interrupted")
        return text "was never started: slot " slot[id] " was armed, but U-Boot started slot " other(slot[id]) \
            (not_counted(id) ? " and counted no boot: it may not read this environment, run ota-doctor" : "") "."
    if (what == "cancelled") return text "was cancelled before its trial ended." runs_now()
    if (what == "writing") return text "is being written into slot " slot[id] "."
    if (what == "armed") return text "is installed in slot " slot[id] " and starts with the next reboot."
    if (what == "trial")
        return text "is on trial: slot " running " runs and is not committed" \
            in_brackets(times(boots[id] > 0 ? boots[id] : 1, "boot") " so far, " (tries == "" ? 0 : tries) " left") "."
    return text "left no trace of its end" (id in known ? "; the last one is " event[last_event[id]] " at " time[last_event[id]] : "") "." runs_now()
}

# Whether U-Boot left the tries as they were armed.
function not_counted(id,   left) {
    if (!armed[id]) return 0
    left = ending[id] && event[ending[id]] == "interrupted" ? of(ending[id], "tries") : tries
    return left != "" && left == of(armed[id], "tries")
}

# One step in words.
function step(n,   what, text) {
    what = event[n]
    if (what == "update-started") text = "began to write slot " of(n, "slot") " from " of(n, "image") in_brackets(of(n, "format") (of(n, "version") == "" ? "" : ", version " of(n, "version")) (of(n, "signed") == "no" ? ", not signed" : ""))
    else if (what == "slot-written")
        text = of(n, "written") " of " of(n, "compared") " bytes were written in " of(n, "seconds") " s, " of(n, "skipped") " were there already"
    else if (what == "armed") text = "slot " of(n, "slot") " was written, read back and armed for " times(of(n, "tries"), "trial boot")
    else if (what == "update-failed") {
        text = code_meaning(of(n, "code"))
        text = "sysupgrade gave up with code " of(n, "code") in_brackets(without_end(text)) ": " of(n, "reason")
    }
    else if (what == "trial-boot") text = "slot " of(n, "slot") " booted on trial, boots left after this one: " of(n, "tries")
    else if (what == "deadline-passed")
        text = "not committed when the deadline of " of(n, "deadline") " s after power-on had passed (" of(n, "uptime") " s): rebooted"
    else if (what == "deadline-passed-unseen")
        text = "not known to be committed when the deadline had passed, the boot state could not be read (" of(n, "reason") "): rebooted"
    else if (what == "health-failed")
        text = "otamgr gave up the trial: " of(n, "check") " did not pass in time (" of(n, "why") "), rebooted"
    else if (what == "etc-is-not-its-own") text = "the /etc of slot " of(n, "slot") " was not its own, so it could not be committed: " of(n, "reason")
    else if (what == "committed") text = "slot " of(n, "slot") " was committed"
    else if (what == "cancelled") text = "the trial of slot " of(n, "slot") " was cancelled (state " of(n, "state") ")"
    else if (what == "interrupted") text = "the trial was given up: " of(n, "why") " (tries left: " of(n, "tries") ")"
    else if (what == "cancel-failed") text = "the trial could not be cancelled: " of(n, "reason")
    else if (what == "rolled-back")
        text = "rolled back: " of(n, "why") " (boots that reached the trial guard: " of(n, "boots") ", deadlines passed: " of(n, "deadlines") ", U-Boot says: " of(n, "u-boot") ")"
    else if (what == "image-written") text = "the image " of(n, "image") " was written to " of(n, "device") " and read back"
    else if (what == "image-installed") text = "the image " of(n, "image") " was taken by its handler"
    else if (what == "image-taken-back") text = "the handler of the image " of(n, "image") " took it back"
    else if (what == "image-not-taken-back") text = "the handler of the image " of(n, "image") " could not take it back: " of(n, "reason")
    else if (what == "image-switched") text = "the boot loader that came as image " of(n, "image") " is the one that is started from now on (" of(n, "to") ")"
    else if (what == "image-repaired") text = "the first place of the boot loader " of(n, "image") " did not hold it any more, and was written again from the second one (" of(n, "to") ")"
    else if (what == "image-not-switched") text = "the boot loader that came as image " of(n, "image") " is not used: " of(n, "reason")
    else if (what == "slot-mismatch") text = "slot " of(n, "running") " runs although slot " of(n, "committed") " is the committed one"
    else if (what == "boot-state-unknown") text = "the boot state could not be read: " of(n, "reason")
    else if (what == "env-repaired") text = "copy " of(n, "copy") " of the U-Boot environment was bad and was written again"
    else text = what in_brackets(all_values(n))
    return text (torn[n] ? " (the line is torn)" : "")
}

function all_values(n,   names, count, i, text) {
    count = split(keys[n], names, " ")
    text = ""
    for (i = 1; i <= count; i++) if (names[i] != "txn") text = text (text == "" ? "" : ", ") names[i] " " value[n, names[i]]
    return text
}

# Which slot runs, and why.
function now_why() {
    if (state == "unknown") return "unknown: " problem
    if (state == "committed") return "slot " running " runs because it is the committed slot and no trial is pending"
    if (state == "trial")
        return "slot " running " runs on trial; boots left after this one: " (tries == "" ? 0 : tries) "; without a commit the board reboots " \
            ENVIRON["WHY_DEADLINE"] " s after power-on, now are " ENVIRON["WHY_UPTIME"] " s"
    if (state == "armed") return "slot " running " runs because it is the committed slot; the trial of slot " env_trial " starts with the next reboot"
    if (state == "interrupted")
        return "slot " running " runs although slot " env_trial " was armed before this boot: U-Boot could not save the boot it counts, or reads another environment (run ota-doctor)"
    return "slot " running " runs, but slot " env_slot " is the committed one: U-Boot had to fall back, or somebody chose the slot by hand"
}

# Events of the update, and what happened to the whole board meanwhile.
function belongs(n, id,   i) {
    if (!(id in known) || n < first[id]) return 0
    if (owner[n] == id) return 1
    if (owner[n] != "") return 0
    for (i = n - 1; i >= first[id]; i--) if (owner[i] != "") return owner[i] == id
    return 0
}

function header_of(id,   lines, count, i, name, n) {
    n = started[id]
    # Recorded at the time, or that of the running system if this update made it.
    if (n) {
        count = split(keys[n], lines, " ")
        for (i = 1; i <= count; i++) if (lines[i] ~ /^header[-_](sha256|hash|sha)$/) return value[n, lines[i]]
    }
    if (running == "" || slot[id] != running || marker != id) return ""
    name = n ? of(n, "image") : ""
    sub(/.*\//, "", name); sub(/\.img$/, "", name)
    count = split(ENVIRON["WHY_HEADERS"], lines, "\n")
    for (i = 1; i <= count; i++) if (substr(lines[i], 66) == name ".hdr") return substr(lines[i], 1, 64)
    return ""
}

# ---- shapes ------------------------------------------------------------------------------------------------
# On one line, for people.
function shown(text) { gsub(/[\t\n]/, " ", text); return text }

# A number as one, whatever else as a string.
function number(text) { return text ~ /^(0|[1-9][0-9]?[0-9]?[0-9]?[0-9]?[0-9]?)$/ ? text : text == "" ? "null" : quoted(text) }

function detail(label, text) { if (text != "") printf "  %-13s%s\n", label ":", shown(text) }

function as_text(   n, i, any, others) {
    print shown(answer)
    if (subject != "") {
        print ""
        detail("update", subject)
        if (subject in known && started[subject]) {
            detail("image", of(started[subject], "image"))
            detail("format", of(started[subject], "format"))
        } else if (failure[subject]) detail("image", "not recorded: the slot was not touched")
        else detail("image", "not recorded: the journal does not reach back that far")
        detail("header", header_of(subject) == "" ? "" : "sha256 " header_of(subject))
        detail("outcome", outcome[subject])
        if (last_words(subject) != "") detail("last words", last_words(subject) " (more: ota-why --last-words)")
    }
    print ""
    print "Steps (UTC):"
    for (n = 1; n <= events; n++) if (subject != "" && belongs(n, subject)) { printf "  %s  %s\n", time[n], shown(step(n)); any++ }
    if (!any) print "  none recorded"
    print ""
    print "Now:"
    detail("slot", now_why())
    detail("made by", marker == "" ? "" : "update " marker " (/boot/ota-slot-valid of the running system)")
    if (env_failed_why != "")
        detail("U-Boot says", env_failed_why (env_failed == "" ? "" : " of update " env_failed) ": " u_boot_meaning(env_failed_why))
    else if (env_failed != "") detail("U-Boot says", "update " env_failed " failed, without a reason")
    for (i = updates; i > 0 && i > updates - 6; i--) if (order[i] != subject) {
        if (!others++) print "\nOther updates, newest first:"
        printf "  %s  %s  %s\n", time[first[order[i]]], order[i], outcome[order[i]]
    }
    print "\nLooked in:"
    for (i = 1; i <= places; i++) print "  " place[i]
    if (strange) print "  " times(strange, "line") " not understood (torn or foreign)"
}

function as_json(   n, i, j, names, count, comma, code, hash) {
    printf "{\"answer\":%s,\"txn\":%s,\"outcome\":%s", quoted(answer), (subject == "" ? "null" : quoted(subject)), quoted(subject == "" ? "none" : outcome[subject])
    n = subject == "" ? 0 : started[subject]
    hash = subject == "" ? "" : header_of(subject)
    printf ",\"delivered\":{\"image\":%s,\"format\":%s,\"header_sha256\":%s}", (n ? quoted(of(n, "image")) : "null"),
        (n ? quoted(of(n, "format")) : "null"), (hash == "" ? "null" : quoted(hash))
    n = subject == "" ? 0 : failure[subject]
    code = n ? of(n, "code") : ""
    printf ",\"failure\":"
    if (n) printf "{\"code\":%s,\"meaning\":%s,\"reason\":%s}", number(code), quoted(code_meaning(code)), quoted(of(n, "reason"))
    else printf "null"
    n = subject == "" ? 0 : armed[subject]
    printf ",\"trial\":"
    if (subject != "" && (n || boots[subject] || outcome[subject] ~ /^(rolled-back|trial|armed|interrupted)$/))
        printf "{\"slot\":%s,\"tries\":%s,\"boots\":%d,\"deadlines_passed\":%d,\"why_ended\":%s,\"last_words\":%s}", quoted(slot[subject]), number(n ? of(n, "tries") : ""),
            boots[subject], deadlines[subject], (outcome[subject] == "rolled-back" ? quoted(trial_end(subject)) : "null"),
            (last_words(subject) == "" ? "null" : quoted(last_words(subject)))
    else printf "null"
    printf ",\"u_boot\":{\"failed\":%s,\"failed_why\":%s,\"meaning\":%s}", quoted(env_failed), quoted(env_failed_why), quoted(u_boot_meaning(env_failed_why))
    printf ",\"now\":{\"running\":%s,\"committed\":%s,\"trial\":%s,\"tries\":%s,\"state\":%s,\"made_by\":%s,\"why\":%s}", quoted(running),
        quoted(env_slot), quoted(env_trial), number(tries), quoted(state), quoted(marker), quoted(now_why())
    printf ",\"chain\":["
    comma = ""
    for (n = 1; n <= events; n++) if (subject != "" && belongs(n, subject)) {
        printf "%s{\"time\":%s,\"event\":%s,\"text\":%s,\"torn\":%s,\"values\":{", comma, quoted(time[n]), quoted(event[n]), quoted(step(n)), (torn[n] ? "true" : "false")
        count = split(keys[n], names, " ")
        for (j = 1; j <= count; j++) printf "%s%s:%s", (j > 1 ? "," : ""), quoted(names[j]), quoted(value[n, names[j]])
        printf "}}"
        comma = ","
    }
    printf "],\"other_updates\":["
    comma = ""
    for (i = updates; i > 0; i--) if (order[i] != subject) {
        printf "%s{\"txn\":%s,\"since\":%s,\"outcome\":%s}", comma, quoted(order[i]), quoted(time[first[order[i]]]), quoted(outcome[order[i]])
        comma = ","
    }
    printf "],\"looked_in\":["
    for (i = 1; i <= places; i++) printf "%s%s", (i > 1 ? "," : ""), quoted(place[i])
    printf "],\"lines_not_understood\":%d}\n", strange
}

function account(   i) {
    state = ENVIRON["WHY_STATE"]; running = ENVIRON["WHY_RUNNING"]; problem = ENVIRON["WHY_PROBLEM"]
    env_slot = ENVIRON["WHY_SLOT"]; env_trial = ENVIRON["WHY_TRIAL"]; tries = ENVIRON["WHY_TRIES"]; env_txn = ENVIRON["WHY_TXN"]
    env_failed = ENVIRON["WHY_FAILED"]; env_failed_why = ENVIRON["WHY_FAILED_WHY"]; marker = ENVIRON["WHY_MARKER"]
    wanted = ENVIRON["WHY_WANTED"]
    places = split(ENVIRON["WHY_PLACES"], place, "\n")
    newest_known = newest != "" ? newest : env_txn

    # Which update: the one asked for, the pending one, the one being written, the last one with a trace.
    if (wanted != "") subject = (wanted in known || wanted == env_txn || wanted == env_failed) ? wanted : ""
    else if (env_trial != "" && env_txn != "") subject = env_txn
    else if (ENVIRON["WHY_BEING_WRITTEN"] == "yes" && writer != "" && outcome[writer] == "stopped") subject = writer
    else if (newest != "") subject = newest
    else subject = env_failed != "" ? env_failed : env_txn

    for (i = 1; i <= updates; i++) environment_heard(order[i])
    if (ENVIRON["WHY_BEING_WRITTEN"] == "yes" && writer != "" && outcome[writer] == "stopped") outcome[writer] = "writing"
    if (subject != "" && !(subject in known)) environment_heard(subject)
    if (subject != "") answer = answer_of(subject)
    else if (wanted != "") answer = "Nothing is recorded of update " wanted "." runs_now()
    else answer = "No update is recorded." runs_now() (env_failed_why == "" ? "" : " U-Boot says " env_failed_why ": " u_boot_meaning(env_failed_why) ".")

    if (ENVIRON["WHY_SHAPE"] == "json") as_json()
    else as_text()
}

END {
    account()
    if (state == "unknown") exit 10
    if (subject == "") exit 3
    if (outcome[subject] == "committed") exit 0
    if (outcome[subject] ~ /^(writing|armed|trial)$/) exit 5
    exit 4
}
