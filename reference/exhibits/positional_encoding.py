"""The table of positions as a picture."""

import torch

from grader.checking import assert_shape, figure

DIM, LENGTH = 32, 48


def table(encoding):
    """What the layer adds to (1, LENGTH, DIM) zeros."""
    return assert_shape(encoding(torch.zeros(1, LENGTH, DIM)), (1, LENGTH, DIM))[0]


def exhibit_table(student, oracle):
    """Your positional encoding beside the right one"""
    yours = table(student.PositionalEncoding(DIM, LENGTH))
    right = table(oracle.PositionalEncoding(DIM, LENGTH))
    return figure(
        "Each row is the code of one position. From left to right the waves get longer: the first columns tell "
        "neighbours apart, the last ones tell the beginning from the end. Where the difference is not white, a value "
        f"is not what the formula gives (dim {DIM}; values beyond ±1 are drawn as ±1).",
        {"Yours": yours, "The formula": right, "Difference": yours - right},
        limits=(-1.0, 1.0),
        row="position",
        col="dimension",
    )
