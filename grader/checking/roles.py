"""Which of the student's layers plays which part: found by trying, never by attribute name alone.

A *part* is what is paired as a whole: a unit (a class that another criterion judges, such as an attention inside a
layer), or any other module with tensors of its own. What leaves the computation as it is makes no difference: a bias
that is not there is zero, one layer may hold several side by side (a fused q, k, v), a kernel may lie flat, and a
hand-written norm may name its gain and its bias as it likes.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import nn

from grader.checking import following
from grader.checking.student import ObjectProxy
from grader.errors import Failed
from grader.noise import FLOATING, noise

MAX_TRIES = 800
MOST_KEPT = 100_000  # random numbers for one object, to be used again
FEW = 4  # a part with so few tensors is tried in every order

_TRIES: ContextVar[int] = ContextVar("tries", default=MAX_TRIES)

Weights = dict[str, torch.Tensor]
Readings = dict[Hashable, Weights | None]  # by the form of a class; None: as it stands


@contextmanager
def trying(tries: int) -> Iterator[None]:
    """Let `adopt` try at most so many pairings for a while."""
    token = _TRIES.set(tries)
    try:
        yield
    finally:
        _TRIES.reset(token)


def randomise(theirs: ObjectProxy, seed: int = 0) -> None:
    """Give every parameter a distinct random value, so that no two layers can be mistaken for one another.

    Fresh layers agree in too much: all norms are ones and zeros, all biases may be zero. `theirs.weights` are the
    parameters as they then are, by name; a later `adopt` takes these, whatever the student's code does to its own.
    Whoever asks `theirs` next gets Failed unless every parameter has taken a value of ours.
    """
    theirs.randomise(seed, lambda state: _taken(_drawn(theirs, seed), state))


def _drawn(theirs: ObjectProxy, seed: int) -> Weights:
    """The values that its worker must have drawn."""
    infos = [info for info in theirs.tensors if info.kind == "parameter" and info.dtype in FLOATING]
    kinds = tuple((info.shape, info.dtype) for info in infos)
    small = sum(math.prod(shape) for shape, _ in kinds) <= MOST_KEPT
    values = _kept_noise(kinds, seed) if small else noise(kinds, seed)
    return dict(zip((info.name for info in infos), values, strict=True))


_kept_noise = lru_cache(maxsize=128)(noise)  # most students' layers have the same shapes in the same order


def _taken(values: Weights, state: Weights) -> Weights:
    """The values as the object has them. Raises Failed unless each is one of ours."""
    for name, value in values.items():
        # A layer that is registered twice has one value under two names, the one that was sent last.
        if torch.equal(state[name], value):
            continue
        if not any(torch.equal(state[name], other) for other in values.values() if other.shape == value.shape):
            raise Failed(f"the parameter “{name}” cannot be set: something else sets it again", {"tensor": name})
    return {name: state[name].float() for name in values}


def adopt(
    theirs: ObjectProxy,
    ours: nn.Module,
    agrees: Callable[[], None],
    units: Sequence[str] = (),
    heads: int = 1,
) -> None:
    """Give `ours` the student's weights so that `agrees` raises nothing, trying one plausible pairing after another.

    units: class names whose instances are paired as wholes (an attention with an attention); every other module with
    tensors of its own is paired by their shapes. Pairings that follow equal names come first. heads: in how many
    groups the rows of a fused layer may alternate between the layers that it holds.
    Raises the Failed of the first (most plausible) pairing if none agrees, with a word if more could have been tried;
    or a Failed that says which layers are missing if there is no pairing at all.
    """
    first: Failed | None = None
    limit, tried = _TRIES.get(), 0
    candidates = pairings(theirs, ours, units, heads)
    own = {**dict(ours.named_parameters()), **dict(ours.named_buffers())}
    followed = following.active()
    agreed = followed.agreed if followed else 0
    for weights in itertools.islice(candidates, limit):
        tried += 1
        with torch.no_grad():
            for name, tensor in weights.items():
                own[name].copy_(tensor)
        try:
            with following.recorded(ours) if followed else nullcontext() as recorded:
                agrees()
            _note_reading(theirs, ours, units, heads, tried, weights)
            return
        except Failed as failure:
            first = first or failure
            if followed and recorded and theirs.weights:
                followed.agreed = agreed
                followed.compare(theirs.steps, theirs.weights, recorded)
    if first is None:
        raise Failed("no pairing of the layers fits", {})
    if tried == limit and next(candidates, None) is not None:
        words = f"{first.message} (which layer is which could not be settled: {tried} ways were tried, there are more)"
        raise Failed(words, {**first.evidence, "ways_tried": tried}, first.share)
    raise first


def pairings(theirs: ObjectProxy, ours: nn.Module, units: Sequence[str], heads: int = 1) -> Iterator[Weights]:
    """Possible state dicts for `ours`, made of the student's parameters, most plausible first. Raises Failed.

    They are the values that `randomise` has sent, if it was called.
    """
    own = {name for name, _ in ours.named_buffers()} & {info.name for info in theirs.tensors if info.kind == "buffer"}
    # A mutant of the reference may hold as a buffer what must be learned; the reference itself has none to fill.
    buffers = {name: tensor for name, tensor in theirs.state().items() if name in own} if own else {}
    state = theirs.state() if theirs.weights is None else theirs.weights
    for weights in _candidates(theirs, state, ours, units, heads):
        yield weights | buffers


def _candidates(
    theirs: ObjectProxy, state: Weights, ours: nn.Module, units: Sequence[str], heads: int
) -> Iterator[Weights]:
    """Their parameters of `state`, whatever it holds, in the places of ours, in all plausible ways. Raises Failed."""
    learned = {
        info.name: state[info.name] for info in theirs.tensors if info.kind == "parameter" and info.name in state
    }
    their_kinds = [(m.path, m.bases, m.names) for m in theirs.modules]
    their_parts = _parts(their_kinds, learned, units, theirs.readings)
    our_kinds = [(path, kinds, kinds) for path, module in ours.named_modules() for kinds in [_kinds(module)]]
    our_parts = _parts(our_kinds, dict(ours.named_parameters()), units)
    refusal: Failed | None = None
    fitted = False
    for parts in _writings(their_parts, our_parts, heads):
        try:
            for weights in _pairings(our_parts, parts):
                fitted = True
                yield weights
        except Failed as failure:
            refusal = refusal or failure
        if fitted and parts is their_parts and not any(part.is_own_linear for part in parts):
            return  # what fits as it stands needs no taking apart
    if refusal is not None and not fitted:
        raise refusal


# ---- what a class's own criterion has found out ---------------------------------------------------------------------


def _note_reading(
    theirs: ObjectProxy, ours: nn.Module, units: Sequence[str], heads: int, number: int, agreed: Weights
) -> None:
    """Keep how the pairing with this number, which agreed, makes our parameters of their `weights`, if they have any.

    A layer may hold an object of this class. There it is a unit and not taken apart, so that a fused q, k, v, say,
    would fit nothing.
    """
    weights = theirs.weights
    own: Weights = dict(ours.named_parameters())
    if weights is None or (form := _form(theirs.class_name, weights, own)) in theirs.readings:
        return
    plain = next(_plain_fits(_Part("", "unit", own), _Part("", "unit", weights)), {})
    if len(plain) == len(agreed) and all(torch.equal(plain[f"unit.{name}"], value) for name, value in agreed.items()):
        theirs.readings[form] = None  # as it stands; the values are random, and no two of them alike
        return
    places, count = {}, 1  # 0 stands for a zero: a bias that is not there
    for name, tensor in weights.items():
        places[name] = torch.arange(count, count + tensor.numel()).view(tensor.shape)
        count += tensor.numel()
    found = next(itertools.islice(_candidates(theirs, places, ours, units, heads), number - 1, None))
    theirs.readings[form] = {name: tensor.long() for name, tensor in found.items()}


def _form(unit: str, theirs: Weights, ours: Weights) -> Hashable:
    """What a reading holds for: objects of this class with tensors of these names and shapes."""
    return unit, *(tuple((name, tuple(t.shape)) for name, t in state.items()) for state in (theirs, ours))


def _read(tensors: Weights, reading: Weights) -> Weights:
    """Ours, made of theirs. reading: for each of our values, its place among all of theirs, the first being 1."""
    values = [tensor.flatten() for tensor in tensors.values()]
    flat = torch.cat([values[0].new_zeros(1), *values])
    return {name: flat[places] for name, places in reading.items()}


# ---- parts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """What is paired as a whole: its class of unit (or ""), its path, its tensors by their names within it."""

    unit: str
    path: str
    tensors: Weights
    bases: tuple[str, ...] = ()
    readings: Readings = field(default_factory=dict)

    @property
    def is_own_linear(self) -> bool:
        """A hand-written layer, whose matrix may stand as (in, out)."""
        known = {"Linear", "Conv2d", "Conv1d", "Embedding"} & set(self.bases)
        return not self.unit and bool(self.path) and not known and any(t.dim() == 2 for t in self.tensors.values())

    def full(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    @property
    def kind(self) -> tuple[object, ...]:
        """Parts of one kind can stand for one another."""
        return (self.unit, *(tuple(tensor.shape) for tensor in self.tensors.values()))


def _kinds(module: nn.Module) -> tuple[str, ...]:
    return tuple(kind.__name__ for kind in type(module).__mro__)


def _parts(
    modules: list[tuple[str, tuple[str, ...], tuple[str, ...]]],
    state: Weights,
    units: Sequence[str],
    readings: Readings | None = None,
) -> list[_Part]:
    parts: list[_Part] = []
    taken: list[str] = []
    for path, bases, names in modules:
        if any(path.startswith(t + ".") for t in taken):
            continue
        unit = next((name for name in names if name in units), "") if path else ""
        prefix = f"{path}." if path else ""
        if unit:
            taken.append(path)
        own = {
            name.removeprefix(prefix): tensor
            for name, tensor in state.items()
            if name.startswith(prefix) and (unit or "." not in name[len(prefix) :])
        }
        if own:
            parts.append(_Part(unit, path, own, bases, readings or {}))
    return parts


def _pairings(ours: list[_Part], theirs: list[_Part]) -> Iterator[Weights]:
    groups: list[list[Weights]] = []
    for kind in dict.fromkeys(part.kind for part in ours):
        mine = [part for part in ours if part.kind == kind]
        candidates = [part for part in theirs if any(True for _ in _fits(mine[0], part))]
        if len(candidates) < len(mine):
            _missing(mine, candidates)
        groups.append(list(itertools.islice(_ways(mine, candidates), MAX_TRIES)))
    for choice in itertools.product(*groups):
        yield {name: tensor for weights in choice for name, tensor in weights.items()}


def _ways(mine: list[_Part], candidates: list[_Part]) -> Iterator[Weights]:
    """Every way to give each of mine one of the candidates; the one that follows names, then order, first."""
    by_path = {part.path: part for part in candidates}
    orders: Iterator[Sequence[_Part]] = itertools.permutations(candidates, len(mine))
    if all(part.path in by_path for part in mine):
        orders = itertools.chain([[by_path[part.path] for part in mine]], orders)
    for order in orders:
        for fitted in itertools.product(*(list(_fits(a, b)) for a, b in zip(mine, order, strict=True))):
            yield {name: tensor for weights in fitted for name, tensor in weights.items()}


def _fits(mine: _Part, other: _Part) -> Iterator[Weights]:
    """The ways in which one part's tensors can be another's, what was found out about the class first."""
    if mine.unit != other.unit:
        return
    if mine.unit and (reading := other.readings.get(_form(mine.unit, other.tensors, mine.tensors))):
        yield {mine.full(name): tensor for name, tensor in _read(other.tensors, reading).items()}
    yield from _plain_fits(mine, other)


def _plain_fits(mine: _Part, other: _Part) -> Iterator[Weights]:
    """The same from names, shapes and order alone; none if they cannot."""
    wanted, values = list(mine.tensors), list(other.tensors.values())
    if mine.path and len(values) > len(wanted):  # beside the layers, the class itself may own what plays no part
        return
    by_name = {name: t for name, t in other.tensors.items() if name in mine.tensors}
    orders = [by_name]
    if len(by_name) < len(values) and len(values) <= FEW:
        # A hand-written norm may well define its bias first, a model its positions.
        several = itertools.permutations(values, min(len(wanted), len(values)))
        orders += [dict(zip(wanted, order, strict=False)) for order in several]
    elif len(by_name) < len(values):
        orders.append(dict(zip(wanted, values, strict=False)))
    seen: set[tuple[tuple[str, int], ...]] = set()
    for order in orders:
        given = {name: _shaped(tensor, mine.tensors[name]) for name, tensor in order.items()}
        absent = [name for name in wanted if name not in given]
        key = tuple(sorted((name, id(tensor)) for name, tensor in order.items()))
        unused = mine.path and len(given) < len(values)
        if not given or unused or not all(name.rpartition(".")[2] == "bias" for name in absent) or key in seen:
            continue
        seen.add(key)
        filled = {**given, **{name: torch.zeros_like(mine.tensors[name]) for name in absent}}
        if all(tensor is not None for tensor in filled.values()):
            yield {mine.full(name): tensor for name, tensor in filled.items() if tensor is not None}


def _shaped(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor | None:
    """The tensor in the shape of `like`, if that is but another writing of the same matrix."""
    if tensor.shape == like.shape:
        return tensor
    if min(tensor.dim(), like.dim()) >= 2 and tensor.shape[0] == like.shape[0] and tensor.numel() == like.numel():
        return tensor.reshape(like.shape)
    if like.dim() == 1 and tensor.numel() == like.numel() == max(tensor.shape, default=0):
        return tensor.flatten()  # a gain of shape (1, 1, dim)
    return None


def _writings(theirs: list[_Part], ours: list[_Part], heads: int) -> Iterator[list[_Part]]:
    """Their parts as they are; with hand-written matrices turned; with those that together are one of ours joined;
    with each that holds several of ours taken apart.
    """
    yield theirs
    if any(part.is_own_linear for part in theirs):
        yield [_turned(part) for part in theirs]
    sizes = {tuple(t.shape) for part in ours if not part.unit for t in part.tensors.values() if t.dim() == 2}
    joined = _joined(theirs, sizes)
    if len(joined) < len(theirs):
        yield joined
    # Rows of q, k, v as three blocks; alternating head by head; alternating row by row.
    for groups in dict.fromkeys((1, heads, *(size[0] for size in sizes))):
        apart = [piece for part in theirs for piece in _pieces(part, sizes, groups)]
        if len(apart) > len(theirs):
            yield apart


def _joined(theirs: list[_Part], sizes: set[tuple[int, ...]]) -> list[_Part]:
    """Layers that are numbered alike (heads.0.key, heads.1.key, …) as the one whose rows they have between them."""
    rows: dict[object, list[_Part]] = {}
    for part in theirs:
        place = re.sub(r"\d+", "*", part.path)
        rows.setdefault((place, part.kind) if place != part.path else part.path, []).append(part)
    found: list[_Part] = []
    for several in rows.values():
        whole = {name: torch.cat([part.tensors[name] for part in several]) for name in several[0].tensors}
        shapes = {tuple(tensor.shape) for tensor in whole.values() if tensor.dim() == 2}
        fits = len(several) > 1 and not several[0].unit and shapes and shapes <= sizes
        found += [_Part("", f"{several[0].path}…", whole, several[0].bases)] if fits else several
    return found


def _turned(part: _Part) -> _Part:
    if not part.is_own_linear:
        return part
    return _Part("", part.path, {name: t.T if t.dim() == 2 else t for name, t in part.tensors.items()}, part.bases)


def _pieces(part: _Part, sizes: set[tuple[int, ...]], groups: int) -> list[_Part]:
    weight = next((t for t in part.tensors.values() if t.dim() == 2), None)
    if part.unit or weight is None or tuple(weight.shape) in sizes:
        return [part]
    rows, columns = weight.shape
    for size in sizes:
        count = rows // size[0]
        if columns == size[1] and rows == count * size[0] and size[0] % groups == 0 and count > 1:
            split = {
                name: tensor.view(groups, count, size[0] // groups, *tensor.shape[1:]).transpose(0, 1).flatten(1, 2)
                for name, tensor in part.tensors.items()
                if tensor.shape[0] == rows
            }
            return [
                _Part("", f"{part.path}[{number}]", {name: pieces[number] for name, pieces in split.items()})
                for number in range(count)
            ]
    return [part]


def _missing(mine: list[_Part], candidates: list[_Part]) -> None:
    what = mine[0].unit or ("layer with such parameters" if len(mine) == 1 else "layers with such parameters")
    raise Failed(
        f"expected {len(mine)} {what}, found {len(candidates)}",
        {"expected": len(mine), "found": len(candidates), "like": mine[0].path},
    )
