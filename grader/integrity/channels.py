"""The channels of a model, and which of another model's they were, whatever order they have been put into.

All layers of a Transformer share their channels: another order of them, the same in every layer, computes the same. A
channel is known by what meets it alone: its part of the positions, the patches' filters, the class token, the head.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LEAST_WIDTH = 16
MOST_WIDTH = 1024
MOST_BESIDE = 512  # numbers of one tensor that belong to a channel
KEPT = 48  # numbers that are kept of a channel, projected by lot


def features(tensors: Sequence[tuple[tuple[int, ...], Floats]], width: int) -> Floats:
    """(width, KEPT), a row a channel, from the tensors in which no other axis may be in another order.

    tensors: shapes and numbers. Axes that are a multiple of the width are those of units and heads. (0, KEPT) where
    there is nothing to go by.
    """
    rows: list[Floats] = []
    for shape, numbers in tensors if LEAST_WIDTH <= width <= MOST_WIDTH else ():
        axes = [axis for axis, size in enumerate(shape) if size % width == 0]
        if len(shape) > 1 and len(axes) == 1 and shape[axes[0]] == width and numbers.size <= MOST_BESIDE * width:
            found = np.moveaxis(numbers.reshape(shape), axes[0], 0).reshape(width, -1)
            found = found - found.mean(axis=0)
            length = float(np.linalg.norm(found))
            if length > 0:  # a class token may still be zero
                rows.append(found / length)
    if not rows:
        return np.zeros((0, KEPT), dtype=np.float32)
    together = np.concatenate(rows, axis=1)
    lot = np.random.default_rng(together.shape[1])  # the same for models of the same shapes
    return (together @ lot.standard_normal((together.shape[1], KEPT))).astype(np.float32)


def order(left: Floats, right: Floats) -> tuple[npt.NDArray[np.int64], float]:
    """For each channel of one the most alike of the other, each taken once, the surest first; and how alike they are.

    left, right: (width, KEPT). How alike: the mean cosine, which is 1 for one model in two orders.
    """
    left, right = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (left, right))
    cosines = left @ right.T
    found, taken = np.full(len(left), -1, dtype=np.int64), np.zeros(len(left), dtype=bool)
    for place in np.argsort(-cosines, axis=None):
        row, column = divmod(int(place), len(left))
        if found[row] < 0 and not taken[column]:
            found[row], taken[column] = column, True
    return found, float(cosines[np.arange(len(left)), found].mean())
