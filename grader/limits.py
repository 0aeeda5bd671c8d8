"""From assignment.toml's limits to a worker's. Light: a sandbox starts while torch is still being imported."""

from __future__ import annotations

from pathlib import Path

from grader.assignment import Assignment
from grader.forks import cores
from grader.wire import WorkerLimits
from grader.work import Setup


def walls_of(setup: Setup, assignment: Assignment) -> tuple[WorkerLimits, tuple[Path, ...]]:
    """A run's limits for one worker, and the folders that none may see."""
    return worker_limits(assignment, setup.threads), (assignment.folder, *map(Path, setup.hidden))


def worker_limits(assignment: Assignment, threads: int | None = None) -> WorkerLimits:
    """The limits of assignment.toml for one worker. `threads` defaults to the machine's cores."""
    limits = assignment.config.limits
    return WorkerLimits(
        memory_mb=limits.memory_mb,
        cpu_seconds=limits.cpu_seconds,
        file_mb=limits.file_mb,
        tmp_mb=limits.tmp_mb,
        open_files=limits.open_files,
        processes=limits.processes,
        threads=threads or cores(),
    )
