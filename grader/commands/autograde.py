"""Grade what Gradescope put into a folder: what `run_autograder` calls."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from grader.commands.common import FULL_MARKS, NOT_GRADED, a_path, add_language, new_parser, unread
from grader.errors import UsageError
from grader.files import write_whole
from grader.inert import one_line
from grader.language import catalogue, localised

if TYPE_CHECKING:
    from grader.work import Outcome

AUTOGRADE = """\
What run_autograder calls at Gradescope: grade FOLDER/submission, write FOLDER/results/results.json, however it ends.
`python grade.py gradescope` makes the zip that brings it there.
"""


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py autograde", AUTOGRADE)
    parser.add_argument("root", type=a_path, metavar="FOLDER", help="at Gradescope /autograder")
    parser.add_argument(
        "--sandbox", default="auto", metavar="TIER", help="auto, bwrap, landlock or none (default: auto)"
    )
    add_language(parser)
    options = parser.parse_args(arguments)

    from grader.autograder.harness import RESULTS, SUBMISSION, outcome_of
    from grader.report.gradescope import results_json

    if not (options.root / SUBMISSION).is_dir():
        raise UsageError(f"{options.root} has no folder {SUBMISSION}; name the one that Gradescope filled")
    outcome = outcome_of(options.root, options.assignment, options.sandbox)
    (options.root / RESULTS).parent.mkdir(exist_ok=True)
    record = outcome.record
    known = catalogue(options.lang, options.assignment)
    told = outcome if record is None else replace(outcome, record=localised(record, known))
    write_whole(options.root / RESULTS, results_json(told, known))
    with unread(sys.stdout):
        for line in _said(outcome):
            print(one_line(line))
    return NOT_GRADED if record is None or record.needs_person else FULL_MARKS


def _said(outcome: Outcome) -> Iterator[str]:
    """For the log. What a student's files are called stands in the results alone."""
    if outcome.record is not None:
        yield f"{outcome.record.score:g} / {outcome.record.max_score:g}, sandbox {outcome.record.sandbox}"
    elif outcome.blame == "student":
        yield "refused; the results say why"
    else:
        yield outcome.reason
        yield from outcome.trace.splitlines()
