"""The student's own cells for the record: where each class is defined, and which of its lines a criterion is about.

A line is marked as the place of a mistake where something says so: an error's own line, the layer where a computation
departs from the reference's, or a line that looks like the one of the misconception that was named. Where nothing does,
the lines that the student wrote are marked, in the method that it is about if that is known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache

from grader.bank import Mutant, load_mutants
from grader.notebook import Notebook
from grader.records import CriterionResult, Diagnosis, Excerpt, Mark
from grader.statements import Statement, code
from grader.submission import Opened, hidden_part
from grader.trees import below

MOST_LINES = 120  # of an excerpt
MOST_CHARACTERS = 6_000
MOST_IN_ALL = 40_000  # a record must stay small: a class has a thousand
MOST_COMPARED = 300  # lines with that of a known misconception
AROUND = 8  # lines above and below a place outside the classes
ALIKE = 0.7  # of a line and that of a known misconception; names of variables differ between students
_SETTINGS = re.compile(r"cell (\d{1,4})(?:, lines? (\d{1,6})(?: to (\d{1,6}))?)?")

_bank = lru_cache(maxsize=4)(load_mutants)


@dataclass(frozen=True)
class _Span:
    """Lines first to last of a cell, all counted from 1."""

    cell: int
    first: int
    last: int

    def __contains__(self, place: tuple[int, int]) -> bool:
        return place[0] == self.cell and self.first <= place[1] <= self.last


@dataclass
class Quotes:
    """What was quoted so far; the same lines are quoted once."""

    excerpts: list[Excerpt] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    size: int = 0

    def add(
        self, criterion: str, role: str, notebook: Notebook, span: _Span, lines: Iterable[int], exact: bool
    ) -> None:
        """Quote a span with some of its lines marked; what is too long is cut around the first of them."""
        marked = tuple(sorted(lines))
        known = next((n for n, e in enumerate(self.excerpts) if _holds(e, role, span)), None)
        if known is None:
            excerpt = _excerpt(role, notebook, span, marked[0] if marked else span.first)
            if excerpt is None or self.size + len(excerpt.source) > MOST_IN_ALL:
                return
            known, self.size = len(self.excerpts), self.size + len(excerpt.source)
            self.excerpts.append(excerpt)
        self.marks.append(Mark(criterion=criterion, excerpt=known, lines=marked[:MOST_LINES], exact=exact))


def quotes_of(opened: Opened, criteria: Sequence[CriterionResult], diagnoses: Sequence[Diagnosis]) -> Quotes:
    """The excerpts, and for each criterion its marks in them."""
    quotes = Quotes()
    config = opened.assignment.config
    for criterion in criteria:
        classes = [name for name in config.criteria[criterion.id].needs if name in config.classes]
        for role in dict.fromkeys(config.classes[name].file for name in classes):
            notebook = opened.notebooks.get(role)
            if isinstance(notebook, Notebook):
                own = [name for name in classes if config.classes[name].file == role]
                _quote_classes(quotes, opened, criterion, diagnoses, role, notebook, own)
        checkpoint = config.checkpoint
        if not classes and checkpoint is not None and checkpoint.file in config.criteria[criterion.id].needs:
            notebook = opened.notebooks.get(checkpoint.notebook)
            if isinstance(notebook, Notebook):
                _quote_settings(quotes, opened, criterion.id, checkpoint.notebook, notebook)
    return quotes


def _quote_classes(
    quotes: Quotes,
    opened: Opened,
    criterion: CriterionResult,
    diagnoses: Sequence[Diagnosis],
    role: str,
    notebook: Notebook,
    classes: Sequence[str],
) -> None:
    own = [diagnosis for diagnosis in diagnoses if diagnosis.criterion == criterion.id]
    places = set(_told(criterion, own))
    stub = hidden_part(opened.assignment).stubs.get(role)
    for name in classes:
        statement = _definition(notebook, name)
        if statement is None:
            continue
        span = _span(statement)
        written = _written(notebook, span, _lines_of(stub, name))
        written = written & _about(opened, criterion.id, role, statement) or written
        exact = {line for cell, line in places if (cell, line) in span}
        hinted = written
        if not exact and criterion.points < criterion.max_points:
            exact, hinted = _suspected(opened, own, role, notebook, statement, written)
        quotes.add(criterion.id, role, notebook, span, exact or hinted, bool(exact))
        places -= {place for place in places if place in span}
    for cell, line in sorted(places):  # a helper's line, or one that does not parse
        quotes.add(criterion.id, role, notebook, _around(notebook, cell, line), [line], True)


def _told(criterion: CriterionResult, diagnoses: Sequence[Diagnosis]) -> Iterator[tuple[int, int]]:
    """Cells and lines that the checks and the diagnoses name."""
    for check in criterion.checks:
        cell, line = check.evidence.get("cell"), check.evidence.get("line")
        if check.points < check.max_points and type(cell) is int and type(line) is int:
            yield cell, line
    for diagnosis in diagnoses:
        if diagnosis.cell:
            yield diagnosis.cell, diagnosis.line


def _quote_settings(quotes: Quotes, opened: Opened, criterion: str, role: str, notebook: Notebook) -> None:
    """Where the settings of the trained model stand."""
    assert opened.trained is not None
    found = _SETTINGS.search(opened.trained.result.settings_source)
    if found and found[2]:
        first, last = int(found[2]), int(found[3] or found[2])
        whole = _around(notebook, int(found[1]), first)
        span = _Span(whole.cell, max(first - AROUND, 1), max(last + AROUND, whole.last))
        quotes.add(criterion, role, notebook, span, range(first, min(last, first + MOST_LINES) + 1), False)


# ---- what a named mistake points at ---------------------------------------------------------------------------------


def _suspected(
    opened: Opened,
    diagnoses: Sequence[Diagnosis],
    role: str,
    notebook: Notebook,
    statement: Statement,
    written: set[int],
) -> tuple[set[int], set[int]]:
    """The lines that look like those of the named mistakes; and what was written in the methods that they are in."""
    exact: set[int] = set()
    methods: set[int] = set()
    lines = _cell_lines(notebook, statement.cell + 1)
    known = {mutant.id: mutant for mutant in _bank(opened.assignment)}
    for diagnosis in diagnoses:
        mutant = known.get(diagnosis.id)
        if mutant is None or mutant.file != role:
            continue
        for class_name, method, wrong in _edited(hidden_part(opened.assignment).solutions[role], mutant):
            if getattr(statement.node, "name", "") != class_name:
                continue
            among = written & set(_method_lines(statement, method)) or written
            methods |= among
            exact |= {best for text in wrong if (best := _most_alike(text, lines, among))}
    return exact, methods or written


def _about(opened: Opened, criterion: str, role: str, statement: Statement) -> set[int]:
    """The lines of the methods that the known mistakes of a criterion are made in."""
    mutants = tuple(m for m in _bank(opened.assignment) if m.criterion == criterion and m.file == role)
    methods = _edited_methods(hidden_part(opened.assignment).solutions[role], mutants)
    name = getattr(statement.node, "name", "")
    return {line for owner, method in methods if owner == name for line in _method_lines(statement, method)}


@lru_cache(maxsize=64)
def _edited_methods(solution: Notebook, mutants: tuple[Mutant, ...]) -> frozenset[tuple[str, str]]:
    return frozenset((owner, method) for mutant in mutants for owner, method, _ in _edited(solution, mutant))


def _edited(solution: Notebook, mutant: Mutant) -> Iterator[tuple[str, str, list[str]]]:
    """The class and the method that a patch is in, and the lines that it makes wrong."""
    for old, new in mutant.edits:
        for cell in solution.cells:
            if cell.kind != "code" or old not in cell.source:
                continue
            line = cell.source[: cell.source.index(old)].count("\n") + 1
            right = set(cell.source.splitlines())
            wrong = [text for text in cell.source.replace(old, new).splitlines() if text not in right and text.strip()]
            for statement in code(solution).statements:
                if isinstance(statement.node, ast.ClassDef) and (cell.index + 1, line) in _span(statement):
                    methods = [f.name for f in _functions(statement) if line in _method_lines(statement, f.name)]
                    yield statement.node.name, methods[0] if methods else "", wrong


def _most_alike(text: str, lines: Sequence[str], among: Iterable[int]) -> int:
    """The number of the line that is most like a text, 0 if none is enough."""
    alike = [
        (SequenceMatcher(None, _bare(text), _bare(lines[n - 1])).ratio(), -n)
        for n in sorted(among)[:MOST_COMPARED]
        if n <= len(lines)
    ]
    best, number = max(alike, default=(0.0, 0))
    return -number if best >= ALIKE else 0


def _bare(line: str) -> str:
    return re.sub(r"\s+", "", line.partition("#")[0])[:200]


# ---- where things stand ---------------------------------------------------------------------------------------------


def _definition(notebook: Notebook | None, name: str) -> Statement | None:
    """The last statement that defines a class, else the last that binds its name."""
    if notebook is None:
        return None
    binding = [statement for statement in code(notebook).statements if name in statement.uses.binds]
    found = [s for s in binding if isinstance(s.node, ast.ClassDef)] or binding
    return found[-1] if found else None


def _functions(statement: Statement) -> list[ast.FunctionDef]:
    return [node for node in (statement.node, *below(statement.node)) if isinstance(node, ast.FunctionDef)]


def _method_lines(statement: Statement, name: str) -> range:
    """The lines, in the cell, of a method; none if there is no such method."""
    for node in _functions(statement):
        if node.name == name:
            return range(node.lineno + statement.offset, (node.end_lineno or node.lineno) + statement.offset + 1)
    return range(0)


def _span(statement: Statement) -> _Span:
    return _Span(statement.cell + 1, statement.line, statement.line + statement.source.count("\n"))


def _lines_of(notebook: Notebook | None, name: str) -> set[str]:
    """A definition's lines as text, stripped."""
    statement = _definition(notebook, name)
    return {line.strip() for line in statement.source.splitlines()} if statement else set()


