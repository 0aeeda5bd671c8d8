"""Put the results of several runs together."""

from __future__ import annotations

from grader.commands import batch as batch_command
from grader.commands import reports
from grader.commands.common import a_path, add_language, new_parser, warn

MERGE = """\
Put several folders of results into one, for example the parts of a class that was graded on several machines:

  python grade.py SUBMISSIONS/ --shard 1/2 --out part-1/     on one machine
  python grade.py SUBMISSIONS/ --shard 2/2 --out part-2/     on another
  python grade.py merge part-1/ part-2/ --out results/       where both folders are
"""


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py merge", MERGE)
    parser.add_argument("parts", type=a_path, nargs="+", metavar="RESULTS", help="folders that were given to --out")
    parser.add_argument("--out", type=a_path, required=True, metavar="FOLDER", help="where all of it goes")
    parser.add_argument("--marks", type=a_path, metavar="FILE", help=batch_command.HELP_MARKS)
    parser.add_argument("--roster", type=a_path, metavar="FILE", help=batch_command.HELP_ROSTER)
    add_language(parser)
    parser.add_argument("--fail-under", type=float, metavar="POINTS", help=batch_command.HELP_FAIL_UNDER)
    reports.add_options(parser)
    options = parser.parse_args(arguments)
    reports.refuse_impossible(options)

    from grader import batch

    known = batch_command.known_of(options)
    for doubt in batch.merge(options.parts, options.out, known.assignment):
        warn(f"{', '.join(map(str, options.parts))}: {doubt}")
    batch_command.take_marks(known, options.out)
    everyone, summary = batch_command.standings_in(options.out, known)
    code = batch_command.finish(options, known, everyone, summary)
    batch_command.show(options.out, known.assignment, everyone, summary)
    return code
