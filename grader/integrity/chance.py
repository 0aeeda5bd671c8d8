"""How often two students' code is as alike by chance, told from pairs of the class that were drawn at random.

1. In each slot the score of a pair is ranked among the drawn pairs, and among pairs of correct variants; the worse of
   both ranks is the slot's p. It counts where at least half of the longer text is shared (HALF), else for nothing: what
   lies below says little of a copy, and adding it up hides one that was made of a part of the classes.
2. Slots that go together, such as two layers that one student writes in one way, are one: their evidence is added up
   and ranked again among the drawn pairs.
3. What the slots say is added up (as -ln p). How often such a sum comes about follows from how often each slot's
   evidence does, as if slots had nothing to do with each other (a convolution). They have, a little: so the sum's
   distance from the mean is divided by how much farther out the drawn pairs lie, in their spread and in their tail.
4. All is looked at together, and each notebook alone: the one may use half of the chance, the others share the rest.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

EVERYTHING = "all"
HALF = 0.5  # of the longer text
STEP = 0.05  # of the logarithm, in which evidence is added up
TOP = 0.03  # of the drawn pairs, in which slots are seen to go together
TOGETHER = 0.1  # correlation of being among these; of unrelated slots it is 0 ± 0.01, of two layers in one way 0.15
LEAST_PAIRS = 2_500  # drawn; fewer do not show what goes together
TAILS = (0.01, 0.003)  # of the drawn pairs, and so many at least; farther out, copies are among them
IN_TAIL = 50

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """One slot. role: its notebook; scores, shares: of the drawn pairs, (pairs,); known: of pairs of variants."""

    role: str
    scores: Floats
    shares: Floats
    known: Sequence[float]


class Chance:
    """The ground on which pairs of one class are judged."""

    def __init__(self, slots: Sequence[Drawn]) -> None:
        """All slots have the same drawn pairs, in one order."""
        self._ranks = [np.sort(slot.scores) for slot in slots]
        self._known = [np.sort(np.asarray(slot.known, dtype=np.float64)) for slot in slots]
        every = [self._evidence(place, slot.scores, slot.shares) for place, slot in enumerate(slots)]
        self._families = _families([slot.role for slot in slots], [slot.scores for slot in slots])
        self._sums = [np.sort(np.sum([every[place] for place in family], axis=0)) for family in self._families]
        roles = [slots[family[0]].role for family in self._families]
        self._groups = {role: [n for n, own in enumerate(roles) if own == role] for role in dict.fromkeys(roles)}
        self._groups[EVERYTHING] = list(range(len(roles)))
        drawn = self._together(every)
        self._nulls = {name: _Null.of([drawn[n] for n in held]) for name, held in self._groups.items()}

    def p(self, slot: int, score: float) -> float:
        """How often two students' code in this slot is as alike."""
        return float(self._ps(slot, np.array([score]))[0])

    def looked_at(self, scores: Floats, shares: Floats) -> tuple[Floats, list[str]]:
        """How often pairs are as alike in all slots, or in one notebook: the smaller, and where.

        scores, shares: (slots, pairs) → (pairs,), pairs
        """
        steps = self._together([self._evidence(n, *both) for n, both in enumerate(zip(scores, shares, strict=True))])
        names = list(self._groups)
        looks = []
        for name, held in self._groups.items():
            part = 0.5 if name == EVERYTHING else 0.5 / max(len(names) - 1, 1)
            sums = np.sum([steps[n] for n in held], axis=0)
            looks.append(np.minimum(self._nulls[name].reached(sums) / part, 1.0))
        best = np.argmin(looks, axis=0)
        return np.min(looks, axis=0), [names[n] for n in best]

    def _together(self, every: Sequence[Steps]) -> list[Steps]:
        """The evidence of each slot → of each family of slots."""
        found = []
        for family, ordered in zip(self._families, self._sums, strict=True):
            sums = np.sum([every[place] for place in family], axis=0)
            found.append(sums if len(family) == 1 else np.minimum(sums, _steps(_ranked(ordered, sums))))
        return found

    def _ps(self, slot: int, scores: Floats) -> Floats:
        """(pairs,) → (pairs,)"""
        worse = _ranked(self._ranks[slot], scores)
        if len(self._known[slot]):  # else the class is all that there is to rank against
            worse = np.maximum(worse, _ranked(self._known[slot], scores))
        return np.where(scores > 0, worse, 1.0)

    def _evidence(self, slot: int, scores: Floats, shares: Floats) -> Steps:
        return np.where(shares >= HALF, _steps(self._ps(slot, scores)), 0)


