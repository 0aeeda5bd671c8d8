"""Property probes: change one thing, see what moves."""

from __future__ import annotations

from collections.abc import Callable

import torch

from grader.checking.compare import assert_shape, assert_tensor, differs, fail


def influence(
    function: Callable[[torch.Tensor], object], x: torch.Tensor, dim: int = 1, out_dim: int = 1, seed: int = 0
) -> torch.Tensor:
    """Which positions of the input along `dim` move which positions of the output along `out_dim`.

    Returns a bool tensor (inputs, outputs): entry (i, j) says that replacing position i moves position j. `function`
    is called once, and then once a position. A property has to hold for whatever values are there, so the replacement
    is large and random.
    """
    before = assert_tensor(function(x))
    if before.dim() <= out_dim:
        fail(f"the output has {before.dim()} dimensions, too few to have positions", shape=list(before.shape))
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for position in range(x.shape[dim]):
        changed = x.clone()
        target = changed.select(dim, position)
        target.copy_(target + 3.0 * torch.randn(target.shape, generator=generator))
        after = assert_shape(function(changed), tuple(before.shape))
        moved = differs(before, after)
        rows.append(moved.movedim(out_dim, 0).flatten(1).any(dim=1))  # of no positions, where the output has none
    return torch.stack(rows)
