"""What is known before any submission is read: the hand-out, and the code of correct variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nbformat import NotebookNode

from grader import template
from grader.assignment import Assignment
from grader.bank import Variant, as_read, load_variants, solutions, varied
from grader.integrity.labels import NO_LABELS, Bytes
from grader.integrity.words import said
from grader.integrity.writing import Handout, Slot, Text, handout, writing
from grader.notebook import Cell, Notebook
from grader.sample import Norm, load_norm, read_idx


@dataclass(frozen=True)
class Ground:
    """What is known before any submission is read: the hand-out, the code of correct variants, the right labels.

    norm: what honest models make of the training sample.
    """

    handouts: Mapping[str, Handout]
    stubs: Mapping[str, Notebook]
    said: frozenset[str]  # in the hand-out, the solution and the variants, as `words.said` has it
    known: Mapping[Slot, Sequence[Text]] = field(default_factory=dict)
    norm: Norm | None = None
    labels: Bytes = field(default_factory=lambda: NO_LABELS)


def ground_of(assignment: Assignment) -> Ground:
    """The hand-out and the variants. Raises AssignmentError."""
    ground = handed_out(assignment)
    return replace(ground, known=known_code(assignment, ground.handouts))


def handed_out(assignment: Assignment) -> Ground:
    """The hand-out alone, which is read in a moment. Raises AssignmentError."""
    config = assignment.config
    stubs = {
        role: as_read(spec.master, template.stubbed(template.read_master(assignment.master(role)), spec.master))
        for role, spec in config.files.items()
        if spec.master
    }
    handouts = {
        role: handout(role, stub, [name for name, spec in config.classes.items() if spec.file == role])
        for role, stub in stubs.items()
    }
    spec = config.checkpoint
    labels = read_idx(assignment.folder / spec.labels) if spec is not None else NO_LABELS
    sample = spec.sample if spec is not None else None
    norm = load_norm(assignment.folder / sample.norm) if sample is not None else None
    return Ground(handouts, stubs, _said(assignment, stubs), norm=norm, labels=labels)


def _said(assignment: Assignment, stubs: Mapping[str, Notebook]) -> frozenset[str]:
    notebooks = [*stubs.values(), *_as_read(solutions(assignment)).values()]
    cells = [cell.source for variant in load_variants(assignment) for cell in variant.cells]
    notebooks.append(Notebook("variants", tuple(Cell(n, "code", source) for n, source in enumerate(cells))))
    return frozenset(line for notebook in notebooks for line in said(notebook, notebook.name))


def known_code(assignment: Assignment, handouts: Mapping[str, Handout]) -> dict[Slot, list[Text]]:
    """The code of the solution and of every variant, each form of a slot once."""
    solved = solutions(assignment)
    forms: dict[Slot, dict[frozenset[int], Text]] = {}
    for notebooks in (_as_read(solved), *(_variant(solved, one) for one in load_variants(assignment))):
        for role, notebook in notebooks.items():
            if role in handouts:
                for slot, text in writing(notebook, handouts[role]).items():
                    forms.setdefault(slot, {}).setdefault(text.fingerprints, text)
    return {slot: list(texts.values()) for slot, texts in forms.items()}


def _as_read(notebooks: Mapping[str, NotebookNode]) -> dict[str, Notebook]:
    return {role: as_read(role, notebook) for role, notebook in notebooks.items()}


def _variant(solved: Mapping[str, NotebookNode], variant: Variant) -> dict[str, Notebook]:
    """The notebooks of a variant; where its cells stand for themselves, these alone, below the solution's imports."""
    if any(cell.where != "replace" for cell in variant.cells):
        changed = varied(solved, variant)
        return _as_read({role: changed[role] for role in {cell.file for cell in variant.cells}})
    found = {}
    for role in {cell.file for cell in variant.cells}:
        sources = [
            cell.source for cell in solved[role].cells if cell.cell_type == "code" and "\nimport " in cell.source
        ]
        sources += [cell.source for cell in variant.cells if cell.file == role]
        cells = tuple(Cell(index=n, kind="code", source=source) for n, source in enumerate(sources))
        found[role] = Notebook(name=role, cells=cells)
    return found
