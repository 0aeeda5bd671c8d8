"""Text of strangers, shown so that it can do nothing where it is shown.

A file's name, an exception's message, a key in the weights: each may hold what moves a terminal's cursor, what turns
the direction of writing, or what a CI service takes from a log as a command.
"""

from __future__ import annotations

import json
import re
import unicodedata

_REPLACEMENT = "\ufffd"
_MOST_MARKS = 3  # on one letter; twenty of them paint over the lines above
# `::error::…` at the start of a line, indented or not, and `##[…]`, `##vso[…]` anywhere: GitHub, Azure, TeamCity.
_COMMAND_ANYWHERE = re.compile(r"#(?=#\w*\[)")
_COMMAND = re.compile(rf":(?=:[A-Za-z])|{_COMMAND_ANYWHERE.pattern}")
_UNSEEN = re.compile(r"[^\x20-\x7e\n]")


def one_line(text: str, most: int | None = None) -> str:
    """The text as one printable line without commands, cut to `most` characters. A line's end is shown as ⏎."""
    if most is not None and len(text) > most:
        text = f"{text[: most - 1]}…"
    shown: list[str] = []
    marks = 0
    for character in " ⏎ ".join(text.replace("\t", "    ").splitlines()):
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= _MOST_MARKS:
            shown.append(character if character.isprintable() else _REPLACEMENT)
    return _COMMAND.sub(r"\g<0> ", "".join(shown))


def json_text(text: str) -> str:
    """A JSON text with the same values, so spelled that neither a terminal nor a CI log acts on it."""
    calm = _UNSEEN.sub(lambda match: match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1], text)
    return _COMMAND_ANYWHERE.sub(r"\\u0023", calm)
