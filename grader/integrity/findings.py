"""What may be worth a person's look, as frozen values, and as a sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from grader.inert import cell, one_line
from grader.records import Frozen

HEADER = ("kind", "students", "group", "compared", "figure", "chance", "what", "passages")
MOST_NAMED = 100  # students in a cell; integrity.json has them all
_MAX_TEXT = 300  # characters of one passage in the sheet


class Place(Frozen, frozen=True):
    """A statement in a notebook. Cells and lines count from 1; text is the student's, and hostile."""

    role: str
    cell: int
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.role}, cell {self.cell}, line {self.line}"


class Passage(Frozen, frozen=True):
    """Two places that say the same, side by side, and in how many submissions of the class it stands."""

    left: Place
    right: Place
    seen: int


class Finding(Frozen, frozen=True):
    """A fact for a person to judge.

    students: whom it is about: one, two, or all who hold the same; last year's are told by “(last year)”.
    figure: how alike, or how far apart.
    chance: how often it would happen by chance, in words that name the ground of the figure. group: the students of
    all findings of the kind that hang together.
    """

    kind: str
    students: tuple[str, ...]
    compared: str
    figure: str
    chance: str
    what: str
    passages: tuple[Passage, ...] = ()
    group: tuple[str, ...] = ()


class Review(Frozen, frozen=True):
    """What was found, in how many submissions, of how many pairs; and what could not be read.

    unsaid: what nothing can be said of in this class, and why.
    of: a fingerprint of what was reviewed, by whoever keeps it; "" where nobody said.
    """

    findings: tuple[Finding, ...]
    submissions: int
    pairs: int
    left_out: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    of: str = ""


def to_json(review: Review) -> bytes:
    """The review as it is kept beside the results."""
    return msgspec.json.encode(review)


def from_json(data: bytes) -> Review | None:
    """What `to_json` kept; None where it is damaged, or of another version."""
    try:
        return msgspec.json.decode(data, type=Review)
    except msgspec.MsgspecError:
        return None


def grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Each finding about two with its group: who hangs together by findings of that kind."""
    above: dict[tuple[str, str], tuple[str, str]] = {}

    def top(key: tuple[str, str]) -> tuple[str, str]:
        while above.setdefault(key, key) != key:
            above[key] = key = above[above[key]]
        return key

    pairs = [finding for finding in findings if len(finding.students) > 1]
    for finding in pairs:
        first, *others = ((finding.kind, student) for student in finding.students)
        for other in others:
            above[top(other)] = top(first)
    members: dict[tuple[str, str], set[str]] = {}
    for kind, student in list(above):
        members.setdefault(top((kind, student)), set()).add(student)
    return [
        replace(finding, group=tuple(sorted(members[top((finding.kind, finding.students[0]))])))
        if len(finding.students) > 1
        else finding
        for finding in findings
    ]


def sheet(findings: Iterable[Finding]) -> str:
    """The findings as CSV, a row each. What students wrote can be no formula in it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for finding in findings:
        shown = " ⏎ ".join(_side_by_side(passage) for passage in finding.passages)
        row = (
            finding.kind,
            _named(finding.students),
            _named(finding.group),
            finding.compared,
            finding.figure,
            finding.chance,
            finding.what,
            shown,
        )
        writer.writerow([cell(value) for value in row])
    return text.getvalue()


def _named(students: Sequence[str]) -> str:
    others = len(students) - MOST_NAMED
    return "; ".join((*students[:MOST_NAMED], *([f"and {others} others"] if others > 0 else [])))


def _side_by_side(passage: Passage) -> str:
    left, right = (f"{place}: {one_line(place.text, _MAX_TEXT)}" for place in (passage.left, passage.right))
    return f"[in {passage.seen}] {left} ⇔ {right}"
