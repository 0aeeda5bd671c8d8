"""Labels of the held-out set in a hand-in: numbers in the .pth that no training makes, long data in the code.

A model that looks answers up needs them somewhere. Training gives numbers that differ all over; answers are many
numbers of few values. What is found is held against the right labels, in their order, whatever the classes are called.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import lzma
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from grader.integrity.findings import Finding
from grader.notebook import Notebook

Bytes = npt.NDArray[np.uint8]

NO_LABELS: Bytes = np.zeros(0, dtype=np.uint8)
LEAST = 500  # numbers, in one tensor or one cell
WINDOW, MOST_WINDOWS = 24, 40  # codes in a row by which a part is known, and how many such are tried
FEWEST, FEW = 5, 16  # values of what may be labels; masks have two
SURE = 0.5  # of the labels, by which a table of scores is known
LEAST_CHARS = 500  # of what looks like data in one cell; a thousand labels, packed, take 554
MAX_CELL = 4 << 20  # characters of a cell that are read
MAX_PACKED = 1 << 20  # bytes that are unpacked
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{40,}")
_LEAST_LETTERS = 8  # that differ in such a run; a line of dashes has one
_DENSE = re.compile(r"""[^\s'"\\]{200,}""")  # no code is written so
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\([tnr0])")
_PLAIN = {"t": 9, "n": 10, "r": 13, "0": 0}
_NUMBER = re.compile(r"(?<![\w.])\d{1,20}(?![\w.])")
_BROKEN = (binascii.Error, ValueError, zlib.error, OSError, EOFError, lzma.LZMAError)


@dataclass(frozen=True, slots=True)
class Hoard:
    """Many numbers in one place. values: as codes from 0, in their order; empty where they are no labels by nature."""

    where: str
    figure: str
    values: bytes = b""


def findings(student: str, hoards: Sequence[Hoard], labels: Bytes) -> Iterator[Finding]:
    """A finding for each place, with how many of its numbers are the right labels."""
    for hoard in hoards:
        right, count = agreement(np.frombuffer(hoard.values, np.uint8), labels)
        said = f"; of {count} codes {right} are the held-out labels in their order" if count else ""
        yield Finding(
            kind="labels",
            students=(student,),
            compared=f"what {hoard.where} holds, with the labels of the {len(labels)} held-out images",
            figure=hoard.figure + said,
            chance=f"{count} codes that have nothing to do with the labels would agree in at most {_by_chance(count)}"
            if count
            else "no training makes such numbers, and none of the solutions and models of docs/integrity.md holds any",
            what="a model that looks its answers up needs such a table; a mask or an index may have been saved along: "
            "ask what it is for",
        )


def agreement(values: Bytes, labels: Bytes) -> tuple[int, int]:
    """How many of the codes are the labels in their order, under the renaming that fits best; and of how many.

    values: (K,), a part of the set, from where its beginning is found among the labels, else from the first on.
    """
    values, at = _laid_on(values, labels)
    count = min(len(values), len(labels) - at)
    if count < LEAST or values[:count].max() >= FEW:
        return 0, 0
    table = np.zeros((FEW, FEW), dtype=np.int64)
    np.add.at(table, (values[:count], labels[at : at + count]), 1)
    return int(table.max(axis=1).sum()), count


def _laid_on(values: Bytes, labels: Bytes) -> tuple[Bytes, int]:
    """The codes, and the place among the labels where they begin; a part that is known by itself tells it.

    Compared is which of the seven codes before each one are equal to it: no renaming changes that.
    """
    sought, pattern = _pattern(values).tobytes(), _pattern(labels).tobytes()
    for first in range(0, min(len(values) - 2 * WINDOW, MOST_WINDOWS * WINDOW), WINDOW):
        at = pattern.find(sought[first + WINDOW : first + 2 * WINDOW]) - WINDOW
        if at >= 0:
            return values[max(first - at, 0) :], max(at - first, 0)
    return values, 0


def _pattern(codes: Bytes) -> Bytes:
    found = np.zeros(len(codes), dtype=np.uint8)
    for lag in range(1, 8):
        found[lag:] |= (codes[lag:] == codes[:-lag]).astype(np.uint8) << np.uint8(lag)
    return found


def _by_chance(count: int) -> int:
    """Of ten classes, each code being given the class that fits it best: two standard deviations above a tenth."""
    return round(count * 0.1 + 2 * math.sqrt(count * 0.09))


# ---- weights --------------------------------------------------------------------------------------------------------


def in_tensor(name: str, shape: tuple[int, ...], numbers: npt.NDArray[Any], labels: Bytes) -> Hoard | None:
    """What a tensor of a checkpoint holds, if no training made it. numbers: (N,), finite."""
    where = f"“{name}” in the .pth"
    rows = [size for size in shape if size >= LEAST]
    if len(shape) == 2 and rows and shape[1] <= FEW:  # a row of scores for each image
        best = numbers.reshape(shape).argmax(axis=1).astype(np.uint8)
        right, count = agreement(best, labels)
        if count and right > SURE * count:
            return Hoard(where, f"{shape[0]} rows of {shape[1]} scores", best.tobytes())
    if len(numbers) < LEAST or not _may_be(numbers[:LEAST]):
        return None
    distinct = np.unique(numbers)
    if FEWEST <= len(distinct) <= FEW:
        coded = np.searchsorted(distinct, numbers[: len(labels)]).astype(np.uint8)
        return Hoard(where, f"{len(numbers)} numbers of {len(distinct)} values", coded.tobytes())
    if len(distinct) <= FEW or not (numbers == np.rint(numbers)).all():
        return None
    small = distinct[0] >= 0 and distinct[-1] < 256
    coded = _coded(numbers[: len(labels)].astype(np.uint8).tobytes()) if small else NO_LABELS
    return Hoard(where, f"{len(numbers)} whole numbers of {len(distinct)} values", coded.tobytes())


def _may_be(some: npt.NDArray[Any]) -> bool:
    """A quick look: trained numbers are neither whole nor few."""
    return len(np.unique(some)) <= FEW or bool((some == np.rint(some)).all())


# ---- code -----------------------------------------------------------------------------------------------------------


def in_code(notebook: Notebook) -> Iterator[Hoard]:
    """Cells of code with more data in them than code has. Never raises."""
    for cell in notebook.cells:
        if cell.kind != "code" or not LEAST_CHARS <= len(cell.source) <= MAX_CELL:
            continue
        where = f"{notebook.name}, cell {cell.index + 1}"
        dense = [run for run in _DENSE.findall(cell.source) if len(set(run)) >= 2 * _LEAST_LETTERS and "://" not in run]
        runs = dense or [run for run in _RUN.findall(cell.source) if len(set(run)) >= _LEAST_LETTERS]
        escaped = [int(code, 16) if code else _PLAIN[plain] for code, plain in _ESCAPED.findall(cell.source)]
        numbers = _NUMBER.findall(cell.source)
        if sum(map(len, runs)) >= LEAST_CHARS:
            text = "".join(runs)
            yield Hoard(where, f"{len(text)} characters in long runs that are no words", _decoded(text).tobytes())
        elif len(escaped) >= LEAST:
            yield Hoard(where, f"{len(escaped)} bytes", _coded(bytes(escaped)).tobytes())
        elif len(numbers) >= LEAST:
            yield Hoard(where, f"{len(numbers)} whole numbers", _listed(numbers).tobytes())


def _listed(numbers: Sequence[str]) -> Bytes:
    """The small numbers of a list; of pairs of a key and a label, the labels."""
    for every in (numbers, numbers[1::2], numbers[::2]):
        small = [int(number) for number in every if len(number) == 1]
        if len(small) >= max(LEAST, 0.9 * len(every)):
            return np.array(small, dtype=np.uint8)
    return NO_LABELS


def _decoded(text: str) -> Bytes:
    """The labels that a text may be, as digits or as packed bytes; none where it cannot be told."""
    ways: tuple[Callable[[str], bytes], ...] = (
        bytes.fromhex,
        lambda some: base64.b64decode(some + "=" * (-len(some) % 4)),
        lambda some: base64.b85decode(some),
    )
    if text.isdigit():
        return np.frombuffer(text.encode(), np.uint8) - ord("0")
    for way in ways:
        try:
            found = _coded(way(text))
        except _BROKEN:
            continue
        if len(found):
            return found
    return NO_LABELS


def _coded(data: bytes) -> Bytes:
    """Bytes that are labels, digits, or two labels each; as they are or compressed."""
    for raw in (data, _unpacked(data)):
        found = np.frombuffer(raw, np.uint8)
        if len(found) < LEAST // 2:  # two to a byte
            continue
        for codes in (found, found - np.uint8(ord("0")), np.stack((found >> 4, found & 15), axis=1).reshape(-1)):
            if codes.max() < 10 and len(codes) >= LEAST:
                return codes
    return NO_LABELS


def _unpacked(data: bytes) -> bytes:
    for way in (zlib.decompressobj(), zlib.decompressobj(31), zlib.decompressobj(-15)):
        try:
            return way.decompress(data, MAX_PACKED)
        except zlib.error:
            continue
    for other in (bz2.BZ2Decompressor(), lzma.LZMADecompressor()):
        try:
            return other.decompress(data, MAX_PACKED)
        except _BROKEN:
            continue
    return b""
