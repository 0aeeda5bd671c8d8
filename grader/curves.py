"""The curves of training runs, read from what their cells printed: loss and accuracy, a number for each epoch.

final  epoch  3/40  loss 1.0937  training accuracy 71.33%
Epoch [3/10], Loss: 0.5321, Val Acc: 0.881
Epoch 3: 100%|███| 469/469 [00:12<00:00, loss=0.53]      many times over the same line; the last one counts
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from grader.notebook import Notebook
from grader.records import Curve

MOST_CURVES = 24  # of a notebook
MOST_POINTS = 100  # of a curve; of more, every so many
_MOST_LINES = 4_000  # of a cell
_MOST_IN_ALL = 40_000  # lines of a notebook; one takes 5 microseconds, an odd one 100
_MOST_LINE = 400  # characters
_MOST_RUNS = 12  # of a cell
_NUMBER = r"(\d{1,6}(?:\.\d{1,12})?(?:[eE][-+]?\d{1,2})?)"
_EPOCH = re.compile(r"(?:epoch|에폭|ep(?=\s*\d))[^\w\n]{0,4}(\d{1,6})", re.IGNORECASE)
_STEP = re.compile(r"(?:\bstep|\biter(?:ation)?)[^\w\n]{0,4}(\d{1,6})", re.IGNORECASE)
_VALUE = re.compile(
    rf"(?P<which>train(?:ing)?|test(?:ing)?|val(?:id(?:ation)?)?|훈련|학습|테스트|검증)?[\s_./-]{{0,2}}"
    rf"(?P<what>loss|acc(?:uracy)?|손실|정확도)\s{{0,3}}(?:\([^)\d]{{0,12}}\))?[\s:=]{{0,4}}{_NUMBER}\s?(?P<percent>%?)",
    re.IGNORECASE,
)
_KINDS = {"tr": "training ", "훈련": "training ", "학습": "training ", "te": "test ", "테스": "test "}
_KINDS |= {"va": "validation ", "검증": "validation "}


@dataclass
class _Run:
    """name: what stands before the epoch. series: by quantity, from a step to its number."""

    name: str
    last: float = -1.0
    series: dict[str, dict[float, tuple[float, bool]]] = field(default_factory=dict)


def find_curves(role: str, notebook: Notebook) -> tuple[Curve, ...]:
    """The curves of a notebook in order of their cells. Never raises, whatever was printed."""
    found: list[Curve] = []
    left = _MOST_IN_ALL
    for cell in notebook.cells:
        if cell.kind == "code" and cell.outputs and left > 0:
            lines = [line[:_MOST_LINE] for line in re.split(r"[\r\n]", "\n".join(cell.outputs))[:_MOST_LINES]]
            left -= len(lines)
            found += [curve for run in _runs(lines) for curve in _curves(run, role, cell.index + 1)]
    return tuple(found[:MOST_CURVES])


def _runs(lines: Sequence[str]) -> list[_Run]:
    runs: list[_Run] = []
    step: float | None = None
    for line in lines:
        match = _EPOCH.search(line) or _STEP.search(line)
        if match:
            step = float(match[1])
            run = _run_of(runs, re.sub(r"[^\w=.,+ -]", "", line[: match.start()]).strip(" -,.=_")[:40], step)
            run.last = step
        elif step is None or not runs:
            continue
        for value in _VALUE.finditer(line, match.end() if match else 0):
            kind = _KINDS.get((value["which"] or "")[:2].lower(), "")
            what = "accuracy" if value["what"][:1].lower() in ("a", "정") else "loss"
            number = float(value[3])
            runs[-1].series.setdefault(kind + what, {})[step] = (number, bool(value["percent"]))
    return runs


def _run_of(runs: list[_Run], name: str, step: float) -> _Run:
    """The run that a line goes on; a new one where its name changes, or its epochs begin anew."""
    if not runs or (len(runs) < _MOST_RUNS and (runs[-1].name != name or step < runs[-1].last)):
        runs.append(_Run(name))
    return runs[-1]


def _curves(run: _Run, role: str, cell: int) -> Iterator[Curve]:
    for what, series in run.series.items():
        if len(series) < 2:
            continue
        points = sorted(series.items())
        points = points[:: -(-len(points) // MOST_POINTS)]
        values = [number for _, (number, _) in points]
        shares = what.endswith("accuracy") and max(values) <= 1 and not any(percent for _, (_, percent) in points)
        yield Curve(
            file=role,
            run=run.name,
            what=what,
            cell=cell,
            steps=tuple(step for step, _ in points),
            values=tuple(round(100 * value, 6) if shares else value for value in values),
        )
