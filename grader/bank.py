"""What proves an assignment: mutants (known misconceptions) and variants (correct alternatives), read from files.

A mutant is a small patch of the reference, in mutants/<criterion>.toml of the assignment's folder:

    [dense_no_bias]
    message = "The bias is not added: the answer is x Wᵀ + b."
    edits = [["x @ self.weight.T + self.bias", "x @ self.weight.T"]]

Each edit is a text that stands exactly once in the solution's code, and what replaces it. A variant is a Python file of
cells, each headed by a line that says which notebook it goes into, and where:

    # %% part1 replace MultiHeadAttention      instead of the code cell that defines the name
    # %% part1 before MultiHeadAttention       in front of it; `after` behind it
    # %% part2 start                           in front of all cells; `end` behind them

Where it trains a model of other settings than the reference, its docstring says so: `settings: embed_dim=64, …`.
"""

from __future__ import annotations

import ast
import copy
import itertools
import json
import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast, get_args

import msgspec
import nbformat
from nbformat import NotebookNode

from grader import template
from grader.assignment import Assignment
from grader.errors import AssignmentError
from grader.notebook import Notebook, read_notebook
from grader.records import Frozen

Where = Literal["replace", "before", "after", "start", "end"]
_HEAD = re.compile(r"# %% +(\S+) +(\S+)(?: +(\S+))?\s*")


class _MutantSpec(Frozen, frozen=True):
    message: str
    edits: tuple[tuple[str, str], ...]


class Mutant(Frozen, frozen=True):
    """A known misconception. `message` is the sentence that a student reads when the code computes just this."""

    id: str
    criterion: str
    file: str  # the role of the notebook that is patched
    message: str
    edits: tuple[tuple[str, str], ...]


class VariantCell(Frozen, frozen=True):
    """A cell, and where it goes."""

    file: str
    where: Where
    name: str
    source: str


class Variant(Frozen, frozen=True):
    """A correct alternative to the reference. `title` is the first line of the file's docstring.

    settings: those of its trained model, for a reader of the notebook; empty where they are the reference's.
    """

    id: str
    title: str
    cells: tuple[VariantCell, ...]
    settings: dict[str, float] = {}


def solutions(assignment: Assignment) -> dict[str, NotebookNode]:
    """The solved masters by role. Raises AssignmentError where one cannot be read."""
    return {
        role: template.solved(template.read_master(assignment.master(role)), spec.master)
        for role, spec in assignment.config.files.items()
        if spec.master
    }


def as_read(name: str, notebook: NotebookNode) -> Notebook:
    """The notebook as intake would read it from a submission."""
    return read_notebook(name, json.dumps(notebook).encode())  # as nbformat writes it, but for the indents


# ---- mutants --------------------------------------------------------------------------------------------------------


def load_mutants(assignment: Assignment) -> tuple[Mutant, ...]:
    """The bank, in the rubric's order. Raises AssignmentError on what is unknown, malformed or named twice."""
    folder = assignment.folder / "mutants"
    paths = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    for name, path in paths.items():
        if name not in assignment.config.criteria:
            raise AssignmentError(f"{path}: there is no criterion “{name}”; the file is named after one")
    found: dict[str, Mutant] = {}
    for criterion in assignment.config.criteria:
        for mutant in _read_mutants(assignment, criterion, paths[criterion]) if criterion in paths else ():
            if mutant.id in found:
                raise AssignmentError(f"{paths[criterion]}: {mutant.id} is also in {found[mutant.id].criterion}.toml")
            found[mutant.id] = mutant
    return tuple(found.values())


def _read_mutants(assignment: Assignment, criterion: str, path: Path) -> list[Mutant]:
    try:
        specs = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), type=dict[str, _MutantSpec])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise AssignmentError(f"{path}: {error}") from None
    classes = [need for need in assignment.config.criteria[criterion].needs if need in assignment.config.classes]
    if not classes:
        raise AssignmentError(f"{path}: the criterion {criterion} needs no class, so no patch of one can cost it")
    role = assignment.config.classes[classes[0]].file
    return [
        Mutant(id=name, criterion=criterion, file=role, message=spec.message, edits=spec.edits)
        for name, spec in specs.items()
    ]


def mutated(solution: NotebookNode, mutant: Mutant) -> NotebookNode:
    """The solution with the mutant's edits. Raises AssignmentError unless each one fits in exactly one place."""
    notebook = copy.deepcopy(solution)
    for old, new in mutant.edits:
        cells = [cell for cell in notebook.cells if cell.cell_type == "code" and old in cell.source]
        places = sum(cell.source.count(old) for cell in cells)
        if places != 1:
            raise AssignmentError(
                f"mutants/{mutant.criterion}.toml: {mutant.id}: {old!r} stands {places} times in the solution, not once"
            )
        cells[0].source = cells[0].source.replace(old, new)
    return notebook


