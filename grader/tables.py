"""Markdown tables and `name = number` mentions: where people write down settings outside of code."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Number = int | float

_NUMBER = re.compile(r"[-+]?(?:\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(?:[eE][-+]?\d{1,2})?")
_MAX_LINES = 2_000  # of one cell


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text without emphasis; `line` is the header's, from 1, within the Markdown cell."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    line: int
    end: int  # the line after the last row


def tables(markdown: str) -> list[Table]:
    """All pipe tables of a Markdown text. Rows are as long as the header."""
    lines = markdown.split("\n")[:_MAX_LINES]
    found = []
    number = 1
    while number < len(lines):
        if "|" not in lines[number - 1] or not _is_rule(lines[number]):
            number += 1
            continue
        header = _row(lines[number - 1])
        end = number + 1
        while end < len(lines) and "|" in lines[end]:
            end += 1
        rows = tuple((_row(line) + ("",) * len(header))[: len(header)] for line in lines[number + 1 : end])
        found.append(Table(header, rows, number, end + 1))
        number = end + 1
    return found


def number(text: str) -> Number | None:
    """The number that a table's cell holds: `8`, `4.0`, `~0.91`, `91.3 %`. None for a placeholder or prose."""
    match = re.fullmatch(rf"[~≈]?\s*({_NUMBER.pattern})\s*(?:%|px)?", text.strip())
    return _as_number(match[1]) if match else None


def columns(header: Sequence[str], wanted: Sequence[str]) -> dict[int, str]:
    """Which column is which wanted name: `patch_size`, `Patch Size`, or a part that fits one name alone (`heads`)."""
    plain = {_plain(name): name for name in wanted}
    found: dict[int, str] = {}
    for index, title in enumerate(header):
        key = _plain(title)
        if key in plain:
            found[index] = plain[key]
            continue
        fitting = [name for short, name in plain.items() if len(key) >= 3 and key in short]
        if len(fitting) == 1 and fitting[0] not in found.values():
            found[index] = fitting[0]
    return found


def settings_table(table: Table, wanted: Sequence[str]) -> tuple[Table, dict[int, str]] | None:
    """The table with one setting a row, turned if it stands the other way round; None if it is about something else."""
    turned = Table(
        header=(table.header[0], *(row[0] for row in table.rows)),
        rows=tuple(zip(table.header[1:], *(row[1:] for row in table.rows), strict=True)),
        line=table.line,
        end=table.end,
    )
    least = min(2, len(wanted))
    for candidate in (table, turned):
        found = columns(candidate.header, wanted)
        if len(found) >= least:
            return candidate, found
    return None


def mentions(lines: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[dict[str, Number], int, int]]:
    """Groups of `name = number` or `name: number`, with first and last line. A repeated name starts a new group."""
    if not wanted:
        return
    names = "|".join(re.escape(name) for name in sorted(wanted, key=len, reverse=True))
    pattern = re.compile(
        rf"(?<!\w)({names})[`*'\"]{{0,3}}\s*[=:]\s*[`*]{{0,3}}({_NUMBER.pattern})(?![\w.]|\s*[*/+]|\s*-\s*\d)"
    )
    values: dict[str, Number] = {}
    first = last = 0
    for line_number, line in enumerate(lines[:_MAX_LINES], 1):
        if "=" not in line and ":" not in line:
            continue
        for match in pattern.finditer(line[:2_000]):
            if match[1] in values:
                yield values, first, last
                values = {}
            first = first if values else line_number
            last = line_number
            values[match[1]] = _as_number(match[2])
    if values:
        yield values, first, last


def same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Do they say the same about what both know, one of them knowing no more than the other?"""
    shared = one.keys() & other.keys()
    return len(shared) == min(len(one), len(other)) > 0 and all(one[name] == other[name] for name in shared)


def _is_rule(line: str) -> bool:
    """`|---|:--:|`, the line between header and rows."""
    cells = line.strip().removeprefix("|").removesuffix("|").split("|")
    return "|" in line and all(re.fullmatch(":?-+:?", cell.strip()) for cell in cells)


def _row(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return tuple(cell.strip().strip("*`_ ").strip() for cell in inner.split("|"))


def _plain(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _as_number(text: str) -> Number:
    return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
