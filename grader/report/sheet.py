"""A CSV in which single cells are replaced, while all others keep their bytes: quotes, line ends, a byte order mark."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence

from grader.errors import UsageError

_DELIMITERS = (",", ";", "\t")


class Sheet:
    """The rows of a sheet as values, the header first. A row that lacks cells at its end has "" there."""

    def __init__(self, data: bytes, place: str) -> None:
        """place: what an error names the sheet by. Raises UsageError where it is no UTF-8 or no CSV."""
        self._front = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        try:
            text = data[len(self._front) :].decode("utf-8")
        except UnicodeDecodeError:
            raise UsageError(f"{place} is not UTF-8 text; save it as “CSV UTF-8”") from None
        self._delimiter = _delimiter_of(text)
        try:
            self.rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            raise UsageError(f"{place} cannot be read as CSV: {error}; export it again") from None
        if not self.rows or not any(self.rows[0]):
            raise UsageError(f"{place} has no header; export it again")
        self._raw = _raw(text, self._delimiter)
        if [[_value(cell) for cell in cells] if cells != [""] else [] for cells, _ in self._raw] != self.rows:
            raise UsageError(f"{place} has quotes in odd places; export it again")

    def cell(self, row: int, column: int) -> str:
        """The value of a cell, "" where the row is shorter."""
        cells: Sequence[str] = self.rows[row]
        return cells[column] if column < len(cells) else ""

    def set(self, row: int, column: int, value: str) -> None:
        """Replace a cell; its quotes stay where it had them. A row that is too short is made longer."""
        cells, _ = self._raw[row]
        while len(cells) <= column:
            cells.append("")
            self.rows[row].append("")
        needed = any(mark in value for mark in (self._delimiter, '"', "\n", "\r"))
        quoted = needed or cells[column].startswith('"')
        cells[column] = '"' + value.replace('"', '""') + '"' if quoted else value
        self.rows[row][column] = value

    def data(self) -> bytes:
        """The file as it is now."""
        text = "".join(self._delimiter.join(cells) + end for cells, end in self._raw)
        return self._front + text.encode()


def _delimiter_of(text: str) -> str:
    """The one that parts most names of the header."""
    first = text.split("\n", 1)[0]
    return max(_DELIMITERS, key=first.count)


def _raw(text: str, delimiter: str) -> list[tuple[list[str], str]]:
    """Rows of cells as they are written, and how each row ends."""
    part = re.escape(delimiter)
    token = re.compile(rf'("(?:[^"]|"")*"|[^{part}\r\n]*)({part}|\r\n|\n|\r|\Z)')
    rows: list[tuple[list[str], str]] = []
    cells: list[str] = []
    place = 0
    while place < len(text) or cells:
        found = token.match(text, place)
        if found is None:
            return []  # text behind a closing quote
        cells.append(found[1])
        place = found.end()
        if found[2] != delimiter:
            rows.append((cells, found[2]))
            cells = []
    return rows


def _value(raw: str) -> str:
    return raw[1:-1].replace('""', '"') if raw.startswith('"') else raw
