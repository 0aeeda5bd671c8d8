"""A student's own cells as numbered lines with some of them marked: whole, and a few lines around a mark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import dedent

from grader.inert import plain
from grader.records import Excerpt, Exhibits, Mark

AROUND = 3  # lines above and below a mark
MOST_LINES = 24  # of a piece beside a message
MOST_WIDTH = 400  # characters of a line
_BANNER = re.compile(r"\s*#{10}")  # what a template sets around its zones tells nothing beside a message


@dataclass(frozen=True)
class CodeLine:
    """kind: mark (the mistake shows here), wrote (the student's own), or "". number: 0 where lines are left out."""

    number: int
    text: str
    kind: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Piece:
    """Lines of one cell, none where none are marked. link: the anchor, in the whole, of its first marked line."""

    title: str
    lines: tuple[CodeLine, ...]
    link: str = ""


class Pieces:
    """The excerpts of one record, as pieces to be shown."""

    def __init__(self, exhibits: Exhibits, files: Mapping[str, str]) -> None:
        self._exhibits = exhibits
        self._files = files  # the notebooks' names, by role
        exact: dict[int, set[int]] = {}
        wrote: dict[int, set[int]] = {}
        for mark in exhibits.marks:
            (exact if mark.exact else wrote).setdefault(mark.excerpt, set()).update(mark.lines)
        self.whole = [
            Piece(self._title(excerpt), _lines(number, excerpt, exact.get(number, set()), wrote.get(number, set())))
            for number, excerpt in enumerate(exhibits.excerpts)
        ]

    def of(self, criterion: str) -> tuple[Piece, ...]:
        """What is shown beside a criterion's messages: the lines around its marks, the exact ones if there are any."""
        marks = [m for m in self._exhibits.marks if m.criterion == criterion and 0 <= m.excerpt < len(self.whole)]
        marks = [mark for mark in marks if mark.exact] or marks
        return tuple(piece for mark in marks if (piece := self._around(mark)) is not None)

    def _title(self, excerpt: Excerpt) -> str:
        return f"cell {excerpt.cell} of {plain(self._files.get(excerpt.file, excerpt.file), 80)}"

    def _around(self, mark: Mark) -> Piece | None:
        excerpt = self._exhibits.excerpts[mark.excerpt]
        kind = "mark" if mark.exact else "wrote"
        marks = set(mark.lines)
        whole = self.whole[mark.excerpt].lines
        there = sorted(marks & {line.number for line in whole})
        if not there:
            return Piece(self._title(excerpt), (), _anchor(mark.excerpt))
        near = {n for marked in marks for n in range(marked - AROUND, marked + AROUND + 1)}
        shown: list[CodeLine] = []
        gap = False
        for line in whole:
            is_marked = line.number in marks
            if line.number not in near or len(shown) >= MOST_LINES:
                gap = True
            elif is_marked or not _BANNER.match(line.text):
                shown += [CodeLine(0, "")] * (gap and bool(shown))
                shown.append(CodeLine(line.number, line.text, kind if is_marked else ""))
                gap = False
        first = there[0]
        place = self._title(excerpt)
        said = f"Look at line {first} in {place}" if mark.exact else f"Written in {place}"
        return Piece(said, _dedented(shown), _anchor(mark.excerpt, first))


def _anchor(number: int, line: int = 0) -> str:
    return f"code-{number}-{line}" if line else f"code-{number}"


def _dedented(lines: Sequence[CodeLine]) -> tuple[CodeLine, ...]:
    """The lines as far left as they go, since phones are narrow, and without anchors: these are in the whole."""
    while lines and not lines[0].text.strip():
        lines = lines[1:]
    while lines and not lines[-1].text.strip():
        lines = lines[:-1]
    texts = dedent("\n".join(line.text for line in lines)).split("\n")
    return tuple(CodeLine(line.number, text, line.kind) for line, text in zip(lines, texts, strict=bool(lines)))


def _lines(number: int, excerpt: Excerpt, exact: set[int], wrote: set[int]) -> tuple[CodeLine, ...]:
    found = []
    for place, text in enumerate(excerpt.source.split("\n"), start=excerpt.line):
        kind = "mark" if place in exact else "wrote" if place in wrote else ""
        # Tabs as four spaces; nothing in a line moves or hides what stands beside it.
        found.append(CodeLine(place, plain(text.rstrip("\r"), MOST_WIDTH), kind, _anchor(number, place)))
    return tuple(found)
