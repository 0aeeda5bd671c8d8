"""Grade one submission, or with --out a whole class."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from grader import __version__
from grader.commands import reports
from grader.commands.batch import HELP_FAIL_UNDER, HELP_MARKS, HELP_ROSTER
from grader.commands.batch import run as grade_class
from grader.commands.common import (
    FULL_MARKS,
    NOT_GRADED,
    POINTS_LOST,
    a_count,
    a_path,
    a_shard,
    add_language,
    new_parser,
    progress_bar,
    unread,
    warn_of_no_sandbox,
)
from grader.commands.integrity import HELP_LAST_YEAR
from grader.errors import IntakeError, NotGraded, UsageError
from grader.files import STANDARD_OUTPUT, write_whole
from grader.interrupts import interrupts_held
from grader.language import Catalogue, catalogue, localised
from grader.work import GPU_CHOICES

if TYPE_CHECKING:
    from grader.records import Record

AUDIENCES = ("student", "instructor")
DESCRIPTION = """\
Grade a submission: a .tar.gz, .tgz, .tar, .zip or a folder with the notebooks and the .pth.

  python grade.py 1102444016.tar.gz             grade it, explain every lost point
  python grade.py 1102444016.tar.gz --json FILE write the record as well
  python grade.py 1102444016.tar.gz --html FILE write a page for the student; --audience instructor: with evidence
  python grade.py SUBMISSIONS/ --out results/   grade a class: go on after a crash, grades.csv, a page a student
  python grade.py gradebook EXPORT.csv --results results/  fill a sheet that Canvas or Moodle exported
  python grade.py gradescope --output autograder.zip       an autograder for Gradescope
  python grade.py merge PARTS… --out results/   put the results of several machines together
  python grade.py integrity SUBMISSIONS/ --out results/   hold a class against each other, and against last year's
  python grade.py template [--check]            write student_template/ from reference/, or say whether it is stale
  python grade.py verify                        prove the assignment: reference, template, mutants, variants
  python grade.py doctor                        what this machine offers, and the command that mends what is missing
  python grade.py new PATH                      lay out a new assignment (docs/writing-an-assignment.md)
  python grade.py public                        pack what students check themselves with
  python grade.py --self-check PATH             check your own work: no hidden checks, no sandbox, any system
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
    parser.add_argument(
        "--json", type=a_path, metavar="FILE", help="write the record to FILE, in English; - for standard output"
    )
    parser.add_argument("--gradescope", type=a_path, metavar="FILE", help="write Gradescope's results.json")
    parser.add_argument("--html", type=a_path, metavar="FILE", help="write a page to FILE; - for standard output")
    parser.add_argument("--audience", choices=AUDIENCES, help="whom --html is for (default: student)")
    add_language(parser)
    parser.add_argument("--no-accuracy", action="store_true", help="leave out the held-out images")
    parser.add_argument(
        "--gpu",
        choices=GPU_CHOICES,
        default=GPU_CHOICES[0],
        help="the held-out images on a GPU: auto, where that is faster; always; or never",
    )
    parser.add_argument("--marks", type=a_path, metavar="FILE", help=HELP_MARKS)
    parser.add_argument(
        "--sandbox", default="auto", metavar="TIER", help="auto, bwrap, landlock or none (default: auto)"
    )
    reports.add_options(parser)
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
        if options.gradescope is not None:
            raise UsageError("--gradescope is for one submission: Gradescope asks for one at a time")
        if options.junit == STANDARD_OUTPUT:
            raise UsageError("--junit - is for one submission; with --out name a file")
        if options.html is not None or options.audience is not None:
            where = f"the pages are in {options.out}/pages/ for students, in {options.out}/class/ for instructors"
            raise UsageError(f"--html and --audience are for one submission; with --out {where}")
        return grade_class(options)
    _refuse_for_one(options)
    known = catalogue(options.lang, options.assignment)
    with _refusing_in(known):
        return _grade(options, options.submissions[0], known)


