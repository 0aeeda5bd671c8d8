"""Random values for a layer's parameters: drawn in the worker, and known on the trusted side without being sent."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

FLOATING = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, torch.float64, torch.float16)}
FLOATING["bfloat16"] = torch.bfloat16

Kind = tuple[tuple[int, ...], str]  # a shape, and a name in FLOATING

_randn, _tensor = torch.randn, torch.tensor  # as they are before any notebook has run


def noise(kinds: Sequence[Kind], seed: int) -> list[torch.Tensor]:
    """Values for tensors of these kinds: distinct, of the size that a trained layer has, norms' gains not near zero."""
    if not kinds:
        return []
    sizes = [math.prod(shape) for shape, _ in kinds]
    generator = torch.Generator().manual_seed(seed)
    drawn = _randn(sum(sizes), generator=generator, dtype=torch.float32, device="cpu")
    counts = _tensor(sizes, device="cpu")
    factors = [max(shape[-1], 1) ** -0.5 if len(shape) > 1 else 0.4 for shape, _ in kinds]
    drawn *= _tensor(factors, dtype=torch.float32, device="cpu").repeat_interleave(counts)
    middles = [0.0 if len(shape) > 1 else 0.7 for shape, _ in kinds]
    drawn += _tensor(middles, dtype=torch.float32, device="cpu").repeat_interleave(counts)
    parts = drawn.split_with_sizes(sizes)
    return [part.view(shape).to(FLOATING[dtype]) for part, (shape, dtype) in zip(parts, kinds, strict=True)]
