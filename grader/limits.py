"""From assignment.toml's limits to a worker's. Light: a sandbox starts while torch is still being imported."""

from __future__ import annotations

import os

from grader.assignment import Assignment
from grader.wire import WorkerLimits


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
        threads=threads or len(os.sched_getaffinity(0)),
    )
