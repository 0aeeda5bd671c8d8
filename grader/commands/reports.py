"""The reports that other tools read, as options of the verbs that grade."""

from __future__ import annotations

import argparse
import os
import platform
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from msgspec.structs import replace

from grader.commands.common import a_path, unread
from grader.errors import UsageError
from grader.files import STANDARD_OUTPUT, write_whole
from grader.language import Catalogue, localised

if TYPE_CHECKING:
    from grader.report.results import Standing, Summary

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
FILES = ("json", "html", "junit", "gradescope")  # the options that name a file


def add_options(parser: argparse.ArgumentParser) -> None:
    """The ones that are for a submission and for a class."""
    reports = parser.add_argument_group("reports for other tools (docs/formats.md)")
    reports.add_argument("--junit", type=a_path, metavar="FILE", help="write JUnit XML: one suite a student")
    reports.add_argument(
        "--github", action="store_true", help="annotations in the log, and a summary where $GITHUB_STEP_SUMMARY points"
    )


def refuse_impossible(options: argparse.Namespace) -> None:
    """What cannot be written, before an evening's work and not after it. Raises UsageError."""
    named: dict[str, Path] = {f"--{name}": path for name in FILES if (path := getattr(options, name, None)) is not None}
    on_output = [f"{flag} -" for flag, path in named.items() if path == STANDARD_OUTPUT]
    if len(on_output := ["--github"] * options.github + on_output) > 1:
        raise UsageError(f"{' and '.join(on_output)} would be mixed on standard output; name files instead")
    files = {flag: path for flag, path in named.items() if path != STANDARD_OUTPUT}
    for flag, path in files.items():
        refuse_unwritable(flag, path)
    regular = {flag: path.resolve() for flag, path in files.items() if path.is_file() or not path.exists()}
    if len(set(regular.values())) < len(regular):
        raise UsageError(f"{' and '.join(regular)} name the same file; name one for each")
    if options.github and (page := os.environ.get(SUMMARY_VARIABLE)):
        refuse_unwritable(f"${SUMMARY_VARIABLE}", Path(page))


def takes_output(options: argparse.Namespace) -> bool:
    """Whether one of the files goes to standard output, where nothing else may then stand."""
    return any(getattr(options, name, None) == STANDARD_OUTPUT for name in FILES)


def refuse_unwritable(flag: str, path: Path) -> None:
    """Raises UsageError where no file can be written, with what to name instead."""
    if path == STANDARD_OUTPUT:
        return
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder; name a file")
    if path.exists() and not path.is_file():  # a device or a pipe is written to where it is
        written = path
    else:
        written = path.resolve().parent  # the file is replaced by a new one in the same folder
        if not written.is_dir():
            raise UsageError(f"{flag} {path}: the folder {written} does not exist; make it, or name another")
    if not os.access(written, os.W_OK):
        raise UsageError(f"{flag} {path} cannot be written; name a file in a folder of yours")


@contextmanager
def quoted(github: bool, stream: TextIO | None) -> Iterator[None]:
    """While this lasts, GitHub takes nothing that is printed for a command: students' text may be in it."""
    token = secrets.token_hex(16)  # nobody could have written it into a notebook
    if not github or stream is None:
        yield
        return
    with unread(stream):
        print(f"::stop-commands::{token}", file=stream)
    try:
        yield
    finally:
        with unread(stream):
            print(f"::{token}::", file=stream)


def write_one(options: argparse.Namespace, standing: Standing, known: Catalogue) -> None:
    """The reports of one submission, graded or not; those for students in their language. Raises UsageError."""
    from grader.report import github
    from grader.report.gradescope import results_json

    if options.html is not None and standing.record is not None:
        from grader.report.pages.student import student_page

        write_whole(options.html, student_page(localised(standing.record, known), options.audience or "student", known))
    if options.junit is not None:
        _write_junit(options.junit, [standing])
    if options.gradescope is not None and standing.outcome is not None:
        told = standing.outcome
        if told.record is not None:
            told = replace(told, record=localised(told.record, known))
        write_whole(options.gradescope, results_json(told, known))
    if options.github:
        _print(github.commands(github.annotations_of(standing)))
        _append(github.summary(standing, _room()))


def write_class(options: argparse.Namespace, everyone: Sequence[Standing], figures: Summary) -> None:
    """The reports of a class. Raises UsageError."""
    from grader.report import github

    if options.junit is not None:
        _write_junit(options.junit, everyone)
    if options.github:
        _print(github.commands(github.class_annotations(everyone)))
        _append(github.class_summary(everyone, figures, _room()))


def _write_junit(path: Path, everyone: Sequence[Standing]) -> None:
    from grader.report.junit import junit_xml

    write_whole(path, junit_xml(everyone, datetime.now(UTC), platform.node()))


def _print(text: str) -> None:
    with unread(sys.stdout):
        print(text, end="")


def _room() -> int:
    """Bytes that the step's summary still takes: other commands of the step may have written to it."""
    from grader.report.github import SUMMARY_BYTES

    path = os.environ.get(SUMMARY_VARIABLE)
    return SUMMARY_BYTES - (os.path.getsize(path) if path and os.path.isfile(path) else 0)


def _append(text: str) -> None:
    path = os.environ.get(SUMMARY_VARIABLE)
    if path:
        try:
            with open(path, "ab") as file:
                file.write((f"\n{text}" if file.tell() else text).encode())  # it may end in the middle of a line
        except OSError as error:
            raise UsageError(f"${SUMMARY_VARIABLE} is {path}, which cannot be written: {error.strerror}") from None
