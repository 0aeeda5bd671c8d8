"""Fill a sheet that Canvas or Moodle exported."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grader.commands.common import FULL_MARKS, NOT_GRADED, a_path, plain_parser, unread
from grader.commands.reports import refuse_unwritable
from grader.errors import UsageError
from grader.files import STANDARD_OUTPUT, write_whole
from grader.inert import one_line

if TYPE_CHECKING:
    from grader.records import Record
    from grader.report.gradebook import Filled

GRADEBOOK = """\
Fill the sheet that Canvas or Moodle exported with the scores of a class, to be imported there again:

  python grade.py SUBMISSIONS/ --out results/
  python grade.py gradebook export.csv --results results/        writes export-filled.csv

A student is found by SIS id, login, e-mail address or the part of it before the @, id number, or Moodle's identifier.
All other cells keep their bytes. Exit code 3 when a result has no row, or waits for a person.
"""
MOST_NAMED = 10


def run(arguments: list[str]) -> int:
    parser = plain_parser("grade.py gradebook", GRADEBOOK)
    parser.add_argument("export", type=a_path, metavar="EXPORT.csv", help="the sheet as it was exported")
    parser.add_argument(
        "--results", type=a_path, required=True, metavar="FOLDER", help="the folder that was given to --out"
    )
    parser.add_argument(
        "--output", type=a_path, metavar="FILE", help="the filled sheet; - for standard output (default: …-filled.csv)"
    )
    parser.add_argument("--column", default="", metavar="NAME", help="Canvas: which assignment, by name or number")
    parser.add_argument("--by", default="", metavar="COLUMN", help="the column that holds the students' ids")
    parser.add_argument("--scale", action="store_true", help="scale the scores where the sheet's maximum is another")
    options = parser.parse_args(arguments)

    from grader.report.gradebook import Wish, fill

    try:
        data = options.export.read_bytes()
    except OSError as error:
        raise UsageError(f"{options.export} cannot be read: {error.strerror}; name the exported sheet") from None
    output = options.output or options.export.with_name(f"{options.export.stem}-filled.csv")
    refuse_unwritable("--output", output)
    wish = Wish(options.column, options.by, options.scale)
    filled = fill(data, _records(options.results), wish, str(options.export))
    write_whole(output, filled.data)
    stream = sys.stderr if output == STANDARD_OUTPUT else sys.stdout
    with unread(stream):
        for line in _closing(filled):
            print(one_line(line), file=stream)
        if output != STANDARD_OUTPUT:
            print(one_line(f"written: {output}"), file=stream)
    return NOT_GRADED if filled.without_row or filled.needs_person else FULL_MARKS


def _records(folder: Path) -> list[Record]:
    """What counts of a class. Raises UsageError."""
    import msgspec

    from grader.records import from_json
    from grader.report.results import RECORDS

    paths = sorted((folder / RECORDS).glob("*.json"))
    if not paths:
        raise UsageError(f"--results {folder}: there are no records in it; name a folder that was given to --out")
    records = []
    for path in paths:
        try:
            records.append(from_json(path.read_bytes()))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is no record of this version: {error}; grade the class again") from None
    return records


def _closing(filled: Filled) -> Iterator[str]:
    yield f"{filled.column}: {len(filled.filled)} filled"
    for what, names in (
        ("had another value before", filled.changed),
        ("hold points that the grader proposed and no person has confirmed", filled.proposed),
        ("wait for a person, and are left as they were", filled.needs_person),
        ("cannot be changed, as the sheet says", filled.locked),
        ("keep the feedback that stands there", filled.kept_feedback),
        ("have a result and no row", filled.without_row),
        ("have a row and no result", filled.without_result),
    ):
        if names:
            yield f"{len(names)} {what}: {_some(names)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
