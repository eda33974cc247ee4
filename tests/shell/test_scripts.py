# SPDX-License-Identifier: MIT
"""What holds for all scripts: style, help, journal."""
import re
import subprocess

from board import SCRIPTS, fill_up
from promises import equal, promise, true
from test_ota_slot import on_trial

COMMANDS = ["sysupgrade", "ota-slot", "ota-trial-guard", "ota-verify"]


@promise("{} is clean under shellcheck", cases=["sysupgrade", "ota-slot", "ota-trial-guard", "ota-trial-guard.init", "boot-state.sh", "ota-verify", "bundle.sh"])
def shellcheck(factory, name):
    result = subprocess.run(["shellcheck", "--norc", "--shell=sh", "--external-sources", f"--source-path={factory.repository}",
                             factory.files / name], capture_output=True, text=True)
    equal(result.stdout, "", "shellcheck")


@promise("build-busybox is clean under shellcheck")
def shellcheck_tests(factory):
    equal(subprocess.run(["shellcheck", "--norc", "--external-sources", f"--source-path={factory.repository}",
                          factory.repository / "tests/shell/build-busybox"], capture_output=True, text=True).stdout, "", "shellcheck")


@promise("no script that runs on the device asks for bash, and every one can be executed and says its licence")
def interpreter(factory):
    for name in SCRIPTS:
        lines = (factory.files / name).read_text().splitlines()
        true("# SPDX-License-Identifier: MIT" in lines[:3], f"licence of {name}")
        if name not in ("boot-state.sh", "bundle.sh", "trial.conf"):
            equal(lines[0], "#!/bin/sh", f"first line of {name}")
            true((factory.files / name).stat().st_mode & 0o111, f"{name} is not executable")


@promise("every exit code that {} uses is explained by its --help, and no other", cases=COMMANDS)
def documented_codes(factory, name):
    board = factory.board()
    text = board.run(f"/sbin/{name}", "--help").out
    documented = {int(code) for code in re.findall(r"^ +(\d+)  \S", text.partition("Exit codes:")[2], re.MULTILINE)}
    source = (factory.files / name).read_text()
    used = {int(code) for code in re.findall(r"\b(?:fail|exit|give_up) (\d+)\b", source)} | {0, 1}
    equal(used - documented, set(), "codes without explanation")
    equal(documented - used, set(), "explained codes that do not occur")


@promise("every exit code of sysupgrade's contract is provoked by a test here")
def provoked_codes(factory):
    from test_failures import CODES
    import promises
    text = (factory.files / "sysupgrade").read_text()
    documented = {int(code) for code in re.findall(r"^ +(\d+)  \S", text.partition("Exit codes:")[2], re.MULTILINE)}
    tested = {int(code) for test in promises.ALL for code in re.findall(r"^exit (\d+):", test.promise)}
    equal(tested | {0}, documented, "codes with a test")
    equal(set(CODES) | {0, 1}, documented, "codes of the contract")


@promise("a missing boot-state.sh is said, and is no documented refusal")
def missing_library(factory):
    board = factory.board(change=lambda root: (root / "usr/lib/otamgr/boot-state.sh").unlink())
    for name in COMMANDS:
        result = board.run(f"/sbin/{name}")
        equal(result.code, 1, f"exit code of {name}")
        true("boot-state.sh is missing" in result.err, result.err)


@promise("the journal stays bounded: over 64 KiB it is rotated once, and older lines go")
def journal_bounded(factory):
    board = on_trial(factory)
    folder = board.root / "data/otamgr"
    folder.mkdir()
    (folder / "journal.1").write_text("oldest\n")
    (folder / "journal").write_text("2026-01-01T00:00:00Z old line=x\n" * 2048)
    size = (folder / "journal").stat().st_size
    true(size >= 65536, "over the limit")
    equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
    equal(board.events(), ["committed txn=T slot=b"], "new journal")
    equal((folder / "journal.1").stat().st_size, size, "rotated journal")
    equal(sorted(path.name for path in folder.iterdir()), ["journal", "journal.1"], "files")


@promise("a journal line that a power cut tore does not swallow the next one")
def journal_torn(factory):
    board = on_trial(factory)
    folder = board.root / "data/otamgr"
    folder.mkdir()
    (folder / "journal").write_text("2026-01-01T00:00:00Z armed txn=T slo")
    equal(board.run("/sbin/ota-slot", "commit").code, 0, "commit")
    equal(board.events(), ["armed txn=T slo", "committed txn=T slot=b"], "journal")


@promise("a full data partition stops neither commit nor guard")
def journal_full(factory):
    board = on_trial(factory)
    fill_up(board.root / "data/filler")
    result = board.run("/sbin/ota-slot", "commit")
    equal(result.code, 0, "exit code")
    equal(board.ota_env()["ota_slot"], "b", "committed slot")


@promise("conf_value takes the last setting, without quotes, and executes nothing")
def configuration(factory):
    board = factory.board()
    (board.root / "tmp/conf").write_text("# KEY=comment\nKEY=first\n KEY=\"a b$(touch /tmp/x)\" \nOTHER=1\n")
    result = board.run("/bin/sh", "-euc", ". /usr/lib/otamgr/boot-state.sh; conf_value /tmp/conf KEY; conf_value /tmp/conf NONE; "
                                          "conf_value /tmp/none KEY; conf_number /tmp/conf OTHER 5 1 9")
    equal((result.code, result.out), (0, "a b$(touch /tmp/x)\n1\n"), "values")
    true(not (board.root / "tmp/x").exists(), "a command in a value was run")


@promise("conf_number accepts a number in the range, and warns of and replaces everything else")
def numbers(factory):
    board = factory.board()
    for value, expected in (("1", "1"), ("\"9\"", "9"), ("'2' ", "2"), ("0", "3"), ("10", "3"), ("08", "3"), ("-1", "3"),
                            ("many", "3"), ("1 2", "3"), ("99999999999999999999", "3"), ("", "3")):
        (board.root / "tmp/conf").write_text(f"KEY={value}\n")
        result = board.run("/bin/sh", "-euc", ". /usr/lib/otamgr/boot-state.sh; conf_number /tmp/conf KEY 3 1 9")
        equal((result.code, result.out), (0, expected + "\n"), f"KEY={value}")
        equal(result.err != "", expected == "3" and value != "", f"warning for KEY={value}")


@promise("the systemd unit is one that systemd accepts")
def unit(factory):
    text = (factory.files / "ota-trial-guard.service").read_text()
    sections = re.findall(r"^\[(\w+)\]$", text, re.MULTILINE)
    equal(sections, ["Unit", "Service", "Install"], "sections")
    for line in text.splitlines():
        true(not line or line.startswith(("#", "[")) or re.fullmatch(r"[A-Z][A-Za-z]+=\S.*", line), f"line {line!r}")
    true("RequiresMountsFor" not in text and "Requires=" not in text, "a failed mount must not stop the guard")
