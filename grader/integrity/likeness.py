"""How alike two students' code is, against how alike code of this class is anyway.

A fingerprint weighs as many bits as it is rare: log2 of how many submissions and correct variants there are over how
many others hold it. What the hand-out gives was never counted; what everybody writes weighs nothing. In each slot (a
class to be written) a pair's score is the shared weight times the share of the longer text that is shared. `chance.py`
says how often pairs score so; that, times the number of pairs, is how many a class of this size holds by chance.

Only pairs that share rare fingerprints are compared at all, for each submission so many at most: the cost grows with
the class, not with its square.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grader.integrity.chance import Chance, Drawn, Floats
from grader.integrity.findings import Passage
from grader.integrity.writing import Slot, Text, Writing

DRAWN = 20_000  # pairs, for the ranks
RARE = 0.15  # of the submissions: by what fewer hold, partners are sought
MOST_HOLDERS = 60  # of a fingerprint by which partners are sought
PARTNERS = 40  # of one submission, that are compared
LEAST_SHARED = 3  # rare fingerprints; with fewer, no pair stands out
MOST_PASSAGES = 8


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two submissions by their places, the smaller first. expected: such pairs in a class of this size, by chance.

    where: the notebook that stands out, or EVERYTHING. slots: each with the share of the longer text that is shared,
    and its p; those that stand out come first.
    """

    pair: tuple[int, int]
    expected: float
    where: str
    slots: tuple[tuple[Slot, float, float], ...]  # slot, share, p


