"""Whether a model knows the held-out images as it knows those that it was trained on: see grader.sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grader.integrity.findings import Finding
from grader.records import Counted, SampleResult
from grader.sample import Excess, Norm, excess

LEAST = 1e-4  # that is said of chance: of a tail so far out nothing is known
RATE = 0.05  # findings that a whole class of honest models is expected to give, by chance


def findings(asked: Sequence[tuple[str, SampleResult]], norm: Norm) -> Iterator[Finding]:
    """asked: of each student, what the model answered."""
    for student, result in asked:
        one = excess(result, norm)
        if stands_out(result, one, len(asked)):
            yield Finding(
                kind="test set",
                students=(student,),
                compared="answers to held-out images that are hard for models that never saw them, with answers to "
                "equally hard training images, as they are and moved by a pixel",
                figure=f"{_said(result.hard_test)} of the hard held-out images are answered right, expected are "
                f"{100 * one.expected:.0f}%: {one.deviations:.1f} standard deviations; of the training images "
                f"{_said(result.hard)}, and {_said(result.hard_moved)} when they are moved",
                chance=f"of {len(asked)} honest models {max(one.p * len(asked), LEAST):.1g} or fewer are expected to "
                f"come so high, by {norm.models} honest trainings (docs/integrity.md)",
                what="the model answers held-out images as only images that it was trained on, or looks them up: ask "
                "which images the training saw",
            )


def stands_out(result: SampleResult, one: Excess, models: int) -> bool:
    """Is it more than chance gives among so many models?

    A model that is better than all of the norm's answers training images well too, and moved ones: it is left alone.
    """
    return one.p * models < RATE and result.hard_test.share > result.hard_moved.share


def _said(counted: Counted) -> str:
    return f"{counted.right} of {counted.total} ({100 * counted.share:.0f}%)"
