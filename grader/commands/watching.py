"""What a person sees while a class is graded: a bar on a terminal, a line a submission where the output is piped."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from grader.commands.common import unread
from grader.inert import one_line

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from grader.batch import Watcher
    from grader.gather import HandIn
    from grader.work import Outcome


def kind_of(outcome: Outcome) -> str:
    """In the words of the tally."""
    if outcome.record is None:
        return "refused" if outcome.blame == "student" else "not graded"
    if outcome.record.needs_person:
        return "for a person"
    return "full marks" if outcome.record.score >= outcome.record.max_score else "points lost"


class Lines:
    """A line a submission on standard output."""

    def __init__(self) -> None:
        self._total = self._done = 0

    def listed(self, total: int, todo: int) -> None:
        self._total = todo
        self._say(f"{total} submissions, {todo} to grade")

    def graded(self, hand_in: HandIn, outcome: Outcome) -> None:
        self._done += 1
        record = outcome.record
        came_out = f"{kind_of(outcome)}: {outcome.reason}"
        if record is not None:
            accuracy = f", accuracy {record.checkpoint.accuracy:.2%}" if record.checkpoint.accuracy is not None else ""
            came_out = f"{record.score:g} / {record.max_score:g}{accuracy}, {record.seconds:.1f} s"
        width = len(str(self._total))
        self._say(f"[{self._done:{width}}/{self._total}] {hand_in.name}  {came_out}")

    def _say(self, line: str) -> None:
        with unread(sys.stdout):
            print(one_line(line))


class Bar:
    """A bar on standard error, with the rate, the time left, and how they came out so far."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._tally: Counter[str] = Counter()

    def listed(self, total: int, todo: int) -> None:
        self._task = self._bar.add_task("grading", total=todo, tally="", rate="")

    def graded(self, hand_in: HandIn, outcome: Outcome) -> None:
        assert self._task is not None
        self._tally[kind_of(outcome)] += 1
        tally = ", ".join(f"{count} {kind}" for kind, count in sorted(self._tally.items()))
        self._bar.update(self._task, advance=1, tally=tally)
        speed = self._bar.tasks[0].speed
        self._bar.update(self._task, rate=f"{speed * 60:.0f} a minute" if speed else "")


@contextmanager
def watched() -> Iterator[Watcher]:
    """A bar where standard error is a terminal, else lines."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[tally]}"),
    )
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, speed_estimate_period=120) as bar:
        yield Bar(bar)
