"""What a student wrote: the code of the notebooks without the hand-out's, by the class that it serves."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from grader.integrity import dataflow
from grader.integrity.findings import Place
from grader.notebook import Notebook
from grader.program import slice_program
from grader.statements import code

REST = "all else"  # what serves no graded class: training, experiments
MAX_SOURCE = 50_000  # characters of one top-level statement; longer ones are not compared
_BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Slot:
    """What stands in one place of the assignment. label: "part1 MultiHeadAttention"."""

    role: str
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A statement that the student wrote: what it computes, and where it stands."""

    fingerprints: frozenset[int]
    place: Place


@dataclass(frozen=True, slots=True)
class Text:
    """What a student wrote in one slot."""

    fingerprints: frozenset[int]
    lines: tuple[Line, ...]


Writing = Mapping[Slot, Text]


@dataclass(frozen=True)
class Handout:
    """One notebook of the hand-out, as far as it must be known to leave it out. classes: those that are graded."""

    role: str
    classes: tuple[str, ...]
    known: frozenset[str]
    attributes: frozenset[str]
    given: frozenset[int]  # its statements


def handout(role: str, stub: Notebook, classes: Sequence[str]) -> Handout:
    """Read the hand-out's notebook `stub`."""
    nodes = [statement.node for statement in code(stub).statements]
    known = {name for statement in code(stub).statements for name in statement.uses.binds}
    attributes = {
        inner.attr
        for node in nodes
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "self"
    }
    attributes |= {inner.name for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef)}
    known |= _BUILTINS
    names = dataflow.imports(nodes, known, attributes)
    given = {statement.plain for statement in dataflow.statements(nodes, names)}
    return Handout(role, tuple(classes), frozenset(known), frozenset(attributes), frozenset(given))


def writing(notebook: Notebook, hand: Handout) -> dict[Slot, Text]:
    """What the student wrote into this notebook. Never raises, whatever it holds."""
    statements = code(notebook).statements
    names = dataflow.imports([s.node for s in statements], hand.known, hand.attributes)
    served: set[tuple[int, int]] = set()
    found: dict[Slot, Text] = {}
    for name in hand.classes:
        pieces = []
        for entry in slice_program(notebook, [name]).entries:
            if name in entry.names or not set(entry.names) & hand.known:
                served.add((entry.cell, entry.line))
                pieces.append((entry.source, entry.cell, entry.line))
        found[Slot(hand.role, f"{hand.role} {name}")] = _text(pieces, names, hand)
    rest = [(s.source, s.cell, s.line) for s in statements if (s.cell, s.line) not in served]
    found[Slot(hand.role, f"{hand.role} {REST}")] = _text(rest, names, hand)
    return {slot: text for slot, text in found.items() if text.fingerprints}


def _text(pieces: Sequence[tuple[str, int, int]], names: dataflow.Names, hand: Handout) -> Text:
    lines = [line for piece in pieces for line in _lines(*piece, names, hand)]
    return Text(frozenset().union(*(line.fingerprints for line in lines)), tuple(lines))


def _lines(source: str, cell: int, first: int, names: dataflow.Names, hand: Handout) -> Iterator[Line]:
    if len(source) > MAX_SOURCE:
        return
    try:
        found = dataflow.statements(ast.parse(source).body, names)
    except (SyntaxError, ValueError, RecursionError, MemoryError, dataflow.TooLong):
        return  # what cannot be read is compared with nobody's
    written = source.split("\n")
    for statement in found:
        if statement.plain not in hand.given:
            text = written[statement.line - 1].strip() if statement.line <= len(written) else ""
            place = Place(role=hand.role, cell=cell + 1, line=first + statement.line - 1, text=text[:300])
            yield Line(statement.fingerprints, place)
