# SPDX-License-Identifier: MIT
"""Options of a program for people: help with examples, and a typo gets the nearest word."""

import argparse
import difflib
import re
import sys


def nearest(word, known):
    """ "; did you mean X?", or nothing."""
    found = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f"; did you mean {found[0]}?" if found else ""


def stop(program, sentence, status=2):
    print(f"{program}: {sentence}", file=sys.stderr)
    sys.exit(status)


class Parser(argparse.ArgumentParser):
    """Keeps the lines of description and examples, takes no shortened options, and says what a typo may have meant."""

    def __init__(self, **words):
        words.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **words)

    def error(self, message):
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choice:
            known = re.findall(r"'([^']+)'", choice[2])
            message = f"expected one of {', '.join(known)}, found {choice[1]}{nearest(choice[1], known)}"
        known = [option for action in self._actions for option in action.option_strings]
        unknown = re.search(r"unrecognized arguments: (--?[\w-]+)", message)
        wrong = unknown[1] if unknown else ""
        if "are required" in message:
            # What is missing may be there with a typo.
            wrong = next(
                (
                    word.split("=")[0]
                    for word in sys.argv[1:]
                    if re.match(r"--\w", word) and word.split("=")[0] not in known
                ),
                "",
            )
        if wrong and nearest(wrong, known):
            message = f"no option {wrong}{nearest(wrong, known)}"
        elif unknown:
            message = f"no option {wrong}"
        stop(self.prog, f"{message}\ntry: {self.prog} --help")
