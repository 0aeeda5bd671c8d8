"""What grader.integrity finds, and what it costs: python benchmarks/integrity.py code | weights | cost [N]

code: 200 independent correct solutions, put together from the variants; then, for each way of copying, the same class
with 20 copies in it. Printed are the pairs found, and the findings on pairs that were not planted.
weights: small models trained apart from each other, from one seed and from many; and 20 copies of each kind.
cost: made-up classes of N submissions: seconds for one submission, and for all pairs.
"""

from __future__ import annotations

import io
import random
import sys
import time
import tracemalloc
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "tests")]

from copies import WAYS, copies, independent, the_ground, written

from grader.integrity.likeness import ClassCode
from grader.integrity.review import RATE

CLASS, PLANTED, SEEDS = 200, 20, 5


def of_code() -> None:
    lot = random.Random(1)
    class_ = [independent(lot) for _ in range(CLASS)]
    texts = [written(notebooks) for notebooks in class_]
    known = the_ground().known
    for seed in range(SEEDS):
        more = random.Random(100 + seed)
        other = texts if seed == 0 else [written(independent(more)) for _ in range(CLASS)]
        found = ClassCode(other, CLASS, known, seed).findings(1e9)
        print(
            f"independent class {seed + 1}: {sum(one.expected < RATE for one in found)} findings among "
            f"{CLASS * (CLASS - 1) // 2} pairs; the most alike pair: {found[0].expected:.2g} expected by chance",
            flush=True,
        )
    for way in WAYS:
        planted = copies(class_, way, PLANTED, random.Random(way))
        everyone = [*texts, *(written(notebooks) for _, notebooks in planted)]
        pairs = {(donor, CLASS + number) for number, (donor, _) in enumerate(planted)}
        found = ClassCode(everyone, len(everyone), known, 0).findings(RATE)
        hits = [one for one in found if one.pair in pairs]
        worst = f"{max(one.expected for one in hits):.1g}" if hits else "-"
        print(f"{way:42} {len(hits):2} of {PLANTED}   others: {len(found) - len(hits)}   weakest: {worst}", flush=True)


if __name__ == "__main__":
    {"code": of_code}[sys.argv[1]]()
