"""Figures from tensors: what an assignment's exhibits return. See `grader.exhibits`."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from grader.checking.compare import assert_tensor, fail
from grader.records import Figure, Matrix

MOST_SIDE = 128  # rows or columns of a matrix; a byte each, in every record


def figure(
    caption: str,
    matrices: Mapping[str, torch.Tensor],
    limits: tuple[float, float],
    row: str = "",
    col: str = "",
) -> Figure:
    """Matrices (rows, cols) side by side, by their titles, all on one scale; what lies beyond `limits` is cut to them.

    row, col: what the rows and the columns count. Limits around zero give a scale with zero in its middle.
    Raises Failed unless each is a matrix of finite numbers.
    """
    return Figure(
        id="",  # `grader.exhibits` knows whose it is
        criterion="",
        title="",
        caption=caption,
        matrices=tuple(_matrix(title, value, *limits) for title, value in matrices.items()),
        row=row,
        col=col,
        signed=limits[0] < 0 < limits[1],
    )


def _matrix(title: str, value: object, low: float, high: float) -> Matrix:
    tensor = assert_tensor(value, title).detach().double()
    if tensor.dim() != 2 or not 0 < min(tensor.shape) <= max(tensor.shape) <= MOST_SIDE:
        fail(f"{title} has shape {tuple(tensor.shape)}, which is no picture")
    if not tensor.isfinite().all():
        fail(f"{title} holds NaN or infinite values")
    levels = ((tensor.clamp(low, high) - low) / (high - low) * 255).round().to(torch.uint8)
    return Matrix(
        title=title,
        rows=tensor.shape[0],
        cols=tensor.shape[1],
        low=low,
        high=high,
        levels=levels.contiguous().numpy().tobytes(),
    )