class ClassCode:
    """The code of a class, ready to compare pairs.

    recent: the first so many are this year's; pairs of older ones are of no concern. known: correct variants' code.
    """

    def __init__(
        self, everyone: Sequence[Writing], recent: int, known: Mapping[Slot, Sequence[Text]], seed: int
    ) -> None:
        self._everyone = everyone
        self._recent = recent
        self._slots = sorted({slot for one in everyone for slot in one}, key=lambda slot: slot.label)
        self._held: dict[Slot, Counter[int]] = {slot: Counter() for slot in self._slots}
        self._total = {slot: len(everyone) + len(known.get(slot, ())) for slot in self._slots}
        for one in everyone:
            for slot, text in one.items():
                self._held[slot].update(text.fingerprints)
        self._written = {slot: held.copy() for slot, held in self._held.items()}  # by students alone
        for slot in self._slots:
            for text in known.get(slot, ()):
                self._held[slot].update(text.fingerprints)
        self._weights = {slot: self._weigh(slot) for slot in self._slots}
        self._wholes: dict[int, float] = {}  # by the id of a text, all of which are kept
        self._kept = known
        self._chance = self._drawn(random.Random(seed))

    @property
    def pairs(self) -> int:
        """How many there are, compared or not."""
        return self._recent * (self._recent - 1) // 2 + self._recent * (len(self._everyone) - self._recent)

    def findings(self, rate: float) -> list[Likeness]:
        """The pairs of which fewer than `rate` are expected by chance, the rarest first."""
        pairs = self.partners()
        if not pairs:
            return []
        chances, wheres = self._chance.looked_at(*self._tables(pairs))
        found = [
            self._likeness(pair, float(chance) * self.pairs, where)
            for pair, chance, where in zip(pairs, chances, wheres, strict=True)
            if chance * self.pairs < rate
        ]
        return sorted(found, key=lambda likeness: (likeness.expected, likeness.pair))

    # ---- one pair -----------------------------------------------------------------------------------------------

    def compare(self, pair: tuple[int, int]) -> Likeness:
        """How alike the two are, and how often that is so by chance."""
        chances, wheres = self._chance.looked_at(*self._tables([pair]))
        return self._likeness(pair, float(chances[0]) * self.pairs, wheres[0])

    def _likeness(self, pair: tuple[int, int], expected: float, where: str) -> Likeness:
        slots = [
            (slot, share, self._chance.p(place, score))
            for place, (slot, score, share) in enumerate(zip(self._slots, *self._scores(pair), strict=True))
        ]
        return Likeness(pair, expected, where, tuple(sorted(slots, key=lambda item: (item[2], -item[1]))))

    def _tables(self, pairs: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
        """Scores and shares, (slots, pairs)."""
        found = np.array([self._scores(pair) for pair in pairs], dtype=np.float64)
        found = found.reshape(len(pairs), 2, len(self._slots))
        return found[:, 0].T, found[:, 1].T

    def _scores(self, pair: tuple[int, int]) -> tuple[list[float], list[float]]:
        """Score and share in each slot."""
        left, right = (self._everyone[place] for place in pair)
        found = [
            self._alike(slot, left[slot], right[slot]) if slot in left and slot in right else (0.0, 0.0)
            for slot in self._slots
        ]
        return [score for score, _ in found], [share for _, share in found]

    def _weigh(self, slot: Slot) -> dict[int, float]:
        """Bits for each fingerprint: how rare it is among all but the two that are compared."""
        others = max(self._total[slot] - 2, 1)
        return {one: math.log2(others / max(count - 2, 1)) for one, count in self._held[slot].items()}

    def _alike(self, slot: Slot, left: Text, right: Text) -> tuple[float, float]:
        """The score of a pair in a slot, and the share of the longer text."""
        shared = self._bits(slot, left.fingerprints & right.fingerprints)
        if shared <= 0:
            return 0.0, 0.0
        longer = max(self._whole(slot, left), self._whole(slot, right))
        return shared * shared / longer, shared / longer

    def _bits(self, slot: Slot, fingerprints: frozenset[int]) -> float:
        return sum(map(self._weights[slot].__getitem__, fingerprints))

    def _whole(self, slot: Slot, text: Text) -> float:
        known = self._wholes.get(id(text))
        if known is None:
            known = self._wholes[id(text)] = self._bits(slot, text.fingerprints)
        return known

    # ---- the ground ---------------------------------------------------------------------------------------------

    def _ranks_of_known(self, slot: Slot) -> list[float]:
        known = self._kept.get(slot, ())
        return sorted(self._alike(slot, left, right)[0] for n, left in enumerate(known) for right in known[:n])

    def _drawn(self, random_: random.Random) -> Chance:
        """Compare pairs of the class that are drawn at random; all of them where they are few."""
        if self._recent < 2:
            drawn = []
        elif self.pairs <= DRAWN:
            drawn = [(a, b) for b in range(len(self._everyone)) for a in range(min(b, self._recent))]
        else:
            drawn = [self._a_pair(random_) for _ in range(DRAWN)]
        scores, shares = self._tables(drawn)
        return Chance(
            [
                Drawn(slot.role, scores[place], shares[place], self._ranks_of_known(slot))
                for place, slot in enumerate(self._slots)
            ]
        )

    def _a_pair(self, random_: random.Random) -> tuple[int, int]:
        while True:
            a, b = random_.randrange(self._recent), random_.randrange(len(self._everyone))
            if a != b:
                return min(a, b), max(a, b)

    # ---- which pairs --------------------------------------------------------------------------------------------

    def partners(self) -> list[tuple[int, int]]:
        """The pairs worth a comparison: those that share rare fingerprints, for each submission so many at most."""
        most = min(max(int(RARE * len(self._everyone)), 2), MOST_HOLDERS)
        found: set[tuple[int, int]] = set()
        holders: dict[tuple[Slot, int], list[int]] = defaultdict(list)
        for place, one in enumerate(self._everyone):
            for slot, text in one.items():
                for fingerprint in text.fingerprints:
                    if 2 <= self._written[slot][fingerprint] <= most:
                        holders[slot, fingerprint].append(place)
        for place, one in enumerate(self._everyone):
            shared: Counter[int] = Counter()
            for slot, text in one.items():
                for fingerprint in text.fingerprints:
                    shared.update(holders.get((slot, fingerprint), ()))
            del shared[place]
            for other, count in shared.most_common(PARTNERS):
                if count >= LEAST_SHARED and min(place, other) < self._recent:
                    found.add((min(place, other), max(place, other)))
        return sorted(found)

    # ---- for people ---------------------------------------------------------------------------------------------

    def passages(self, likeness: Likeness) -> tuple[Passage, ...]:
        """The statements that the two share, side by side, the rarest first."""
        left, right = (self._everyone[place] for place in likeness.pair)
        found = [
            item for slot, _, p in likeness.slots if p < 1.0 for item in self._matching(slot, left[slot], right[slot])
        ]
        found.sort(key=lambda item: -item[0])
        return tuple(passage for _, passage in found[:MOST_PASSAGES])

    def _matching(self, slot: Slot, left: Text, right: Text) -> Iterator[tuple[float, Passage]]:
        held, total = self._held[slot], self._total[slot]
        taken: set[int] = set()
        for line in left.lines:
            best, at = 0.0, -1
            for number, other in enumerate(right.lines):
                shared = line.fingerprints & other.fingerprints
                bits = sum(math.log2(total / held[one]) for one in shared)
                bits *= len(shared) / max(len(line.fingerprints), len(other.fingerprints))
                if number not in taken and bits > best:
                    best, at = bits, number
            if at >= 0:
                taken.add(at)
                seen = min(self._written[slot][one] for one in line.fingerprints & right.lines[at].fingerprints)
                yield best, Passage(left=line.place, right=right.lines[at].place, seen=seen)
