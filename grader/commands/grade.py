"""Grade one submission, or with --out a whole class."""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path

from grader import __version__
from grader.commands.batch import HELP_FAIL_UNDER, HELP_MARKS, HELP_ROSTER
from grader.commands.batch import run as grade_class
from grader.commands.common import (
    FULL_MARKS,
    NOT_GRADED,
    POINTS_LOST,
    a_count,
    a_path,
    a_shard,
    new_parser,
    progress_bar,
    unread,
    warn_of_no_sandbox,
)
from grader.commands.integrity import HELP_LAST_YEAR
from grader.errors import IntakeError, UsageError
from grader.files import STANDARD_OUTPUT, write_whole

DESCRIPTION = """\
Grade a submission: a .tar.gz, .tgz, .tar, .zip or a folder with the notebooks and the .pth.

  python grade.py 1102444016.tar.gz             grade it, explain every lost point
  python grade.py 1102444016.tar.gz --json FILE write the record as well
  python grade.py SUBMISSIONS/ --out results/   grade a class: go on after a crash, grades.csv, a record a student
  python grade.py merge PARTS… --out results/   put the results of several machines together
  python grade.py integrity SUBMISSIONS/ --out results/   hold a class against each other, and against last year's
  python grade.py template [--check]            write student_template/ from reference/, or say whether it is stale
  python grade.py verify                        prove the assignment: reference, template, mutants, variants
  python grade.py doctor                        what this machine offers, and the command that mends what is missing
"""


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py", DESCRIPTION)
    parser.add_argument(
        "submissions",
        type=a_path,
        nargs="+",
        metavar="SUBMISSION",
        help="the archive or folder; with --out, any number",
    )
    parser.add_argument("--json", type=a_path, metavar="FILE", help="write the record to FILE; - for standard output")
    parser.add_argument("--no-accuracy", action="store_true", help="leave out the 10,000 test images")
    parser.add_argument("--marks", type=a_path, metavar="FILE", help=HELP_MARKS)
    parser.add_argument(
        "--sandbox", default="auto", metavar="TIER", help="auto, bwrap, landlock or none (default: auto)"
    )
    many = parser.add_argument_group("a whole class")
    many.add_argument("--out", type=a_path, metavar="FOLDER", help="grade all that is there, and write results here")
    many.add_argument("--jobs", type=a_count, metavar="N", help="processes side by side (default: cores)")
    many.add_argument("--roster", type=a_path, metavar="FILE", help=HELP_ROSTER)
    many.add_argument("--only", nargs="+", metavar="ID", help="grade these alone: student ids, or names of archives")
    many.add_argument("--force", action="store_true", help="grade anew what was graded before")
    many.add_argument("--shard", type=a_shard, metavar="I/N", help="the I-th of N parts; see `grade.py merge --help`")
    many.add_argument(
        "--dask", metavar="ADDRESS", help="grade on the cluster of this scheduler (docs/many-machines.md)"
    )
    many.add_argument("--last-year", type=a_path, nargs="+", metavar="FOLDER", help=HELP_LAST_YEAR)
    many.add_argument("--no-integrity", action="store_true", help="do not hold the submissions against each other")
    many.add_argument("--fail-under", type=float, metavar="POINTS", help=HELP_FAIL_UNDER)
    parser.add_argument("--version", action="version", version=f"grader {__version__}")
    options = parser.parse_args(arguments)
    if options.out is not None:
        if options.json is not None:
            raise UsageError(f"--json is for one submission; with --out the records are in {options.out}/records/")
        return grade_class(options)
    _refuse_for_one(options)
    return _grade(options, options.submissions[0])


def _refuse_for_one(options: argparse.Namespace) -> None:
    """What makes sense for a whole class alone. Raises UsageError."""
    if len(options.submissions) > 1:
        raise UsageError("several submissions: name a folder for their results with --out, or grade one at a time")
    for flag in ("jobs", "roster", "only", "force", "shard", "dask", "last_year", "no_integrity", "fail_under"):
        if getattr(options, flag):
            raise UsageError(
                f"--{flag.replace('_', '-')} is for a whole class: name a folder for the results with --out"
            )


def _grade(options: argparse.Namespace, path: Path) -> int:
    if not path.exists():
        raise IntakeError(f"{path} does not exist; name an archive or a folder")
    if options.json is not None and options.json != STANDARD_OUTPUT:
        _refuse_unwritable(options.json)

    from rich.console import Console

    from grader.assignment import load_assignment
    from grader.marks import read_marks, with_marks
    from grader.pipeline import Options, grade
    from grader.records import to_json
    from grader.report.terminal import show
    from grader.sandbox.tiers import open_sandbox
    from grader.submission import worker_limits

    assignment = load_assignment(options.assignment)
    marks = read_marks(options.marks, assignment.maxima) if options.marks is not None else {}
    if options.sandbox == "none":
        warn_of_no_sandbox()
    hidden = [assignment.folder, path.resolve().parent]
    with open_sandbox(options.sandbox, worker_limits(assignment), hidden) as sandbox, progress_bar() as progress:
        record = grade(path, assignment, sandbox, Options(accuracy=not options.no_accuracy), progress)
    record = with_marks(record, marks, assignment.maxima) if marks else record
    output = sys.stderr if options.json == STANDARD_OUTPUT else sys.stdout
    with unread(output):
        show(record, Console(highlight=False, file=output or io.StringIO()))  # there is none after `>&-`
    if options.json is not None:
        write_whole(options.json, to_json(record))
    if record.needs_person:
        return NOT_GRADED
    return FULL_MARKS if record.score >= record.max_score else POINTS_LOST


def _refuse_unwritable(path: Path) -> None:
    """Before an evening's work, not after it. Raises UsageError."""
    if path.is_dir():
        raise UsageError(f"--json {path} is a folder; name a file")
    if path.exists() and not path.is_file():  # a device or a pipe is written to where it is
        written = path
    else:
        written = path.resolve().parent  # the file is replaced by a new one in the same folder
        if not written.is_dir():
            raise UsageError(f"--json {path}: the folder {written} does not exist; make it, or name another")
    if not os.access(written, os.W_OK):
        raise UsageError(f"--json {path} cannot be written; name a file in a folder of yours")
