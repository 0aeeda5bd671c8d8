"""Check one's own hand-in: `--self-check PATH`, on the machine that it was made on."""

from __future__ import annotations

import importlib.resources
import importlib.util
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from grader.commands.common import FULL_MARKS, HERE, POINTS_LOST, USAGE, a_path, add_language, new_parser, unread, warn
from grader.errors import IntakeError
from grader.inert import one_line

if TYPE_CHECKING:
    from grader.language import Catalogue
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
    add_language(parser)
    options = parser.parse_args(arguments)
    missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        warn(f"this Python lacks {', '.join(missing)}: python -m pip install {' '.join(missing)}")
        return USAGE
    from grader.selfcheck import self_check

    public = _public(options.assignment)
    known = _known(options.lang, public)
    try:
        found = self_check(options.path, public, lambda *far: _progress(known, *far))
    except IntakeError as error:
        raise IntakeError(known.translate(str(error))) from None
    with unread(sys.stdout):
        print("\n".join(_shown(found, known)))
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


def _known(language: str, public: Public) -> Catalogue:
    """The engine's messages, and the titles of this assignment's files, small and as they begin a line."""
    from grader.entries import Entry
    from grader.language import Catalogue, catalogue

    entries = dict(catalogue(language).entries)
    for english, other in public.words.get(language, {}).items():
        entries |= {title: Entry("files", title, other) for title in (english, english[:1].upper() + english[1:])}
    return Catalogue(language, entries)


def _progress(known: Catalogue, what: str, done: int, total: int) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"\r{known.say(what)}: {done:,} of {total:,}", end="\r\n"[done == total], file=sys.stderr, flush=True)


def _shown(found: SelfCheck, known: Catalogue) -> Iterator[str]:
    yield ""
    yield one_line(known.translate(found.name))
    lines = [(known.translate(x.title), known.say(x.verdict), known.translate(x.message)) for x in found.lines]
    width = max(_columns(title) for title, _, _ in lines)
    for title, verdict, _ in lines:
        yield f"{title}{' ' * (width - _columns(title))}  {verdict}"
    yield ""
    for title, verdict, message in lines:
        if message:
            yield f"{title}: {verdict}: {one_line(message)}"
    for note in found.notes:
        yield f"{known.say('flag')}  {one_line(known.translate(note))}"
    yield ""
    yield known.say(UNSAID, experiments=known.say(EXPERIMENTS) if found.experiments else "")


def _columns(text: str) -> int:
    """How wide a terminal shows it."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
