"""Seconds by the clock, CPU seconds and memory of a command with everything that it starts."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ACCOUNTS = Path("/sys/fs/cgroup/cpuacct")  # cgroup v1; elsewhere CPU seconds are not told
LOOK_SECONDS = 0.5
LOOKS = 5  # until one sees the same processes at its end as at its start


@dataclass(frozen=True)
class Cost:
    """wall, cpu: seconds; cpu is NaN where the machine does not tell. memory: the largest sum of PSS seen, MiB."""

    wall: float
    cpu: float
    memory: float
    code: int
    output: str


def measured(line: Sequence[object], folder: Path | None = None, env: dict[str, str] | None = None) -> Cost:
    """Run a command to its end."""
    with _account() as account:
        started = time.perf_counter()
        with subprocess.Popen(
            [*map(str, line)], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=(lambda: (account / "tasks").write_text(str(os.getpid()))) if account else None,
        ) as process:  # fmt: skip
            peak = _Peak(process.pid)
            output = process.communicate()[0]
            wall = time.perf_counter() - started
            peak.stop()
        cpu = int((account / "cpuacct.usage").read_text()) / 1e9 if account else float("nan")
    return Cost(wall, cpu, peak.megabytes, process.returncode, output)


@contextlib.contextmanager
def _account() -> Iterator[Path | None]:
    folder = ACCOUNTS / f"bench-{os.getpid()}-{time.monotonic_ns()}"
    try:
        folder.mkdir()
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        for _ in range(50):  # what was started ends a moment later than its parent
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.1)


class _Peak(threading.Thread):
    """Looks at the process tree now and then."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._ended, self.megabytes = pid, threading.Event(), 0.0
        self.start()

    def run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for _ in range(LOOKS):
                family = _family(self._pid)
                seen = sum(map(_pss, family)) / 1024
                if _family(self._pid) == family:  # what ends meanwhile leaves its share to others: counted twice
                    self.megabytes = max(self.megabytes, seen)
                    break

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _family(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return 0


def spread(values: Iterable[float], unit: str = "") -> str:
    """Median, and in brackets the least and the largest."""
    known = sorted(value for value in values if value == value)
    if not known:
        return "not told"
    return f"{statistics.median(known):.3g}{unit} ({known[0]:.3g} to {known[-1]:.3g})"


def machine() -> str:
    """What this is measured on, and how busy it is with other things."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((int(line.split()[1]) >> 20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return (
        f"{cores} cores ({names[0] if names else platform.machine()}), {memory} GiB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}; load before: {load:.1f}"
    )


def _lines(path: str) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(path).read_text().splitlines()
    return []
