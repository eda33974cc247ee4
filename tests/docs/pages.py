# SPDX-License-Identifier: MIT
"""The pages of the project as the tests see them: prose, links, headings, and blocks with the mark that stands before each."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"<!-- (run|needs|synopsis|before)\b:? ?(.*?) ?-->", re.DOTALL)
LIST_ITEM = re.compile(r"^ *(?:[-*+]|\d+\.) +")


@dataclass(frozen=True)
class Block:
    """Lines of code. word and text are those of the mark, if one stands before it."""

    line: int
    lines: tuple
    info: str
    word: str
    text: str


@dataclass
class Page:
    path: Path
    prose: list
    blocks: list
    before: list

    @property
    def name(self):
        return str(self.path.relative_to(ROOT))

    def headings(self):
        return [line.lstrip("#").strip() for _, line in self.prose if re.match(r"#{1,6} ", line)]

    def anchors(self):
        """As GitHub and GitLab make them of headings."""
        seen = {}
        found = set(re.findall(r'<a (?:id|name)="([^"]+)"', "\n".join(line for _, line in self.prose)))
        for heading in self.headings():
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
            anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            count = seen.get(anchor, 0)
            seen[anchor] = count + 1
            found.add(anchor + (f"-{count}" if count else ""))
        return found

    def links(self):
        """(line, target) of each link and picture."""
        for number, line in self.prose:
            text = re.sub(r"`[^`]*`", "", line)
            for target in re.findall(r"\]\(([^()\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text):
                yield number, target


def pages():
    found = [path for path in sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))]
    return [read(path) for path in found]


def read(path):
    lines = path.read_text(encoding="utf-8").split("\n")
    page = Page(path, [], [], [])
    word = text = ""
    item = 0
    blank = True
    index = 0
    while index < len(lines):
        line = lines[index]
        number = index + 1
        stripped = line.strip()
        indent = len(line) - len(line.lstrip(" "))
        if not stripped:
            blank = True
            index += 1
            continue
        if stripped.startswith("<!--"):
            comment = line
            while "-->" not in comment:
                index += 1
                comment += "\n" + lines[index]
            index += 1
            # What a program printed is none of our words; a test compares it with the program.
            if re.fullmatch(r" *<!-- \S+\.json -->", comment):
                while lines[index].strip() != "<!-- end -->":
                    index += 1
                continue
            if mark := MARK.search(comment):
                word, text = mark.group(1), mark.group(2).strip()
                if word == "before":
                    page.before.append((len(page.blocks), text))
                    word = text = ""
            continue
        fence = re.match(r" *(```+|~~~+)(.*)$", line)
        if fence:
            inside = []
            index += 1
            while not lines[index].strip().startswith(fence.group(1)):
                inside.append(lines[index][min(indent, len(lines[index])) :])
                index += 1
            index += 1
            page.blocks.append(Block(number, tuple(inside), fence.group(2).strip(), word, text))
            word = text = ""
            blank = True
            continue
        if item and indent < item:
            item = 0
        if blank and indent >= item + 4 and not LIST_ITEM.match(line[: item + 4]):
            inside = []
            while index < len(lines) and (not lines[index].strip() or lines[index].startswith(" " * (item + 4))):
                inside.append(lines[index][item + 4 :])
                index += 1
            while inside and not inside[-1].strip():
                inside.pop()
            page.blocks.append(Block(number, tuple(inside), "", word, text))
            word = text = ""
            blank = True
            continue
        if begins := LIST_ITEM.match(line):
            item = len(begins.group(0))
        word = text = ""
        blank = False
        page.prose.append((number, line))
        index += 1
    return page


PROGRAMS = (
    "scripts/ tests/ ota ota-slot ota-why ota-doctor ota-verify ota-trial-guard ota-content ota-bundle otamgr sysupgrade partner-ota-hub- "
    "bitbake bitbake-layers kas bmaptool dd gunzip docker apt-get git curl fw_setenv fw_printenv qemu-system- mvn cp rm sed openssl java "
    "export head sha256sum chromium make python3 journalctl systemctl mount cat echo printf ssh scp mmc socat pytest pip . source env sudo"
).split()


def words_of(line):
    """The words of a command without what a person types before it; empty if the line is none."""
    text = line.strip()
    prompt = re.match(r"([$#]) +(.*)$", text)
    if prompt:
        text = prompt.group(2)
    words = text.split()
    while words and re.fullmatch(r"[A-Za-z_]+=\S*", words[0]) and len(words) > 1:
        words = words[1:]
    if not words:
        return []
    first = (
        words[0]
        .removeprefix("/sbin/")
        .removeprefix("/usr/bin/")
        .removeprefix("/usr/lib/otamgr/")
        .removeprefix("../meta-otamgr/")
    )
    for program in PROGRAMS:
        if first == program or (program[-1] in "/-" and first.startswith(program)):
            return [first, *words[1:]]
    # After a prompt of the user everything is a command; after that of root it may be a comment.
    return words if prompt and prompt.group(1) == "$" else []


def commands_of(block):
    """The lines of a block that are commands, as lists of words."""
    # A file that a page shows.
    if block.lines and block.lines[0].startswith("#!"):
        return []
    if block.info in ("json", "yaml", "ini", "java", "python", "c", "text", "mermaid", "bitbake", "diff"):
        return []
    found = []
    for line in block.lines:
        words = words_of(line)
        # 'source = "x"' is none, nor 'ota-content 193 KiB 85 KiB', nor a line of a log.
        if words and not (len(words) > 1 and re.fullmatch(r"[:?+]?=|\d+|→|passed|[a-z_]+:\S*=.*", words[1])):
            found.append(words)
    return found
