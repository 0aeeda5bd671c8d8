"""Marks that a person gives: they replace what was proposed or computed, and are shown as such.

The file is a CSV with a header: student_id, criterion, points, comment. Other columns are left alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import msgspec

from grader.errors import UsageError
from grader.records import CriterionResult, HandMark, Record

COLUMNS = ("student_id", "criterion", "points", "comment")
NEEDED = COLUMNS[:3]

Marks = Mapping[tuple[str, str], tuple[float, str]]


def read_marks(path: Path, maxima: Mapping[str, float]) -> Marks:
    """(student id, criterion) → (points, comment). maxima: the points of each criterion.

    Raises UsageError, naming the line, on what is unknown, out of range or given twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--marks {path} cannot be read: {error}") from None
    header = next(csv.reader(io.StringIO(text, newline="")), [])
    missing = [column for column in NEEDED if column not in header]
    if missing:
        raise UsageError(f"--marks {path}: the header lacks {', '.join(missing)}; it must hold {', '.join(COLUMNS)}")
    found: dict[tuple[str, str], tuple[float, str]] = {}
    for number, row in enumerate(rows, start=2):
        place = f"--marks {path}, row {number}"
        key = ((row["student_id"] or "").strip(), (row["criterion"] or "").strip())
        if key in found:
            raise UsageError(f"{place}: {key[0]} has two marks for {key[1]}; keep one")
        found[key] = (_points(row["points"] or "", key[1], maxima, place), (row.get("comment") or "").strip())
    return found


def _points(text: str, criterion: str, maxima: Mapping[str, float], place: str) -> float:
    if criterion not in maxima:
        raise UsageError(f"{place}: there is no criterion “{criterion}”; there are {', '.join(maxima)}")
    try:
        points = float(text)
    except ValueError:
        points = float("nan")
    if not 0 <= points <= maxima[criterion]:
        raise UsageError(f"{place}: “{text}” is no number from 0 to {maxima[criterion]:g}, the points of {criterion}")
    return points


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
