"""Facts without points, for a person to look at."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from grader.given import Addition, Change, Comparison, compare
from grader.notebook import Cell, Notebook
from grader.records import CriterionResult, Flag, NoiseResult
from grader.statements import code
from grader.submission import Opened, hidden_part

RECOGNISED = 0.05  # of the noisy images; the reference loses one in a thousand
TOLERATED = 0.5  # percentage points: another machine rounds otherwise, and no honest run differs by more
_MAX_PLACES = 20  # that one flag lists
_MAX_LINE = 300  # characters of a printed line that are read
_MAX_LINES = 100  # of one cell's lines that speak of a test
_MAX_RUNS = 20  # cells
# "Test accuracy: 91.41%", "test_acc=0.914", "테스트 정확도 91", "Accuracy on the 10000 test images: 91 %"
_TEST, _ACCURACY = r"(?:(?<![a-z])test|테스트)", r"(?:acc|정확)"
_GAP = r"(?:(?!train|훈련|학습|loss)[^\d\n]){0,30}?"
_VALUE = r"(\d{1,3}(?:\.\d{1,20})?)(?![\d./])\s*(%?)"
_TESTED = re.compile(
    rf"{_TEST}{_GAP}{_ACCURACY}{_GAP}{_VALUE}|{_ACCURACY}{_GAP}(?:\d{{1,6}}\s*)?{_TEST}{_GAP}{_VALUE}", re.IGNORECASE
)
_UNDERWAY = re.compile(r"epoch|step|iter|에폭|\[\s*\d", re.IGNORECASE)  # a line of a log, before the end of a run


def flags_of(opened: Opened, criteria: Sequence[CriterionResult]) -> tuple[Flag, ...]:
    """Everything worth a look, in a stable order. Never raises, whatever was handed in."""
    found = [Flag(id="intake", message=note) for note in opened.submission.notes]
    config = opened.assignment.config
    stubs = hidden_part(opened.assignment).stubs
    for role, notebook in sorted(opened.notebooks.items()):
        if isinstance(notebook, Notebook):
            graded = [name for name, spec in config.classes.items() if spec.file == role]
            settings = config.checkpoint.settings if config.checkpoint else config.settings_of_experiments
            found.extend(notebook_flags(role, notebook, stubs.get(role), graded, settings))
    if opened.trained is not None:
        found.extend(Flag(id="weights", message=note) for note in opened.trained.notes)
        found.extend(noise_flags(opened.trained.result.noise))
        assert config.checkpoint is not None  # it is what the weights are read by
        role = config.checkpoint.notebook
        trained, accuracy = opened.notebooks.get(role), opened.trained.result.accuracy
        if isinstance(trained, Notebook) and accuracy is not None:
            found.extend(accuracy_flags(role, trained, stubs.get(role), 100 * accuracy))
    for criterion in criteria:
        for check in criterion.checks:
            if check.verdict.value == "passed" and check.message:
                found.append(Flag(id="stand_in", message=f"{check.id}: {check.message}"))
    return tuple(found)


def notebook_flags(
    role: str, notebook: Notebook, stub: Notebook | None, graded: Sequence[str], settings: Sequence[str]
) -> Iterator[Flag]:
    """How one notebook was saved; and, where its template is known, what was done to the given code.

    graded: the classes that are judged; settings: the values that students choose. Never raises.
    """
    yield from _saved(role, notebook, _functions(stub))
    if stub is not None:
        yield from _given(role, notebook.name, compare(notebook, stub, graded, settings))


def noise_flags(noise: NoiseResult | None) -> Iterator[Flag]:
    """`recognises_images`, if answers that are right depend on single grey levels of the held-out images."""
    if noise is None or (not noise.fault and noise.exact - noise.noisy <= RECOGNISED * noise.total):
        return
    found = f"gave no answer ({noise.fault})" if noise.fault else f"answers {noise.noisy} of them right"
    yield Flag(
        id="recognises_images",
        message=f"the model answers {noise.exact} of {noise.total} test images right, and with two grey levels "
        f"of noise {found}; ask whether it knows the test images by heart",
        evidence={"total": noise.total, "exact": noise.exact, "noisy": noise.noisy},
    )


def accuracy_flags(role: str, notebook: Notebook, stub: Notebook | None, measured: float) -> Iterator[Flag]:
    """`accuracy_claimed`, if every training run in the notebook printed more than the weights reach.

    measured: in percent. A run is the output of a cell that calls a function of the template, or saves something.
    Experiments that are better than the weights, which a student may have overwritten, are no claim. Never raises.
    """
    called = "|".join([*(rf"(?<!\w){re.escape(name)}" for name in _functions(stub)), r"\.save"])
    runs = [cell for cell in notebook.cells if cell.outputs and re.search(rf"(?:{called})\s?\(", cell.source)]
    claims = [(claim, cell.index + 1) for cell in runs[-_MAX_RUNS:] for claim in _printed(cell)]
    if claims and min(claims)[0] > measured + TOLERATED:
        printed, number = min(claims)
        yield Flag(
            id="accuracy_claimed",
            message=f"{notebook.name}, cell {number}: the printed test accuracy is {printed:.2f}%, the weights reach "
            f"{measured:.2f}%; ask which run the weights are from",
            evidence={"file": role, "cell": number, "printed": printed, "measured": round(measured, 4)},
        )


def _printed(cell: Cell) -> list[float]:
    """The test accuracies, in percent, with which runs ended; in a log of epochs alone, the last of them."""
    final: list[float] = []
    logged: list[float] = []
    lines = [line[:_MAX_LINE] for line in re.split(r"[\r\n]", "\n".join(cell.outputs))]
    for line in [line for line in lines if re.search(_TEST, line, re.IGNORECASE)][-_MAX_LINES:]:
        for match in _TESTED.finditer(line):
            value, percent = (match[1], match[2]) if match[1] else (match[3], match[4])
            accuracy = float(value) if percent or float(value) > 1 else 100 * float(value)
            if accuracy <= 100:
                (logged if _UNDERWAY.search(line) else final).append(accuracy)
    return final or logged[-1:]


def _functions(stub: Notebook | None) -> list[str]:
    """The functions that the template defines for training: students call them."""
    nodes = [statement.node for statement in code(stub).statements] if stub else []
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef)]


# How the notebook was saved.


def _saved(role: str, notebook: Notebook, functions: Sequence[str]) -> Iterator[Flag]:
    cells = [cell for cell in notebook.cells if cell.kind == "code" and cell.source.strip()]
    printing, training = _calling(notebook, ["print"]), _calling(notebook, functions)
    captured = any(cell.source.lstrip().startswith("%%capture") for cell in cells if cell.index + 1 in training)
    if cells and not any(cell.output_count for cell in cells):
        if printing or not any(cell.execution_count for cell in cells):
            message = f"{notebook.name}: the outputs of every cell were cleared"
            yield Flag(id="outputs_cleared", message=message, evidence={"file": role})
    elif training and not captured and not any(cell.output_count for cell in cells if cell.index + 1 in training):
        # Other cells may be skipped in good faith: one is for Colab alone. The training is what the weights come from.
        yield Flag(
            id="outputs_cleared",
            message=f"{notebook.name}, {_cells(training)}: the training has no saved output: cleared, or never run",
            evidence={"file": role, "cells": training[:_MAX_PLACES]},
        )
    broken = [cell for cell in cells if cell.error][:_MAX_PLACES]
    if broken:
        numbers = [cell.index + 1 for cell in broken]
        yield Flag(
            id="saved_error",
            message=f"{notebook.name}: an error was saved in the output of {_cells(numbers)} ({broken[0].error})",
            evidence={"file": role, "cells": numbers, "errors": [cell.error for cell in broken]},
        )
    run = [(cell.execution_count, cell.index) for cell in cells if cell.execution_count is not None]
    late = [(before[1], after[1]) for before, after in pairwise(run) if before[0] > after[0]]
    if late:
        above, below = late[0][0] + 1, late[0][1] + 1
        yield Flag(
            id="execution_order",
            message=f"{notebook.name}: the cells were not run from top to bottom; cell {above} ran after cell {below}",
            evidence={"file": role, "cells": [below + 1 for _, below in late[:_MAX_PLACES]]},
        )


def _calling(notebook: Notebook, names: Sequence[str]) -> list[int]:
    """Numbers of the cells with a bare call of one of these functions at the left margin."""
    calls = [(s.cell + 1, s.node.value) for s in code(notebook).statements if isinstance(s.node, ast.Expr)]
    found = {
        cell
        for cell, call in calls
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names
    }
    return sorted(found)


# What was done to the given code.


def _given(role: str, name: str, found: Comparison) -> Iterator[Flag]:
    if found.is_foreign:
        names = sorted({change.name.partition(".")[0] for change in found.changes if change.name})
        yield Flag(
            id="given_code_changed",
            message=f"{name}: the given code of {', '.join(names)} is not the template's; "
            "look whether it was written on another year's hand-out",
            evidence={"file": role, "names": names},
        )
        return
    for flag_id, locked in (("given_code_changed", False), ("given_block_changed", True)):
        by_definition: dict[str, list[Change]] = {}
        for change in found.changes:
            if change.locked is locked:
                key = change.name.partition(".")[0] or f"the block of `{change.expected}`"
                by_definition.setdefault(key, []).append(change)
        for key, changes in by_definition.items():
            yield _changed(flag_id, role, name, key, changes)
    if found.additions:
        yield _added(role, name, found.additions)


def _changed(flag_id: str, role: str, notebook: str, definition: str, changes: Sequence[Change]) -> Flag:
    first = changes[0]
    block = " in a DO NOT CHANGE block" if first.locked else ""
    evidence: dict[str, Any] = {"file": role, "name": definition, "expected": [change.expected for change in changes]}
    if first.cell is None:
        return Flag(
            id=flag_id,
            message=f"{notebook}: {definition}, given{block}, is gone; look for `{first.expected}`",
            evidence=evidence,
        )
    places = [{"name": c.name, "cell": c.cell, "line": c.line} for c in changes]
    where = f"{notebook}, cell {first.cell}, line {first.line}" if first.line else f"{notebook}, cell {first.cell}"
    others = [change.name or change.expected for change in changes[1:]]
    also = f" (and in {', '.join(others)})" if others else ""
    return Flag(
        id=flag_id,
        message=f"{where}: code of {first.name or definition}, given{block}, was changed{also}; "
        f"the template reads `{first.expected}`",
        evidence=evidence | {"cell": first.cell, "line": first.line, "places": places},
    )


def _added(role: str, notebook: str, additions: Sequence[Addition]) -> Flag:
    shown = additions[:_MAX_PLACES]
    listed = "; ".join(f"{item.name} (cell {item.cell}, line {item.line})" for item in shown[:5])
    more = f"; and {len(additions) - 5} more" if len(additions) > 5 else ""
    return Flag(
        id="code_outside_zones",
        message=f"{notebook}: code of the graded classes stands outside the zones, which may be fine: {listed}{more}",
        evidence={
            "file": role,
            "cells": sorted({item.cell for item in shown}),
            "places": [{"name": item.name, "cell": item.cell, "line": item.line} for item in shown],
        },
    )


def _cells(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:_MAX_PLACES]))
    return f"cells {listed}" if len(numbers) > 1 else f"cell {listed}"
