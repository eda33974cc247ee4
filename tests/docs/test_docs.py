#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""README and docs keep what they say: links lead somewhere, commands run or say what they need, words are the glossary's, spelling is right.

A block with commands has one of these lines before it:

  <!-- run -->                    it runs here; what it prints must have the shape that the page shows ($ before a command), or nothing is compared
  <!-- needs: board -->           a device, the emulated board, a Yocto build, the network, minutes, or a tool of others that is not here
  <!-- synopsis -->               no command but how to write one

and <!-- before COMMANDS --> runs what a reader has already. All that runs of one page runs in one shell, in an empty folder.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from xml.etree import ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
import pages  # noqa: E402

ROOT = pages.ROOT
HERE = Path(__file__).resolve().parent
NEEDS = ("board", "build", "network", "minutes", "tool")


def every():
    return pages.pages()


def in_words(text):
    """Prose without code, links' targets and tags."""
    text = re.sub(r"`[^`]*`", " ", text)
    text = re.sub(r"<[^>]*>", " ", text)
    text = re.sub(r"\]\([^)]*\)", "] ", text)
    return re.sub(r"https?://\S+", " ", text)


def paragraphs(page):
    """Prose with line ends taken away, so that a sentence is found that goes over one: (line of its begin, text)."""
    found = []
    last = -1
    for number, line in page.prose:
        if number == last + 1 and not re.match(r" *(?:[-*+|#]|\d+\.)", line):
            found[-1] = (found[-1][0], found[-1][1] + " " + line.strip())
        else:
            found.append((number, line))
        last = number
    # A code span may go over the end of a line, too.
    return [(number, in_words(text)) for number, text in found]


