"""Sandboxes with one wall taken away: around the worker, or in a copy of the worker's own files."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from conftest import ROOT

from attacks.judging import LIMITS, limited
from grader import wire
from grader.assignment import Assignment
from grader.checking import student
from grader.sandbox import Sandbox, landlock, tiers
from grader.sandbox.process import WORKER_FILES, WarmProcess
from grader.sandbox.tiers import open_sandbox

Weakened = Iterator[tuple[Assignment, Sandbox]]


@contextlib.contextmanager
def no_walls(assignment: Assignment) -> Weakened:
    """A worker that is an ordinary process of the teacher's, with the teacher's environment."""
    scrubbed = tiers._environment
    with (
        mock.patch.object(tiers, "_environment", lambda limits: dict(os.environ) | scrubbed(limits)),
        open_sandbox("none", LIMITS) as warm,
    ):
        yield assignment, warm


@contextlib.contextmanager
def no_limits(assignment: Assignment) -> Weakened:
    """A sandbox without limits worth the name."""
    wide = wire.WorkerLimits(
        memory_mb=64 << 10, cpu_seconds=600, file_mb=1 << 22, tmp_mb=1024, open_files=4096, processes=4096, threads=1
    )
    with open_sandbox("auto", wide) as warm:
        yield assignment, warm


@contextlib.contextmanager
def no_deadlines(assignment: Assignment) -> Weakened:
    """A grader that waits for as long as it takes."""

    class Patient(student.Student):
        def __init__(self, sandbox: Sandbox, assignment: Assignment, *rest: Any) -> None:
            super().__init__(sandbox, limited(assignment, {"ask_seconds": 60.0, "program_seconds": 60.0}), *rest)

    with open_sandbox("auto", LIMITS) as warm, mock.patch("grader.submission.Student", Patient):
        yield assignment, warm


@contextlib.contextmanager
def no_inode_limit(assignment: Assignment) -> Weakened:
    """A sandbox whose folders hold as many files as one likes."""
    with open_sandbox("none", LIMITS) as warm:
        yield assignment, warm


@contextlib.contextmanager
def walls_in_name_alone(assignment: Assignment) -> Weakened:
    """A grader that takes its worker for a walled one: where that ends without a report, it was the machine."""
    with open_sandbox("none", LIMITS) as warm:
        warm.tier = "walled"
        yield assignment, warm


# ---- a changed worker -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _changed(tier: str, *changes: tuple[str, str, str]) -> Iterator[WarmProcess]:
    """A sandbox with changed files of the worker. changes: the file below grader/, a passage, what takes its place."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for module in (tiers, landlock):
            stack.enter_context(mock.patch.object(module, "python_folder", return_value=Path(folder)))
        copy = Path(folder, "grader")
        for name in WORKER_FILES:
            source = ROOT / "grader" / name
            copy.mkdir(exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, copy / name)
        for name, old, new in changes:
            text = (copy / name).read_text(encoding="utf-8")
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
            (copy / name).write_text(text.replace(old, new), encoding="utf-8")
        yield stack.enter_context(open_sandbox(tier, LIMITS))


@contextlib.contextmanager
def keeps_descriptors(assignment: Assignment) -> Weakened:
    """A worker that closes none of the descriptors that it was born with."""
    with _changed("auto", ("worker/serve.py", "    keep_only({sock.fileno(), *gpu.descriptors()})\n", "")) as warm:
        yield assignment, warm


@contextlib.contextmanager
def keeps_capabilities(assignment: Assignment) -> Weakened:
    """A worker with all the capabilities that its own namespaces give, and without a filter: it harms these alone."""
    changes = [
        ("worker/confine.py", "        drop_privileges()\n", ""),
        ("worker/confine.py", "        syscalls.install()\n", ""),
    ]
    with _changed("bwrap", *changes) as warm:
        yield assignment, warm


@contextlib.contextmanager
def soft_limits(assignment: Assignment) -> Weakened:
    """A worker whose limits are soft ones, and whose filter lets it set others."""
    changes = [
        ("worker/confine.py", "setrlimit(which, (value, value))", "setrlimit(which, (value, hard))"),
        ("worker/syscalls.py", "setrlimit 160 164, ", ""),
        ("worker/syscalls.py", '"prlimit64": [(4, WORD, 0, True), (5, WORD, 0, True)],', ""),
    ]
    with _changed("auto", *changes) as warm:
        yield assignment, warm


@contextlib.contextmanager
def lets_memory_files_be(assignment: Assignment) -> Weakened:
    """A filter that knows nothing of memfd_create."""
    with _changed("auto", ("worker/syscalls.py", "memfd_create 319 279, ", "")) as warm:
        yield assignment, warm


@contextlib.contextmanager
def lets_descriptors_pass(assignment: Assignment) -> Weakened:
    """A filter that knows nothing of sendmsg."""
    with _changed("auto", ("worker/syscalls.py", "sendmsg 46 211, ", "")) as warm:
        yield assignment, warm


@contextlib.contextmanager
def sends_all_it_has(assignment: Assignment) -> Weakened:
    """A worker that cuts no text."""
    with _changed("auto", ("worker/objects.py", "MAX_TEXT = 2_000", "MAX_TEXT = 1 << 40")) as warm:
        yield assignment, warm
