"""What a notebook claims, held against the weights, the measured accuracy and its own code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grader.integrity.printed import epochs_in, foreign_label
from grader.notebook import Cell, Notebook
from grader.records import Record
from grader.sample import Norm, training_accuracy
from grader.settings import candidates
from grader.statements import code

ACCURACY, SETTINGS, SHAPES, OUTPUT, LABEL, EPOCHS, TRAINING = (
    "a printed accuracy that the weights do not reach",
    "weights of other settings than the notebook saves",
    "weights whose shapes fit no settings in the notebook",
    "an output with words that stand nowhere in the code",
    "a number in an output under words that no text in the code ends with",
    "a count of epochs that stands nowhere in the code",
    "a printed training accuracy that the weights do not reach",
)
MARGIN = 5.0  # percentage points: of the training accuracy as it is printed, while it rises, and as the sample tells it
# The flag that grader.flags raises for the first of them, with its reasons.
_CLAIMED = "accuracy_claimed"
_METRIC = re.compile(r"(?i)acc|loss|epoch|정확|손실|에폭")
_WORD = re.compile(r"[^\W\d_]{3,40}")
_EPOCHS = re.compile(r"(?i)(?:epoch|에폭)\s*[:\[(#]?\s*\d{1,5}\s*(?:/|of)\s*(\d{1,5})(?!\d)")
# What libraries print beside a metric: bars, warnings, the shell's words.
_OTHERS = re.compile(r"it/s|s/it|%\||\|█|[Ww]arning|/usr/|site-packages|\bETA\b|Traceback|Error|tensor\(|grad_fn")
_THEIR_WORDS = frozenset(
    [
        "precision",
        "recall",
        "support",
        "macro",
        "micro",
        "weighted",
        "avg",
        "score",
        "info",
        "debug",
        "root",
        "nan",
        "inf",
    ]
)
_DECIMAL = re.compile(r"(?<![\d.])\d{1,6}\.\d{3,17}(?!\d)")
_MOST_CELLS = 60
_MOST_LINES = 400  # of one cell
_MAX_LINE = 300
_RUN = 4  # numbers of a log in a row; two logs that share such a run were printed by one training


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that does not hold. where: the notebook and cell; what: the sentence for a person."""

    kind: str
    where: str
    figure: str
    what: str


def claims(
    notebook: Notebook | None,
    stub: Notebook | None,
    settings: Sequence[str],
    class_name: str,
    record: Record | None,
    norm: Norm | None = None,
) -> list[Claim]:
    """What the training's notebook claims and the rest contradicts. norm: of the training sample. Never raises."""
    found = list(_of_record(record)) if record is not None else []
    if record is not None and norm is not None:
        found += _of_curves(record, norm)
    if notebook is not None:
        if record is not None and record.checkpoint.settings:
            found += _settings(notebook, settings, class_name, record)
        found += _outputs(notebook, stub)
    return found


def _of_record(record: Record) -> Iterator[Claim]:
    for flag in record.flags:
        if flag.id == _CLAIMED:
            printed, measured = flag.evidence.get("printed"), flag.evidence.get("measured")
            place = f"{flag.evidence.get('file', '')}, cell {flag.evidence.get('cell', '?')}"
            yield Claim(ACCURACY, place, f"{printed}% printed, {measured}% measured", flag.message)
    if not record.checkpoint.settings:
        for check in (check for criterion in record.criteria for check in criterion.checks):
            if "tensor" in check.evidence and ".pth" in check.message:
                tensor, saved, own = (check.evidence.get(name) for name in ("tensor", "saved", "model"))
                figure = (
                    f"{saved} in the .pth, {own} in the model" if saved else f"“{tensor}” is in one of the two alone"
                )
                yield Claim(SHAPES, "the .pth", figure, check.message)
                return


def _of_curves(record: Record, norm: Norm) -> Iterator[Claim]:
    """Where every training run printed a higher training accuracy than the weights have on the training sample.

    What is printed while a model learns, or of images that were changed, is lower than what it reaches in the end.
    """
    sample, curves = record.checkpoint.sample, record.exhibits.curves if record.exhibits is not None else ()
    ends = [(max(one.values), one.cell) for one in curves if one.what == "training accuracy" and one.values]
    if sample is None or not ends:
        return
    measured = 100 * training_accuracy(sample, norm)
    printed, cell = min(ends)
    if measured + MARGIN < printed <= 100:
        figure = f"{printed:.2f}% printed, about {measured:.1f}% measured"
        said = f"{figure} on a sample of {sample.hard.total + sample.other.total} training images"
        yield Claim(TRAINING, f"cell {cell}", figure, f"{said}; ask which run the weights are from")


