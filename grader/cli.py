"""The command line: which verb is meant, and what an error means to whoever typed it."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from grader.commands.common import INTERRUPTED, USAGE, warn
from grader.errors import GraderError

SELF_CHECK = "--self-check"
# Each is a module of grader.commands; anything else is to be graded.
VERBS = (
    *("merge", "gradebook", "integrity"),
    *("gradescope", "autograde"),
    *("new", "template", "public", "verify", "schema"),
    "doctor",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # Korean names, on a terminal that knows ASCII alone
    verb, rest = _verb(arguments)
    try:
        code: int = importlib.import_module(f"grader.commands.{verb}").run(rest)
        return code
    except GraderError as error:
        warn(str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "grader").partition(".")[0] == "grader":
            raise
        warn(f"{error.name} is not installed for this Python: run `make demo`, then .venv/bin/python grade.py")
        return USAGE
    except KeyboardInterrupt:
        warn("interrupted; nothing was written")
        return INTERRUPTED


def _verb(arguments: list[str]) -> tuple[str, list[str]]:
    """The module of `grader.commands` that is meant, and what is left for it."""
    if SELF_CHECK in arguments:
        return "selfcheck", [word for word in arguments if word != SELF_CHECK]
    return (arguments[0], arguments[1:]) if arguments[:1] and arguments[0] in VERBS else ("grade", arguments)


def _open_standard_streams() -> None:
    """Where one was closed (`>&-`), its number would go to the next socket that is opened, and be written over."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
