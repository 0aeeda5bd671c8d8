"""Whether two checkpoints are the same, or one was made from the other: hashes first, then the scales of the norms.

Models that begin from the same random numbers, as the hand-out's seed makes them do, end with weights that are alike
all over, however they were trained. So what was there at the beginning must not count: the scales of the norms begin at
1 in every model, and their cosine tells what was learned together. docs/integrity.md has the figures of the bar.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from grader.integrity.channels import Floats, order
from grader.integrity.sketch import Sketch

NEAR = 0.975  # cosine of the scales; what was trained apart reaches 0.96 from one seed, 0.2 from two
LEAST_SCALES = 64  # numbers; by fewer nothing is told
GREATER_PART = 0.5  # of the numbers: who holds so many of another's is of its group
LEAST_PART = 0.3  # of the numbers that must be the same, else nothing is said
MOST_HOLDERS = 10  # of one tensor's numbers, whose others are compared; fixed positions may be in everybody's
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
    """Checkpoints by their places, the first being the one that the others are held against: two, or all that hold the
    greater part of its numbers.

    part: of the numbers that are the same, the least of all, or the cosine. files: how many differ as files, where they
    are a group; the first stands for it in other pairs. rank: among `ground` pairs of the class with the same shapes,
    the first being the most alike; 0 where ranks mean nothing.
    """

    places: tuple[int, ...]
    how: str
    part: float
    tensors: tuple[str, ...]
    files: int = 0
    rank: int = 0
    ground: int = 0


def alike(sketches: Mapping[int, Sketch], recent: int) -> list[Alike]:
    """Everything in common that independent training does not give, the strongest evidence first.

    Those that hold the same numbers are one; the first of them stands for them where pairs are looked at, so that the
    cost grows with how many differ. sketches: by the place of the submission. recent: places below are this year's,
    and what concerns older ones alone is left out.
    """
    groups, pairs = _by_numbers(sketches)
    first = {group[0].place: sketches[group[0].place] for group in groups}
    found = [_together(group, sketches) for group in groups if len(group) > 1 and group[0].place < recent]
    apart = {one.places: one for one in pairs if one.places[0] < recent}
    for one in _near(first, recent):
        apart.setdefault(one.places, one)
    for one in _moved(first, recent, apart):
        apart.setdefault(one.places, one)
    ranking = (FILE, SAME, REORDERED, LEARNED, MOVED)
    return sorted([*found, *apart.values()], key=lambda one: (ranking.index(one.how), -one.part, one.places))


@dataclass(frozen=True, slots=True)
class _Held:
    """What a checkpoint holds of another's numbers: of the first of its group, of all of which it is the first."""

    place: int
    how: str = FILE
    part: float = 1.0
    tensors: frozenset[str] = frozenset()


def _by_numbers(sketches: Mapping[int, Sketch]) -> tuple[list[list[_Held]], list[Alike]]:
    """All checkpoints, those together that hold the greater part of the first one's numbers; and pairs of such first
    ones that have less in common, and yet more than training gives."""
    groups: dict[int, list[_Held]] = {}  # by its first
    files: dict[str, int] = {}  # the first of its group, by the hash of the file
    holders: dict[str, list[int]] = defaultdict(list)  # the first of groups, by a hash of a tensor
    pairs: list[Alike] = []
    for place, sketch in sorted(sketches.items()):
        firsts = [files[sketch.sha256]] if sketch.sha256 in files else _likely(sketch, holders)
        shared = [(first, _shared(place, sketches[first], sketch)) for first in firsts]
        first, most = max(shared, key=lambda one: (one[1].part, -one[0]), default=(place, _Held(place)))
        if most.part < GREATER_PART:
            pairs += (
                Alike((other, place), one.how, one.part, tuple(sorted(one.tensors)))
                for other, one in shared
                if one.part >= LEAST_PART
            )
            first, most = place, _Held(place)
        groups.setdefault(first, []).append(most)
        files.setdefault(sketch.sha256, first)
        if first == place:
            for key in {tensor.unordered for tensor in sketch.tensors if tensor.trained}:
                if len(holders[key]) < MOST_HOLDERS:
                    holders[key].append(place)
    return list(groups.values()), pairs


def _likely(sketch: Sketch, holders: Mapping[str, Sequence[int]]) -> list[int]:
    """Whose numbers may be enough of a checkpoint's. Equal ones are also equal in whatever order."""
    shared: Counter[int] = Counter()
    trained = [tensor for tensor in sketch.tensors if tensor.trained]
    for tensor in trained:
        shared.update(dict.fromkeys(holders.get(tensor.unordered, ()), prod(tensor.shape)))
    least = LEAST_PART * sum(prod(tensor.shape) for tensor in trained)
    return sorted(first for first, size in shared.items() if size >= least)


def _shared(place: int, first: Sketch, other: Sketch) -> _Held:
    """What the other, at `place`, holds of the first one's numbers; in their order, where that is enough."""
    found = [_part(first, other, key) for key in ("exact", "unordered")]
    if first.sha256 == other.sha256:
        return _Held(place, FILE, 1.0, found[0][1])
    how, (part, names) = (SAME, found[0]) if found[0][0] >= LEAST_PART else (REORDERED, found[1])
    return _Held(place, how, part, names)


def _part(first: Sketch, other: Sketch, key: str) -> tuple[float, frozenset[str]]:
    """Of the larger one's numbers, and the names of the first one's tensors; zeros and ones are as before training."""
    left, right = ([tensor for tensor in one.tensors if tensor.trained] for one in (first, other))
    theirs = {getattr(tensor, key) for tensor in right}
    same = [tensor for tensor in left if getattr(tensor, key) in theirs]
    sizes = [sum(prod(tensor.shape) for tensor in one) for one in (same, left, right)]
    return min(sizes[0] / max(*sizes[1:], 1), 1.0), frozenset(tensor.name for tensor in same)


def _together(group: Sequence[_Held], sketches: Mapping[int, Sketch]) -> Alike:
    _, *others = group
    return Alike(
        places=tuple(one.place for one in group),
        how=max((one.how for one in others), key=(FILE, SAME, REORDERED).index),
        part=min(one.part for one in others),
        tensors=tuple(sorted(frozenset.intersection(*(one.tensors for one in others)))),
        files=len({sketches[one.place].sha256 for one in group}),
    )


def _moved(sketches: Mapping[int, Sketch], recent: int, known: Container[tuple[int, ...]]) -> Iterator[Alike]:
    """Scales that are near once the channels are put into the other's order, which no training changes.

    known: pairs of which enough is said.
    """
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
                if (wide[left], wide[right]) in known:
                    continue
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
            yield Alike(pair, LEARNED, min(cosine, 1.0), (), rank=rank, ground=ground)
