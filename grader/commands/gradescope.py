"""Make the autograder that is uploaded to Gradescope."""

from __future__ import annotations

import sys
from pathlib import Path

from grader.commands.common import FULL_MARKS, HERE, a_path, add_language, new_parser, unread
from grader.commands.reports import refuse_unwritable
from grader.files import STANDARD_OUTPUT, write_whole
from grader.inert import one_line

GRADESCOPE = """\
Make the zip that is uploaded to Gradescope (Configure Autograder). It holds the reference: it is not for students.

  python grade.py gradescope --output autograder.zip --pip-index URL

docs/formats.md says what to choose there.
"""


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py gradescope", GRADESCOPE)
    parser.add_argument(
        "--output",
        type=a_path,
        metavar="FILE",
        default=Path("autograder.zip"),
        help="the zip; - for standard output (default: autograder.zip)",
    )
    parser.add_argument(
        "--pip-index", default="", metavar="URL", help="an index with CPU builds of torch, besides pip's own"
    )
    add_language(parser)
    options = parser.parse_args(arguments)

    from grader.assignment import load_assignment
    from grader.autograder.pack import pack

    refuse_unwritable("--output", options.output)
    assignment = load_assignment(options.assignment)
    data = pack(HERE, assignment.folder, options.pip_index, options.lang)
    write_whole(options.output, data)
    if options.output != STANDARD_OUTPUT:
        with unread(sys.stdout):
            print(one_line(f"{options.output}: {len(data) / 1e6:.1f} MB, assignment “{assignment.config.title}”"))
    return FULL_MARKS
