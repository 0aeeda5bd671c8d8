"""The constructor's settings, recovered from a notebook by reading it: nothing of it is executed.

Best evidence first: a call of the class in a scope that saves weights, any other call of the class, names and mappings
that are called like the settings, and last what stands in comments, broken code, Markdown text and tables. Within one
kind, later cells come first, since the last run is the one that was saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from grader.notebook import Notebook
from grader.reading import Place, Reading, read_settings
from grader.records import Frozen
from grader.tables import Number, mentions, number, settings_table, tables

_SAVED, _CALLED, _NAMED, _WRITTEN, _TEXT = range(5)


class Candidate(Frozen, frozen=True):
    """One reading of the settings. What could not be made out is absent from `values`."""

    values: dict[str, Number]
    source: str  # for people: "Train() in cell 23, lines 5 to 9"
    cell: int  # Cell.index
    rank: int  # 0 is the best evidence


@dataclass(frozen=True, slots=True)
class _Evidence:
    kind: int
    values: Mapping[str, Number]
    source: str
    cell: int
    line: int


def candidates(notebook: Notebook, wanted: Sequence[str], class_name: str) -> list[Candidate]:
    """Settings named in `wanted` with which `class_name` may have been built, best evidence first. Never raises."""
    reading = read_settings(notebook, tuple(wanted), class_name)
    return _ranked([*_from_calls(reading, class_name), *_from_names(reading), *_from_text(notebook, tuple(wanted))])


def named_candidates(notebook: Notebook, wanted: Sequence[str], class_name: str) -> list[Candidate]:
    """The same without the calls that build `class_name`: what the notebook says of settings by their names alone."""
    reading = read_settings(notebook, tuple(wanted), class_name)
    return _ranked([*_from_names(reading), *_from_text(notebook, tuple(wanted))])


def _ranked(evidence: list[_Evidence]) -> list[Candidate]:
    evidence = [e for e in evidence if e.values]
    evidence.sort(key=lambda e: (e.kind, -e.cell, -e.line))
    found: list[Candidate] = []
    seen: set[tuple[tuple[str, Number], ...]] = set()
    for one in evidence:
        key = tuple(sorted(one.values.items()))
        if key not in seen:
            seen.add(key)
            found.append(Candidate(values=dict(one.values), source=one.source, cell=one.cell, rank=len(found)))
    return found


def _from_calls(reading: Reading, class_name: str) -> Iterator[_Evidence]:
    # A loop over settings records its turns in order, and the last turn is the one that was saved last.
    for call in reversed(reading.calls):
        kind = _SAVED if call.saves else _CALLED
        cell, lines = call.place.cell + 1, _lines(call.place)
        source = f"{class_name}(…) in cell {cell}, {lines}"
        if call.place.function:
            source = f"{class_name}(…) in {call.place.function}(), cell {cell}, {lines}"
        yield _Evidence(kind, call.values, source, call.place.cell, call.place.first)


def _from_names(reading: Reading) -> Iterator[_Evidence]:
    for values, place in reversed(reading.named):
        what = f"{place.function}()" if place.function else "the names"
        yield _Evidence(_NAMED, values, f"{what} in cell {place.cell + 1}, {_lines(place)}", place.cell, place.first)


@lru_cache(maxsize=4)  # as read_settings
def _from_text(notebook: Notebook, wanted: tuple[str, ...]) -> tuple[_Evidence, ...]:
    return tuple(_read_text(notebook, wanted))


def _read_text(notebook: Notebook, wanted: Sequence[str]) -> Iterator[_Evidence]:
    for cell in notebook.cells:
        lines = cell.source.split("\n")
        if cell.kind == "code":
            comments = [line.partition("#")[2] for line in lines]
            # The whole lines as well: code that does not parse, and blocks put out of use with quotes.
            texts = [(_WRITTEN, "a comment", comments), (_TEXT, "the text", [line.lstrip("# \t") for line in lines])]
        else:
            texts = [(_WRITTEN, "the text", [line.replace("**", "") for line in lines])]
        for kind, what, text in texts:
            for values, first, last in mentions(text, wanted):
                source = f"{what} in cell {cell.index + 1}, {_lines(Place('', cell.index, first, last))}"
                yield _Evidence(kind, values, source, cell.index, first)
        if cell.kind == "markdown":
            for table in tables(cell.source):
                if (fitting := settings_table(table, wanted)) is None:
                    continue
                for position, row in enumerate(fitting[0].rows):
                    read = {name: number(row[column]) for column, name in fitting[1].items()}
                    known = {name: value for name, value in read.items() if value is not None}
                    source = f"row {position + 1} of the table in cell {cell.index + 1}, line {table.line}"
                    yield _Evidence(_WRITTEN, known, source, cell.index, table.line + position)


def _lines(place: Place) -> str:
    return f"line {place.first}" if place.first == place.last else f"lines {place.first} to {place.last}"
