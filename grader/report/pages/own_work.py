"""What a review of the class found, as the instructor's pages show it: by student, passages side by side, and by group.

No student's page is made with it. A finding names two students: each stands on the other's page for instructors alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from grader.inert import plain

if TYPE_CHECKING:
    from grader.integrity.findings import Finding, Place, Review

MOST_LINE = 300  # characters of a passage
MOST_WHO = 70  # students that are named in a row
MOST_ROWS = 40  # of one kind on the page of the class; integrity.csv has them all
TITLES = {"code": "Code", "weights": "Weights", "log": "Training logs", "claim": "Claims", "words": "Unusual words"}


@dataclass(frozen=True)
class Reviewed:
    """A review, and the files of the instructor's pages that there are, by student."""

    review: Review
    pages: Mapping[str, str]


@dataclass(frozen=True)
class Named:
    """A student, with a link where there is a page."""

    id: str
    href: str


@dataclass(frozen=True)
class Side:
    """One line of a student's. where: the notebook, cell and line."""

    where: str
    text: str


@dataclass(frozen=True)
class Pair:
    """Two lines that say the same, and in how many submissions of the class they do."""

    left: Side
    right: Side
    seen: int


@dataclass(frozen=True)
class Row:
    """A finding. who: those it is about, on a student's own page the others. group: where more than these hang
    together."""

    title: str
    who: tuple[Named, ...]
    group: tuple[Named, ...]
    finding: Finding
    passages: tuple[Pair, ...]

    @property
    def many(self) -> int:
        """How many it is about, where it is of more than two."""
        return len(self.finding.students) if len(self.finding.students) > 2 else 0


@dataclass(frozen=True)
class Kind:
    """The findings of one kind. groups: of three and more who hang together."""

    title: str
    rows: tuple[Row, ...]
    groups: tuple[tuple[Named, ...], ...]
    more: int  # findings that are not shown


def of_student(student: str, reviewed: Reviewed) -> tuple[Row, ...]:
    """What was found about one student; in each passage that student's own line is on the left."""
    return tuple(_rows(student, reviewed))


def _rows(student: str, reviewed: Reviewed) -> Iterator[Row]:
    for finding in reviewed.review.findings:
        if student in finding.students:
            others = _all_named((one for one in finding.students if one != student), reviewed)
            first = finding.students[0] == student
            passages = tuple(
                Pair(_side(p.left if first else p.right), _side(p.right if first else p.left), p.seen)
                for p in finding.passages
            )
            yield Row(_title(finding.kind), others, _group(finding, reviewed), finding, passages)


def of_class(reviewed: Reviewed) -> tuple[Kind, ...]:
    """What was found in the class, by kind."""
    kinds: dict[str, list[Finding]] = {}
    for finding in reviewed.review.findings:
        kinds.setdefault(finding.kind, []).append(finding)
    return tuple(
        Kind(
            title=_title(kind),
            rows=tuple(
                Row(_title(kind), _all_named(finding.students, reviewed), (), finding, ())
                for finding in many[:MOST_ROWS]
            ),
            groups=tuple(dict.fromkeys(group for finding in many if (group := _group(finding, reviewed)))),
            more=max(len(many) - MOST_ROWS, 0),
        )
        for kind, many in kinds.items()
    )


def _title(kind: str) -> str:
    return TITLES.get(kind, kind.replace("_", " ").capitalize())


def _group(finding: Finding, reviewed: Reviewed) -> tuple[Named, ...]:
    return _all_named(finding.group, reviewed) if len(finding.group) > len(finding.students) else ()


def _all_named(students: Iterable[str], reviewed: Reviewed) -> tuple[Named, ...]:
    everyone = [_named(student, reviewed) for student in students]
    more = len(everyone) - MOST_WHO
    return (*everyone[:MOST_WHO], *([Named(f"and {more} others", "")] if more > 0 else []))


def _named(student: str, reviewed: Reviewed) -> Named:
    page = reviewed.pages.get(student)
    # Relative, so that a name with a colon in it is no scheme.
    return Named(student, f"./{quote(page)}" if page is not None else "")


def _side(place: Place) -> Side:
    return Side(str(place), plain(place.text, MOST_LINE))
