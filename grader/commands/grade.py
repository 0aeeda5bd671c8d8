"""Grade one submission."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from grader import __version__
from grader.commands.common import (
    FULL_MARKS,
    NOT_GRADED,
    POINTS_LOST,
    a_path,
    new_parser,
    progress_bar,
    unread,
    warn_of_no_sandbox,
)
from grader.errors import IntakeError, UsageError
from grader.files import STANDARD_OUTPUT, write_whole

DESCRIPTION = """\
Grade a submission: a .tar.gz, .tgz, .tar, .zip or a folder with the notebooks and the .pth.

  python grade.py 1102444016.tar.gz             grade it, explain every lost point
  python grade.py 1102444016.tar.gz --json FILE write the record as well
  python grade.py template [--check]            write student_template/ from reference/, or say whether it is stale
  python grade.py verify                        prove the assignment: reference, template, mutants, variants
  python grade.py doctor                        what this machine offers, and the command that mends what is missing
"""


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py", DESCRIPTION)
    parser.add_argument("submission", type=a_path, help="the archive or folder")
    parser.add_argument("--json", type=a_path, metavar="FILE", help="write the record to FILE; - for standard output")
    parser.add_argument("--no-accuracy", action="store_true", help="leave out the 10,000 test images")
    parser.add_argument(
        "--marks", type=a_path, metavar="FILE", help="a person's marks, CSV: student_id, criterion, points, comment"
    )
    parser.add_argument(
        "--sandbox", default="auto", metavar="TIER", help="auto, bwrap, landlock or none (default: auto)"
    )
    parser.add_argument("--version", action="version", version=f"grader {__version__}")
    options = parser.parse_args(arguments)
    if not options.submission.exists():
        raise IntakeError(f"{options.submission} does not exist; name an archive or a folder")
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
    maxima = {name: criterion.points for name, criterion in assignment.config.criteria.items()}
    marks = read_marks(options.marks, maxima) if options.marks is not None else {}
    if options.sandbox == "none":
        warn_of_no_sandbox()
    hidden = [assignment.folder, options.submission.resolve().parent]
    with open_sandbox(options.sandbox, worker_limits(assignment), hidden) as sandbox, progress_bar() as progress:
        record = grade(options.submission, assignment, sandbox, Options(accuracy=not options.no_accuracy), progress)
    record = with_marks(record, marks, maxima) if marks else record
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
