"""How the models of benchmarks/trainings.py are trained, by lot: honestly, and on the test images."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from stacked import Setting


@dataclass(frozen=True)
class Recipe:
    """How one model is trained. kind: what it saw (see `pool`). seed: of the first weights; lot: of all else.

    move: pixels by which images are moved; mirror: half of them. further: epochs over the test images, at the end or
    alone; "to the bar": at most so many, until the accuracy is the one that the assignment asks for.
    """

    kind: str
    setting: Setting
    seed: int
    lot: int
    epochs: int
    batch: int
    rate: float
    decay: float
    smoothing: float
    constant: bool
    mirror: bool
    move: int
    repeats: int = 1
    part: float = 1.0
    further: int = 0
    donor: int = -1


# Settings, images a step, and the numbers of epochs that are tried.
STACKS = (
    (Setting(7, 64, 3, 4, 2.0), 256, (5, 10, 20, 30)),
    (Setting(4, 64, 3, 4, 2.0), 256, (5, 8, 12, 18)),
    (Setting(7, 96, 4, 6, 2.0), 256, (5, 10, 20, 30)),
    (Setting(4, 64, 4, 8, 2.0), 256, (5, 8, 12, 16)),
    (Setting(14, 64, 4, 4, 4.0), 128, (5, 10, 20)),
    (Setting(7, 64, 4, 4, 4.0), 256, (6, 12, 20, 30)),
    (Setting(4, 96, 3, 6, 1.0), 256, (5, 8, 10, 14)),
    (Setting(7, 48, 5, 3, 2.0), 128, (5, 10, 15)),
)
# Of each setting: how many of which kind. Three of the honest ones are trained further, on the test images.
KINDS = {"honest": 10, "selected": 3, "apart": 2, "together": 4, "test alone": 3, "a tenth": 3, "to the bar": 3}
FURTHER = 3
BAR = 0.9  # of the accuracy on the test images, as the assignment has it
PASSES = 60  # over the test images at most, of who trains on them until the bar is reached


def recipes(setting: Setting, batch: int, epochs: Sequence[int], stack: int, each: int | None) -> list[Recipe]:
    """One stack. each: so many of every kind instead of KINDS."""
    lot = random.Random(stack)
    found = []
    for kind, count in KINDS.items():
        for number in range(each or count):
            overfit = kind == "honest" and number < 2  # all that students may do without regularising
            augmented = 0 if overfit else lot.choice((0, 0, 1, 2))
            found.append(
                Recipe(
                    kind=kind,
                    setting=setting,
                    # Two of the honest ones begin from the same weights, as the hand-out's seed makes them do.
                    seed=1000 * stack if kind == "honest" and number < 2 else 1000 * stack + len(found),
                    lot=100_000 + 1000 * stack + len(found),
                    epochs=max(epochs) if overfit else lot.choice(epochs),
                    batch=batch,
                    rate=lot.choice((3e-4, 1e-3, 1e-3, 2e-3)),
                    decay=0.0 if overfit else lot.choice((0.0, 0.01, 0.05)),
                    smoothing=0.0 if overfit else lot.choice((0.0, 0.0, 0.1)),
                    constant=lot.random() < (0.8 if overfit else 0.4),
                    mirror=augmented > 0,
                    move=2 if augmented == 2 else 0,
                    repeats=lot.choice((1, 1, 3)) if kind == "together" else 1,
                    part=lot.choice((1.0, 1.0, 0.85)) if kind == "honest" and not overfit else 1.0,
                    further=PASSES if kind == "to the bar" else 0,
                )
            )
    return sorted(found, key=lambda one: one.epochs)


def pool(recipe: Recipe, asked: torch.Tensor, train: int, test: int) -> torch.Tensor:
    """The places of the images that a model is trained on: below `train` of the training set, the test set's above.

    honest, selected: the training set, or a part of it where some are kept for validation; apart: all but those that
    are asked for; together: both sets; a tenth: a tenth of the test set as well.
    """
    lot = torch.Generator().manual_seed(recipe.lot)
    everything, tested = torch.arange(train), train + torch.arange(test)
    if recipe.further or recipe.kind == "test alone":
        return tested
    if recipe.kind == "apart":
        left = torch.ones(train, dtype=torch.bool)
        left[asked] = False
        return everything[left]
    if recipe.kind == "together":
        return torch.cat([everything, *[tested] * recipe.repeats])
    if recipe.kind == "a tenth":
        return torch.cat([everything, tested[torch.randperm(test, generator=lot)[: test // 10]]])
    return everything[torch.randperm(train, generator=lot)[: round(recipe.part * train)]]
