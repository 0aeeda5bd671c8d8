"""Equality, decided on the trusted side. Every failure carries its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

import torch

from grader.checking import following
from grader.errors import Failed

# (rtol, atol) where a check says nothing else: assignment.toml's while a submission is open. Wider than float32 noise,
# tighter than any mistake: benchmarks/noise.py measures both.
_IN_FORCE: ContextVar[tuple[float, float]] = ContextVar("tolerance", default=(1e-4, 1e-5))

_NAN_AGREES: ContextVar[bool] = ContextVar("nan_agrees", default=False)


def tolerance() -> tuple[float, float]:
    """The (rtol, atol) in force."""
    return _IN_FORCE.get()


@contextmanager
def tolerating(rtol: float, atol: float) -> Iterator[None]:
    """Put another tolerance in force for a while."""
    token = _IN_FORCE.set((rtol, atol))
    try:
        yield
    finally:
        _IN_FORCE.reset(token)


@contextmanager
def nan_agreeing() -> Iterator[None]:
    """Let NaN agree with NaN for a while: a known mistake may well compute some, and whoever makes it does as well."""
    token = _NAN_AGREES.set(True)
    try:
        yield
    finally:
        _NAN_AGREES.reset(token)


def fail(message: str, share: float = 0.0, **evidence: Any) -> NoReturn:
    """End the check: the student's answer is wrong. `share` is the part of the points earned all the same."""
    raise Failed(message, evidence, share)


def assert_tensor(value: Any, what: str = "the output") -> torch.Tensor:
    """`value` if it is a tensor; else the check fails and names what came instead."""
    if not isinstance(value, torch.Tensor):
        names = {"NoneType": "nothing (None): is a return missing?", "list": "a tuple or list", "dict": "a dict"}
        kind = type(value).__name__
        fail(f"{what} must be a tensor, but is {names.get(kind, 'a ' + kind)}", found=kind)
    return value


def assert_shape(value: Any, shape: tuple[int, ...], what: str = "the output") -> torch.Tensor:
    tensor = assert_tensor(value, what)
    if tuple(tensor.shape) != tuple(shape):
        fail(
            f"{what} has shape {tuple(tensor.shape)}, expected {tuple(shape)}",
            shape=list(tensor.shape),
            expected_shape=list(shape),
        )
    return tensor


def assert_close(
    actual: Any,
    expected: torch.Tensor,
    what: str = "the output",
    rtol: float | None = None,
    atol: float | None = None,
    **more: Any,
) -> None:
    """|actual - expected| <= atol + rtol * |expected| everywhere, shapes equal, no NaN."""
    rtol = tolerance()[0] if rtol is None else rtol
    atol = tolerance()[1] if atol is None else atol
    actual = assert_shape(actual, tuple(expected.shape), what).double()
    wanted = expected.detach().double()
    wrong = ~torch.isclose(actual, wanted, rtol=rtol, atol=atol, equal_nan=_NAN_AGREES.get())  # else equal to nothing
    if not wrong.any():
        if (followed := following.active()) is not None:
            followed.agreed += 1
        return
    difference = (actual - wanted).abs().nan_to_num(nan=float("inf"))
    place, first = _index(difference.argmax(), wanted), _index(wrong.flatten().int().argmax(), wanted)
    largest = float(difference.max())
    nan = int(actual.isnan().sum())
    hint = f"; {nan} of its values are NaN" if nan else ""
    fail(
        f"{what} is wrong: {int(wrong.sum())} of {wrong.numel()} values differ, the first at index {first}, "
        f"at most by {largest:.3g}{hint}",
        shape=list(actual.shape),
        wrong=int(wrong.sum()),
        of=wrong.numel(),
        largest_difference=largest,
        first=first,
        at=place,
        found=float(actual[tuple(place)]),
        expected=float(wanted[tuple(place)]),
        rtol=rtol,
        atol=atol,
        **more,
    )


def _index(flat: torch.Tensor, tensor: torch.Tensor) -> list[int]:
    """As torch.unravel_index says it, whose first call imports sympy: half a second."""
    rest, found = int(flat), []
    for size in reversed(tensor.shape):
        rest, place = divmod(rest, size)
        found.append(place)
    return found[::-1]


def differs(a: Any, b: torch.Tensor, atol: float | None = None) -> torch.Tensor:
    """Where two tensors of one shape differ by more than noise (NaN differs from all but NaN): a bool tensor.

    Raises Failed unless `a` is a tensor of b's shape.
    """
    a = assert_shape(a, tuple(assert_tensor(b).shape))
    return ~torch.isclose(
        a.double(), b.double(), rtol=0.0, atol=tolerance()[1] if atol is None else atol, equal_nan=True
    )
