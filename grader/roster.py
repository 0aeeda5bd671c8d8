"""Who is in the class: a CSV with the students' ids, so that those who handed in nothing can be named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from grader.errors import UsageError
from grader.files import read_sheet
from grader.inert import one_line

ID_COLUMNS = ("student_id", "student id", "id", "sis login id", "sis user id", "number", "학번")  # in this order
NAME_COLUMNS = ("name", "student", "full name", "이름", "성명")


def read_roster(path: Path) -> Mapping[str, str]:
    """Student id → name, "" where the file has none, in the file's order.

    The header names the columns, in any case; a file of one column may have none. Raises UsageError.
    """
    place = f"--roster {path}"
    rows = [[cell.strip() for cell in row] for row in read_sheet(path, place) if any(map(str.strip, row))]
    if not rows:
        raise UsageError(f"{place} is empty; it must hold a column student_id")
    header = [cell.casefold() for cell in rows[0]]
    column = next((header.index(name) for name in ID_COLUMNS if name in header), None)
    if column is None:
        if max(map(len, rows)) > 1:
            shown = ", ".join(one_line(cell, 30) for cell in rows[0])
            why = f"none of its columns ({shown}) is called student_id; rename the one with the ids"
            raise UsageError(f"{place}: {why}")
        column, rows = 0, [[""], *rows]
    name = next((header.index(name) for name in NAME_COLUMNS if name in header), None)
    found: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        student = row[column] if column < len(row) else ""
        if not student:
            raise UsageError(f"{place}, row {number}: there is no student id")
        if student in found:
            raise UsageError(f"{place}, row {number}: {one_line(student, 60)} stands there twice; keep one")
        found[student] = row[name] if name is not None and name < len(row) else ""
    return found
