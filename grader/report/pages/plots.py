"""Curves as the geometry of an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from grader.records import Curve

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 10, 24
HUES = 8  # as many as page.css names
MOST_LINES = 8  # in one plot
MOST_PLOTS = 8

TITLES = {  # of a plot, by what `grader.curves` calls it
    "loss": "Loss",
    "training loss": "Training loss",
    "test loss": "Test loss",
    "validation loss": "Validation loss",
    "accuracy": "Accuracy, in %",
    "training accuracy": "Training accuracy, in %",
    "test accuracy": "Test accuracy, in %",
    "validation accuracy": "Validation accuracy, in %",
}


@dataclass(frozen=True)
class Tick:
    """A line across the plot and the text at its end."""

    x1: float
    y1: float
    x2: float
    y2: float
    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Line:
    name: str
    hue: int
    points: str


@dataclass(frozen=True)
class Plot:
    title: str
    source: str
    alt: str
    ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    width: int = WIDTH
    height: int = HEIGHT


def plots(curves: Sequence[Curve], files: Mapping[str, str]) -> list[Plot]:
    """One plot for each quantity that a cell printed, with a line for each run.

    files: the notebooks' names, by role.
    """
    drawable = [c for c in curves if len(c.steps) == len(c.values) > 1 and _finite(c.steps) and _finite(c.values)]
    drawable.sort(key=_place)
    groups = [list(group) for _, group in groupby(drawable, key=_place)]
    return [_plot(group[:MOST_LINES], files.get(group[0].file, group[0].file)) for group in groups[:MOST_PLOTS]]


def _place(curve: Curve) -> tuple[str, int, str]:
    return curve.file, curve.cell, curve.what


def _finite(numbers: Sequence[float]) -> bool:
    return all(math.isfinite(number) and abs(number) < 1e12 for number in numbers)


def _plot(curves: Sequence[Curve], file: str) -> Plot:
    steps = _span([step for curve in curves for step in curve.steps])
    values = _span([value for curve in curves for value in curve.values])
    marks = _nice(*values)
    values = (min(values[0], marks[0]), max(values[1], marks[-1]))

    def across(step: float) -> float:
        return round(LEFT + (step - steps[0]) / (steps[1] - steps[0]) * (WIDTH - LEFT - RIGHT), 1)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - values[0]) / (values[1] - values[0]) * (HEIGHT - TOP - BOTTOM), 1)

    first = curves[0]
    ticks = [Tick(LEFT, up(m), WIDTH - RIGHT, up(m), LEFT - 6, up(m) + 4, "end", _text(m)) for m in marks]
    floor = HEIGHT - BOTTOM
    for step, anchor in ((steps[0], "start"), (steps[1], "end")):
        x = across(step)
        ticks.append(Tick(x, floor, x, floor + 4, x, floor + 17, anchor, _text(step)))
    middle = (LEFT + WIDTH - RIGHT) / 2
    ticks.append(Tick(middle, floor, middle, floor, middle, floor + 17, "middle", "epoch"))
    lines = [
        Line(
            name=curve.run or (f"run {number + 1}" if len(curves) > 1 else ""),
            hue=number % HUES,
            points=" ".join(f"{across(s)},{up(v)}" for s, v in zip(curve.steps, curve.values, strict=True)),
        )
        for number, curve in enumerate(curves)
    ]
    title = TITLES.get(first.what, first.what)
    source = f"as printed in {file}, cell {first.cell}"
    ends = "; ".join(_end(line.name, _text(c.values[-1])) for line, c in zip(lines, curves, strict=True))
    alt = f"{title}, as printed in {file}, cell {first.cell}. {ends}"
    return Plot(title, source, alt, tuple(ticks), tuple(lines))


def _end(name: str, value: str) -> str:
    return f"{name}: {value} at the end" if name else f"{value} at the end"


def _span(numbers: Sequence[float]) -> tuple[float, float]:
    low, high = min(numbers), max(numbers)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _nice(low: float, high: float) -> list[float]:
    """Four or so round numbers that hold the span between them."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def _text(number: float) -> str:
    return f"{number:.4g}".replace("-", "−")