def _settings(notebook: Notebook, settings: Sequence[str], class_name: str, record: Record) -> Iterator[Claim]:
    read = candidates(notebook, settings, class_name)
    fitting = record.checkpoint.settings
    if not read or not set(read[0].values) & set(fitting):
        return
    best = read[0]
    other = {name: value for name, value in best.values.items() if name in fitting and fitting[name] != value}
    if other:
        said = ", ".join(f"{name}={value}" for name, value in other.items())
        fits = ", ".join(f"{name}={fitting[name]}" for name in other)
        source = record.checkpoint.settings_source
        yield Claim(
            SETTINGS,
            f"{notebook.name}, cell {best.cell + 1}",
            f"{said} in the code, {fits} fits the .pth",
            f"{best.source} has {said}; the weights fit {fits}, which is in {source or 'no place that was found'}; "
            "ask which run the .pth is from",
        )


# ---- outputs --------------------------------------------------------------------------------------------------------


def _outputs(notebook: Notebook, stub: Notebook | None) -> Iterator[Claim]:
    """Lines of results that the code, as it was handed in, cannot have printed; one claim of a kind at most."""
    if code(notebook).problems:
        return  # what cannot be read may have printed it
    text = "\n".join(cell.source for notebook_ in (notebook, stub) if notebook_ for cell in notebook_.cells)
    written = text.casefold()
    numbers = epochs_in(notebook) or _whole_numbers(notebook)
    seen: set[str] = set()
    for cell, line in _results(notebook):
        place = f"{notebook.name}, cell {cell.index + 1}"
        words = [w for w in _WORD.findall(line) if w.casefold() not in written and w.casefold() not in _THEIR_WORDS]
        if words and OUTPUT not in seen:
            seen.add(OUTPUT)
            said = (
                f"the output “{line[:120]}” has “{words[0]}”, which stands nowhere in the notebook; ask what printed it"
            )
            yield Claim(OUTPUT, place, words[0], said)
        count = _EPOCHS.search(line)
        if count and int(count[1]) not in numbers and EPOCHS not in seen:
            seen.add(EPOCHS)
            said = (
                f"the output “{line[:120]}” counts to {count[1]}, which stands nowhere in the code; ask which code ran"
            )
            yield Claim(EPOCHS, place, count[1], said)
    found = foreign_label(notebook, [line for _, line in _results(notebook)]) if OUTPUT not in seen else None
    if found is not None:
        line, label = found
        cell = next(cell for cell, one in _results(notebook) if one == line)
        said = f"the output “{line[:120]}” has a number under “{label[:60]}”, and no text in the code ends so"
        place = f"{notebook.name}, cell {cell.index + 1}"
        yield Claim(LABEL, place, label[:60], f"{said}; ask which code printed it")


def _results(notebook: Notebook) -> Iterator[tuple[Cell, str]]:
    """The lines of the outputs that tell of a result, as print writes them."""
    cells = [cell for cell in notebook.cells if cell.kind == "code" and cell.outputs and not _calls_others(cell)]
    for cell in cells[-_MOST_CELLS:]:
        for line in re.split(r"[\r\n]", "\n".join(cell.outputs))[-_MOST_LINES:]:
            if len(line) <= _MAX_LINE and _METRIC.search(line) and not _OTHERS.search(line):
                yield cell, line.strip()


def _calls_others(cell: Cell) -> bool:
    """Does it run what is not in the notebook: a shell, a script?"""
    return re.search(r"(?m)^\s*[!%]|subprocess|os\.system|get_ipython", cell.source) is not None


def _whole_numbers(notebook: Notebook) -> set[int]:
    """Every whole number that the code names, in a text too."""
    found: set[int] = set()
    for statement in code(notebook).statements:
        for node in ast.walk(statement.node):
            if isinstance(node, ast.Constant):
                if type(node.value) is int and 0 <= node.value < 100_000:
                    found.add(node.value)
                elif isinstance(node.value, str):
                    found.update(int(digits) for digits in re.findall(r"\d{1,5}", node.value[:1000]))
    return found


def logged(notebook: Notebook) -> frozenset[str]:
    """Runs of numbers in the training's logs, by which two logs of one training are known."""
    runs: set[str] = set()
    by_cell: dict[int, list[str]] = {}
    for cell, line in _results(notebook):
        by_cell.setdefault(cell.index, []).extend(_DECIMAL.findall(line))
    for numbers in by_cell.values():
        runs.update(" ".join(numbers[n : n + _RUN]) for n in range(len(numbers) - _RUN + 1))
    return frozenset(runs)