def _ranked(ordered: npt.NDArray[np.generic], values: npt.NDArray[np.generic]) -> Floats:
    """How often a drawn value is as large; never 0, for what was not seen may yet be."""
    reached = len(ordered) - np.searchsorted(ordered, values.astype(np.float64) - 1e-9)
    return np.asarray((reached + 1) / (len(ordered) + 1), dtype=np.float64)


def _steps(ps: Floats) -> Steps:
    """-ln p, in whole steps."""
    return np.ceil(-np.log(ps) / STEP - 1e-9).astype(np.int64)


def _families(roles: Sequence[str], scores: Sequence[Floats]) -> list[list[int]]:
    """The slots that go together, those of one notebook alone, in their order."""
    family = list(range(len(roles)))
    if scores and len(scores[0]) >= LEAST_PAIRS:
        top = [(one >= max(float(np.quantile(one, 1 - TOP)), 1e-9)) for one in scores]
        for b in range(len(roles)):
            for a in range(b):
                if roles[a] == roles[b] and _correlation(top[a], top[b]) > TOGETHER:
                    old, new = max(family[a], family[b]), min(family[a], family[b])
                    family = [new if one == old else one for one in family]
    return [[place for place, one in enumerate(family) if one == first] for first in dict.fromkeys(family)]


def _correlation(left: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> float:
    a, b, both = float(left.mean()), float(right.mean()), float((left & right).mean())
    spread = a * (1 - a) * b * (1 - b)
    return (both - a * b) / math.sqrt(spread) if spread > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Null:
    """How often a sum of steps is reached by chance: tail[n] is of n or more. wider: than if slots were independent."""

    tail: Floats
    mean: float
    wider: float

    @classmethod
    def of(cls, slots: Sequence[Steps]) -> _Null:
        """slots: the steps of each drawn pair in each, (slots, pairs)."""
        chances = np.ones(1)
        variance = 0.0
        for steps in slots:
            found = np.array(
                [*steps, int(_steps(np.array([1 / (len(steps) + 1)]))[0])]
            )  # once more, what was not drawn
            chances = np.convolve(chances, np.bincount(found) / len(found))
            variance += float(found.var())
        tail = np.minimum(chances[::-1].cumsum()[::-1], 1.0)
        mean = float((chances * np.arange(len(chances))).sum())
        sums = np.sort(np.sum(slots, axis=0)) if len(slots) else np.zeros(0)
        wider = 1.0
        if variance > 0 and len(sums):
            wider = max(wider, math.sqrt(float(sums.var()) / variance))
            for rate in (rate for rate in TAILS if rate * len(sums) >= IN_TAIL):
                drawn = float(sums[int(len(sums) * (1 - rate))])
                alone = bisect_left(tail, -rate, key=lambda chance: -chance)
                wider = max(wider, (drawn - mean) / max(alone - mean, 1.0))
        return cls(tail, mean, wider)

    def reached(self, sums: Steps) -> Floats:
        """(pairs,) → (pairs,)"""
        nearer = np.floor(self.mean + (sums - self.mean) / self.wider).astype(np.int64)
        return self.tail[np.minimum(np.where(sums > self.mean, nearer, sums), len(self.tail) - 1)]
