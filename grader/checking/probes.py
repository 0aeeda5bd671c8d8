"""Property probes: change one thing, see what moves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch

from grader.checking.compare import assert_shape, assert_tensor, differs, fail
from grader.errors import Failed, Raised

Inputs = tuple[torch.Tensor, ...]
Found = TypeVar("Found")


def at_once(
    ask: Callable[[list[Inputs]], Iterable[object]],
    inputs: Sequence[Inputs],
    judge: Callable[[Iterator[object]], Found],
    is_usual: Callable[[Found], bool] = lambda _: True,
) -> Found:
    """What `judge` finds in the answers to the inputs, in their order; a proxy's `each` can be what asks.

    All of them are asked as one batch first, several times faster: `ask` gets the first alone, and that batch. Where
    the first is answered otherwise in company, or `judge` finds fault or what is not usual, each is asked alone, and
    only that counts.
    """
    with contextlib.suppress(Failed, Raised):
        answers = _from_one_batch(ask, inputs)
        if answers is not None and is_usual(found := judge(answers)):
            return found
    return judge(iter(ask(list(inputs))))


def _from_one_batch(
    ask: Callable[[list[Inputs]], Iterable[object]], inputs: Sequence[Inputs]
) -> Iterator[object] | None:
    """The answers to the inputs, as their batch has them; None where they hang on one another.

    A tensor of one row goes with each row of the others.
    """
    rows = len(inputs[0][0])
    parts = zip(*inputs, strict=True)
    batch = tuple(torch.cat([t.expand(rows, *t.shape[1:]) if len(t) == 1 else t for t in part]) for part in parts)
    alone, answer = map(assert_tensor, ask([inputs[0], batch]))
    if answer.dim() == 0 or len(answer) != rows * len(inputs):
        return None
    found = torch.split_with_sizes(answer, [rows] * len(inputs))
    return None if differs(found[0], alone).any() else iter(found)


def variations(x: torch.Tensor, dim: int = 1, seed: int = 0) -> list[torch.Tensor]:
    """The input, and then, for each position along `dim`, the input with that position replaced.

    A property has to hold for whatever values are there, so the replacement is large and random.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = [x]
    for position in range(x.shape[dim]):
        changed = x.clone()
        target = changed.select(dim, position)
        target.copy_(target + 3.0 * torch.randn(target.shape, generator=generator))
        inputs.append(changed)
    return inputs


def moved(outputs: Iterator[object], out_dim: int = 1) -> torch.Tensor:
    """Which positions of the outputs for `variations` differ, along `out_dim`, from the first output's.

    Returns a bool tensor (inputs, outputs): entry (i, j) says that replacing position i moves position j.
    """
    before = assert_tensor(next(outputs))
    if before.dim() <= out_dim:
        fail(f"the output has {before.dim()} dimensions, too few to have positions", shape=list(before.shape))
    differing = differing_from(before, outputs).movedim(out_dim + 1, 1)
    return differing.flatten(2).any(dim=2)  # of no positions, where the output has none


def differing_from(before: torch.Tensor, outputs: Iterable[object]) -> torch.Tensor:
    """Where each of the outputs, at least one, differs from `before`: a bool tensor with the outputs in front."""
    after = torch.stack([assert_shape(one, tuple(before.shape)) for one in outputs])
    return differs(after, before.expand_as(after))
