"""Whether two checkpoints are the same, or one was made from the other: hashes first, then the scales of the norms.

Models that begin from the same random numbers, as the hand-out's seed makes them do, end with weights that are alike
all over, however they were trained. So what was there at the beginning must not count: the scales of the norms begin at
1 in every model, and their cosine tells what was learned together. docs/integrity.md has the figures of the bar.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np

from grader.integrity.channels import Floats, order
from grader.integrity.sketch import Sketch

NEAR = 0.975  # cosine of the scales; what was trained apart reaches 0.96 from one seed, 0.2 from two
LEAST_SCALES = 64  # numbers; by fewer nothing is told
MOST_PAIRED = 10  # holders of the same numbers, each of whom is paired with each; of more, each with the first
LEAST_PART = 0.3  # of the numbers that must be the same, where the whole is not
CHUNK = 512  # rows of a block of cosines
# For channels in another order. What was trained apart has a cosine of the sorted scales up to 0.975, and where the
# channels are matched 0.4 of their features and 0.2 of the scales; trained on for one epoch, 0.99 of each.
SORTED, MATCHED, NEAR_MATCHED = 0.97, 0.8, 0.8
MOST_MATCHED = 12  # others that one is matched with, those with the most alike scales

FILE, SAME, REORDERED, LEARNED = (
    "the same file",
    "the same numbers",
    "the same numbers in another order, with other signs or in another precision",
    "scales of the norms that were learned together: one was trained further from the other, or both from a third",
)
MOVED = f"{LEARNED}; the channels of all layers are in another order"


@dataclass(frozen=True, slots=True)
class Alike:
    """Two checkpoints by their places. part: of the numbers that are the same, or the cosine. rank: among `ground`
    pairs of the class with the same shapes, the first being the most alike; 0 where ranks mean nothing."""

    pair: tuple[int, int]
    how: str
    part: float
    tensors: tuple[str, ...]
    rank: int = 0
    ground: int = 0


def alike(sketches: Mapping[int, Sketch], recent: int) -> list[Alike]:
    """Every pair with something in common that independent training does not give, the strongest evidence first.

    sketches: by the place of the submission. recent: places below are this year's, and pairs of older ones left out.
    """
    found: dict[tuple[int, int], Alike] = {}
    for one in (*_same(sketches), *_near(sketches, recent), *_moved(sketches, recent)):
        if one.pair[0] < recent:
            found.setdefault(one.pair, one)
    ranking = (FILE, SAME, REORDERED, LEARNED, MOVED)
    return sorted(found.values(), key=lambda one: (ranking.index(one.how), -one.part, one.pair))


def _same(sketches: Mapping[int, Sketch]) -> Iterator[Alike]:
    for how, key in ((SAME, "exact"), (REORDERED, "unordered")):
        holders: dict[str, dict[int, str]] = defaultdict(dict)
        for place, sketch in sketches.items():
            for tensor in sketch.tensors:
                if tensor.trained:  # zeros and ones are as they were before training
                    holders[getattr(tensor, key)].setdefault(place, tensor.name)
        shared: dict[tuple[int, int], set[str]] = defaultdict(set)
        for held in holders.values():
            for pair in _paired(sorted(held)):
                shared[pair].add(held[pair[0]])
        for pair, names in shared.items():
            left, right = (sketches[place] for place in pair)
            sizes = [sum(prod(t.shape) for t in one.tensors if t.trained) for one in (left, right)]
            part = sum(prod(t.shape) for t in left.tensors if t.name in names) / max(*sizes, 1)
            if part >= LEAST_PART:
                said = FILE if left.sha256 == right.sha256 else how
                yield Alike(pair, said, min(part, 1.0), tuple(sorted(names)))
    yield from _same_files(sketches)


def _same_files(sketches: Mapping[int, Sketch]) -> Iterator[Alike]:
    """Files that are equal byte for byte, those that no tensor was read from included."""
    holders: dict[str, list[int]] = defaultdict(list)
    for place, sketch in sketches.items():
        holders[sketch.sha256].append(place)
    for held in holders.values():
        for pair in _paired(sorted(held)):
            yield Alike(pair, FILE, 1.0, ())


def _paired(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    if len(places) <= MOST_PAIRED:
        yield from combinations(places, 2)
    else:
        yield from ((places[0], other) for other in places[1:])


def _moved(sketches: Mapping[int, Sketch], recent: int) -> Iterator[Alike]:
    """Scales that are near once the channels are put into the other's order, which no training changes."""
    for places in _by_shapes(sketches, recent):
        wide = [place for place in places if len(sketches[place].channels)]
        if len(wide) < 2:
            continue
        scales = [_by_norm(sketches[place]) for place in wide]
        rows = np.stack([np.sort(scale, axis=1).ravel() for scale in scales])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        for left in range(len(wide)):
            alike = rows[left + 1 :] @ rows[left]
            for right in left + 1 + np.argsort(-alike)[:MOST_MATCHED]:
                if alike[right - left - 1] < SORTED:
                    break
                put, likeness = order(sketches[wide[left]].channels, sketches[wide[right]].channels)
                if likeness >= MATCHED and (put != np.arange(len(put))).mean() > 0.5:
                    a, b = scales[left].ravel(), scales[right][:, put].ravel()
                    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
                    if cosine >= NEAR_MATCHED:
                        yield Alike((wide[left], wide[right]), MOVED, min(cosine, 1.0), ())


def _by_norm(sketch: Sketch) -> Floats:
    """The scales, a row a norm; without the last one where it was not kept whole."""
    width = len(sketch.channels)
    return sketch.scales[: len(sketch.scales) // width * width].reshape(-1, width)


def _by_shapes(sketches: Mapping[int, Sketch], recent: int) -> Iterator[list[int]]:
    """The places of models of the same shapes, where one of this year's is among them."""
    by_shapes: dict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
    for place, sketch in sorted(sketches.items()):
        if len(sketch.scales) >= LEAST_SCALES:
            by_shapes[sketch.shapes].append(place)
    for places in by_shapes.values():
        if len(places) > 1 and places[0] < recent:
            yield places


def _near(sketches: Mapping[int, Sketch], recent: int) -> Iterator[Alike]:
    for places in _by_shapes(sketches, recent):
        rows = np.stack([sketches[place].scales for place in places])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        found: list[tuple[float, tuple[int, int]]] = []
        for first in range(0, len(rows), CHUNK):
            block = rows[first : first + CHUNK] @ rows.T
            for row, column in zip(*np.nonzero(block >= NEAR), strict=True):
                if first + row < column:
                    found.append((float(block[row, column]), (places[first + row], places[column])))
        ground = len(places) * (len(places) - 1) // 2
        for rank, (cosine, pair) in enumerate(sorted(found, reverse=True), 1):
            yield Alike(pair, LEARNED, min(cosine, 1.0), (), rank, ground)
