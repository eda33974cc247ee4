# SPDX-License-Identifier: MIT
"""What holds for all scripts: style, help, journal."""

import re
import subprocess

from board import PROGRAMS, SCRIPTS, SHARED, fill_up
from promises import equal, promise, true
from test_ota_slot import on_trial

COMMANDS = ["sysupgrade", "ota-slot", "ota-trial-guard", "ota-verify"]


@promise(
    "{} is clean under shellcheck",
    cases=[*PROGRAMS, "ota-trial-guard.init", *(name for name in SHARED if name.endswith(".sh"))],
)
def shellcheck(factory, name):
    result = subprocess.run(
        [
            "shellcheck",
            "--norc",
            "--shell=sh",
            "--external-sources",
            f"--source-path={factory.repository}",
            factory.files / name,
        ],
        capture_output=True,
        text=True,
    )
    equal(result.stdout, "", "shellcheck")


@promise("build-busybox is clean under shellcheck")
def shellcheck_tests(factory):
    equal(
        subprocess.run(
            [
                "shellcheck",
                "--norc",
                "--external-sources",
                f"--source-path={factory.repository}",
                factory.repository / "tests/shell/build-busybox",
            ],
            capture_output=True,
            text=True,
        ).stdout,
        "",
        "shellcheck",
    )


@promise("no script that runs on the device asks for bash, and every one can be executed and says its licence")
def interpreter(factory):
    for name in SCRIPTS:
        lines = (factory.files / name).read_text().splitlines()
        true("# SPDX-License-Identifier: MIT" in lines[:3], f"licence of {name}")
        if name not in SHARED and name != "trial.conf":
            equal(lines[0], "#!/bin/sh", f"first line of {name}")
            true((factory.files / name).stat().st_mode & 0o111, f"{name} is not executable")


@promise("every exit code that {} uses is explained by its --help, and no other", cases=COMMANDS)
def documented_codes(factory, name):
    board = factory.board()
    text = board.run(f"/sbin/{name}", "--help").out
    documented = {int(code) for code in re.findall(r"^ +(\d+)  \S", text.partition("Exit codes:")[2], re.MULTILINE)}
    source = (factory.files / name).read_text()
    source += "".join((factory.files / part).read_text() for part in SHARED if f"/usr/lib/otamgr/{part}" in source)
    used = {int(code) for code in re.findall(r"\b(?:fail|exit|give_up|leave) (\d+)\b", source)} | {0, 1}
    if "CONTENT_ENGINE" in source:
        # Its reasons are handed on; ota-verify runs only what opens and verifies.
        text = (factory.repository / "recipes-ota/ota-content/files/src/say.h").read_text()
        used |= {int(code) for code in re.findall(r"CODE_\w+ = (\d+)", text)} if name == "sysupgrade" else {4, 5, 6}
    equal(used - documented, set(), "codes without explanation")
    equal(documented - used, set(), "explained codes that do not occur")


@promise("the help of {} has an example, and a typo gets the nearest word", cases=(*COMMANDS, "ota-why", "ota-doctor"))
def teaching(factory, name):
    board = factory.board()
    text = board.run(f"/sbin/{name}", "--help").out
    true(re.search(rf"^  {name} \S", text, re.MULTILINE), f"an example in\n{text}")
    typo, meant = {
        "sysupgrade": ("--no-rebot", "--no-reboot"),
        "ota-slot": ("comit", "commit"),
        "ota-verify": ("bundel", "bundle"),
        "ota-why": ("--jsn", "--json"),
        "ota-doctor": ("--fxi", "--fix"),
        "ota-trial-guard": ("--onec", "--once"),
    }[name]
    result = board.run(f"/sbin/{name}", typo)
    equal(result.code, 2, "exit code")
    true(f"; did you mean {meant}?" in result.err and f"try: {name} --help" in result.err, result.err)
    far = board.run(f"/sbin/{name}", "--xyzzy-plugh")
    true("did you mean" not in far.err, far.err)


