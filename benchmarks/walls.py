"""What the walls cost: a warm start, and a worker from its fork to its first reply and its end, in each tier.

    python benchmarks/walls.py [TIER…]

Prints the median, and in brackets the smallest and largest, of 40 workers after 5 that do not count.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from grader.errors import SandboxError
from grader.sandbox.tiers import open_sandbox
from grader.wire import WorkerLimits

ROUNDS, UNCOUNTED = 40, 5


def spread(seconds: list[float]) -> str:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    return f"{middle * 1000:6.1f} ms ({low * 1000:.1f} to {high * 1000:.1f})"


def main(tiers: list[str]) -> None:
    for tier in tiers:
        begun = time.perf_counter()
        try:
            warm = open_sandbox(tier, WorkerLimits())
        except SandboxError as error:
            print(f"{tier:10} {error}")
            continue
        print(f"{tier:10} warm start   {spread([time.perf_counter() - begun])}")
        forks, kills = [], []
        with warm:
            for _ in range(ROUNDS + UNCOUNTED):
                begun = time.perf_counter()
                worker = warm.start()
                ready = time.perf_counter()
                worker.kill()
                forks.append(ready - begun)
                kills.append(time.perf_counter() - ready)
        print(f"{'':10} fork to ready {spread(forks[UNCOUNTED:])}, kill {spread(kills[UNCOUNTED:])}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["bwrap", "none"])
