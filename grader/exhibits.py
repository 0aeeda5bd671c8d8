"""What a page shows beside the marks: figures, the student's own cells, the model's answers, curves, experiments.

An assignment's figures are functions `exhibit_<name>(student, oracle)` in exhibits/<criterion>.py of its folder, whose
docstring is the title; each returns `grader.checking.figure(…)`. They ask the student's code through the same proxies
as checks do, after the marks are settled. Whatever goes wrong in one leaves it out, and says so in one sentence.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from grader.assignment import Assignment
from grader.checking import Oracle, Student
from grader.curves import find_curves
from grader.errors import Fault, Missing, SandboxError
from grader.notebook import Notebook
from grader.quotes import Quotes, quotes_of
from grader.records import CriterionResult, Curve, Diagnosis, Exhibits, Figure, FoundExperiment, Verdict
from grader.submission import Opened, experiments_of

SECONDS = 5.0  # for all figures of a submission, in which its code is asked; those of the reference take 0.03
PREFIX = "exhibit_"

Draw = Callable[[Student, Oracle], Figure]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Exhibit:
    """A figure that an assignment can draw. `title` is the function's docstring."""

    id: str
    criterion: str
    title: str
    draw: Draw


class LeftOut(NamedTuple):
    """A figure that could not be drawn."""

    title: str
    reason: str


def exhibits_of(opened: Opened, criteria: Sequence[CriterionResult], diagnoses: Sequence[Diagnosis]) -> Exhibits:
    """All that can be shown. Never raises, and moves no mark: these are settled."""
    config = opened.assignment.config
    quotes = _unless_broken(lambda: quotes_of(opened, criteria, diagnoses), Quotes())
    figures: list[Figure] = []
    left_out: dict[str, list[str]] = {}  # by the reason: one often spoils several
    with opened.student.hurried(SECONDS):
        there = {criterion.id for criterion in criteria if criterion.verdict is not Verdict.MISSING}
        for drawn in _drawn(opened, there):
            if isinstance(drawn, Figure):
                figures.append(drawn)
            else:
                left_out.setdefault(drawn.reason, []).append(f"“{drawn.title}”")
    return Exhibits(
        title=config.title,
        excerpts=tuple(quotes.excerpts),
        marks=tuple(quotes.marks),
        figures=tuple(figures),
        answers=opened.trained.answers if opened.trained is not None else None,
        class_names=config.checkpoint.class_names if config.checkpoint is not None else (),
        curves=_unless_broken(lambda: _curves(opened), ()),
        experiments=_unless_broken(lambda: _experiments(opened), ()),
        left_out=tuple(f"{', '.join(titles)}: not drawn; {reason}" for reason, titles in left_out.items()),
    )


def _unless_broken(make: Callable[[], Found], otherwise: Found) -> Found:
    """A slip of ours in what is only shown must not cost a submission its marks."""
    try:
        return make()
    except Exception:  # noqa: BLE001 - see above
        return otherwise


def _curves(opened: Opened) -> tuple[Curve, ...]:
    return tuple(
        curve
        for role, notebook in sorted(opened.notebooks.items())
        if isinstance(notebook, Notebook)
        for curve in find_curves(role, notebook)
    )


def _experiments(opened: Opened) -> tuple[FoundExperiment, ...]:
    if opened.assignment.config.experiments is None:
        return ()
    try:
        found = experiments_of(opened).found
    except Missing:  # the notebook is not there, or cannot be read
        return ()
    return tuple(
        FoundExperiment(settings=e.settings, accuracy=e.accuracy, analysis=e.analysis, source=e.source)
        for e in found[:20]
    )


# ---- figures --------------------------------------------------------------------------------------------------------


def _drawn(opened: Opened, criteria: set[str]) -> Iterator[Figure | LeftOut]:
    """Each figure, or why there is none."""
    try:
        exhibits = load_exhibits(opened.assignment)
    except Exception:  # noqa: BLE001 - the assignment's own slip: the marks stand all the same
        return
    for exhibit in exhibits:
        if exhibit.criterion not in criteria:
            continue
        try:
            made = exhibit.draw(opened.student, opened.oracle)
            opened.student.keep_promises()
            yield replace(made, id=exhibit.id, criterion=exhibit.criterion, title=exhibit.title)
        except Fault as fault:
            yield LeftOut(exhibit.title, fault.message[:300])
        except SandboxError:  # the worker's machine is short of something; the marks are settled
            yield LeftOut(exhibit.title, "the sandbox ended meanwhile")
            return
        except Exception:  # noqa: BLE001 - an odd answer of the student's, or a slip of the assignment's
            yield LeftOut(exhibit.title, "what the code answers is no picture")


@lru_cache(maxsize=4)
def load_exhibits(assignment: Assignment) -> tuple[Exhibit, ...]:
    """The assignment's figures in the rubric's order, and as they stand in their files. Raises what a file raises."""
    found: list[Exhibit] = []
    for criterion in assignment.config.criteria:
        path = assignment.folder / "exhibits" / f"{criterion}.py"
        if not path.is_file():
            continue
        spec = importlib.util.spec_from_file_location(f"exhibits of {criterion}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, value in vars(module).items():
            if name.startswith(PREFIX):
                title = " ".join((value.__doc__ or name).split())
                found.append(Exhibit(f"{criterion}-{name.removeprefix(PREFIX)}", criterion, title, value))
    return tuple(found)