@promise("every exit code of sysupgrade's contract is provoked by a test here")
def provoked_codes(factory):
    import promises
    from test_failures import CODES

    documented = {
        int(code) for code in re.findall(r"^(\d+)\t\S", (factory.files / "exit-codes").read_text(), re.MULTILINE)
    }
    tested = {int(code) for test in promises.ALL for code in re.findall(r"^exit (\d+):", test.promise)}
    equal(tested | {0}, documented, "codes with a test")
    equal(set(CODES) | {0, 1}, documented, "codes of the contract")


@promise("a missing library is said, and is no documented refusal")
def missing_library(factory):
    board = factory.board(change=lambda root: (root / "usr/lib/otamgr/private.sh").unlink())
    for name in COMMANDS:
        result = board.run(f"/sbin/{name}")
        equal(result.code, 1, f"exit code of {name}")
        true("private.sh is missing" in result.err, result.err)


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


LIBRARIES = ". /usr/lib/otamgr/private.sh; . /usr/lib/otamgr/limits.sh; . /usr/lib/otamgr/settings.sh; . /usr/lib/otamgr/journal.sh; "


@promise(
    "settings are read with blanks, quotes, a carriage return and a byte order mark, and nothing in them is executed"
)
def configuration(factory):
    board = factory.board()
    board.settle()
    for text in (
        "SLOT_A_DEVICE=a b$(touch /tmp/x)\n",
        ' SLOT_A_DEVICE = "a b$(touch /tmp/x)" \n',
        "SLOT_A_DEVICE ='a b$(touch /tmp/x)'\r\n",
        "\ufeffSLOT_A_DEVICE=a b$(touch /tmp/x)",
        "# SLOT_A_DEVICE=c\n\n\t#\u00e9\n\tSLOT_A_DEVICE=\ta b$(touch /tmp/x)\n",
        "SLOT_A_DEVICE=a b$(touch /tmp/x)\nDATA_DEVICE=1\nSLOT_A_DEVICE='a b$(touch /tmp/x)'\n",
    ):
        (board.root / "etc/otamgr/slots.conf").write_bytes(text.encode())
        result = board.run(
            "/bin/sh",
            "-euc",
            LIBRARIES
            + "settings_read /etc/otamgr/slots.conf; settings_value SLOT_A_DEVICE; settings_value SLOT_B_DEVICE",
        )
        equal((result.code, result.out), (0, "a b$(touch /tmp/x)\n"), f"value in {text!r}, said {result.err}")
    equal(
        board.run(
            "/bin/sh", "-euc", LIBRARIES + "settings_read /etc/otamgr/sysupgrade.conf; settings_value REQUIRE_SIGNATURE"
        ).code,
        0,
        "no file",
    )
    true(not (board.root / "tmp/x").exists(), "a command in a value was run")


@promise(
    "a line in a settings file that is not understood is named with its file and number, whatever is wrong with it"
)
def not_understood(factory):
    board = factory.board()
    for text, words in (
        ("export SLOT_A_DEVICE=/dev/a\n", "line 1: 'export SLOT_A_DEVICE=/dev/a'"),
        ("# x\nslot_a_device=/dev/a\n", "line 2: "),
        ("SLOT_A_DEVICE: /dev/a\n", "KEY=VALUE"),
        ("SLOT_A_DEVICES=/dev/a\n", "one of the keys"),
        ("SLOT_A_DEVICE=\n", "a value"),
        ("SLOT_A_DEVICE=''\n", "a value"),
        ("SLOT_A_DEVICE\n", "KEY=VALUE"),
        ('SLOT_A_DEVICE="/dev/a\n', "perhaps in quotes"),
        ("# x\rSLOT_A_DEVICE=/dev/a\r", "end with a newline"),
        ("SLOT_A_DEVICE=/dev/a\nSLOT_A_DEVICE=/dev/b\n", "once"),
        ("SLOT_A_DEVICE=/dev/\u00e9\n", "printable"),
        ("SLOT_A_DEVICE=/dev/a".encode("utf-16"), "no text"),
        (None, "no readable file"),
    ):
        place = board.root / "etc/otamgr/slots.conf"
        if text is None:
            place.unlink()
            place.mkdir()
        else:
            place.write_bytes(text if isinstance(text, bytes) else text.encode())
        result = board.run(
            "/bin/sh",
            "-euc",
            LIBRARIES + "! settings_read /etc/otamgr/slots.conf; printf '%s\\n' \"$settings_problem\"",
        )
        equal(result.code, 0, f"exit code for {text!r}, said {result.err}")
        true("/etc/otamgr/slots.conf" in result.out and words in result.out, f"{words!r} in {result.out!r}")


