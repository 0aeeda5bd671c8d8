"""What two students say in the same words: comments and prose that nobody else wrote and nobody handed out.

A copy keeps comments, slips of the pen and sentences of an answer more often than not; whoever translates or deletes
them leaves nothing to be found here, and the code is compared without them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from grader.integrity.findings import Passage, Place
from grader.notebook import Cell, Notebook

LEAST_CHARACTERS, LEAST_WORDS = 20, 4  # of one line; shorter ones are said alike by chance
MOST_HOLDERS = 3  # submissions that hold a line; what more say is no one's own
LEAST_LINES = 3  # that a pair must share
MOST_PASSAGES = 8
_MOST_LINES = 4_000  # of one notebook
_MOST_CHARACTERS = 400_000  # of one notebook; an honest one has some tens of thousands
_MOST_TEXT = 300
_COMMENT = re.compile(r"(?:^|\s)#+[ \t]*(\S.*)$")
_SENTENCE = re.compile(r"(?<=[.!?。])\s+")
_MARKUP = re.compile(r"[^\w\s]|_")

Said = Mapping[str, Place]


@dataclass(frozen=True, slots=True)
class Alike:
    """Two submissions by their places, and the lines that they share; lines: how many, passages: the longest."""

    pair: tuple[int, int]
    lines: int
    passages: tuple[Passage, ...]


def said(notebook: Notebook, role: str, given: Collection[str] = frozenset()) -> dict[str, Place]:
    """What the student says in this notebook: each line without signs and capitals, and where it stands first."""
    found: dict[str, Place] = {}
    left = _MOST_CHARACTERS
    for cell in notebook.cells:
        left -= len(cell.source)
        if left < 0:
            break
        for number, text in _lines(cell):
            if len(found) >= _MOST_LINES:
                return found
            plain = " ".join(_MARKUP.sub(" ", text).casefold().split())
            if len(plain) >= LEAST_CHARACTERS and plain.count(" ") >= LEAST_WORDS - 1 and plain not in given:
                place = Place(role=role, cell=cell.index + 1, line=number, text=text.strip()[:_MOST_TEXT])
                found.setdefault(plain, place)
    return found


def _lines(cell: Cell) -> Iterator[tuple[int, str]]:
    """The comments of a code cell, the sentences of any other."""
    for number, line in enumerate(cell.source.splitlines(), start=1):
        if cell.kind != "code":
            yield from ((number, sentence) for sentence in _SENTENCE.split(line))
        elif (comment := _COMMENT.search(line)) is not None:
            yield number, comment[1]


def alike(everyone: Sequence[Said], recent: int) -> list[Alike]:
    """The pairs that share lines which hardly anyone else has; pairs of the first `recent` with anyone."""
    held: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(everyone):
        for line in one:
            held[line].append(place)
    seen = {line: places for line, places in held.items() if 2 <= len(places) <= MOST_HOLDERS}
    shared: Counter[tuple[int, int]] = Counter()
    for places in seen.values():
        shared.update((a, b) for n, b in enumerate(places) for a in places[:n] if a < recent)
    return [
        Alike(pair, count, _passages(everyone, seen, pair))
        for pair, count in sorted(shared.items(), key=lambda item: (-item[1], item[0]))
        if count >= LEAST_LINES
    ]


def _passages(
    everyone: Sequence[Said], seen: Mapping[str, Sequence[int]], pair: tuple[int, int]
) -> tuple[Passage, ...]:
    left, right = (everyone[place] for place in pair)
    lines = sorted((line for line in left if line in right and line in seen), key=len, reverse=True)[:MOST_PASSAGES]
    return tuple(Passage(left=left[line], right=right[line], seen=len(seen[line])) for line in lines)
