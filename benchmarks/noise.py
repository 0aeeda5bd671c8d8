"""How large float noise is, and how small a mistake: python benchmarks/noise.py

Noise: the reference in float32 against itself in float64, with one thread and with several, and with other eps in its
LayerNorms, which are as right as 1e-5. Mistakes: each mutant against the reference under equal weights; the largest
difference that one of its probes sees. A tolerance must lie between the largest noise and the smallest mistake.
Mutants that differ in other things than numbers (what is learnable, how many norms) are left out.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from grader import bank
from grader.assignment import load_assignment
from grader.checking.diagnosis import suspects
from grader.checking.oracle import Oracle

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
SEEDS = 20
Probe = Callable[[nn.Module], torch.Tensor]


def inputs(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def causal(length: int) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool).tril()


def probes(seed: int) -> Iterator[tuple[str, str, dict[str, object], Probe]]:
    """Criterion, class, constructor's arguments, and what is asked of it; sizes are those of the checks."""

    def cast(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return x.to(next(module.parameters(), torch.zeros(1)).dtype)

    def ask(*xs: torch.Tensor, method: str = "forward", masks: tuple[torch.Tensor, ...] = ()) -> Probe:
        return lambda m: getattr(m, method)(*(cast(m, x) for x in xs), *masks)

    x, y = inputs(2, 5, 16, seed=seed), inputs(2, 6, 16, seed=seed + 1)
    heads = [inputs(2, 4, n, 4, seed=seed + n) for n in (5, 7, 7)]
    square = [inputs(2, 4, 6, 4, seed=seed + n) for n in (5, 7, 8)]
    seen = torch.ones(2, 1, 1, 6, dtype=torch.bool)
    seen[0, ..., -2:] = False
    mha = {"dim": 16, "head_num": 4}
    layer = {"dim": 16, "head_num": 2, "FFN_dim": 24, "dropout": 0.1}
    vit = {"img_size": 28, "patch_size": 7, "embed_dim": 16, "depth": 3, "num_heads": 4, "mlp_ratio": 2.0}
    yield (
        "positional_encoding",
        "PositionalEncoding",
        {"dim": 64, "seq_len_max": 100},
        ask(inputs(1, 100, 64, seed=seed)),
    )
    yield "attention", "MultiHeadAttention", mha, ask(*heads, method="scaled_dot_product")
    yield "attention", "MultiHeadAttention", mha, ask(x, y, inputs(2, 6, 16, seed=seed + 2))
    for mask in (seen, causal(6)):
        yield "masking", "MultiHeadAttention", mha, ask(*square, method="scaled_dot_product", masks=(mask,))
    yield "encoder", "EncoderLayer", layer, ask(y, masks=(seen,))
    yield "decoder", "DecoderLayer", layer, ask(x[:, :4], y[:, :4], masks=(seen[..., :4], causal(4)))
    yield (
        "patch_embed",
        "PatchEmbed",
        {"img_size": 24, "patch_size": 8, "embed_dim": 10},
        ask(inputs(2, 3, 24, 24, seed=seed)),
    )
    yield "vit_attention", "Attention", {"dim": 16, "num_heads": 4}, ask(x)
    yield "mlp", "Mlp", {"in_features": 16, "hidden_features": 24}, ask(x)
    yield "block", "Block", {"dim": 16, "num_heads": 4, "mlp_ratio": 3.0}, ask(x)
    yield "vit", "VisionTransformer", vit, ask(inputs(2, 1, 28, 28, seed=seed))


def spread(module: nn.Module, seed: int) -> nn.Module:
    """Random weights as the checks give them: gains far from one, biases far from zero."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            parameter.copy_(noise / parameter.shape[-1] ** 0.5 if noise.dim() > 1 else 0.7 + 0.4 * noise)
    return module


def with_eps(module: nn.Module, eps: float) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.eps = eps
    return module


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).abs().max()) if a.shape == b.shape else float("inf")


@torch.no_grad()
def noise(oracle: Oracle) -> dict[str, float]:
    largest: dict[str, float] = {}
    for seed in range(SEEDS):
        for criterion, name, arguments, ask in probes(seed):
            module = spread(getattr(oracle, name)(**arguments), seed)
            torch.set_num_threads(1)
            one = ask(module)
            torch.set_num_threads(2)
            others = [
                ask(module),
                *(ask(with_eps(module, eps)) for eps in (1e-6, 1e-12)),
                ask(with_eps(module, 1e-5).double()),
            ]
            found = max(difference(one, other) for other in others)
            largest[criterion] = max(largest.get(criterion, 0.0), found)
    return largest


@torch.no_grad()
def mistakes(
    oracle: Oracle, mutants: dict[str, tuple[tuple[bank.Mutant, Oracle], ...]]
) -> dict[str, tuple[float, str]]:
    smallest: dict[str, tuple[float, str]] = {}
    asked = list(probes(0))
    for criterion, pairs in mutants.items():
        for mutant, wrong in pairs:
            found = 0.0
            for of, name, arguments, ask in asked:
                if of != criterion:
                    continue
                right = spread(getattr(oracle, name)(**arguments), 0)
                other = getattr(wrong, name)(**arguments)
                try:
                    other.load_state_dict(right.state_dict(), strict=False)
                    found = max(found, difference(ask(right), ask(other)))
                except RuntimeError:
                    found = float("inf")
            if found > 1e-7:
                smallest[criterion] = min(smallest.get(criterion, (float("inf"), "")), (found, mutant.id))
    return smallest


def main() -> None:
    assignment = load_assignment(REFERENCE)
    solved = {
        role: bank.as_read(assignment.config.files[role].master, notebook)
        for role, notebook in bank.solutions(assignment).items()
    }
    oracle = Oracle(assignment, solved)
    print(f"{platform.machine()}, torch {torch.__version__}, {SEEDS} seeds")
    mutants = {criterion: suspects(assignment, criterion) for criterion in assignment.config.criteria}
    largest, smallest = noise(oracle), mistakes(oracle, mutants)
    print(f"{'criterion':22}{'largest noise':>15}{'smallest mistake':>18}")
    for criterion, found in largest.items():
        mistake, name = smallest.get(criterion, (float("nan"), "-"))
        print(f"{criterion:22}{found:15.1e}{mistake:18.1e}  {name}")


if __name__ == "__main__":
    main()
