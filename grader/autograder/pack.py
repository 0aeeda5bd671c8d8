"""The zip that is uploaded to Gradescope. The same files give the same bytes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from grader.errors import UsageError
from grader.language import ENGLISH, Catalogue, catalogue
from grader.languages import DEFAULT
from grader.records import Blame
from grader.report.gradescope import results_json
from grader.work import Outcome

SCRIPTS = ("setup.sh", "run_autograder")
PROJECT = ("grade.py", "pyproject.toml", "constraints.txt", "README.md", "LICENSE")  # pip reads the last two as well
UNFINISHED = "unfinished.json"
LANGUAGE = "language"
PIP = "pip.conf"
_HIDDEN = (".", "__pycache__")
_URL = re.compile(r"https?://[!-~]+")  # no blanks, so that it stays one line and one word


def pack(project: Path, assignment: Path, index: str = "", language: str = DEFAULT) -> bytes:
    """The zip of a checkout with an assignment.

    index: where pip finds a CPU build of torch, besides its own index. language: what students read the results in.

    Raises UsageError where the checkout is not whole or the index is no URL.
    """
    if index and not _URL.fullmatch(index):
        raise UsageError(f"--pip-index “{index}” is no URL; write one that begins with https://")
    files = {name: (_read(project / name), 0o644) for name in PROJECT}
    scripts = Path(__file__).parent
    files |= {name: (_read(scripts / name), 0o755) for name in SCRIPTS}
    files |= {f"grader/{name}": (data, 0o644) for name, data in _below(project / "grader")}
    files |= {f"reference/{name}": (data, 0o644) for name, data in _below(assignment)}
    files[UNFINISHED] = (unfinished(catalogue(language, assignment)), 0o644)
    files[LANGUAGE] = (f"{language}\n".encode(), 0o644)
    if index:
        files[PIP] = (f"[install]\nextra-index-url = {index}\n".encode(), 0o644)
    return _zip(files)


def unfinished(known: Catalogue = ENGLISH) -> bytes:
    """What results.json holds until there is something better: the run may be killed at any moment."""
    reason = "the autograder ended before it could say how it went: its time or its memory may have run out"
    return results_json(Outcome(reason=reason, blame=Blame.GRADER), known)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        why = "run it from a checkout of the whole project"
        raise UsageError(f"{path} cannot be read: {error.strerror}; {why}") from None


def _below(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(_HIDDEN) for part in place.parts):
            yield place.as_posix(), _read(path)


def _zip(files: dict[str, tuple[bytes, int]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, (data, mode) in sorted(files.items()):
            info = zipfile.ZipInfo(name)  # its time is the first of 1980, whatever the file's
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, whose access rights are kept
            info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, data)
    return packed.getvalue()
