# SPDX-License-Identifier: MIT
#
# last-words.awk - of the logs of a system that died, the line that says most about why. Of equals the last one; of a panic the first one, as what
# follows comes from it. Nothing if there is no such line.

function heard(rank, words) {
    if (rank > best || (rank == best && rank < PANIC)) { best = rank; line = words }
}

# The first process ended by itself, and not by a signal: it knew why, and may have said so to the kernel.
function init_gave_up(words) { return words ~ /Attempted to kill init! exitcode=0x0000[0-9a-f]+00$/ }

BEGIN { PANIC = 100; best = 0; said = "" }

/^== / { next }

{
    text = $0
    # Of the kernel's levels, 5 to 7 are no complaints.
    level = match(text, /^<[0-9]+>/) ? substr(text, 2, RLENGTH - 2) + 0 : 0
    by_the_way = level % 8 >= 5
    sub(/^<[0-9]+>/, "", text)
    sub(/^\[ *[0-9]+\.[0-9]+\] */, "", text)
    # A Java runtime frames its report with #.
    sub(/^.*# +/, "", text)
    sub(/ +$/, "", text)
}

text == "" { next }

# Levels from 8 on are not the kernel's own.
level >= 8 && !by_the_way { said = text }

# What the guard, the daemon that gives up and the reboot say of themselves.
text ~ /ota-trial-guard|otamgr: (reboot_reason|reboot_scheduled|reboot):|reboot: Restarting|(The system is|Rebooting|going) down|sent SIG(TERM|KILL) to all|Requesting system reboot/ { next }

text ~ /Kernel panic - not syncing/ {
    sub(/^.*Kernel panic/, "Kernel panic", text)
    sub(/ +\]---.*$/, "", text)
    if (said != "" && init_gave_up(text)) text = said " (" text ")"
    heard(PANIC, text)
    next
}
text ~ /Attempted to kill init|No working init found|Unable to mount root fs|Cannot open root device/ { heard(95, text); next }
text ~ /^(SIG[A-Z]+|EXCEPTION_[A-Z_]+|Internal Error) \(/ { heard(90, text); next }
text ~ /Unable to handle kernel|kernel BUG at|Internal error: |Oops(:|\[| -)/ { heard(85, text); next }
text ~ /Out of memory: Kill|Memory cgroup out of memory|oom-kill:/ { heard(80, text); next }
text ~ /watchdog.*(did not stop|timed out|timeout|hard LOCKUP)|softdog: Initiating|soft lockup|rcu.*stall|blocked for more than [0-9]+ seconds/ { heard(75, text); next }
text ~ /verity.*(corrupt|invalid)|(EXT4-fs|SQUASHFS|erofs).*(error|ERROR)|I\/O error/ { heard(70, text); next }
text ~ /segfault at|Segmentation fault|unhandled .*(fault|exception)|general protection|SIG(SEGV|BUS|ILL|ABRT)/ { heard(60, text); next }
text ~ /OutOfMemoryError|Exception in thread|NoClassDefFoundError|UnsatisfiedLinkError|UnsupportedClassVersionError|Could not find or load/ { heard(55, text); next }
text ~ /respawning too fast|Failed to start|Failed with result|Dependency failed|[Tt]imed out|start operation timed/ { heard(50, text); next }
text ~ /modprobe:|insmod:|Module .* not found|(can't|cannot|could not|failed to) (load|insert)|error while loading shared libraries|[Ee]xec format error|: syntax error: / { heard(45, text); next }
by_the_way { heard(10, text); next }
text ~ /[Ff]atal|FATAL|[Cc]ritical|not found|No such file|Read-only file system|No space left/ { heard(40, text); next }
text ~ /[Ee]rror|ERROR|[Ff]ailed|FAILED/ { heard(30, text); next }
{ heard(10, text) }

END { if (best) print substr(line, 1, 300) }
