"""Sheets that Canvas and Moodle exported, filled with the scores of a class.

Nothing is invented and nothing else is touched: only the cells of a grade, and Moodle's of the feedback, are replaced;
all others keep their bytes, quotes included. The sheet's header says which system it comes from.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from grader.errors import UsageError
from grader.inert import one_line
from grader.records import Record
from grader.report.sheet import Sheet
from grader.report.wording import accuracy_words, reasons, verdict_words

FEEDBACK_MARK = "Graded by gradewall: "  # a feedback that begins otherwise is a person's, and stays
_ASSIGNMENT = re.compile(r"(.+) \(([0-9]+)\)")  # how Canvas heads the column of an assignment
_POINTS_POSSIBLE = "points possible"
_CANVAS = ("student", "id", "section")
_CANVAS_IDS = ("sis user id", "sis login id", "integration id", "id")
_MOODLE = ("identifier", "grade", "maximum grade")
_MOODLE_IDS = ("identifier", "id number", "username", "email address", "email")
_NUMBER = re.compile(r"[0-9]{1,9}([.,][0-9]{1,9})?")
_LOOKALIKES = str.maketrans("<>&[]\\$", "‹›＆［］＼＄")
_MOST_FEEDBACK = 8_000  # characters
_MOST_MESSAGE = 400
_SHOWN = 60


@dataclass(frozen=True)
class Wish:
    """What a person chose. column: Canvas's assignment; by: the column of the student ids; scale: to its maximum."""

    column: str = ""
    by: str = ""
    scale: bool = False


@dataclass
class Filled:
    """The new sheet, and what a person should know of it: student ids, and rows as the sheet calls them."""

    data: bytes
    column: str
    filled: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # of these: had another value before
    proposed: list[str] = field(default_factory=list)  # of these: hold points that a person has yet to confirm
    needs_person: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)  # Moodle says that their grade cannot be changed
    kept_feedback: list[str] = field(default_factory=list)
    without_row: list[str] = field(default_factory=list)
    without_result: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """Where things stand in a sheet. students: the rows; maxima: of each of these rows, as it is written there."""

    system: str
    grade: int
    ids: Mapping[str, int]
    students: Sequence[int]
    maxima: Mapping[int, str]
    feedback: int | None = None
    locks: int | None = None


def fill(data: bytes, records: Sequence[Record], wish: Wish, place: str) -> Filled:
    """The exported sheet with the scores of these records. place: what an error names the sheet by.

    Raises UsageError where the sheet is neither system's, a student fits two rows or a row two students, or the
    maximum is another than the records' and no scale was asked for.
    """
    sheet = Sheet(data, place)
    plan = _plan(sheet, wish, place)
    of_row = _matched(sheet, plan, records, place)
    filled = Filled(data=b"", column=sheet.rows[0][plan.grade])
    placed = {record.submission.student_id for record in of_row.values()}
    filled.without_row = [r.submission.student_id for r in records if r.submission.student_id not in placed]
    filled.without_result = [_called(sheet, plan, row) for row in plan.students if row not in of_row]
    for row in plan.students:
        if row in of_row:
            _fill_row(sheet, plan, row, of_row[row], wish, filled, place)
    filled.data = sheet.data()
    return filled


def _fill_row(sheet: Sheet, plan: _Plan, row: int, record: Record, wish: Wish, filled: Filled, place: str) -> None:
    student = record.submission.student_id
    if record.needs_person:
        filled.needs_person.append(student)
        return
    if plan.locks is not None and sheet.cell(row, plan.locks).strip().casefold() in ("no", "아니오"):
        filled.locked.append(student)
        return
    grade = _grade(record, plan.maxima[row], wish, f"{place}, row {row + 1}")
    before = sheet.cell(row, plan.grade).strip()
    if before and not _same(before, grade):
        filled.changed.append(student)
    sheet.set(row, plan.grade, grade)
    filled.filled.append(student)
    if any(criterion.proposed for criterion in record.criteria):
        filled.proposed.append(student)
    if plan.feedback is not None:
        written = sheet.cell(row, plan.feedback)
        if written.strip() and not written.startswith(FEEDBACK_MARK):
            filled.kept_feedback.append(student)
        else:
            sheet.set(row, plan.feedback, feedback(record))


