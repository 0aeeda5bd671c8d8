"""One file of translations: its entries, and what is wrong with it. `grader.language` says how they are used.

    [[compare]]
    en = "{what} has shape {found:list}, expected {expected:list}"
    ko = "{what}의 모양은 {found}입니다. {expected:이어야} 합니다"

`:list` says what may stand in a hole (KINDS), `:이어야` which particle follows it (`grader.particles`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources.abc import Traversable
from string import Formatter
from typing import NamedTuple

import msgspec

from grader.errors import AssignmentError
from grader.inert import one_line
from grader.languages import DEFAULT
from grader.particles import PARTICLES, particle

# What a hole may hold, where not anything. Every one is bounded: a stranger's text must not take a matcher's time.
KINDS = {
    "number": r"[-−]?(?:\d{1,20}(?:[.,]\d{1,20}){0,8}(?:e[+-]?\d{1,3})?|inf|nan)%?",
    "name": r"[\w.]{1,300}",
    "names": r"[\w.]{1,300}(?:, [\w.]{1,300}){0,99}",
    "list": r"[\d, ()\[\]]{2,300}",
    "phrase": r"[a-z][a-z ]{0,60}",
    "part": r"[^;]{1,2000}",  # at the end of a sentence to which others are joined
    # As grader.checking.diagnosis says where a layer is called.
    "layer": r"self\.[\w.]{1,300}(?: \(cell \d{1,9}, line \d{1,9}: .{0,200}?\))?",
}


class Piece(NamedTuple):
    """Literal text of a template, and the hole after it; "" for none. spec: its kind, or the particle behind it."""

    literal: str
    hole: str
    spec: str


@dataclass(frozen=True)
class Entry:
    """A message in English and in another language."""

    section: str
    english: str
    other: str

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(_pieces(self.english))

    @cached_property
    def is_whole(self) -> bool:
        """Whether nothing is filled in."""
        return not any(piece.hole for piece in self.pieces)

    @cached_property
    def weight(self) -> int:
        """How much of it is not filled in."""
        return sum(len(piece.literal) for piece in self.pieces)

    @cached_property
    def anchor(self) -> str:
        """Its longest literal, without which no text fits."""
        return max((piece.literal for piece in self.pieces), key=len)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches what the English template makes, in time linear in its length.

        From one hole without a kind to the next, the first place that fits is kept for good (an atomic group): as with
        a shell's *, if another one leads to a match, that one does.
        """
        segments = [""]
        for literal, hole, kind in self.pieces:
            segments[-1] += re.escape(literal)
            if hole and kind:
                segments[-1] += f"(?P<{hole}>{KINDS[kind]})"
            elif hole:
                segments.append(f"(?P<{hole}>.*?)")
        *before, last = segments
        return re.compile("".join(f"(?>{segment})" for segment in before) + last, re.DOTALL)


def read_entries(path: Traversable) -> tuple[Entry, ...]:
    """The entries of one file; its name is the language's code. Raises AssignmentError."""
    language = path.name.removesuffix(".toml")
    try:
        sections = msgspec.convert(
            tomllib.loads(path.read_text(encoding="utf-8")), type=dict[str, list[dict[str, str]]]
        )
    except (OSError, ValueError, msgspec.ValidationError) as error:  # TOMLDecodeError and UnicodeDecodeError among them
        raise AssignmentError(f"{path}: {one_line(str(error), 300)}") from None
    except RecursionError:
        raise AssignmentError(f"{path}: a value is nested too deeply; write it flat") from None
    found: dict[str, Entry] = {}
    for section, texts in sections.items():
        for text in texts:
            place = f"{path}: [[{one_line(section, 60)}]] “{one_line(text.get(DEFAULT, ''), 100)}”"
            if set(text) != {DEFAULT, language}:
                raise AssignmentError(f"{place}: an entry holds {DEFAULT} and {language}, and nothing else")
            entry = Entry(section, text[DEFAULT], text[language])
            if fault := _fault(entry):
                raise AssignmentError(f"{place}: {fault}")
            if found.setdefault(entry.english, entry) is not entry:
                raise AssignmentError(f"{place} stands there twice; keep one")
    return tuple(found.values())


def _fault(entry: Entry) -> str:
    """Why an entry cannot be used, or ""."""
    try:
        english, other = entry.pieces, tuple(_pieces(entry.other))
    except ValueError as error:
        return f"{error}; a brace that is meant as one is written twice"
    holes = [piece.hole for piece in english if piece.hole]
    wanted, given = set(holes), {piece.hole for piece in other if piece.hole}
    if unknown := given - wanted:
        return f"{{{min(unknown)}}} is no hole of the English text"
    if lost := wanted - given:
        return f"the hole {{{min(lost)}}} is left out in the other language"
    if not all(hole.isidentifier() for hole in holes) or len(holes) > len(wanted):
        return "a hole is a name in braces, and each stands once in the English text"
    if unknown := {piece.spec for piece in english if piece.spec} - set(KINDS):
        return f"a hole holds one of {', '.join(KINDS)}, not “{min(unknown)}”"
    if unknown := {piece.spec for piece in other if piece.spec} - set(PARTICLES):
        return f"“{min(unknown)}” is no particle; there are {', '.join(PARTICLES)}"
    free = [bool(piece.hole and not piece.spec) for piece in english]
    if any(one and two and not after.literal for one, two, after in zip(free, free[1:], english[1:], strict=False)):
        return "two holes side by side cannot be told apart; write them as one, or say of what kind they are"
    return "" if any(piece.literal for piece in english) and entry.other else "there is no text in it"


def _pieces(template: str) -> Iterator[Piece]:
    """Raises ValueError for a lone brace."""
    for literal, hole, spec, conversion in Formatter().parse(template):
        if conversion:
            raise ValueError(f"“!{conversion}” has no place in a hole")
        yield Piece(literal, hole or "" if hole != "" else "{}", spec or "")


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its holes filled. A value is put in as it is, whatever it holds."""
    text = ""
    for literal, hole, spec in _pieces(template):
        text += literal
        if hole:
            text += values[hole] + (particle(spec, values[hole]) if spec else "")
    return text