def _refuse_for_one(options: argparse.Namespace) -> None:
    """What makes sense for a whole class alone. Raises UsageError."""
    if options.audience is not None and options.html is None:
        raise UsageError("--audience says whom a page is for: name the page with --html")
    if len(options.submissions) > 1:
        raise UsageError("several submissions: name a folder for their results with --out, or grade one at a time")
    for flag in ("jobs", "roster", "only", "force", "shard", "dask", "last_year", "no_integrity", "fail_under"):
        if getattr(options, flag):
            raise UsageError(
                f"--{flag.replace('_', '-')} is for a whole class: name a folder for the results with --out"
            )


@contextmanager
def _refusing_in(known: Catalogue) -> Iterator[None]:
    """Why a submission could not be graded is told to whoever handed it in."""
    try:
        yield
    except (IntakeError, NotGraded) as error:
        raise type(error)(known.translate(str(error))) from None


def _grade(options: argparse.Namespace, path: Path, known: Catalogue) -> int:
    if not path.exists():
        raise IntakeError(f"{path} does not exist; name an archive or a folder")
    reports.refuse_impossible(options)

    from rich.console import Console

    from grader.records import Blame, to_json
    from grader.report.results import alone
    from grader.report.terminal import show
    from grader.work import Outcome

    try:
        record = _record_of(options, path, known)
    except (IntakeError, NotGraded) as error:
        blame = Blame.STUDENT if isinstance(error, IntakeError) else Blame.GRADER
        reports.write_one(options, alone(path.name, Outcome(reason=str(error), blame=blame)), known)
        raise
    output = sys.stderr if reports.takes_output(options) else sys.stdout
    with reports.quoted(options.github, output), unread(output):
        console = Console(highlight=False, file=output or io.StringIO())  # there is none after `>&-`
        show(localised(record, known), console, known)
    if options.json is not None:
        write_whole(options.json, to_json(record))
    reports.write_one(options, alone(path.name, Outcome(record=record)), known)
    if record.needs_person:
        return NOT_GRADED
    return FULL_MARKS if record.score >= record.max_score else POINTS_LOST


def _record_of(options: argparse.Namespace, path: Path, known: Catalogue) -> Record:
    """Grade it, a person's marks included. Raises IntakeError, NotGraded, and what is wrong with the configuration."""
    from grader.assignment import load_assignment
    from grader.limits import worker_limits
    from grader.marks import read_marks, with_marks
    from grader.sandbox.tiers import open_sandbox

    assignment = load_assignment(options.assignment)
    marks = read_marks(options.marks, assignment.maxima) if options.marks is not None else {}
    if options.sandbox == "none":
        warn_of_no_sandbox(known)
    hidden = [assignment.folder, path.resolve().parent]
    limits = worker_limits(assignment)
    with contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(open_sandbox(options.sandbox, limits, hidden, _import_the_rest))
        from grader.gpu import find_gpu
        from grader.pipeline import Options, grade

        gpu = None if options.no_accuracy else find_gpu(options.gpu, sandbox.tier, limits, hidden)
        if gpu is not None:
            stack.callback(gpu.close)
        with progress_bar(known) as progress:
            chosen = Options(accuracy=not options.no_accuracy, exhibits=options.html is not None, gpu=gpu)
            record = grade(path, assignment, sandbox, chosen, progress)
    return with_marks(record, marks, assignment.maxima) if marks else record


def _import_the_rest() -> None:
    """With torch, which takes a second: the sandbox's own process imports it beside this one."""
    import gc

    gc.disable()  # nothing of what is imported becomes garbage
    try:
        with interrupts_held():  # a Ctrl-C among the imports may be lost: some of them catch whatever is raised
            pipeline = importlib.import_module("grader.pipeline")
            importlib.import_module("grader.report.terminal")
    finally:
        gc.enable()
    pipeline.settle()
