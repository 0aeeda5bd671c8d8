"""Text of strangers, shown so that it can do nothing where it is shown.

A file's name, an exception's message, a key in the weights: each may hold what moves a terminal's cursor, what turns
the direction of writing, or what a CI service takes from a log as a command.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable

_REPLACEMENT = "\ufffd"
_MOST_MARKS = 3  # on one letter; twenty of them paint over the lines above
# `::error::…` at the start of a line, indented or not, and `##[…]`, `##vso[…]` anywhere: GitHub, Azure, TeamCity.
_COMMAND_ANYWHERE = re.compile(r"#(?=#\w*\[)")
_COMMAND = re.compile(rf":(?=:[A-Za-z])|{_COMMAND_ANYWHERE.pattern}")
_FORMULAS = tuple("=+-@|%＝＋－＠")  # Excel, LibreOffice and Sheets, their full-width forms included
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e\n]+")


def one_line(text: str, most: int | None = None) -> str:
    """The text as one printable line without commands, cut to `most` characters. A line's end is shown as ⏎."""
    return _COMMAND.sub(r"\g<0> ", plain(text, most))


def plain(text: str, most: int | None = None) -> str:
    """As `one_line`, for where nobody takes commands from a text (a page): code such as `x[::step]` stays as it is."""
    if most is not None and len(text) > most:
        text = f"{text[: most - 1]}…"
    elif text.isascii() and text.isprintable():  # most are, and a page has thousands
        return text
    line = " ⏎ ".join(text.replace("\t", "    ").splitlines())
    return _tamed(line, lambda _: _REPLACEMENT)


def cell(text: str) -> str:
    """The text as a cell of a sheet: one line, and no formula in any spreadsheet that opens it."""
    line = one_line(text)
    return f"'{line}" if line.lstrip()[:1] in _FORMULAS else line


def from_cell(text: str) -> str:
    """What `cell` was given, but for what `one_line` did to it: a quotation mark before a formula is taken away."""
    return text[1:] if text[:1] == "'" and text[1:].lstrip()[:1] in _FORMULAS and text[1:].strip() else text


def json_text(text: str) -> str:
    """A JSON text with the same values, so spelled that neither a terminal nor a CI log acts on it."""
    return _COMMAND_ANYWHERE.sub(r"\\u0023", _tamed(text, lambda character: json.dumps(character)[1:-1]))


def _tamed(text: str, spelled: Callable[[str], str]) -> str:
    """The text; a character that does more than stand in its place is spelled otherwise."""

    def tame(run: re.Match[str]) -> str:
        found: list[str] = []
        marks = 0
        for character in run[0]:
            marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
            found.append(character if character.isprintable() and marks <= _MOST_MARKS else spelled(character))
        return "".join(found)

    return _BEYOND_ASCII.sub(tame, text)
