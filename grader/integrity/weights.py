"""Whether two checkpoints are the same, or one made from the other: hashes first, then cosines of their sketches.

What independently trained models of the same settings look like is the ground: figures measured on the hand-out's model
stand in docs/integrity.md, and the pairs of the class itself are beside them. Models that begin from the same random
numbers, as the hand-out's seed makes them do, are more alike than others, and so the bar stands above those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np
import numpy.typing as npt

from grader.integrity.sketch import Sketch

NEAR = 0.97  # of the cosine of the values: the most alike independent pair measured reaches {near}
NEAR_PRODUCTS = 0.95  # of the products, which know less
MOST_HOLDERS = 200  # of a tensor by which pairs are named: what more hold came with the hand-out, or from one source
LEAST_PART = 0.3  # of the numbers that must be the same, where the whole is not
CHUNK = 512  # rows of a block of cosines

FILE, SAME, REORDERED, NEAR_VALUES, NEAR_REORDERED = (
    "the same file",
    "the same numbers",
    "the same numbers in another order or with other signs",
    "nearly the same numbers",
    "nearly the same numbers in another order",
)


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
    for one in (*_same(sketches), *_near(sketches, recent)):
        if one.pair[0] < recent:
            found.setdefault(one.pair, one)
    order = (FILE, SAME, REORDERED, NEAR_VALUES, NEAR_REORDERED)
    return sorted(found.values(), key=lambda one: (order.index(one.how), -one.part, one.pair))


def _same(sketches: Mapping[int, Sketch]) -> Iterator[Alike]:
    for how, key in ((SAME, "exact"), (REORDERED, "unordered")):
        holders: dict[str, dict[int, str]] = defaultdict(dict)
        for place, sketch in sketches.items():
            for tensor in sketch.tensors:
                if tensor.values.any():  # zeros and ones are as they were before training
                    holders[getattr(tensor, key)].setdefault(place, tensor.name)
        shared: dict[tuple[int, int], set[str]] = defaultdict(set)
        for held in holders.values():
            if 2 <= len(held) <= MOST_HOLDERS:
                for pair in combinations(sorted(held), 2):
                    shared[pair].add(held[pair[0]])
        for pair, names in shared.items():
            left, right = (sketches[place] for place in pair)
            sizes = [sum(prod(t.shape) for t in one.tensors if t.values.any()) for one in (left, right)]
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
        if 2 <= len(held) <= MOST_HOLDERS:
            for pair in combinations(sorted(held), 2):
                yield Alike(pair, FILE, 1.0, ())


def _near(sketches: Mapping[int, Sketch], recent: int) -> Iterator[Alike]:
    by_shapes: dict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
    for place, sketch in sorted(sketches.items()):
        if sketch.tensors:
            by_shapes[sketch.shapes].append(place)
    for shapes, places in by_shapes.items():
        if len(places) < 2 or places[0] >= recent:
            continue
        sizes = np.array([prod(shape) if len(shape) > 1 else 0 for shape in shapes], dtype=np.float64)
        if not sizes.any():
            continue
        group = [sketches[place] for place in places]
        for how, bar, cosines in (
            (NEAR_VALUES, NEAR, _values(group, sizes)),
            (NEAR_REORDERED, NEAR_PRODUCTS, _products(group, sizes)),
        ):
            yield from _above(how, bar, cosines, places)


Cosines = Iterator[tuple[int, npt.NDArray[np.float64]]]  # the first row of a block, and the block: (rows, all)


def _above(how: str, bar: float, cosines: Cosines, places: Sequence[int]) -> Iterator[Alike]:
    ground = len(places) * (len(places) - 1) // 2
    found: list[tuple[float, tuple[int, int]]] = []
    for first, block in cosines:
        for row, column in zip(*np.nonzero(block >= bar), strict=True):
            if first + row < column:
                found.append((float(block[row, column]), (places[first + row], places[column])))
    for rank, (cosine, pair) in enumerate(sorted(found, reverse=True), 1):
        yield Alike(pair, how, cosine, (), rank, ground)


def _values(group: Sequence[Sketch], sizes: npt.NDArray[np.float64]) -> Cosines:
    """The mean cosine of the matrices, each weighing as it is large."""
    scale = np.sqrt(sizes / sizes.sum())
    rows = np.stack([np.concatenate([t.values * s for t, s in zip(one.tensors, scale, strict=True)]) for one in group])
    for first in range(0, len(rows), CHUNK):
        yield first, (rows[first : first + CHUNK] @ rows.T).astype(np.float64)


def _products(group: Sequence[Sketch], sizes: npt.NDArray[np.float64]) -> Cosines:
    """The same for the products, taking of W Wᵀ and Wᵀ W the one that is more alike."""
    at = [n for n, tensor in enumerate(group[0].tensors) if tensor.products]
    if not at:
        return
    total = sum(sizes[n] for n in at)
    for first in range(0, len(group), CHUNK):
        block = np.zeros((len(group[first : first + CHUNK]), len(group)))
        for n in at:
            sides = range(min(len(one.tensors[n].products) for one in group))
            stacks = [np.stack([one.tensors[n].products[side] for one in group]) for side in sides]
            block += np.max([s[first : first + CHUNK] @ s.T for s in stacks], axis=0) * sizes[n] / total
        yield first, block
