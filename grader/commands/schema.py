"""Write the JSON Schema of a record, or say whether it is stale."""

from __future__ import annotations

import sys

from grader.commands.common import FULL_MARKS, HERE, POINTS_LOST, a_path, plain_parser, unread, warn
from grader.commands.reports import refuse_unwritable
from grader.files import STANDARD_OUTPUT, write_whole

SCHEMA = """\
Write the JSON Schema of what --json writes, made from the grader's own types.

  python grade.py schema             write docs/record.schema.json
  python grade.py schema --check     write nothing; exit 1 if it is stale
"""


def run(arguments: list[str]) -> int:
    parser = plain_parser("grade.py schema", SCHEMA)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is stale")
    parser.add_argument(
        "--output",
        type=a_path,
        metavar="FILE",
        default=HERE / "docs/record.schema.json",
        help="where to write it; - for standard output (default: docs/record.schema.json)",
    )
    options = parser.parse_args(arguments)

    from grader.report.schema import record_schema

    if options.check:
        if options.output.is_file() and options.output.read_bytes() == record_schema():
            return FULL_MARKS
        warn(f"{options.output} is stale: write it anew with python grade.py schema")
        return POINTS_LOST
    refuse_unwritable("--output", options.output)
    write_whole(options.output, record_schema())
    if options.output != STANDARD_OUTPUT:
        with unread(sys.stdout):
            print(options.output)
    return FULL_MARKS
