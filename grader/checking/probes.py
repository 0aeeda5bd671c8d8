"""Property probes: change one thing, see what moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from grader.checking.compare import assert_shape, assert_tensor, differs, fail


def influence(
    answers: Callable[[list[torch.Tensor]], Iterable[object]],
    x: torch.Tensor,
    dim: int = 1,
    out_dim: int = 1,
    seed: int = 0,
) -> torch.Tensor:
    """Which positions of the input along `dim` move which positions of the output along `out_dim`.

    Returns a bool tensor (inputs, outputs): entry (i, j) says that replacing position i moves position j. `answers`
    takes the input and its variations, one for each position, and gives the output for each, in their order: a proxy's
    `each` does. A property has to hold for whatever values are there, so the replacement is large and random.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = [x]
    for position in range(x.shape[dim]):
        changed = x.clone()
        target = changed.select(dim, position)
        target.copy_(target + 3.0 * torch.randn(target.shape, generator=generator))
        inputs.append(changed)
    outputs = iter(answers(inputs))
    before = assert_tensor(next(outputs))
    if before.dim() <= out_dim:
        fail(f"the output has {before.dim()} dimensions, too few to have positions", shape=list(before.shape))
    rows = []
    for after in outputs:
        moved = differs(before, assert_shape(after, tuple(before.shape)))
        rows.append(moved.movedim(out_dim, 0).flatten(1).any(dim=1))  # of no positions, where the output has none
    return torch.stack(rows)
