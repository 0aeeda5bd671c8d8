"""Facts on whether the work is the students' own: over a whole class, after it was graded or by itself."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grader.commands.common import FULL_MARKS, a_path, new_parser, progress_bar, unread, warn
from grader.errors import UsageError

if TYPE_CHECKING:
    from grader.assignment import Assignment
    from grader.integrity.findings import Finding
    from grader.records import Record

SHEET = "integrity.csv"
HELP_LAST_YEAR = "a folder of earlier submissions, held against this year's"
INTEGRITY = """\
Hold the submissions of a class against each other, and each one's claims against its weights. What is found are facts
for a person to judge, each with how often it would come about by chance; no mark hangs on them.

  python grade.py integrity SUBMISSIONS/ --out results/                        writes results/integrity.csv
  python grade.py integrity SUBMISSIONS/ --last-year 2024/ --out results/      last year's as well

The measured accuracies are taken from the results in that folder, where a class was graded into it.
"""
MOST_NAMED = 10


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py integrity", INTEGRITY)
    parser.add_argument(
        "submissions", type=a_path, nargs="+", metavar="SUBMISSIONS", help="archives, or folders of them"
    )
    parser.add_argument("--last-year", type=a_path, nargs="+", default=[], metavar="FOLDER", help=HELP_LAST_YEAR)
    parser.add_argument("--out", type=a_path, required=True, metavar="FOLDER", help="where integrity.csv goes")
    options = parser.parse_args(arguments)

    from grader.assignment import load_assignment

    write(load_assignment(options.assignment), options.submissions, options.last_year, options.out)
    return FULL_MARKS


def write(assignment: Assignment, submissions: Sequence[Path], last_year: Sequence[Path], out: Path) -> None:
    """Review the class, and write the sheet beside what was graded into `out`.

    Raises IntakeError, UsageError and AssignmentError.
    """
    from grader.files import write_whole
    from grader.integrity.findings import sheet
    from grader.integrity.review import review

    if not out.is_dir():
        try:
            out.mkdir(parents=True)
        except OSError as error:
            raise UsageError(f"--out {out} cannot be written: {error.strerror}; name another folder") from None
    records, counting = _graded(out)
    with progress_bar() as progress:
        found = review(
            assignment,
            submissions,
            last_year=last_year,
            out=out,
            records=records,
            counting=counting,
            progress=progress,
        )
    write_whole(out / SHEET, sheet(found.findings).encode())
    for line in found.left_out[:MOST_NAMED]:
        warn(f"not held against the others: {line}")
    with unread(sys.stdout):
        print(
            f"{found.submissions} submissions, {found.pairs} pairs: {_counted(found.findings)}; written: {out}/{SHEET}"
        )


def _counted(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.kind for finding in findings)
    return ", ".join(f"{count} on {kind}" for kind, count in counts.items()) or "nothing that needs a look"


def _graded(out: Path) -> tuple[dict[str, Record], frozenset[str] | None]:
    """The records of what counts, and the names of the hand-ins, where a class was graded into this folder."""
    from grader.ledger import NAME, Ledger
    from grader.report.results import standings

    if not (out / NAME).is_file():
        return {}, None
    with Ledger(out / NAME) as ledger:
        everyone = standings(ledger.listed(), {})
    records = {standing.student_id: standing.record for standing in everyone if standing.record is not None}
    return records, frozenset(standing.counts.hand_in.name for standing in everyone if standing.counts is not None)
