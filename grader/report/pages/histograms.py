"""How many lie where: scores, and test accuracies on both sides of the bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_BINS = 20
STEPS = (0.5, 1, 2, 5, 10, 20, 25, 50, 100)  # points of a bin
BELOW = 10  # bins of one percent below the bar; all that is lower shares one


@dataclass(frozen=True)
class Bin:
    """height: in percent of the highest. tick: what stands below its left edge. kind: full, lost or "" (neither)."""

    count: int
    height: float
    said: str
    tick: str
    kind: str = ""


@dataclass(frozen=True)
class Histogram:
    """bins from left to right; end: what stands below the right edge of the last."""

    bins: tuple[Bin, ...]
    end: str
    passed: int = 0  # of those that are held against a bar


def score_histogram(scores: Sequence[float], most: float) -> Histogram:
    """Scores from 0 to `most` points."""
    step = next((step for step in STEPS if most / step <= MOST_BINS), most / MOST_BINS)
    number = max(math.ceil(most / step - 1e-9), 1)
    counts = [0] * number
    for score in scores:
        counts[min(max(int(score / step + 1e-9), 0), number - 1)] += 1
    every = math.ceil(number / 5)  # a tick at each would be too many
    return Histogram(
        bins=tuple(
            Bin(
                count=count,
                height=_height(count, counts),
                said=f"{place * step:g} to {min((place + 1) * step, most):g} points: {count}",
                tick=f"{place * step:g}" if place % every == 0 else "",
            )
            for place, count in enumerate(counts)
        ),
        end=f"{most:g}",
    )


def accuracy_histogram(accuracies: Sequence[float], bar: float) -> Histogram:
    """Accuracies (0 to 1) in bins of one percent that end at the bar, or begin there."""
    above = min(max(math.ceil(100 * (max(accuracies) - bar) + 1e-9), 2), max(math.ceil(100 * (1 - bar)), 1))
    counts = [0] * (1 + BELOW + above)
    for accuracy in accuracies:
        place = math.floor(100 * (accuracy - bar) + 1e-9)  # 0.89 lies a little more than 0.01 below 0.9
        counts[min(max(place + BELOW + 1, 0), len(counts) - 1)] += 1
    edges = [100 * bar + place for place in range(-BELOW, above + 1)]
    bins = [
        Bin(counts[0], _height(counts[0], counts), f"below {edges[0]:g}%: {counts[0]}", f"under {edges[0]:g}", "lost")
    ]
    for place, count in enumerate(counts[1:]):
        said = f"{edges[place]:g}% to {edges[place + 1]:g}%: {count}"
        tick = f"{edges[place]:g}" if place and place % 5 == 0 else ""
        bins.append(Bin(count, _height(count, counts), said, tick, "full" if place >= BELOW else "lost"))
    return Histogram(tuple(bins), "", sum(counts[1 + BELOW :]))


def _height(count: int, counts: Sequence[int]) -> float:
    return round(100 * count / max(1, *counts), 1)
