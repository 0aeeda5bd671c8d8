"""Check one's own hand-in: `--self-check PATH`, on the machine that it was made on."""

from __future__ import annotations

import importlib.resources
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from grader.commands.common import FULL_MARKS, HERE, POINTS_LOST, USAGE, a_path, new_parser, unread, warn
from grader.inert import one_line

if TYPE_CHECKING:
    from grader.public import Public
    from grader.selfcheck import SelfCheck

DESCRIPTION = """\
Check your own hand-in before you hand it in: are the files there, do the notebooks parse, have the answers the right
shapes, do the weights load, how many test images are right. Your code runs on this machine, as you, without a sandbox.
Exit codes: 0 nothing found, 1 something to mend, 2 usage, 3 the archive cannot be read, 130 interrupted.
"""
UNSAID = """\
Not checked here: whether what you wrote computes what it should (only the shapes of the answers were looked at), and
whether given code was changed.{experiments} Your code ran as you, without a sandbox. When it is graded it has no
network, no GPU, and limits of time and memory."""
EXPERIMENTS = " Nor was what you wrote about your experiments."
PACKAGES = {  # by the name of the module
    "torch": "torch",
    "numpy": "numpy",
    "msgspec": "msgspec",
    "safetensors": "safetensors",
    "IPython": "ipython",
}


def run(arguments: list[str]) -> int:
    parser = new_parser("--self-check", DESCRIPTION)
    parser.epilog = None
    parser.add_argument("path", type=a_path, metavar="PATH", help="your archive, or the folder with your notebooks")
    options = parser.parse_args(arguments)
    missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        warn(f"this Python lacks {', '.join(missing)}: python -m pip install {' '.join(missing)}")
        return USAGE
    from grader.selfcheck import self_check

    found = self_check(options.path, _public(options.assignment), _progress)
    with unread(sys.stdout):
        print("\n".join(_shown(found)))
    return FULL_MARKS if found.is_well else POINTS_LOST


def _public(folder: Path) -> Public:
    """What was packed for students; in the repository itself, what would be packed."""
    from grader import public

    packed = importlib.resources.files("grader") / public.NAME
    if packed.is_file() and folder == HERE / "reference":
        return public.read_public(packed.read_bytes())
    from grader.assignment import load_assignment
    from grader.packing import public_of

    return public_of(load_assignment(folder))


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"\r{what}: {done:,} of {total:,}", end="\r\n"[done == total], file=sys.stderr, flush=True)


def _shown(found: SelfCheck) -> Iterator[str]:
    yield ""
    yield one_line(found.name)
    width = max(len(line.title) for line in found.lines)
    for line in found.lines:
        yield f"{line.title:{width}}  {line.verdict}"
    yield ""
    for line in found.lines:
        if line.message:
            yield f"{line.title}: {line.verdict}: {one_line(line.message)}"
    for note in found.notes:
        yield f"flag  {one_line(note)}"
    yield ""
    yield UNSAID.format(experiments=EXPERIMENTS if found.experiments else "")
