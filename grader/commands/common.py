"""What the verbs share: their parser, their exit codes, what they say on standard error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from grader.errors import UsageError
from grader.inert import one_line
from grader.languages import DEFAULT, LANGUAGES

if TYPE_CHECKING:
    from grader.language import Catalogue
    from grader.submission import Progress

FULL_MARKS, POINTS_LOST, USAGE, NOT_GRADED, INTERRUPTED = 0, 1, 2, 3, 130
HERE = Path(__file__).resolve().parents[2]
EPILOG = "exit codes: 0 nothing lost, 1 points lost, 2 usage or configuration, 3 could not be graded, 130 interrupted"


class Parser(argparse.ArgumentParser):
    """argparse, whose errors are ours: one sentence, exit code 2."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message}; {self.prog} --help shows what there is")


def plain_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """One for a verb that reads no assignment."""
    return Parser(
        prog=prog, description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def new_parser(prog: str, description: str) -> argparse.ArgumentParser:
    parser = plain_parser(prog, description)
    parser.add_argument("--assignment", type=a_path, default=HERE / "reference", help="the assignment's folder")
    return parser


def add_language(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lang",
        choices=LANGUAGES,
        default=DEFAULT,
        help=f"the language of what a student reads: {', '.join(LANGUAGES)} (default: {DEFAULT}); records stay English",
    )


def a_path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty path names nothing")
    return Path(text)


def a_count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or not 1 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"“{text}” is no number of processes; write 1 or more")
    return int(text)


def a_shard(text: str) -> tuple[int, int]:
    """`2/8` as (2, 8)."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"“{text}” is no shard; write 1/8 for the first of eight")
    return int(number), int(count)


@contextmanager
def unread(stream: TextIO | None) -> Iterator[None]:
    """A reader that has gone (`| head -1`), or a full disk behind the output, changes no exit code."""
    try:
        yield
        if stream is not None:
            stream.flush()
    except (OSError, SystemExit):  # rich leaves at a broken pipe
        if stream is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python flushes once more at its end


def warn(sentence: str) -> None:
    if sys.stderr is not None:  # else print would take standard output
        with unread(sys.stderr):
            print(f"grade.py: {one_line(sentence)}", file=sys.stderr)  # it may name a file as a student named it


def warn_of_no_sandbox(known: Catalogue) -> None:
    warn(
        known.say(
            "--sandbox none: the code in this submission runs as you, with your files and your network. "
            "Use it for your own work only."
        )
    )


@contextmanager
def progress_bar(known: Catalogue | None = None) -> Iterator[Progress]:
    """A progress bar on stderr while it is a terminal; nothing otherwise."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=False) as bar:
        tasks: dict[str, object] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(known.say(what) if known else what, total=total)
            bar.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield progress
