"""Where a computation leaves the right path: what goes into the student's layers, and into the reference's.

While `following()` is in force, a call of a student's object also brings back what went into each of its layers, and
`adopt` compares that with the reference under every pairing that it tries. The pairing that gets furthest counts. Which
layer of theirs stands for which of ours is read off the random weights that both then hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

MAX_STEPS = 512


@dataclass(frozen=True)
class Step:
    """One call of a layer of the student's: its path, the line of the notebook that led there, what went in."""

    path: str
    cell: int
    line: int
    tensor: torch.Tensor


@dataclass(frozen=True)
class Departure:
    """How far a computation goes along with the reference's, and the first step that does not; None: after the last."""

    steps: int
    at: Step | None = None
    never: str = ""  # a layer that is never called


@dataclass
class Following:
    """What one run of a check shows. `agreed` counts the comparisons that came out right."""

    rtol: float
    atol: float
    agreed: int = 0
    departure: Departure | None = None

    @property
    def progress(self) -> tuple[int, int]:
        """To compare how far two references go along with the same code."""
        return self.agreed, self.departure.steps if self.departure else 0

    def compare(self, theirs: Sequence[Step], weights: Mapping[str, torch.Tensor], ours: Recorded) -> None:
        """Keep the departure under this pairing if it is the furthest. `theirs` begins with the call itself."""
        entered = ours.inputs.get("", [])
        if not theirs or not entered or not _alike(theirs[0].tensor, entered[0], self):
            return  # they were called with different things
        found = _departure(theirs[1:], _counterparts(weights, ours.module), ours.inputs, self)
        if self.departure is None or found.steps > self.departure.steps:
            self.departure = found


_ACTIVE: ContextVar[Following | None] = ContextVar("following", default=None)


def active() -> Following | None:
    """The following that is in force."""
    return _ACTIVE.get()


@contextmanager
def following(rtol: float, atol: float) -> Iterator[Following]:
    """Follow what is called inside. Two tensors agree within |a - b| <= atol + rtol * |b|."""
    found = Following(rtol, atol)
    token = _ACTIVE.set(found)
    try:
        yield found
    finally:
        _ACTIVE.reset(token)


def read_steps(value: Any, args: Sequence[Any]) -> tuple[Any, list[Step]]:
    """A worker's answer to a call with `args` that follows: the value, and the steps, the call itself the first.

    Whatever is no step is left out.
    """
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], list):
        return value, []
    steps = [Step("", 0, 0, arg) for arg in args if isinstance(arg, torch.Tensor)][:1]
    for item in value[1][:MAX_STEPS]:
        match item:
            case [str(path), int(cell), int(line), torch.Tensor() as tensor]:
                steps.append(Step(path, cell, line, tensor))
    return value[0], steps


# ---- the reference's side -------------------------------------------------------------------------------------------


@dataclass
class Recorded:
    """What went into each submodule of `module` during its last call: by path, call by call."""

    module: nn.Module
    inputs: dict[str, list[torch.Tensor]] = field(default_factory=dict)


@contextmanager
def recorded(module: nn.Module) -> Iterator[Recorded]:
    """Note what goes into each submodule of the reference's while it runs."""
    found = Recorded(module)
    handles = []
    for path, part in module.named_modules():

        def note(_part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], path: str = path) -> None:
            tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
            if not path:
                found.inputs.clear()
            if tensors:
                found.inputs.setdefault(path, []).append(tensors[0].detach().clone())

        handles.append(part.register_forward_pre_hook(note, with_kwargs=True))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


# ---- side by side ---------------------------------------------------------------------------------------------------


def _counterparts(weights: Mapping[str, torch.Tensor], ours: nn.Module) -> dict[str, list[str]]:
    """Path of a student's layer → paths of the reference's that hold its values."""
    owner: dict[float, str] = {}
    for name, tensor in weights.items():
        owner.update(dict.fromkeys(tensor.flatten().tolist(), name.rpartition(".")[0]))
    found: dict[str, str] = {}
    for path, module in ours.named_modules():
        own = max((p for p in module.parameters(recurse=False)), key=torch.Tensor.numel, default=None)
        if path and own is not None:
            values = own.detach().flatten()
            theirs = {owner.get(float(values[at]), "") for at in (0, len(values) // 2, -1)}
            if len(theirs) == 1 and (name := theirs.pop()):
                found[path] = name
    for path, module in ours.named_modules():
        below = [theirs for mine, theirs in found.items() if mine.startswith(path + ".")]
        if path and path not in found and below and not list(module.parameters(recurse=False)):
            common = _common([name.split(".")[:-1] for name in below])
            if common:
                found[path] = common
    pairs: dict[str, list[str]] = {}
    for mine, name in found.items():
        pairs.setdefault(name, []).append(mine)
    return pairs


def _common(paths: list[list[str]]) -> str:
    """The longest path that all lie below."""
    shared = []
    for names in zip(*paths, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared)


def _departure(
    theirs: Sequence[Step],
    counterparts: Mapping[str, list[str]],
    inputs: Mapping[str, list[torch.Tensor]],
    tolerance: Following,
) -> Departure:
    calls: dict[str, int] = {}
    right = 0
    for step in theirs:
        number = calls[step.path] = calls.get(step.path, -1) + 1
        expected = [
            inputs[path][number] for path in counterparts.get(step.path, ()) if number < len(inputs.get(path, ()))
        ]
        comparable = [t for t in expected if (t.numel(), t.shape[-1:]) == (step.tensor.numel(), step.tensor.shape[-1:])]
        if not comparable:
            continue  # a layer of the student's own making: nothing to hold it against
        if not any(_alike(step.tensor, tensor, tolerance) for tensor in comparable):
            return Departure(right, step)
        right += 1
    for name, paths in counterparts.items():
        if name not in calls and any(path in inputs for path in paths):
            return Departure(right, never=name)
    return Departure(right)


def _alike(theirs: torch.Tensor, ours: torch.Tensor, tolerance: Following) -> bool:
    """Equal, however the words are laid out: (B, L, D), (L, B, D), (B * L, D)."""
    layouts = [theirs, theirs.transpose(0, 1)] if theirs.dim() == 3 else [theirs]
    wanted = ours.double().flatten()
    return any(torch.allclose(t.double().flatten(), wanted, rtol=tolerance.rtol, atol=tolerance.atol) for t in layouts)