@promise("settings_number accepts a number in the range, and warns of and replaces everything else")
def numbers(factory):
    board = factory.board()
    for value, expected in (
        ("1", "1"),
        ('"9"', "9"),
        ("'2' ", "2"),
        ("0", "3"),
        ("10", "3"),
        ("08", "3"),
        ("-1", "3"),
        ("many", "3"),
        ("1 2", "3"),
        ("99999999999999999999", "3"),
        ("", "3"),
    ):
        (board.root / "etc/otamgr/trial.conf").write_text(f"TRIAL_TRIES={value}\n")
        result = board.run("/bin/sh", "-euc", LIBRARIES + "settings_number /etc/otamgr/trial.conf TRIAL_TRIES 3 1 9")
        equal((result.code, result.out), (0, expected + "\n"), f"TRIAL_TRIES={value}")
        equal(result.err != "", expected == "3", f"warning for TRIAL_TRIES={value}")


@promise(
    "what is written into the journal is read from it, whatever it holds: quotes, newlines, backslashes, control bytes"
)
def journal_values(factory):
    board = factory.board()
    texts = [
        "plain",
        "two words",
        "",
        "a\nb",
        'quote" KEY=x',
        '" trailing="',
        "back\\slash\\n",
        "\\",
        "tab\there",
        "\r",
        "\x01\x1f\x7f",
        "a=b",
        " ",
        "$(touch /tmp/x)`touch /tmp/x`",
        'ends with quote"',
        "\n\n",
        "100%",
        "*",
    ]
    for text in texts:
        equal(
            board.run("/bin/sh", "-euc", LIBRARIES + 'journal_append tested "first=$1" last=1', "sh", text).code,
            0,
            f"writing {text!r}",
        )
    equal(len(board.journal()), len(texts), "lines")
    records = [
        line.split("\t") for line in board.run("/bin/sh", "-euc", LIBRARIES + "journal_records").out.splitlines()
    ]
    equal([record[1:3] + record[4:] for record in records], [["tested", "yes", "last=1"]] * len(texts), "records")
    read = [
        re.sub(
            r"\\(x..|.)",
            lambda found: (
                {"n": "\n", "t": "\t", "r": "\r"}.get(found[1])
                or (chr(int(found[1][1:], 16)) if len(found[1]) == 3 else found[1])
            ),
            record[3].removeprefix("first="),
        )
        for record in records
    ]
    equal(read, texts, "values")
    true(not (board.root / "tmp/x").exists(), "a command in a value was run")


# json.awk is a part of others.
PARTS = {"why.awk": ["json.awk"], "doctor.awk": ["json.awk"]}
AWKS = [name for name in SHARED if name.endswith(".awk") and name != "json.awk"]


