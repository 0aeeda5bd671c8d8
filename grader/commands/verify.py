"""Prove the assignment."""

from __future__ import annotations

import io
import sys

from grader.commands.common import FULL_MARKS, POINTS_LOST, new_parser, progress_bar, unread
from grader.errors import UsageError
from grader.forks import cores

VERIFY = """\
Grade hand-ins whose mark is known: the reference must get full marks, the template none, every mutant must lose points
in its own criterion alone and be named, every variant must lose nothing. Exit code 1 when one comes out otherwise.
"""


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py verify", VERIFY)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone: a mutant, a variant, or a kind of case")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes (default: cores)")
    parser.add_argument("--no-accuracy", action="store_true", help="leave out the reference's test accuracy")
    parser.add_argument("--pairs", type=int, default=0, metavar="N", help="also N pairs of mistakes in each criterion")
    parser.add_argument(
        "--sandbox", default="auto", metavar="TIER", help="auto, bwrap, landlock or none (default: auto)"
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        raise UsageError(f"--jobs {options.jobs}: at least one process is needed")
    if options.pairs < 0:
        raise UsageError(f"--pairs {options.pairs}: a number of pairs is wanted, 0 for none")

    from rich.console import Console

    from grader import verify
    from grader.assignment import load_assignment
    from grader.report.verification import show

    wanted = verify.cases(load_assignment(options.assignment), options.names, options.pairs)
    setup = verify.Setup(options.assignment, options.sandbox, not options.no_accuracy)
    with progress_bar() as progress:
        done = iter(range(1, len(wanted) + 1))
        findings = verify.verify(setup, wanted, options.jobs, lambda _: progress("cases", next(done), len(wanted)))
    with unread(sys.stdout):
        show(findings, Console(highlight=False, file=sys.stdout or io.StringIO()))
    return FULL_MARKS if not any(finding.wrong for finding in findings) else POINTS_LOST
