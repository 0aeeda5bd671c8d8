"""Facts on whether the work is the students' own: over a whole class, after it was graded or by itself."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grader.commands.common import FULL_MARKS, a_count, a_path, new_parser, progress_bar, unread, warn
from grader.errors import UsageError
from grader.forks import cores

if TYPE_CHECKING:
    from grader.assignment import Assignment
    from grader.integrity.findings import Finding, Review
    from grader.report.results import Standing, Summary

SHEET, KEPT = "integrity.csv", "integrity.json"
HELP_LAST_YEAR = "a folder of earlier submissions, held against this year's"
INTEGRITY = """\
Hold the submissions of a class against each other, and each one's claims against its weights. What is found are facts
for a person to judge, each with how often it would come about by chance; no mark hangs on them.

  python grade.py integrity SUBMISSIONS/ --out results/                        writes results/integrity.csv
  python grade.py integrity SUBMISSIONS/ --last-year 2024/ --out results/      last year's as well

The measured accuracies are taken from the results in that folder, where a class was graded into it; what is found then
stands on the pages in class/ too. Grading a class does this by itself, unless it is told --no-integrity.
"""
MOST_NAMED = 10


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py integrity", INTEGRITY)
    parser.add_argument(
        "submissions", type=a_path, nargs="+", metavar="SUBMISSIONS", help="archives, or folders of them"
    )
    parser.add_argument("--last-year", type=a_path, nargs="+", default=[], metavar="FOLDER", help=HELP_LAST_YEAR)
    parser.add_argument("--out", type=a_path, required=True, metavar="FOLDER", help="where integrity.csv goes")
    parser.add_argument("--jobs", type=a_count, metavar="N", help="processes that read side by side (default: cores)")
    options = parser.parse_args(arguments)

    from grader.assignment import load_assignment
    from grader.commands.batch import Known, show, standings_in
    from grader.language import ENGLISH
    from grader.ledger import NAME

    assignment = load_assignment(options.assignment)
    graded = (options.out / NAME).is_file()
    known = Known(assignment, {}, _names(options.out), ENGLISH)
    everyone, summary = standings_in(options.out, known) if graded else ([], None)
    found = write(assignment, options.submissions, options.last_year, options.out, everyone, options.jobs or cores())
    for line in found.left_out[:MOST_NAMED]:  # after grading, the results have said so
        warn(f"not held against the others: {line}")
    if summary is not None:
        show(options.out, assignment, everyone, summary)
    return FULL_MARKS


def write(
    assignment: Assignment,
    submissions: Sequence[Path],
    last_year: Sequence[Path],
    out: Path,
    everyone: Sequence[Standing],
    jobs: int,
    of: str = "",
) -> Review:
    """Review the class, and write what was found beside what was graded into `out`.

    everyone: who was graded into it; without any, the latest hand-in of each counts. jobs: processes that read.
    of: what is reviewed, for `Review.of`. Raises IntakeError, NotGraded, UsageError and AssignmentError.
    """
    from msgspec.structs import replace

    from grader.files import write_whole
    from grader.integrity.findings import sheet, to_json
    from grader.integrity.review import review

    if not out.is_dir():
        try:
            out.mkdir(parents=True)
        except OSError as error:
            raise UsageError(f"--out {out} cannot be written: {error.strerror}; name another folder") from None
    counting = {standing.counts.hand_in.name: standing.record for standing in everyone if standing.counts is not None}
    with progress_bar() as progress:
        found = review(
            assignment,
            submissions,
            last_year=last_year,
            out=out,
            records={name: record for name, record in counting.items() if record is not None},
            counting=counting if everyone else None,
            jobs=jobs,
            progress=progress,
        )
    found = replace(found, of=of)
    write_whole(out / SHEET, sheet(found.findings).encode())
    write_whole(out / KEPT, to_json(found))
    with unread(sys.stdout):
        print(
            f"{found.submissions} submissions, {found.pairs} pairs: {_counted(found.findings)}; written: {out}/{SHEET}"
        )
        for line in found.unsaid:
            print(line)
    return found


def after_grading(
    assignment: Assignment,
    submissions: Sequence[Path],
    last_year: Sequence[Path],
    out: Path,
    everyone: Sequence[Standing],
    summary: Summary,
    jobs: int,
) -> None:
    """Review a class that was just graded into `out`. jobs: processes that read.

    What was reviewed before and is the same again is left as it is. Raises IntakeError, NotGraded, UsageError and
    AssignmentError.
    """
    if sum(standing.counts is not None for standing in everyone) < 2:
        return
    of = _fingerprint(everyone, summary.grader_version, last_year)
    kept = kept_review(out)
    if kept is not None and kept.of == of and not last_year:
        return
    write(assignment, submissions, last_year, out, everyone, jobs, of)


def kept_review(out: Path) -> Review | None:
    """The last review that was written into this folder."""
    from grader.integrity.findings import from_json

    try:
        return from_json((out / KEPT).read_bytes())
    except OSError:
        return None


def _fingerprint(everyone: Sequence[Standing], version: str, last_year: Sequence[Path]) -> str:
    counting = sorted((s.counts.hand_in.name, s.counts.key) for s in everyone if s.counts is not None)
    return hashlib.sha256(repr((version, counting, list(map(str, last_year)))).encode()).hexdigest()


def _names(out: Path) -> dict[str, str]:
    """The roster as the sheet of the results has it."""
    from grader.inert import from_cell
    from grader.report.results import GRADES

    try:
        with (out / GRADES).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    return {from_cell(row["student_id"]): from_cell(row.get("name") or "") for row in rows if row.get("student_id")}


def _counted(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.kind for finding in findings)
    return ", ".join(f"{count} on {kind}" for kind, count in counts.items()) or "nothing that needs a look"
