"""Facts without points, for a person to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grader.notebook import Notebook
from grader.records import CriterionResult, Flag
from grader.submission import Opened


def flags_of(opened: Opened, criteria: Sequence[CriterionResult]) -> tuple[Flag, ...]:
    """Everything worth a look, in a stable order."""
    found = [Flag(id="intake", message=note) for note in opened.submission.notes]
    for role, notebook in sorted(opened.notebooks.items()):
        if isinstance(notebook, Notebook):
            found.extend(_notebook_flags(role, notebook))
    if opened.trained is not None:
        found.extend(Flag(id="weights", message=note) for note in opened.trained.notes)
    for criterion in criteria:
        for check in criterion.checks:
            if check.verdict.value == "passed" and check.message:
                found.append(Flag(id="stand_in", message=f"{check.id}: {check.message}"))
    return tuple(found)


def _notebook_flags(role: str, notebook: Notebook) -> Iterator[Flag]:
    code = [cell for cell in notebook.cells if cell.kind == "code" and cell.source.strip()]
    if code and not any(cell.output_count or cell.execution_count for cell in code):
        yield Flag(
            id="outputs_cleared",
            message=f"{notebook.name}: the outputs of every cell were cleared",
            evidence={"file": role},
        )
    broken = [cell for cell in code if cell.error]
    if broken:
        places = ", ".join(str(cell.index + 1) for cell in broken)
        yield Flag(
            id="saved_error",
            message=f"{notebook.name}: an error was saved in the output of cell {places}",
            evidence={"file": role, "cells": [cell.index + 1 for cell in broken]},
        )
    counts = [cell.execution_count for cell in code if cell.execution_count is not None]
    if counts != sorted(counts):
        yield Flag(
            id="execution_order",
            message=f"{notebook.name}: the cells were not run from top to bottom",
            evidence={"file": role},
        )
