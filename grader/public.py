"""The public part of an assignment, as a student's own machine reads it. `grader.packing` makes it."""

from __future__ import annotations

import msgspec

from grader.assignment import Config
from grader.errors import UsageError
from grader.notebook import Cell, Notebook
from grader.records import Frozen

NAME = "selfcheck.json"  # in the package `grader` of what students get


class Public(Frozen, frozen=True):
    """What may be told. config: without points, checks, stand-ins and solutions. handed_out: the stubs of classes.

    words: by a language's code, the files' titles in it.
    """

    config: Config
    handed_out: dict[str, str]
    words: dict[str, dict[str, str]] = {}


def read_public(data: bytes) -> Public:
    """Raises UsageError where it is damaged."""
    try:
        return msgspec.json.decode(data, type=Public)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{NAME} is damaged ({error}): get the self-check anew") from None


def stub_of(source: str) -> Notebook:
    """One definition as a notebook, to be compared with a student's."""
    return Notebook(name="hand-out", cells=(Cell(index=0, kind="code", source=source),))
