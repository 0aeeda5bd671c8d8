"""Write the hand-out, or say whether it is stale."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from grader.assignment import Assignment
from grader.commands.common import FULL_MARKS, HERE, POINTS_LOST, a_path, new_parser, unread, warn
from grader.errors import UsageError


def run(arguments: list[str]) -> int:
    parser = new_parser("grade.py template", "Write the hand-out from the masters in the assignment's folder.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the hand-out is stale")
    parser.add_argument(
        "--out", type=a_path, metavar="FOLDER", help="where to write it (default: as assignment.toml says)"
    )
    options = parser.parse_args(arguments)

    from grader import template
    from grader.assignment import load_assignment

    assignment: Assignment = load_assignment(options.assignment)
    folder = options.out or Path(os.path.normpath(options.assignment / assignment.config.template))
    if not options.check:
        try:
            written = template.write_template(assignment.folder, folder)
        except OSError as error:
            raise UsageError(f"{folder} cannot be written: {error.strerror}; name another with --out") from None
        with unread(sys.stdout):
            print(f"{folder}: {len(written)} files")
        return FULL_MARKS
    stale = template.stale(assignment.folder, folder)
    with unread(sys.stdout):
        for line in stale:
            print(line)
    if stale:
        warn(f"{folder} is stale: {_mending(stale, options)}")
        return POINTS_LOST
    return FULL_MARKS


def _mending(stale: Sequence[str], options: argparse.Namespace) -> str:
    """What to do about a stale hand-out: writing it anew removes nothing."""
    extra = [line.startswith("extra: ") for line in stale]
    command = ["python", "grade.py", "template"]
    if options.assignment != HERE / "reference":
        command += ["--assignment", str(options.assignment)]
    if options.out:
        command += ["--out", str(options.out)]
    remove = ["remove what is extra"] if any(extra) else []
    write = [] if all(extra) else [f"write it anew with {shlex.join(command)}"]
    return ", and ".join(remove + write)
