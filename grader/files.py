"""Files that are there whole, or not at all; sheets that people made."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from grader.errors import UsageError

STANDARD_OUTPUT = Path("-")


def read_sheet(path: Path, place: str) -> list[list[str]]:
    """The rows of a CSV, its header and empty rows included. place: what the error names. Raises UsageError."""
    try:
        return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
    except UnicodeDecodeError:
        raise UsageError(f"{place} is not UTF-8 text; save it as “CSV UTF-8”") from None
    except (OSError, csv.Error) as error:
        raise UsageError(f"{place} cannot be read: {error}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all. Raises UsageError where it cannot be written.

    A link keeps pointing where it does; a device or a pipe is written to, and not replaced. So is what standard output
    goes to, under whatever name (-, /dev/stdout): a file there has the report in it.
    """
    try:
        if path == STANDARD_OUTPUT or (path.exists() and os.path.samestat(path.stat(), os.fstat(1))):
            with suppress(BrokenPipeError), open(1, "wb", closefd=False) as stream:  # its reader may have gone
                stream.write(data)
            return
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        path = path.resolve()
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}") from None
