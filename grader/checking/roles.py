"""Which of the student's layers plays which part: found by trying, never by attribute name alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from grader.checking.student import ObjectProxy
from grader.errors import Failed

MAX_TRIES = 800

Weights = dict[str, torch.Tensor]


def randomise(theirs: ObjectProxy, seed: int = 0) -> Weights:
    """Give every parameter a distinct random value, so that no two layers can be mistaken for one another.

    Fresh layers agree in too much: all norms are ones and zeros, all biases may be zero. Returns all parameters and
    buffers as they now are, by name.
    """
    generator = torch.Generator().manual_seed(seed)
    state = theirs.state()
    values: Weights = {}
    for info in theirs.tensors:
        if info.kind == "parameter" and state[info.name].is_floating_point():
            shape = info.shape
            noise = torch.randn(shape, generator=generator)
            values[info.name] = noise / max(shape[-1], 1) ** 0.5 if len(shape) > 1 else 0.7 + 0.4 * noise
    theirs.load(values)
    return theirs.state()


def adopt(
    theirs: ObjectProxy, ours: nn.Module, agrees: Callable[[], None], units: Sequence[str] = (), limit: int = MAX_TRIES
) -> None:
    """Give `ours` the student's weights so that `agrees` raises nothing, trying one plausible pairing after another.

    units: class names whose instances are paired as wholes (an attention with an attention); every other module with
    parameters of its own is paired by the shapes of its parameters. Pairings that follow equal names come first.
    Raises the Failed of the first (most plausible) pairing if none agrees, or a Failed that says which layers are
    missing if there is no pairing at all.
    """
    first: Failed | None = None
    for weights in itertools.islice(pairings(theirs, ours, units), limit):
        ours.load_state_dict(weights, strict=False)
        try:
            agrees()
            return
        except Failed as failure:
            first = first or failure
    if first is not None:
        raise first
    raise Failed("no pairing of the layers fits", {})


def pairings(theirs: ObjectProxy, ours: nn.Module, units: Sequence[str]) -> Iterator[Weights]:
    """Possible state dicts for `ours`, made of the student's tensors, most plausible first."""
    state = theirs.state()
    their_parts = _parts([(m.path, m.bases) for m in theirs.modules], list(state), units)
    our_kinds = [(path, tuple(k.__name__ for k in type(module).__mro__)) for path, module in ours.named_modules()]
    our_state = {**dict(ours.named_parameters()), **dict(ours.named_buffers())}
    our_parts = _parts(our_kinds, list(our_state), units)
    groups: list[list[tuple[tuple[str, str], ...]]] = []
    for signature in dict.fromkeys(_signature(part, our_state) for part in our_parts):
        mine = [part for part in our_parts if _signature(part, our_state) == signature]
        candidates = [part for part in their_parts if _signature(part, state) == signature]
        if len(candidates) < len(mine):
            _missing(mine, candidates)
        groups.append(list(_orders(mine, candidates)))
    for choice in itertools.product(*groups):
        weights: Weights = {}
        for ours_path, theirs_path in itertools.chain.from_iterable(choice):
            part = next(p for p in our_parts if p.path == ours_path)
            other = next(p for p in their_parts if p.path == theirs_path)
            for name, their_name in zip(part.names, other.names, strict=True):
                weights[name] = state[their_name]
        yield weights


class _Part:
    """A module that is paired as a whole: its class of unit (or ""), its path, its tensors in order."""

    def __init__(self, unit: str, path: str, names: list[str]) -> None:
        self.unit = unit
        self.path = path
        self.names = names


def _parts(modules: list[tuple[str, tuple[str, ...]]], names: list[str], units: Sequence[str]) -> list[_Part]:
    parts: list[_Part] = []
    taken: list[str] = []
    for path, bases in modules:
        if any(path == t or path.startswith(t + ".") for t in taken):
            continue
        unit = next((base for base in bases if base in units), "") if path else ""
        prefix = f"{path}." if path else ""
        if unit:
            taken.append(path)
            own = [name for name in names if name.startswith(prefix)]
        else:
            own = [name for name in names if name.startswith(prefix) and "." not in name[len(prefix) :]]
        if own:
            parts.append(_Part(unit, path, own))
    return parts


def _signature(part: _Part, state: dict[str, torch.Tensor]) -> tuple[object, ...]:
    shapes = tuple(tuple(state[name].shape) for name in part.names)
    return (part.unit, shapes)


def _orders(mine: list[_Part], candidates: list[_Part]) -> Iterator[tuple[tuple[str, str], ...]]:
    """Every way to give each of mine one of the candidates; the one that follows names, then order, first."""
    paths = {part.path for part in candidates}
    if all(part.path in paths for part in mine):
        yield tuple((part.path, part.path) for part in mine)
    for order in itertools.permutations(candidates, len(mine)):
        yield tuple((part.path, other.path) for part, other in zip(mine, order, strict=True))


def _missing(mine: list[_Part], candidates: list[_Part]) -> None:
    kind = mine[0].unit or "layer"
    shapes = "" if mine[0].unit else " with such parameters"
    raise Failed(
        f"expected {len(mine)} {kind}{'s' if len(mine) != 1 else ''}{shapes}, found {len(candidates)}",
        {"expected": len(mine), "found": len(candidates), "like": mine[0].path},
    )