# ---- what the sheet is ----------------------------------------------------------------------------------------------


def _plan(sheet: Sheet, wish: Wish, place: str) -> _Plan:
    header = [_folded(name) for name in sheet.rows[0]]
    if all(name in header for name in _CANVAS) and any(_ASSIGNMENT.fullmatch(name) for name in sheet.rows[0]):
        return _canvas(sheet, header, wish, place)
    if all(name in header for name in _MOODLE):
        return _moodle(sheet, header, wish, place)
    raise UsageError(
        f"{place} is no sheet that is known here: Canvas's has the columns Student, ID, Section and an assignment, "
        "Moodle's has Identifier, Grade and Maximum grade; export it again"
    )


def _canvas(sheet: Sheet, header: Sequence[str], wish: Wish, place: str) -> _Plan:
    grade = _assignment(sheet.rows[0], wish.column, place)
    student = header.index("student")
    above = [n for n in range(1, len(sheet.rows)) if _folded(sheet.cell(n, student)) == _POINTS_POSSIBLE]
    if len(above) != 1:
        raise UsageError(f"{place} has not one row “Points Possible”, but {len(above)}; export it from Canvas again")
    possible = sheet.cell(above[0], grade)
    students = [row for row in range(above[0] + 1, len(sheet.rows)) if any(c.strip() for c in sheet.rows[row])]
    ids = _id_columns(sheet, header, _CANVAS_IDS, wish, place)
    return _Plan("Canvas", grade, ids, students, dict.fromkeys(students, possible))


def _assignment(names: Sequence[str], wanted: str, place: str) -> int:
    """The column of the assignment. Raises UsageError where it is not clear which."""
    found = {number: match for number, name in enumerate(names) if (match := _ASSIGNMENT.fullmatch(name.strip()))}
    if wanted:
        found = {number: match for number, match in found.items() if wanted in (match[0], match[1], match[2])}
    if len(found) == 1:
        return next(iter(found))
    every = ", ".join(f"“{one_line(name, _SHOWN)}”" for name in names if _ASSIGNMENT.fullmatch(name.strip()))
    if not found:
        raise UsageError(f"{place} has no assignment “{one_line(wanted, _SHOWN)}”; there are {every}")
    called = f"several called “{one_line(wanted, _SHOWN)}”" if wanted else "several assignments"
    raise UsageError(f"{place} has {called}: {every}; name one with --column, by its number if need be")


def _moodle(sheet: Sheet, header: Sequence[str], wish: Wish, place: str) -> _Plan:
    if wish.column:
        raise UsageError(f"{place} is Moodle's, where the column is always Grade; leave --column out")
    grade, maximum = (_column(header, name, place) for name in ("grade", "maximum grade"))
    students = [row for row in range(1, len(sheet.rows)) if any(c.strip() for c in sheet.rows[row])]
    return _Plan(
        system="Moodle",
        grade=grade,
        ids=_id_columns(sheet, header, _MOODLE_IDS, wish, place),
        students=students,
        maxima={row: sheet.cell(row, maximum) for row in students},
        feedback=header.index("feedback comments") if "feedback comments" in header else None,
        locks=header.index("grade can be changed") if "grade can be changed" in header else None,
    )


def _column(header: Sequence[str], name: str, place: str) -> int:
    if header.count(name) > 1:
        raise UsageError(f"{place} has the column “{name}” more than once; export it again")
    return header.index(name)


def _id_columns(sheet: Sheet, header: Sequence[str], known: Sequence[str], wish: Wish, place: str) -> dict[str, int]:
    """The columns that may hold a student's id, by name."""
    if wish.by:
        if _folded(wish.by) not in header:
            every = ", ".join(one_line(name, _SHOWN) for name in sheet.rows[0])
            raise UsageError(f"--by {one_line(wish.by, _SHOWN)}: {place} has no such column; there are {every}")
        known = [_folded(wish.by)]
    return {name: _column(header, name, place) for name in known if name in header}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip().casefold()


# ---- who is who -----------------------------------------------------------------------------------------------------


