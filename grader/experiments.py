"""The experiments that a student reports: settings, their accuracies, and whether each has an analysis.

What is counted is a proposal, for a person to confirm or change. Tables speak first; then what runs printed; then lists
of settings in code and settings that were commented out. The same settings from two sources are one experiment.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from grader.notebook import Cell, Notebook
from grader.reading import read_settings
from grader.records import Frozen
from grader.sections import Section, sections
from grader.settings import named_candidates
from grader.tables import Number, Table, mentions, number, same, settings_table, tables

_ACCURACY = re.compile(r"acc|정확|score", re.IGNORECASE)
_TESTED = re.compile(r"test|테스트|val", re.IGNORECASE)
_ANALYSIS = re.compile(r"analy|분석|note|comment|비고|remark|고찰|discuss|observ|reason", re.IGNORECASE)
_TRAINING = re.compile(
    r"^(?:lr|epochs?|optim\w*|dropout|batch|wd)$|learning|batch.?size|decay|학습률|에폭", re.IGNORECASE
)
_INDEX = re.compile(r"^(?:#|no\.?|id|index|번호|setting|experiment|exp|실험|설정)$", re.IGNORECASE)
_PRINTED = re.compile(r"(?:acc(?:uracy)?|정확도)[^\d\n]{0,40}?(\d{1,3}(?:\.\d{1,8})?)\s*(%?)", re.IGNORECASE)
_MAX_LINE = 2_000
_MAX_FOUND = 200
_MAX_SECTIONS = 5_000


class Experiment(Frozen, frozen=True):
    """One setting. `accuracy` is in percent; `analysis` is the beginning of the prose about it."""

    settings: dict[str, Any]
    accuracy: float | None
    analysis: str
    cell: int  # Cell.index
    source: str  # for people: "row 2 of the table in cell 31"


class Experiments(Frozen, frozen=True):
    """All that were found, in order of the evidence."""

    found: tuple[Experiment, ...] = ()


class Proposal(NamedTuple):
    """How many experiments there are, no more than are needed."""

    settings_found: int
    with_accuracy: int
    with_analysis: int


@dataclass(slots=True, eq=False)
class _Draft:
    settings: dict[str, Any]
    accuracy: float | None
    cell: int
    line: int
    source: str
    label: int | None = None  # the number that people give it
    analysis: str = ""


def find_experiments(
    notebook: Notebook, wanted: Sequence[str], template: Notebook | None = None, class_name: str = ""
) -> Experiments:
    """Experiments over the settings named in `wanted`. What already stands in `template` counts as nothing.

    class_name: what the settings build, if that is a class; to build one is no experiment. Never raises, whatever the
    notebook holds.
    """
    given = _given(template)
    drafts: list[_Draft] = []
    for found in (_from_tables, _from_outputs, _from_code, _from_comments):
        for draft in found(notebook, wanted, given, class_name):
            _merge(drafts, draft, wanted)
    drafts = drafts[:_MAX_FOUND]
    _analyse(drafts, list(islice(sections(notebook, given), _MAX_SECTIONS)), wanted)
    return Experiments(
        found=tuple(
            Experiment(
                settings=d.settings, accuracy=d.accuracy, analysis=d.analysis[:200], cell=d.cell, source=d.source
            )
            for d in drafts
        )
    )


def proposal(experiments: Experiments, needed: int) -> Proposal:
    """What the evidence supports, each count at most `needed`."""
    found = experiments.found
    return Proposal(
        settings_found=min(needed, len(found)),
        with_accuracy=min(needed, sum(e.accuracy is not None for e in found)),
        with_analysis=min(needed, sum(bool(e.analysis) for e in found)),
    )


def _given(template: Notebook | None) -> frozenset[str]:
    cells = template.cells if template else ()
    return frozenset(line.strip() for cell in cells for line in cell.source.split("\n") if line.strip())


# Where settings stand.


def _from_tables(notebook: Notebook, wanted: Sequence[str], given: frozenset[str], class_name: str) -> Iterator[_Draft]:
    for cell in notebook.cells:
        # A row of the hand-out's own is an example, or still to be filled. Blank, it keeps the others numbered.
        lines = ("|" if line.strip() in given and _holds_digits(line) else line for line in _lines(cell))
        texts = ["\n".join(lines)] if cell.kind == "markdown" else cell.outputs  # a program may print its table
        place = f"cell {cell.index + 1}" if cell.kind == "markdown" else f"the output of cell {cell.index + 1}"
        for table in (table for text in texts for table in tables(text)):
            for position, (settings, accuracy, label, analysis) in enumerate(_rows(table, wanted), 1):
                if settings:
                    label = position if label is None else label
                    source = f"row {position} of the table in {place}"
                    yield _Draft(settings, accuracy, cell.index, table.end, source, label, analysis)


def _rows(table: Table, wanted: Sequence[str]) -> Iterator[tuple[dict[str, Any], float | None, int | None, str]]:
    """(settings, accuracy, label, analysis) of each row; the settings are empty for a placeholder row."""
    fitting = settings_table(table, wanted)
    table, names = fitting or (table, {})
    header = [(index, title) for index, title in enumerate(table.header) if index not in names]
    accuracies = [index for index, title in header if _ACCURACY.search(title)]
    accuracies.sort(key=lambda index: not _TESTED.search(table.header[index]))
    analyses = [index for index, title in header if _ANALYSIS.search(title)]
    training = [index for index, title in header if _TRAINING.search(title) and index not in accuracies]
    labels = [index for index, title in header if _INDEX.match(title)]
    for row in table.rows:
        read: dict[str, Any] = {name: number(row[index]) for index, name in names.items()}
        settings = {name: value for name, value in read.items() if value is not None}
        if not fitting:  # one column may hold them all: "patch_size=4, depth=6"
            settings = next((s for s, _, _ in mentions([" ".join(row)], wanted) if len(s) >= _enough(wanted, 2)), {})
        if settings:
            settings |= {table.header[i]: value for i in training if (value := number(row[i])) is not None}
        accuracy = next((a for index in accuracies if (a := _percent(row[index])) is not None), None)
        label = next((int(n) for index in labels if (n := number(row[index])) is not None), None)
        prose = [Section(0, 0, "", None, row[index]) for index in analyses]
        yield settings, accuracy, label, next((p.text for p in prose if p.is_filled), "")


def _from_outputs(
    notebook: Notebook, wanted: Sequence[str], given: frozenset[str], class_name: str
) -> Iterator[_Draft]:
    """Runs that printed their settings beside the accuracy; else one run a cell, with the settings of its code."""
    coded: dict[int, dict[str, Number]] = {}
    for candidate in named_candidates(notebook, wanted, class_name):
        if len(candidate.values) >= _enough(wanted, 2):
            coded.setdefault(candidate.cell, candidate.values)
    for cell in notebook.cells:
        if cell.kind != "code" or not cell.outputs:
            continue
        source = f"the output of cell {cell.index + 1}"
        lines = "\n".join(cell.outputs).split("\n")
        groups = [g for g in mentions(lines, wanted) if len(g[0]) >= _enough(wanted, 2)]
        ends = [first - 1 for _, first, _ in groups[1:]] + [len(lines)]
        for (settings, first, _), end in zip(groups, ends, strict=False):
            if (accuracy := _printed(lines[first - 1 : max(end, first)])) is not None:
                yield _Draft(dict(settings), accuracy, cell.index, 0, source)
        accuracy = _printed(lines)
        if not groups and accuracy is not None and cell.index in coded:
            yield _Draft(dict(coded[cell.index]), accuracy, cell.index, 0, source)


def _from_code(notebook: Notebook, wanted: Sequence[str], given: frozenset[str], class_name: str) -> Iterator[_Draft]:
    """Lists of settings. A single setting in code is no experiment until a run of it printed something."""
    reading = read_settings(notebook, tuple(wanted), class_name)
    by_cell: dict[int, list[dict[str, Number]]] = defaultdict(list)
    for values, place in reading.named:
        if len(values) >= _enough(wanted, 3) and values not in by_cell[place.cell]:
            by_cell[place.cell].append(values)
    for index, several in sorted(by_cell.items()):
        if len(several) > 1:
            for values in several:
                yield _Draft(dict(values), None, index, 0, f"a list of settings in cell {index + 1}")


def _from_comments(
    notebook: Notebook, wanted: Sequence[str], given: frozenset[str], class_name: str
) -> Iterator[_Draft]:
    for cell in notebook.cells:
        if cell.kind != "code":
            continue
        comments = ["" if line.strip() in given else line.partition("#")[2] for line in _lines(cell)]
        for settings, first, last in mentions(comments, wanted):
            if len(settings) >= _enough(wanted, 3):
                # The result often stands beside the last setting, or in the line below.
                accuracy = _printed(comments[first - 1 : last + 1])
                source = f"a comment in cell {cell.index + 1}, line {first}"
                yield _Draft(dict(settings), accuracy, cell.index, 0, source)


def _merge(drafts: list[_Draft], draft: _Draft, wanted: Sequence[str]) -> None:
    for known in drafts:
        # Two rows may differ in the learning rate alone; code says less than a row, and then means the same run.
        if known.settings == draft.settings or (draft.label is None and same(known.settings, draft.settings)):
            known.accuracy = draft.accuracy if known.accuracy is None else known.accuracy
            known.analysis = known.analysis or draft.analysis
            return
    drafts.append(draft)


# What is written about them.


def _analyse(drafts: list[_Draft], prose: list[Section], wanted: Sequence[str]) -> None:
    """Give each filled section to the experiment that it names, is numbered after, or, failing both, follows."""
    first = min((draft.cell for draft in drafts), default=0)
    left: list[Section] = []
    for section in prose:
        if section.cell < first or not section.is_filled:
            continue
        named = [s for s, _, _ in mentions([section.heading or section.text], wanted) if len(s) >= _enough(wanted, 2)]
        fitting = [d for d in drafts if any(same(d.settings, s) for s in named)]
        if not fitting and section.number is not None:
            fitting = [
                d for d in drafts if d.label == section.number and (d.cell, d.line) <= (section.cell, section.line)
            ]
        if not fitting and section.is_about_experiments:
            left.append(section)
        for draft in fitting[:1]:
            draft.analysis = draft.analysis or section.text
    for section in left:
        above = [d for d in drafts if not d.analysis and (d.cell, d.line) <= (section.cell, section.line)]
        if not above:
            continue
        nearest = max(d.cell for d in above)
        # Rows of a table are analysed one after the other; a run is analysed right below it.
        draft = next(d for d in above if d.cell == nearest)
        draft.analysis = section.text


def _printed(lines: Sequence[str]) -> float | None:
    """The last accuracy in a log, that of the test set where it is named."""
    found = [(line, match) for line in lines for match in _PRINTED.finditer(line[:_MAX_LINE])]
    tested = [match for line, match in found if _TESTED.search(line)]
    last = (tested or [match for _, match in found])[-1:]
    return _percent(last[0][1] + last[0][2]) if last else None


def _percent(text: str) -> float | None:
    value = number(text)
    if value is None or not 0 <= value <= 100:
        return None
    return float(value) if "%" in text or value > 1 else round(100.0 * value, 6)


def _enough(wanted: Sequence[str], least: int) -> int:
    return min(least, len(wanted))


def _holds_digits(line: str) -> bool:
    return any(character.isdigit() for character in line)


def _lines(cell: Cell) -> list[str]:
    return cell.source.split("\n")
