"""Marks that a person gives: they replace what was proposed or computed, and are shown as such.

The file is a CSV with a header: student_id, criterion, points, and perhaps comment, marker, when. Other columns are
left alone. An empty cell of points withdraws a mark that was given before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from grader.errors import UsageError
from grader.files import read_sheet
from grader.inert import from_cell, one_line
from grader.records import CriterionResult, Frozen, HandMark, Record

COLUMNS = ("student_id", "criterion", "points", "comment", "marker", "when")
NEEDED = COLUMNS[:3]
_NUMBER = re.compile(r"\+?[0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9}")  # float() takes 1_0 for ten, too
_MOST_SHOWN = 60  # characters of a wrong value


class Mark(Frozen, frozen=True):
    """What a person gave for a criterion; `points` of None withdraws it. marker, when: as given; file: its name."""

    points: float | None
    comment: str = ""
    marker: str = ""
    when: str = ""
    file: str = ""

    def __str__(self) -> str:
        given = "nothing" if self.points is None else f"{self.points:g}"
        source = ", ".join(filter(None, (self.marker, self.when, self.file)))
        return f"{given} ({source})" if source else given


Marks = Mapping[tuple[str, str], Mark]  # (student id, criterion) →


def moment(when: str) -> datetime | None:
    """The cell `when` as a time, UTC where it names no zone; None where it is empty. Raises ValueError."""
    if not when:
        return None
    found = datetime.fromisoformat(when)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def is_earlier(one: Mark, other: Mark) -> bool:
    """Whether both say when they were given, and `one` was given before `other`."""
    first, second = moment(one.when), moment(other.when)
    return first is not None and second is not None and first < second


def says_the_same(one: Mark, other: Mark) -> bool:
    """Whether they differ in nothing but the file that they came from."""
    return msgspec.structs.replace(one, file="") == msgspec.structs.replace(other, file="")


def read_marks(path: Path, maxima: Mapping[str, float]) -> Marks:
    """The marks in a file. maxima: the points of each criterion.

    Raises UsageError, naming the line, on what is unknown, out of range or given twice.
    """
    place = f"--marks {path}"
    rows = read_sheet(path, place)
    header = [title.strip() for title in rows[0]] if rows else []
    missing = [column for column in NEEDED if column not in header]
    if missing:
        raise UsageError(f"{place}: the header lacks {', '.join(missing)}; it must hold {', '.join(NEEDED)}")
    twice = [column for column in COLUMNS if header.count(column) > 1]
    if twice:
        raise UsageError(f"{place}: the header has {', '.join(twice)} more than once; keep one")
    found: dict[tuple[str, str], Mark] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(map(str.strip, row)):  # spreadsheets save empty rows below the last one
            continue
        (student, criterion), mark = _mark(header, row, maxima, f"{place}, row {number}")
        if (student, criterion) in found:
            shown = one_line(student, _MOST_SHOWN)
            raise UsageError(f"{place}, row {number}: {shown} has two marks for {criterion}; keep one")
        found[student, criterion] = msgspec.structs.replace(mark, file=path.name)
    return found


def _mark(header: list[str], row: list[str], maxima: Mapping[str, float], place: str) -> tuple[tuple[str, str], Mark]:
    """One row of the file. Raises UsageError."""
    if len(row) > len(header):  # “6,5” for six and a half would else be six points and the comment “5”
        raise UsageError(
            f"{place} has {len(row)} values for {len(header)} columns; write fractions with a point, and put quotes "
            "around a comment that holds a comma"
        )
    cells = {**dict.fromkeys(COLUMNS, ""), **dict(zip(header, (from_cell(text.strip()) for text in row), strict=False))}
    criterion, points = cells["criterion"], cells["points"]
    if not cells["student_id"]:
        raise UsageError(f"{place}: there is no student id")
    if criterion not in maxima:
        shown = one_line(criterion, _MOST_SHOWN)
        raise UsageError(f"{place}: there is no criterion “{shown}”; there are {', '.join(maxima)}")
    given = None if not points and len(row) > header.index("points") else _points(points, criterion, maxima, place)
    try:
        moment(cells["when"])
    except ValueError:
        shown = one_line(cells["when"], _MOST_SHOWN)
        raise UsageError(f"{place}: “{shown}” is no time; write it as 2026-06-12 or 2026-06-12 14:30") from None
    mark = Mark(points=given, comment=cells["comment"], marker=cells["marker"], when=cells["when"])
    return (cells["student_id"], criterion), mark


def _points(text: str, criterion: str, maxima: Mapping[str, float], place: str) -> float:
    if not _NUMBER.fullmatch(text) or not 0 <= float(text) <= maxima[criterion]:
        shown = one_line(text, _MOST_SHOWN)
        raise UsageError(f"{place}: “{shown}” is no number from 0 to {maxima[criterion]:g}, the points of {criterion}")
    return float(text)


def with_marks(record: Record, marks: Marks, maxima: Mapping[str, float]) -> Record:
    """The record with a person's marks in place of its own. A mark beyond the maximum, as it is now, is left out."""
    criteria = tuple(_marked(criterion, record, marks, maxima) for criterion in record.criteria)
    return msgspec.structs.replace(
        record,
        criteria=criteria,
        score=round(sum(criterion.points for criterion in criteria), 6),
        max_score=round(sum(criterion.max_points for criterion in criteria), 6),
        needs_person=any(criterion.verdict == "broken" and criterion.by_hand is None for criterion in criteria),
    )


def _marked(criterion: CriterionResult, record: Record, marks: Marks, maxima: Mapping[str, float]) -> CriterionResult:
    mark = marks.get((record.submission.student_id, criterion.id))
    if mark is None or mark.points is None or mark.points > maxima[criterion.id]:
        return criterion
    by_hand = HandMark(
        points=mark.points, comment=mark.comment, computed=criterion.points, marker=mark.marker, when=mark.when
    )
    # What was broken had no maximum until a person looked.
    return msgspec.structs.replace(
        criterion, points=mark.points, max_points=maxima[criterion.id], proposed=False, by_hand=by_hand
    )


def unused(records: Mapping[str, Record], marks: Marks, maxima: Mapping[str, float]) -> list[str]:
    """Which marks change nothing, a sentence each. records: of each student what counts, with the marks in it."""
    said = []
    for (student, criterion), mark in marks.items():
        if mark.points is None:
            continue
        record = records.get(student)
        if criterion not in maxima:
            why = "the assignment has no such criterion"
        elif mark.points > maxima[criterion]:
            why = f"the criterion has {maxima[criterion]:g} points now"
        elif record is None:
            why = "no submission of this student was graded"
        elif all(result.id != criterion for result in record.criteria):
            why = "the criterion was not graded"
        else:
            continue
        said.append(f"{student}, {criterion}: the mark {mark} is kept in the journal and changes nothing: {why}")
    return said
