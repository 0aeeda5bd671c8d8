"""Pack the public part of an assignment for students."""

from __future__ import annotations

import sys
from pathlib import Path

from grader.commands.common import FULL_MARKS, a_path, new_parser, unread

DESCRIPTION = """\
Pack what students need to check themselves: one file that Python runs on any system. It holds the grader and the public
part of the assignment, and nothing of the solutions, the checks, the known mistakes or the held-out set.
"""


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py public", DESCRIPTION)
    parser.add_argument("--output", type=a_path, metavar="FILE", default=Path("gradewall-selfcheck.pyz"))
    options = parser.parse_args(arguments)

    from grader.assignment import load_assignment
    from grader.files import write_whole
    from grader.packing import pack, public_of

    write_whole(options.output, pack(public_of(load_assignment(options.assignment))))
    with unread(sys.stdout):
        print(f"{options.output}: students run it beside their files: python {options.output.name} .")
    return FULL_MARKS