def pairs(assignment: Assignment, count: int) -> Iterator[tuple[Mutant, Mutant]]:
    """Up to `count` pairs of mutants in each criterion whose patches fit side by side; the same ones always."""
    solved = solutions(assignment) if count else {}
    mutants = load_mutants(assignment)
    for criterion in assignment.config.criteria:
        several = list(itertools.combinations([mutant for mutant in mutants if mutant.criterion == criterion], 2))
        random.Random(assignment.config.seed).shuffle(several)
        fitting = ((a, b) for a, b in several if _fit_together(solved, a, b))
        yield from itertools.islice(fitting, count)


def _fit_together(solved: Mapping[str, NotebookNode], a: Mutant, b: Mutant) -> bool:
    try:
        mutated(mutated(solved[a.file], a), b)
    except AssignmentError:
        return False
    return True


# ---- variants -------------------------------------------------------------------------------------------------------


def load_variants(assignment: Assignment) -> tuple[Variant, ...]:
    """The variants by name. Raises AssignmentError where a file is none."""
    folder = assignment.folder / assignment.config.variants
    return tuple(_read_variant(path) for path in sorted(folder.glob("*.py")))


def _read_variant(path: Path) -> Variant:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AssignmentError(f"{path} cannot be read: {error}") from None
    head: list[str] = []
    cells: list[tuple[re.Match[str], list[str]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        match = _HEAD.fullmatch(line)
        if match is not None:
            _refuse_odd_place(match, f"{path}, line {number}")
            cells.append((match, []))
        else:
            (cells[-1][1] if cells else head).append(line)
    try:
        title = ast.get_docstring(ast.parse("\n".join(head))) or ""
    except SyntaxError:
        title = ""
    if not title or not cells:
        raise AssignmentError(f"{path}: a variant begins with a docstring and holds at least one cell (# %% …)")
    return Variant(
        id=path.stem,
        title=title.splitlines()[0],
        settings=_stated_settings(title, path),
        cells=tuple(
            VariantCell(file=m[1], where=cast("Where", m[2]), name=m[3] or "", source="\n".join(lines).strip("\n"))
            for m, lines in cells
        ),
    )


def _refuse_odd_place(match: re.Match[str], place: str) -> None:
    if match[2] not in get_args(Where) or (match[3] is None) != (match[2] in ("start", "end")):
        raise AssignmentError(f"{place}: “{match[2]}” wants to be replace, before, after (and a name), start or end")


def _stated_settings(docstring: str, path: Path) -> dict[str, float]:
    line = next((line for line in docstring.splitlines() if line.startswith("settings:")), "settings:")
    try:
        call = ast.parse(f"dict({line.removeprefix('settings:')})", mode="eval").body
        return {k.arg or "": ast.literal_eval(k.value) for k in cast("ast.Call", call).keywords}
    except (SyntaxError, ValueError):
        raise AssignmentError(f"{path}: “{line}” wants to be `settings: name=number, …`") from None


def varied(solved: Mapping[str, NotebookNode], variant: Variant) -> dict[str, NotebookNode]:
    """The solutions with the variant's cells put in. Raises AssignmentError where a place is not to be found."""
    notebooks = {role: copy.deepcopy(notebook) for role, notebook in solved.items()}
    originals = {role: list(notebook.cells) for role, notebook in notebooks.items()}
    for cell in variant.cells:
        if cell.file not in notebooks:
            raise AssignmentError(f"variant {variant.id}: there is no notebook “{cell.file}”")
        cells: list[NotebookNode] = notebooks[cell.file].cells
        new = nbformat.v4.new_code_cell(cell.source)  # type: ignore[no-untyped-call]  # nbformat has no types
        if cell.where in ("start", "end"):
            cells.insert(0 if cell.where == "start" else len(cells), new)
            continue
        target = _defining(originals[cell.file], cell.name, variant.id)
        if cell.where == "replace":
            target.source, target.outputs, target.execution_count = cell.source, [], None
        else:
            at = next(i for i, c in enumerate(cells) if c is target)
            cells.insert(at + (cell.where == "after"), new)
    return notebooks


def _defining(cells: Sequence[NotebookNode], name: str, variant: str) -> NotebookNode:
    pattern = re.compile(rf"^(class|def) {re.escape(name)}\b", re.MULTILINE)
    for cell in cells:
        if cell.cell_type == "code" and pattern.search(cell.source):
            return cell
    raise AssignmentError(f"variant {variant}: no cell of the solution defines {name}")
