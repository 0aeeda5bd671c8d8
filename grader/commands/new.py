"""Lay out the folder of a new assignment: small, whole, and proved by `grade.py verify` as it is."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from grader.commands.common import FULL_MARKS, Parser, a_path, unread
from grader.errors import UsageError

DESCRIPTION = """\
Lay out the folder of a new assignment: one notebook, one class, its checks, two known mistakes, one correct
alternative. It works as it is; docs/writing-an-assignment.md says how it becomes yours.
"""
SKELETON = Path(__file__).resolve().parents[1] / "skeleton"
OLD_ID = 'id = "my-assignment"'


def run(arguments: list[str]) -> int:
    parser = Parser(prog="grade.py new", description=DESCRIPTION)
    parser.add_argument("path", type=a_path, metavar="PATH", help="the folder to make; it may be there if it is empty")
    path: Path = parser.parse_args(arguments).path
    files = lay_out(path)
    with unread(sys.stdout):
        print(
            f"{path}: {files} files. It is whole already; prove it, then make it yours (docs/writing-an-assignment.md):"
        )
        print(f"  python grade.py verify --assignment {shlex.quote(str(path))}")
    return FULL_MARKS


def lay_out(path: Path) -> int:
    """Make the folder, whole or not at all, and return the number of its files. Raises UsageError."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UsageError(f"{path} is there and is no folder; name a new one")
    try:
        if path.is_dir() and any(path.iterdir()):
            raise UsageError(f"{path} is not empty; name a folder that is, or a new one")
        parent = path.resolve().parent
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".new-") as unfinished:
            made = Path(unfinished, "assignment")
            shutil.copytree(SKELETON, made, ignore=shutil.ignore_patterns("__pycache__", "student_template"))
            _name(made / "assignment.toml", path.resolve().name)
            if path.is_dir():
                _move_into(path, made)
            else:
                made.rename(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be made: {error.strerror or error}; name a folder in a place of yours"
        ) from None
    return sum(1 for file in path.rglob("*") if file.is_file())


def _move_into(folder: Path, made: Path) -> None:
    """Fill a folder that is there: whoever stands in it (`new .`) still does. All or nothing."""
    moved: list[Path] = []
    try:
        for child in sorted(made.iterdir()):
            moved.append(child.rename(folder / child.name))
    except BaseException:
        for child in moved:
            child.rename(made / child.name)
        raise


def _name(config: Path, name: str) -> None:
    """Call the assignment as its folder is called, as far as that is an id."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if words:
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace(OLD_ID, f'id = "{words}"'), encoding="utf-8")
