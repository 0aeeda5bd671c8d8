"""What a student wrote: the code of the notebooks without the hand-out's, by the class that it serves."""

from __future__ import annotations

import ast
import builtins
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from grader.integrity import dataflow, expressions
from grader.integrity.findings import Place
from grader.notebook import Notebook
from grader.statements import Statement, code

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
    fingerprints: frozenset[int]  # theirs


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
    names = expressions.imports(nodes, known, attributes)
    found = dataflow.statements(nodes, names)
    given = frozenset(statement.plain for statement in found)
    fingerprints = frozenset().union(*(statement.fingerprints for statement in found))
    return Handout(role, tuple(classes), frozenset(known), frozenset(attributes), given, fingerprints)


def writing(notebook: Notebook, hand: Handout) -> dict[Slot, Text]:
    """What the student wrote into this notebook. Never raises, whatever it holds."""
    written = code(notebook).statements
    names = names_of(written, hand)
    sources = {cell.index: cell.source.replace("\r\n", "\n").replace("\r", "\n").split("\n") for cell in notebook.cells}
    served: set[int] = set()
    found: dict[Slot, Text] = {}
    for name in hand.classes:
        serving = serving_of(written, [name], hand.known - {name})
        served |= serving
        found[Slot(hand.role, f"{hand.role} {name}")] = _text(
            [written[at] for at in sorted(serving)], names, hand, sources
        )
    rest = [statement for at, statement in enumerate(written) if at not in served]
    found[Slot(hand.role, f"{hand.role} {REST}")] = _text(rest, names, hand, sources)
    return {slot: text for slot, text in found.items() if text.fingerprints}


def names_of(written: Sequence[Statement], hand: Handout) -> expressions.Names:
    """The names that mean something of their own in a student's notebook."""
    return expressions.imports([statement.node for statement in written], hand.known, hand.attributes)


def serving_of(written: Sequence[Statement], wanted: Sequence[str], known: Collection[str]) -> set[int]:
    """The places of the statements that bind or alter the wanted names, or what these need; names in `known` end it."""
    binding: dict[str, list[int]] = defaultdict(list)
    altering: dict[str, list[int]] = defaultdict(list)
    for at, statement in enumerate(written):
        for name in statement.uses.binds:
            binding[name].append(at)
        for name in statement.uses.alters:
            altering[name].append(at)
    found: set[int] = set()
    queue = [at for name in wanted for at in binding[name] + altering[name]]
    while queue:
        at = queue.pop()
        if at in found:
            continue
        found.add(at)
        for name in written[at].uses.now | written[at].uses.later:
            if name not in known and name in binding:
                above = bisect_left(binding[name], at)  # a name such as `forward` may be bound again and again
                queue += [binding[name][max(above - 1, 0)], *altering[name]]
    return found


def _text(
    written: Sequence[Statement], names: expressions.Names, hand: Handout, sources: Mapping[int, Sequence[str]]
) -> Text:
    """What these compute beyond the hand-out, its own statements included where they work on what the student wrote.

    So a given statement tells the same whether it was left as it was or taken apart. It is no line of the student's.
    """
    reader = dataflow.Reader(names)
    lines: list[Line] = []
    fingerprints: set[int] = set()
    for one in written:
        for found in _read(one, reader):
            own = found.fingerprints - hand.fingerprints
            fingerprints |= own
            if own and found.plain not in hand.given:
                number = found.line + one.offset
                source = sources[one.cell]
                text = source[number - 1].strip() if 0 < number <= len(source) else ""
                place = Place(role=hand.role, cell=one.cell + 1, line=number, text=text[:300])
                lines.append(Line(own, place))
    return Text(frozenset(fingerprints) if lines else frozenset(), tuple(lines))


def _read(statement: Statement, reader: dataflow.Reader) -> list[dataflow.Statement]:
    """What cannot be read is compared with nobody's."""
    if len(statement.source) > MAX_SOURCE:
        return []
    try:
        return reader.read(statement.node)
    except (RecursionError, expressions.TooLong):
        return []
