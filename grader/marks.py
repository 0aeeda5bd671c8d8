"""Marks that a person gives: they replace what was proposed or computed, and are shown as such.

The file is a CSV with a header: student_id, criterion, points, comment. Other columns are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from grader.errors import UsageError
from grader.files import read_sheet
from grader.inert import one_line
from grader.records import CriterionResult, HandMark, Record

COLUMNS = ("student_id", "criterion", "points", "comment")
NEEDED = COLUMNS[:3]
_NUMBER = re.compile(r"\+?[0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9}")  # float() takes 1_0 for ten, too
_MOST_SHOWN = 60  # characters of a wrong value

Marks = Mapping[tuple[str, str], tuple[float, str]]


def read_marks(path: Path, maxima: Mapping[str, float]) -> Marks:
    """(student id, criterion) → (points, comment). maxima: the points of each criterion.

    Raises UsageError, naming the line, on what is unknown, out of range or given twice.
    """
    place = f"--marks {path}"
    rows = read_sheet(path, place)
    header = rows[0] if rows else []
    missing = [column for column in NEEDED if column not in header]
    if missing:
        raise UsageError(f"{place}: the header lacks {', '.join(missing)}; it must hold {', '.join(COLUMNS)}")
    twice = [column for column in COLUMNS if header.count(column) > 1]
    if twice:
        raise UsageError(f"{place}: the header has {', '.join(twice)} more than once; keep one")
    found: dict[tuple[str, str], tuple[float, str]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(map(str.strip, row)):  # spreadsheets save empty rows below the last one
            continue
        (student, criterion), mark = _mark(header, row, maxima, f"{place}, row {number}")
        if (student, criterion) in found:
            shown = one_line(student, _MOST_SHOWN)
            raise UsageError(f"{place}, row {number}: {shown} has two marks for {criterion}; keep one")
        found[student, criterion] = mark
    return found


def _mark(
    header: list[str], row: list[str], maxima: Mapping[str, float], place: str
) -> tuple[tuple[str, str], tuple[float, str]]:
    """One row of the file. Raises UsageError."""
    if len(row) > len(header):  # “6,5” for six and a half would else be six points and the comment “5”
        raise UsageError(
            f"{place} has {len(row)} values for {len(header)} columns; write fractions with a point, and put quotes "
            "around a comment that holds a comma"
        )
    cells = {**dict.fromkeys(COLUMNS, ""), **dict(zip(header, map(str.strip, row), strict=False))}
    criterion, points = cells["criterion"], cells["points"]
    if not cells["student_id"]:
        raise UsageError(f"{place}: there is no student id")
    if criterion not in maxima:
        shown = one_line(criterion, _MOST_SHOWN)
        raise UsageError(f"{place}: there is no criterion “{shown}”; there are {', '.join(maxima)}")
    if not _NUMBER.fullmatch(points) or not 0 <= float(points) <= maxima[criterion]:
        shown = one_line(points, _MOST_SHOWN)
        raise UsageError(f"{place}: “{shown}” is no number from 0 to {maxima[criterion]:g}, the points of {criterion}")
    return (cells["student_id"], criterion), (float(points), cells["comment"])


def with_marks(record: Record, marks: Marks, maxima: Mapping[str, float]) -> Record:
    """The record with a person's marks in place of its own."""
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
    if mark is None:
        return criterion
    by_hand = HandMark(points=mark[0], comment=mark[1], computed=criterion.points)
    # What was broken had no maximum until a person looked.
    return msgspec.structs.replace(
        criterion, points=mark[0], max_points=maxima[criterion.id], proposed=False, by_hand=by_hand
    )