class Links(unittest.TestCase):
    def test_every_link_and_anchor_of_a_page_leads_somewhere(self):
        wrong = []
        known = {page.path: page for page in every()}
        for page in known.values():
            for number, target in page.links():
                at = f"{page.name}:{number}"
                if target.startswith(("https://", "mailto:")):
                    continue
                if "://" in target:
                    wrong.append(f"{at}: expected https, found {target}")
                    continue
                path, _, anchor = target.partition("#")
                goal = (page.path.parent / path).resolve() if path else page.path
                if not goal.exists() or ROOT not in (goal, *goal.parents):
                    wrong.append(f"{at}: nothing is at {target}")
                elif anchor and (goal not in known or anchor not in known[goal].anchors()):
                    wrong.append(f"{at}: {target} has no such heading")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_sections_that_comments_cite_stand_in_the_reference(self):
        reference = ROOT / "docs/reference"
        protocol = (reference / "attribute-protocol.md").read_text()
        service = (reference / "ota-service.md").read_text()
        cited = re.compile(r"(RFC \d+[^.]{0,40}?)?\b(?:sections? (\d+(?:\.\d+)?)(?: and (\d+))?(?:, (Q\d+))?)")
        seen, missing = 0, []
        for source in sorted((ROOT / "otamgr-src").glob("*/*/src/*/java/**/*.java")):
            text = re.sub(r"\s+(?:\*|//)?\s*", " ", source.read_text())
            for match in cited.finditer(text):
                if match[1]:
                    continue
                page = service if '"OTA service"' in text[max(0, match.start() - 20) : match.start()] else protocol
                for number in filter(None, (match[2], match[3])):
                    seen += 1
                    if not re.search(rf"^#+ {re.escape(number)}\.? ", page, re.M):
                        missing.append(f"{source.name}: {match[0]}")
                if match[4] and match[4] not in page:
                    missing.append(f"{source.name}: {match[0]}")
        self.assertGreater(seen, 20)
        self.assertEqual([], missing)

    def test_every_page_and_picture_is_linked_from_another(self):
        linked = set()
        for page in every():
            for _, target in page.links():
                if "://" not in target:
                    goal = (page.path.parent / target.partition("#")[0]).resolve()
                    if goal != page.path:
                        linked.add(goal)
        files = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.svg")]
        lonely = sorted(str(path.relative_to(ROOT)) for path in files if path not in linked)
        self.assertEqual(lonely, [])

    def test_the_navigation_page_names_every_page(self):
        index = pages.read(ROOT / "docs/README.md")
        linked = {
            (index.path.parent / target.partition("#")[0]).resolve()
            for _, target in index.links()
            if "://" not in target
        }
        # The decisions have a list of their own, which is linked.
        there = [
            path
            for path in (ROOT / "docs").rglob("*.md")
            if path.parent.name != "decisions" or path.name == "README.md"
        ]
        self.assertEqual(sorted(str(p.relative_to(ROOT)) for p in there if p not in linked and p != index.path), [])

    def test_pictures_are_well_formed_and_have_words_for_those_who_do_not_see_them(self):
        for path in sorted((ROOT / "docs").rglob("*.svg")):
            with self.subTest(str(path.relative_to(ROOT))):
                root = ElementTree.parse(path).getroot()
                self.assertTrue(root.tag.endswith("svg"), root.tag)
                self.assertIsNotNone(root.find("{http://www.w3.org/2000/svg}title"), "expected a <title>")
                self.assertIn(
                    "prefers-color-scheme: dark",
                    path.read_text(encoding="utf-8"),
                    "expected colours for a dark page, too",
                )

    def test_pictures_are_as_their_sources_make_them(self):
        done = subprocess.run([ROOT / "docs/pictures/draw", "--check"], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        with tempfile.TemporaryDirectory() as folder:
            for cast in sorted((ROOT / "docs").rglob("*.cast")):
                again = Path(shutil.copy(cast, folder))
                subprocess.run([ROOT / "scripts/record", again], check=True)
                same = again.with_suffix(".svg").read_text(encoding="utf-8") == cast.with_suffix(".svg").read_text(
                    encoding="utf-8"
                )
                self.assertTrue(
                    same, f"{cast.with_suffix('.svg')} is not what scripts/record draws of {cast.name}; run it"
                )

    def test_the_figures_of_performance_are_those_of_the_recorded_run(self):
        page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
        shown = re.search(r"<!-- bench.json -->\n(.*?)<!-- end -->", page, re.S)[1]
        done = subprocess.run(
            [ROOT / "scripts/bench", "--from", ROOT / "docs/pictures/bench.json"], capture_output=True, text=True
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(shown.split(), done.stdout.split(), "expected what scripts/bench --from prints")
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder, "other.json")
            other.write_text("{}", encoding="utf-8")
            done = subprocess.run([ROOT / "scripts/bench", "--from", other], capture_output=True, text=True)
            self.assertEqual(1, done.returncode)
            self.assertIn("expected what --json writes", done.stderr)

    def test_an_agent_of_a_products_own_needs_ten_types_and_the_page_shows_it_as_it_is(self):
        page = (ROOT / "docs/agent-api.md").read_text(encoding="utf-8")
        folder = ROOT / "otamgr-src/device/example-agent/src/main/java/com/example/agent"
        source = (folder / "ExampleAgent.java").read_text(encoding="utf-8")
        body = re.search(r"throws Exception \{\n(.*)    \}\n\}\n$", source, re.S)[1]
        shown = textwrap.indent(textwrap.dedent(body), "    ")
        self.assertIn(shown, page, "expected the whole body of its main method, indented as a block")
        self.assertIn(f"{len(source.splitlines())} lines", page)
        used = set(re.findall(r"^import org\.metaotamgr\.agent\.(\w+);", source, re.M))
        table = page[page.index("all that an agent needs") : page.index("Others are for")]
        named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}
        self.assertEqual((used, 10), (named, len(used)))

    def test_each_program_of_scripts_is_for_users_or_for_developers(self):
        page = (ROOT / "scripts/README.md").read_text(encoding="utf-8")
        named = [name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in re.findall(r"`(\S+)`", row)]
        programs = [path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and os.access(path, os.X_OK)]
        self.assertEqual(sorted(programs), sorted(named), "expected each in one of the two tables")

    def test_the_timeline_shows_what_a_log_of_the_demo_tells(self):
        log = """\
[   1.1s]   board     power on or reset: U-Boot 2023.01
[   3.4s]   u-boot    booting slot a (committed), partition 0x2
[  20.0s]   hubby     hubby: update offered: version=2.0,image=x.img,prefix=/tmp
[  24.0s]   otamgr    ota_notification:path=/tmp/ota_type_5
[  30.0s]   check     [                         ]   0 %
[  34.0s]   check     [#########################] 100 %
[  34.0s]   write     [                         ]   0 %
[  39.0s]   write     [#########################] 100 %
[  40.0s]   otamgr    install_armed:target=x,txn=T
[  45.0s]   board     power on or reset: U-Boot 2023.01
[  47.0s]   u-boot    booting slot b (trial), partition 0x3
"""
        good = log + "[  80.0s]   otamgr    slot_committed:slot=b,txn=T\n[  90.0s]   otamgr    control:socket=x\n"
        bad = (
            log
            + """\
[  60.0s]   board     power on or reset: U-Boot 2023.01
[  62.0s]   u-boot    trial of slot b (T) has no boots left, back to slot a
[  62.1s]   u-boot    booting slot a (committed), partition 0x2
"""
        )
        draw = ROOT / "docs/pictures/draw"

        def titles(text):
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "demo.log").write_text(text, encoding="utf-8")
                picture = Path(folder, "out.svg")
                done = subprocess.run(
                    [draw, "--timeline", Path(folder, "demo.log"), picture], capture_output=True, text=True
                )
                if done.returncode:
                    return done.stderr
                root = ElementTree.parse(picture).getroot()
            namespace = "{http://www.w3.org/2000/svg}"
            spans = [title.text for title in root.iter(f"{namespace}title")][1:]
            return spans + [text.text for text in root.iter(f"{namespace}text") if text.get("y") in ("48", "66")]

        common = ["U-Boot 1.1 to 3.4 s", "download 20.0 to 24.0 s", "committed 3.4 to 45.0 s", "U-Boot 45.0 to 47.0 s"]
        phases = ["check 30.0 to 34.0 s", "write 34.0 to 39.0 s"]
        self.assertEqual(
            titles(good),
            [*common, "trial 47.0 to 80.0 s", "committed 80.0 to 90.0 s", "sysupgrade 30.0 to 39.0 s"]
            + [*phases, "armed 40.0 s", "reset 45.0 s", "committed 80.0 s"],
        )
        self.assertEqual(
            titles(bad),
            [*common, "trial 47.0 to 60.0 s", "U-Boot 60.0 to 62.1 s", "committed 62.1 to 62.1 s"]
            + ["sysupgrade 30.0 to 39.0 s", *phases]
            + ["armed 40.0 s", "reset 45.0 s", "reset 60.0 s", "has no boots left 62.0 s"],
        )
        self.assertIn("expected lines of scripts/demo", titles("nothing of it\n"))


