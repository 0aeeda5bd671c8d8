"""Equality, decided on the trusted side. Every failure carries its evidence."""

from __future__ import annotations

from typing import Any, NoReturn

import torch

from grader.errors import Failed

# Wider than float32 noise, tighter than any mistake; measured by benchmarks/noise.py, see assignment.toml.
RTOL, ATOL = 1e-4, 1e-5


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
    actual: Any, expected: torch.Tensor, what: str = "the output", rtol: float = RTOL, atol: float = ATOL, **more: Any
) -> None:
    """|actual - expected| <= atol + rtol * |expected| everywhere, shapes equal, no NaN that is not expected."""
    actual = assert_shape(actual, tuple(expected.shape), what).double()
    wanted = expected.detach().double()
    wrong = ~torch.isclose(actual, wanted, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return
    difference = (actual - wanted).abs().nan_to_num(nan=float("inf"))
    place = [int(i) for i in torch.unravel_index(difference.argmax(), difference.shape)] if wanted.dim() else []
    largest = float(difference.max())
    nan = int(actual.isnan().sum())
    hint = f"; {nan} of its values are NaN" if nan else ""
    fail(
        f"{what} is wrong: {int(wrong.sum())} of {wrong.numel()} values differ, at most by {largest:.3g} "
        f"at index {place}{hint}",
        shape=list(actual.shape),
        wrong=int(wrong.sum()),
        of=wrong.numel(),
        largest_difference=largest,
        at=place,
        found=float(actual[tuple(place)]),
        expected=float(wanted[tuple(place)]),
        rtol=rtol,
        atol=atol,
        **more,
    )


def differs(a: torch.Tensor, b: torch.Tensor, atol: float = ATOL) -> torch.Tensor:
    """Where two tensors of one shape differ by more than noise (NaN differs from all but NaN): a bool tensor."""
    return ~torch.isclose(a.double(), b.double(), rtol=0.0, atol=atol, equal_nan=True)