@promise(
    "the awk programs say the same under busybox, gawk and mawk, and gawk --lint has nothing to say about {}",
    cases=AWKS,
)
def awks(factory, name):
    inputs = {
        "mounts.awk": "22 1 179:2 / / ro,relatime shared:1 - ext4 /dev/root ro\n"
        "40 22 179:4 / /data rw,noatime - ext4 /dev/mmcblk0p4 rw\n41 22 0:30 / /data rw,nosuid shared:9 master:1 - tmpfs tmpfs rw,size=1024k\n",
        "doctor.awk": 'problem\tother-slot\tslot b: a "quoted" \\ and \\x2f & more\ta system\tinstall\nok\tdata\tfine\n',
        "settings.awk": "\ufeff# x\r\nREQUIRE_SIGNATURE = 'yes'\r\nexport A=b\nENV_DEVICE=/dev/a\nENV_DEVICE=/dev/b\nREQUIRE_SIGNATURE=\n",
        "journal-value.awk": 'a"b\\c\td\x01\nnext line.',
        "journal.awk": '2026-01-01T00:00:00Z armed txn=T slot=b tries=3\n2026-01-01T00:00:00Z update-failed txn=T code=5 reason="a \\"b\\" \\n c=d"\n'
        '2026-01-01T00:00:00Z old why="it "said" so" txn=T\ngarbage\n2026-01-01T00:00:00Z armed txn=T slo',
        "last-words.awk": "== kernel\n<4>[    1.0] eth0: link up\n[    2.0] x: I/O error\n# SIGSEGV (0xb) at pc=1\n\nbye\n",
        "fw-env-config.awk": "uboot:\n  size : 0x4000\n  lockfile : /var/lock/x\n  devices:\n    - path : /dev/mmcblk0\n      offset : 0x1000\n"
        '    - path: "/dev/mmcblk0"\n      offset: 0x5000 # second\n',
        "why.awk": '2026-01-01T00:00:00Z\tupdate-started\tyes\ttxn=T\tslot=b\timage=/tmp/a \\"b\\n.img\tformat=ext4\n'
        "2026-01-01T00:00:01Z\tarmed\tyes\ttxn=T\tslot=b\ttries=3\n2026-01-01T00:00:02Z\trolled-back\tyes\ttxn=T\tslot=b\twhy=x\n?\t?\ttorn\n",
    }
    # POSIX says what an uninitialised value is, and substr beyond the end.
    names = (
        "SHAPE WANTED STATE RUNNING PROBLEM SLOT TRIAL TRIES TXN FAILED FAILED_WHY BEING_WRITTEN HEADERS MARKER PLACES UPTIME DEADLINE"
    ).split()
    for shape in ("text", "json") if name == "why.awk" else ("",):
        environment = {
            "LC_ALL": "C",
            **{f"WHY_{key}": "" for key in names},
            "WHY_SHAPE": shape,
            "WHY_STATE": "committed",
            "WHY_RUNNING": "a",
            "WHY_SLOT": "a",
        }
        said = {}
        options = (
            ["-v", "known=REQUIRE_SIGNATURE ENV_DEVICE BOOT_FORMATS", "-v", "name=/etc/x"]
            if name == "settings.awk"
            else ["-v", "field=5", "-v", "wanted=/data"]
            if name == "mounts.awk"
            else []
        )
        programs = [word for part in (*PARTS.get(name, []), name) for word in ("-f", factory.files / part)]
        for awk in (["busybox", "awk"], ["gawk"], ["mawk"], ["gawk", "--lint"]):
            command = [factory.busybox, "awk"] if awk[0] == "busybox" else awk
            result = subprocess.run(
                [*command, *options, *programs],
                input=inputs[name].encode(),
                capture_output=True,
                env={"PATH": "/usr/bin:/bin", **environment},
            )
            said[" ".join(awk)] = (result.returncode, result.stdout.decode())
            warnings = [
                line
                for line in result.stderr.decode().splitlines()
                if not re.search("reference to uninitialized|substr: |exit-codes", line)
            ]
            equal(warnings, [], f"warnings of {awk}")
        true(said["gawk"][1] != "", "no output")
        for awk, answer in said.items():
            equal(answer, said["gawk"], f"{awk} and gawk")


@promise("the systemd unit is one that systemd accepts")
def unit(factory):
    text = (factory.files / "ota-trial-guard.service").read_text()
    sections = re.findall(r"^\[(\w+)\]$", text, re.MULTILINE)
    equal(sections, ["Unit", "Service", "Install"], "sections")
    for line in text.splitlines():
        true(not line or line.startswith(("#", "[")) or re.fullmatch(r"[A-Z][A-Za-z]+=\S.*", line), f"line {line!r}")
    true("RequiresMountsFor" not in text and "Requires=" not in text, "a failed mount must not stop the guard")
