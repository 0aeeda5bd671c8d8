"""The second tier, for machines that refuse namespaces: a container with default rules, Gradescope's among them.

A worker is confined by Landlock, the system-call filter, limits, and as root by a user of its own. It may read Python,
the system's libraries and the worker's own files, which are copied; and write to a folder of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from grader.sandbox.process import WORKER_FILES, python_folder

LIBRARIES = ("lib", "lib32", "lib64", "libx32")
FILES = ("/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def scratch_folder() -> Path:
    """A new folder with a copy of the worker's files, and room for the workers' own folders. Raises OSError."""
    scratch = Path(tempfile.mkdtemp(prefix="grader-"))
    scratch.chmod(0o711)  # a worker's user passes through, and sees nothing
    homes = scratch / "homes"
    homes.mkdir()
    homes.chmod(0o711)
    for name in WORKER_FILES:
        source, target = python_folder() / "grader" / name, scratch / "code/grader" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)
    for path in (scratch / "code", *(scratch / "code").rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return scratch


def readable(scratch: Path, hidden: Iterable[Path]) -> tuple[str, ...]:
    """What a worker may read: libraries, Python, the copied files. No part of it lies below a hidden folder."""
    roots = [Path(top, name) for top in ("/", "/usr", "/usr/local") for name in LIBRARIES]
    for prefix in dict.fromkeys(Path(p).resolve() for p in (sys.base_prefix, sys.prefix)):
        if prefix not in (Path("/usr"), Path("/usr/local")):
            roots.append(prefix)
    closed = [folder.resolve() for folder in hidden]
    paths = dict.fromkeys(path for root in roots if root.is_dir() for path in without(root.resolve(), closed))
    return (*map(str, paths), str(scratch / "code"), *FILES)


def without(root: Path, hidden: list[Path]) -> Iterator[Path]:
    """`root`, or where hidden folders lie below it the parts of it that are not hidden."""
    if root in hidden:
        return
    if not any(folder.is_relative_to(root) for folder in hidden):
        yield root
        return
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_symlink():  # it may point at what is hidden
                continue
            yield from without(Path(entry.path), hidden)
