"""Vision Transformers of one setting, side by side: the reference's model with the weights of several stacked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
NOTEBOOK = REFERENCE / "notebooks" / "solved" / "Assignment2-2_Vit.ipynb"
SIDE = 28
ALIGNED = 64  # numbers: matrix products of rows that begin anywhere are slow
State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Setting:
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float


def the_model() -> type[nn.Module]:
    """The reference's VisionTransformer: the cells of the solved notebook that define classes."""
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and source.startswith("class "):
            exec(source, names)  # our own solution
    found: type[nn.Module] = names["VisionTransformer"]
    return found


class Stack:
    """The weights of several models of one setting, as rows of one tensor: (models, numbers)."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._model = the_model()
        state = self.built(0)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        self._sizes = [math.prod(shape) for shape in self.shapes.values()]
        self._spare = -sum(self._sizes) % ALIGNED

    def module(self) -> nn.Module:
        return self._model(img_size=SIDE, in_chans=1, num_classes=10, **asdict(self.setting))

    def built(self, seed: int) -> State:
        torch.manual_seed(seed)
        return self.module().state_dict()

    def rows(self, states: Sequence[State]) -> torch.Tensor:
        rows = torch.stack([torch.cat([state[name].flatten() for name in self.shapes]) for state in states])
        return F.pad(rows, (0, self._spare))

    def tensors(self, rows: torch.Tensor) -> State:
        """By name, each with the models in front."""
        parts = rows.split([*self._sizes, self._spare], dim=1)[:-1]
        return {name: part.reshape(-1, *self.shapes[name]) for name, part in zip(self.shapes, parts, strict=True)}

    def scales(self, row: torch.Tensor) -> torch.Tensor:
        tensors = self.tensors(row.unsqueeze(0))
        return torch.cat([tensor[0] for name, tensor in tensors.items() if "norm" in name and "weight" in name])

    def __call__(self, rows: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Logits (models, B, classes) of images (models, B, side, side); what the reference's `forward` computes."""
        p, s = self.tensors(rows), self.setting
        models, batch, side = images.shape[0], images.shape[1], SIDE // s.patch_size

        def linear(x: torch.Tensor, name: str) -> torch.Tensor:
            weight = p[f"{name}.weight"].flatten(2)
            flat = torch.baddbmm(p[f"{name}.bias"].unsqueeze(1), x.reshape(models, -1, x.shape[-1]), weight.mT)
            return flat.reshape(*x.shape[:-1], -1)

        def norm(x: torch.Tensor, name: str) -> torch.Tensor:
            weight, bias = (p[f"{name}.{kind}"][:, None, None] for kind in ("weight", "bias"))
            return torch.addcmul(bias, F.layer_norm(x, x.shape[-1:]), weight)

        def attention(x: torch.Tensor, name: str) -> torch.Tensor:
            split = linear(x, f"{name}.qkv").reshape(models * batch, x.shape[2], 3, s.num_heads, -1)
            q, k, v = split.permute(2, 0, 3, 1, 4)
            heads = F.scaled_dot_product_attention(q, k, v)
            return linear(heads.transpose(1, 2).reshape(x.shape), f"{name}.proj")

        cut = images.reshape(models, batch, side, s.patch_size, side, s.patch_size).transpose(3, 4)
        x = linear(cut.reshape(models, batch, side * side, -1), "patch_embed.proj")
        x = torch.cat((p["cls_token"].expand(-1, batch, -1, -1), x), dim=2) + p["pos_embed"]
        for number in range(s.depth):
            x = x + attention(norm(x, f"blocks.{number}.norm1"), f"blocks.{number}.attn")
            hidden = F.gelu(linear(norm(x, f"blocks.{number}.norm2"), f"blocks.{number}.mlp.fc1"))
            x = x + linear(hidden, f"blocks.{number}.mlp.fc2")
        return linear(norm(x[:, :, :1], "norm")[:, :, 0], "head")


def check(stack: Stack, row: torch.Tensor, images: torch.Tensor) -> float:
    """How far the stacked arithmetic is from the reference's own module, in the logits; both in float32."""
    module = stack.module().to(row.device)
    module.load_state_dict({name: tensor[0] for name, tensor in stack.tensors(row.unsqueeze(0)).items()})
    with torch.no_grad():
        some = images[:100].float() / 255
        return float((module(some.unsqueeze(1)) - stack(row.unsqueeze(0), some.unsqueeze(0))[0]).abs().max())
