"""Look at the machine."""

from __future__ import annotations

import io
import sys

from grader.commands.common import FULL_MARKS, NOT_GRADED, new_parser, unread

DOCTOR = """\
Look at what this machine offers for grading, start every sandbox once, and name the command that mends what is missing.
Exit code 3 when submissions cannot be graded here.
"""


def run(arguments: list[str]) -> int:
    options = new_parser("grade.py doctor", DOCTOR).parse_args(arguments)

    from rich.console import Console

    from grader import doctor
    from grader.report.health import show

    facts = doctor.look(options.assignment)
    with unread(sys.stdout):
        console = Console(highlight=False, file=sys.stdout or io.StringIO())
        show(facts, doctor.tier_of(facts), doctor.ready(facts), doctor.advice(facts), console)
    return FULL_MARKS if doctor.ready(facts) else NOT_GRADED
