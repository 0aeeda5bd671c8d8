"""Random values for a layer's parameters: drawn in the worker, and known on the trusted side without being sent."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

FLOATING = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, torch.float64, torch.float16)}
FLOATING["bfloat16"] = torch.bfloat16

Kind = tuple[tuple[int, ...], str]  # a shape, and a name in FLOATING

_randn = torch.randn  # as it is before any notebook has run


def noise(kinds: Sequence[Kind], seed: int) -> list[torch.Tensor]:
    """Values for tensors of these kinds: distinct, of the size that a trained layer has, norms' gains not near zero."""
    sizes = [math.prod(shape) for shape, _ in kinds]
    generator = torch.Generator().manual_seed(seed)
    drawn = (
        _randn(sum(sizes), generator=generator, dtype=torch.float32, device="cpu").split_with_sizes(sizes)
        if sizes
        else ()
    )
    found = []
    for values, (shape, dtype) in zip(drawn, kinds, strict=True):
        values = values / max(shape[-1], 1) ** 0.5 if len(shape) > 1 else 0.7 + 0.4 * values
        found.append(values.view(shape).to(FLOATING[dtype]))
    return found
