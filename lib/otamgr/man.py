# SPDX-License-Identifier: MIT
"""Manual pages and completion from the help texts of commands, so that there is one text to keep right."""

import re


def _sections(text):
    """(title, lines) of a help text: its usage, what follows, and its parts with a title of their own."""
    sections = [("SYNOPSIS", [])]
    for line in text.rstrip().split("\n"):
        title = re.match(r"(Options|Exit codes):$", line)
        if title:
            sections.append(({"Options": "OPTIONS", "Exit codes": "EXIT STATUS"}[title[1]], []))
            continue
        if sections[-1][0] == "SYNOPSIS" and not line.startswith((" ", "Usage: ", "usage: ")):
            sections.append(("DESCRIPTION", []))
        elif sections[-1][0] == "OPTIONS" and line and not line.startswith(" "):
            # What follows the list of options is about the command as a whole.
            sections.append(("NOTES", []))
        sections[-1][1].append(
            re.sub(r"^[Uu]sage: |^       (?=\S)", "", line) if sections[-1][0] == "SYNOPSIS" else line
        )
    return sections


def page(name, section, summary, text, version):
    """A manual page. The layout of the help is kept: it has columns."""

    def escaped(line):
        line = line.replace("\\", "\\e").replace("-", "\\-")
        return "\\&" + line if line.startswith((".", "'")) else line

    out = [
        f'.TH {name.upper()} {section} "" "{version}" "meta\\-otamgr"',
        ".SH NAME",
        f"{escaped(name)} \\- {escaped(summary)}",
    ]
    for title, lines in _sections(text):
        while lines and not lines[-1]:
            lines.pop()
        while lines and not lines[0]:
            lines.pop(0)
        if lines:
            out += [f".SH {title}", ".nf", *map(escaped, lines), ".fi"]
    return "\n".join(out) + "\n"


def words(text):
    """What may follow a command: the options of its help, and its sub-commands, which its usage names first."""
    options = re.findall(r"(?<![\w-])--[a-z][a-z-]+|(?<![\w-])-[A-Za-z](?![\w-])", text)
    usage = dict(_sections(text))["SYNOPSIS"]
    commands = [found[1] for found in (re.match(r"\S+ ([a-z]+)\b", line) for line in usage) if found]
    return sorted(set(options) | set(commands))


def completion(name, text):
    """For bash: words of the command, and names of files."""
    return (
        f"# Made from {name} --help.\n_{name.replace('-', '_')}() {{\n"
        f'    mapfile -t COMPREPLY < <(compgen -f -W "{" ".join(words(text))}" -- "$2")\n}}\n'
        f"complete -o filenames -F _{name.replace('-', '_')} {name}\n"
    )