def _matched(sheet: Sheet, plan: _Plan, records: Sequence[Record], place: str) -> dict[int, Record]:
    """The record of each row that has one. Raises UsageError on any doubt."""
    by_key: dict[str, set[int]] = defaultdict(set)
    for row in plan.students:
        for key in _keys(sheet, plan, row):
            by_key[key].add(row)
    of_row: dict[int, Record] = {}
    for record in records:
        found = by_key.get(_folded(record.submission.student_id), set())
        student = one_line(record.submission.student_id, _SHOWN)
        if len(found) > 1:
            numbers = " and ".join(str(row + 1) for row in sorted(found))
            raise UsageError(f"{place}: the result of {student} fits rows {numbers}; name the ids' column with --by")
        for row in found:
            if row in of_row:
                other = one_line(of_row[row].submission.student_id, _SHOWN)
                raise UsageError(
                    f"{place}, row {row + 1} fits two results, {other} and {student}; name the ids' column with --by"
                )
            of_row[row] = record
    return of_row


def _keys(sheet: Sheet, plan: _Plan, row: int) -> Iterator[str]:
    """What a submission of this row's student may be called."""
    for name, column in plan.ids.items():
        key = _folded(sheet.cell(row, column))
        if not key:
            continue
        yield key
        if "@" in key:
            yield key.partition("@")[0]
        if name == "identifier" and (number := re.fullmatch(r"\D*([0-9]+)", key)):  # Moodle's “Participant 1234”
            yield number[1]


def _called(sheet: Sheet, plan: _Plan, row: int) -> str:
    """A row as a person finds it again."""
    named = [sheet.cell(row, 0), *(sheet.cell(row, column) for column in plan.ids.values())]
    first = next((one_line(value.strip(), _SHOWN) for value in named if value.strip()), "")
    return f"row {row + 1} ({first})" if first else f"row {row + 1}"


# ---- what goes into the cells ---------------------------------------------------------------------------------------


def _grade(record: Record, maximum: str, wish: Wish, place: str) -> str:
    """The score as the sheet writes numbers. Raises UsageError where its maximum is no number, or another."""
    text = maximum.strip()
    if not _NUMBER.fullmatch(text) or not (most := float(text.replace(",", "."))) > 0:
        raise UsageError(f"{place}: the maximum “{one_line(text, _SHOWN)}” is no number of points")
    if most != record.max_score and not wish.scale:
        raise UsageError(
            f"{place}: the sheet's maximum is {most:g} points, the result's is {record.max_score:g}; change one of "
            "them, or scale with --scale"
        )
    share = record.score / record.max_score if record.max_score > 0 else 0.0
    score = record.score if most == record.max_score else most * share
    grade = f"{round(score, 4):.4f}".rstrip("0").rstrip(".")
    return grade.replace(".", ",") if "," in text else grade


def _same(before: str, grade: str) -> bool:
    return bool(_NUMBER.fullmatch(before)) and float(before.replace(",", ".")) == float(grade.replace(",", "."))


def feedback(record: Record) -> str:
    """What lost points, for a field that Moodle shows as text or as HTML: it says the same in both."""
    lines = [f"{FEEDBACK_MARK}{record.score:g} of {record.max_score:g} points"]
    if accuracy := accuracy_words(record):
        lines.append(accuracy)
    for criterion in record.criteria:
        if criterion.points < criterion.max_points or criterion.proposed or criterion.by_hand is not None:
            points = f"{criterion.points:g} of {criterion.max_points:g}"
            lines.append(f"• {one_line(criterion.title, _MOST_MESSAGE)}: {points}, {verdict_words(criterion)}")
            lines += [f"– {one_line(line, _MOST_MESSAGE)}" for line in reasons(criterion, record.diagnoses)]
    text = "\n".join(_inert(line) for line in lines)
    return text if len(text) <= _MOST_FEEDBACK else f"{text[: _MOST_FEEDBACK - 1]}…"


def _inert(line: str) -> str:
    """One line in which neither HTML nor one of Moodle's filters (TeX, links) finds anything to act on."""
    return line.translate(_LOOKALIKES).replace("://", ":/ /")