class Site(unittest.TestCase):
    def test_mkdocs_makes_a_site_of_all_pages_without_a_warning(self):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "site")
            done = subprocess.run([ROOT / "scripts/site", "--out", out], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
            lacking = []
            for page in every():
                place = out / page.path.relative_to(ROOT)
                made = place.with_name("index.html") if place.name == "README.md" else place.with_suffix(".html")
                if not made.exists():
                    lacking.append(str(made.relative_to(out)))
            self.assertEqual(lacking, [], "pages that are not in the site; is each committed or added?")
            self.assertIn("scripts/demo", (out / "docs/pictures/timeline.svg").read_text(encoding="utf-8"))

    def test_its_navigation_names_every_page(self):
        listed = set(re.findall(r"^ +- [^:]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
        there = {
            str(page.path.relative_to(ROOT))
            for page in every()
            if page.path.parent.name != "decisions" or page.path.name == "README.md"
        }
        self.assertEqual((sorted(there - listed), sorted(listed - there)), ([], []), "pages, names without a page")


class Marks(unittest.TestCase):
    def test_every_block_with_commands_runs_here_or_says_what_it_needs(self):
        wrong = []
        for page in every():
            for block in page.blocks:
                at = f"{page.name}:{block.line}"
                if block.word == "needs":
                    if block.text.split(" ")[0].rstrip(",;:") not in NEEDS:
                        wrong.append(f"{at}: expected one of {', '.join(NEEDS)} after needs:, found {block.text!r}")
                elif not block.word and pages.commands_of(block):
                    what = " ".join(pages.commands_of(block)[0])
                    wrong.append(
                        f"{at}: has commands ({what}) and no mark: write <!-- run --> or <!-- needs: board --> before it"
                    )
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_programs_of_the_project_that_pages_name_are_there_and_have_the_options(self):
        wrong = []
        helps = {}
        for page in every():
            for block in page.blocks:
                for words in pages.commands_of(block):
                    program = words[0]
                    if not program.startswith(("scripts/", "tests/")):
                        continue
                    path = ROOT / program
                    if not path.is_file() or not os.access(path, os.X_OK):
                        wrong.append(f"{page.name}:{block.line}: there is no program {program}")
                        continue
                    if program == "scripts/ota" or program.startswith("tests/"):
                        continue
                    helps.setdefault(program, help_of(path))
                    for word in words[1:]:
                        option = re.match(r"--[a-z][a-z-]+", word)
                        if word in ("|", "&&", ";", "#"):
                            break
                        if option and option.group(0) not in helps[program]:
                            wrong.append(f"{page.name}:{block.line}: {program} --help knows no {option.group(0)}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_promises_that_prose_names_are_in_the_list_of_promises(self):
        listed = subprocess.run(
            [ROOT / "scripts/test", "--list"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        wrong = []
        for page in every():
            for number, line in [*page.prose, *((block.line, line) for block in page.blocks for line in block.lines)]:
                # A page of the layer's own commands has no other form: a stage, a stage and words of a promise, several of both.
                for told in re.findall(
                    r"scripts/test ((?:'[^']+'|[a-z]+/[A-Za-z0-9_#.-]+)(?: [a-z]+/[A-Za-z0-9_#.-]+)*)", line
                ):
                    for name in re.findall(r"'([^']+)'|(\S+)", told):
                        stage, slash, words = "".join(name).partition("/")
                        if slash and not any(one.startswith(f"{stage}/") and words in one for one in listed):
                            wrong.append(f"{page.name}:{number}: scripts/test --list has no promise {stage}/{words}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_scripts_that_pages_show_parse(self):
        for page in every():
            for block in page.blocks:
                if block.lines and block.lines[0] == "#!/bin/sh":
                    with self.subTest(f"{page.name}:{block.line}"):
                        done = subprocess.run(
                            ["sh", "-n"], input="\n".join(block.lines), capture_output=True, text=True
                        )
                        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_files_of_the_project_that_prose_names_are_there(self):
        wrong = []
        folders = "classes|conf|docs|kas|lib|otamgr-src|recipes-java|recipes-ota|scripts|tests|wic"
        for page in every():
            for number, line in page.prose:
                for name in re.findall(rf"`((?:{folders})/[A-Za-z0-9_./%-]*)`", line):
                    # What a build makes is not there before it.
                    if "/target/" not in name and not (ROOT / name).exists():
                        wrong.append(f"{page.name}:{number}: there is no {name}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))


def help_of(path):
    """And what the program itself says, for the options of its sub-commands."""
    done = subprocess.run([path, "--help"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    return done.stdout + done.stderr + path.read_text(encoding="utf-8")


class Runs(unittest.TestCase):
    """One test for each page that has something to run; see pages_that_run below."""

    def check(self, page):
        blocks = [block for block in page.blocks if block.word == "run"]
        steps = []
        for index, block in enumerate(page.blocks):
            steps += [("", text, None, block) for at, text in page.before if at == index]
            if block.word == "run":
                steps += list(commands_and_outputs(block))
        with tempfile.TemporaryDirectory(prefix="docs test ") as folder:
            for name in ("scripts", "tests", "docs", "recipes-ota"):
                (Path(folder) / name).symlink_to(ROOT / name)
            script = ["exec 2>&1"]
            for number, (_, command, _, _) in enumerate(steps):
                script += [f"printf '\\001%s\\n' {number}; (exit ${{status:-0}})", command, "status=$?"]
            script.append("printf '\\001end %s\\n' $status")
            environment = {
                **os.environ,
                "PATH": f"{ROOT}/scripts:{os.environ['PATH']}:/usr/sbin:/sbin",
                "LC_ALL": "C.UTF-8",
                "COLUMNS": "100",
            }
            done = subprocess.run(
                ["bash", "-c", "\n".join(script)],
                cwd=folder,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                env=environment,
                timeout=120,
            )
        parts = re.split(r"^\x01(.*)\n", done.stdout, flags=re.MULTILINE)
        printed = dict(zip(parts[1::2], parts[2::2]))
        self.assertTrue(
            any(name.startswith("end ") for name in printed), f"{page.name}: the shell ended early:\n{done.stdout}"
        )
        for number, (shown, command, expected, block) in enumerate(steps):
            got = printed.get(str(number), "")
            # Of two commands in a row the first one's output has no end mark of its own.
            if expected is None:
                continue
            exact = bool(re.search(r"echo \$\?$", command))
            if not has_shape(got, expected, exact):
                self.fail(
                    f"{page.name}:{block.line}: {shown}\nexpected of this shape:\n"
                    + "\n".join(expected)
                    + "\nfound:\n"
                    + got
                )
        self.assertTrue(blocks)
        if not any(expected is not None for _, _, expected, _ in steps):
            self.assertIn("end 0", printed, f"{page.name}: the commands failed:\n{done.stdout}")


def commands_and_outputs(block):
    """(as shown, command, lines that it prints or None, block)"""
    if not any(line.startswith("$ ") for line in block.lines):
        text = "\n".join(block.lines)
        yield text, f"set -e\n{text}\nset +e", None, block
        return
    command, expected = [], []
    for line in [*block.lines, None]:
        if line is None or line.startswith("$ "):
            if command:
                yield command[0], "\n".join(command), expected, block
            command, expected = [line[2:]] if line else [], []
        elif command[-1].endswith("\\") and not expected:
            command.append(line.lstrip("> ") if line.startswith("> ") else line)
        elif line.strip():
            expected.append(line)


TOKENS = re.compile(
    r"…|\s+|(?<![A-Za-z0-9])[0-9a-f]{8,}(?![A-Za-z0-9])|\d{4}-\d\d-\d\dT[\d:]+Z|\d+(?:\.\d+)*|/[\w./-]+/|[A-Za-z]+|."
)


def has_shape(got, expected, exact=False):
    """Numbers, hashes, dates and folders may differ, blanks may be more or less; … is anything, alone on a line any number of lines."""
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
            continue
        out = ""
        for token in TOKENS.findall(line.strip()):
            if token == "…":
                out += r"[^\n]*"
            elif token.isspace():
                out += r"[ \t]+"
            elif exact:
                out += re.escape(token)
            elif re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+Z", token):
                out += r"\d{4}-\d\d-\d\dT[\d:]+Z"
            elif re.fullmatch(r"[0-9a-f]{8,}", token) and re.search(r"\d", token):
                out += r"[0-9a-f]+"
            elif token[0].isdigit():
                out += r"\d+(?:\.\d+)*"
            elif token.startswith("/tmp/"):
                out += r"/[^\n]*/"
            else:
                out += re.escape(token)
        pattern += r"[ \t]*" + out + r"[ \t]*\n"
    lines = [line for line in got.split("\n") if line.strip()]
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines)) is not None


def pages_that_run():
    for page in every():
        if any(block.word == "run" for block in page.blocks):
            name = "test_what_runs_in_" + re.sub(r"[^a-z0-9]+", "_", page.name.removesuffix(".md").lower())
            setattr(Runs, name, lambda self, page=page: self.check(page))


class Shape(unittest.TestCase):
    """The comparison itself: it must not take everything."""

    def test_numbers_and_hashes_may_differ_and_words_may_not(self):
        self.assertTrue(has_shape("bytes=17\nsha=0123456789abcdef\n", ["bytes=20008711", "sha=7eb22dffbb63367afe94"]))
        self.assertFalse(has_shape("bytes=17\n", ["octets=17"]))
        self.assertFalse(has_shape("a\nb\n", ["a"]))
        self.assertFalse(has_shape("", ["a"]))
        self.assertTrue(has_shape("a\nb\nc\n", ["a", "…", "c"]))
        self.assertFalse(has_shape("a\nb\nc\n", ["a", "…", "d"]))
        self.assertFalse(has_shape("7\n", ["6"], exact=True))

    def test_blocks_and_marks_are_found(self):
        with tempfile.TemporaryDirectory(dir=ROOT / "docs") as folder:
            path = Path(folder) / "x.md"
            path.write_text(
                "# A `b` c\n\ntext\n\n    scripts/demo\n\n<!-- needs: board -->\n\n1. item\n\n       otamgr status\n\n<!-- run -->\n```sh\ntrue\n```\n"
            )
            page = pages.read(path)
        self.assertEqual(
            [(b.word, b.lines) for b in page.blocks],
            [("", ("scripts/demo",)), ("", ("otamgr status",)), ("run", ("true",))],
        )
        self.assertEqual(page.anchors(), {"a-b-c"})
        self.assertTrue(pages.commands_of(page.blocks[0]) and pages.commands_of(page.blocks[1]))


class Words(unittest.TestCase):
    def test_pages_and_help_use_the_words_of_the_glossary(self):
        wrong = []
        rules = []
        for line in (HERE / "words.txt").read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                pattern, _, instead = line.partition("  ")
                rules.append((re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), instead.strip()))
        texts = [
            (f"{page.name}:{number}", text)
            for page in every()
            for number, text in paragraphs(page)
            if page.name != "docs/glossary.md"
        ]
        texts += [
            (f"scripts/help/{path.name}", " ".join(path.read_text(encoding="utf-8").split()))
            for path in sorted((ROOT / "scripts/help").glob("*.txt"))
        ]
        for path in sorted((ROOT / "recipes-ota/sysupgrade/files").iterdir()):
            shown = re.findall(r"^    cat <<'EOF'\n(.*?)^EOF$", path.read_text(encoding="utf-8"), re.M | re.S)
            # What U-Boot does is told of two slots, of which neither runs.
            texts += [(path.name, " ".join(re.sub(r"U-Boot[^.;]*", "", text).split())) for text in shown]
        for at, text in texts:
            for pattern, instead in rules:
                if found := pattern.search(text):
                    wrong.append(f"{at}: expected “{instead}”, found “{found.group(0)}”")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_spelling(self):
        if not shutil.which("aspell"):
            self.fail("aspell is missing: apt-get install aspell aspell-en")
        known = {
            line
            for line in (HERE / "spelling.txt").read_text(encoding="utf-8").splitlines()
            if not line.startswith("#")
        }
        wrong = []
        for page in every():
            text = "\n".join(line for _, line in paragraphs(page))
            # What looks like code is no word: a_b, a.b, a-b=c, Ab1, MB/s.
            text = re.sub(r"\S*[_=/\\<>{}@$0-9]\S*|\b[A-Za-z]+\.[A-Za-z]\S*", " ", text)
            found = subprocess.run(
                ["aspell", "list", "--lang=en_GB", "--encoding=utf-8", "--ignore=2"],
                input=text,
                capture_output=True,
                text=True,
            )
            self.assertEqual(found.returncode, 0, found.stderr)
            # Acronyms are names; a name may have its 's.
            words = {
                word.removesuffix("'s") for word in found.stdout.split() if not re.fullmatch(r"[A-Z]{2,}s?('s)?", word)
            }
            wrong += [f"{page.name}: {word}" for word in sorted(words - known)]
        self.assertEqual(
            wrong, [], "\nnot English; a name that is right goes into tests/docs/spelling.txt:\n" + "\n".join(wrong)
        )

    def test_the_list_of_known_words_is_sorted(self):
        lines = [
            line
            for line in (HERE / "spelling.txt").read_text(encoding="utf-8").splitlines()
            if not line.startswith("#")
        ]
        self.assertEqual(lines, sorted(set(lines)))


pages_that_run()
if __name__ == "__main__":
    unittest.main()