def _written(notebook: Notebook, span: _Span, given: set[str]) -> set[int]:
    """The numbers of the lines that do not stand in the template."""
    lines = _cell_lines(notebook, span.cell)
    return {
        number
        for number in range(span.first, min(span.last, len(lines)) + 1)
        if (text := lines[number - 1].strip()) and not text.startswith("#") and text not in given
    }


def _around(notebook: Notebook, cell: int, line: int) -> _Span:
    """The statement that a line is in, where that is short; else the lines around it."""
    for statement in code(notebook).statements:
        span = _span(statement)
        if (cell, line) in span and span.last - span.first < MOST_LINES:
            return span
    return _Span(cell, max(line - AROUND, 1), line + AROUND)


def _cell_lines(notebook: Notebook, number: int) -> list[str]:
    """The lines of a cell as Python counts them; none if there is no such cell."""
    source = next((cell.source for cell in notebook.cells if cell.index == number - 1), None)
    return re.split(r"\r\n?|\n", source) if source is not None else []


def _holds(excerpt: Excerpt, role: str, span: _Span) -> bool:
    last = excerpt.line + excerpt.source.count("\n")
    return (excerpt.file, excerpt.cell) == (role, span.cell) and excerpt.line <= span.first <= last


def _excerpt(role: str, notebook: Notebook, span: _Span, first_mark: int) -> Excerpt | None:
    lines = _cell_lines(notebook, span.cell)[: span.last]
    start = span.first if first_mark < span.first + MOST_LINES else first_mark - AROUND
    shown = lines[start - 1 : start - 1 + MOST_LINES]
    if not shown:
        return None
    return Excerpt(file=role, cell=span.cell, line=start, source="\n".join(shown)[:MOST_CHARACTERS])
