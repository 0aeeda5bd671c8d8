"""Positional encoding: PE(pos, 2i) = sin(pos / 10000^(2i/dim)), PE(pos, 2i+1) = cos of the same."""

import torch

from grader.checking import assert_close, assert_shape, differs, fail

# The angle of position 100 carries about 1e-5 of float32 noise, and pow and exp differ in the last digits.
ANGLE_NOISE = 2e-4
SIZES = [(16, 40), (64, 100), (10, 7)]  # (dim, seq_len_max); several, so that a table for one size alone fails


def table(encoding, dim, length):
    """What the layer adds: its answer to zeros."""
    return encoding(torch.zeros(1, length, dim))


def test_formula(student, oracle):
    """The table follows the formula: sin in even columns, cos in odd ones, the right wavelengths"""
    for dim, length in SIZES:
        theirs = table(student.PositionalEncoding(dim, length), dim, length)
        ours = table(oracle.PositionalEncoding(dim, length), dim, length)
        assert_close(theirs, ours, f"PE for dim={dim}, seq_len_max={length}", atol=ANGLE_NOISE)


def test_addition(student):
    """forward adds the first rows of the table to its input, for every batch and every shorter length"""
    dim, length = 12, 30
    encoding = student.PositionalEncoding(dim, length)
    whole = assert_shape(table(encoding, dim, length), (1, length, dim))
    for batch, shorter in ((3, length), (2, 9), (1, 1)):
        x = torch.randn(batch, shorter, dim, generator=torch.Generator().manual_seed(batch))
        assert_close(encoding(x), x + whole[:, :shorter], f"the output for an input of shape {tuple(x.shape)}")
    if not differs(whole[:, 1:], whole[:, :-1]).any():
        fail("nothing is added that depends on the position")


def test_buffer(student):
    """PE is a buffer of shape (1, seq_len_max, dim), not something to be learned"""
    dim, length = 8, 20
    encoding = student.PositionalEncoding(dim, length)
    learnable = [info.name for info in encoding.tensors if info.kind == "parameter" and info.learnable]
    if learnable:
        fail(f"{', '.join(learnable)} is learnable; positions must not change in training", learnable=learnable)
    shapes = {info.name: info.shape for info in encoding.tensors if info.kind != "parameter"}
    if (1, length, dim) not in shapes.values():
        fail(f"no buffer of shape {(1, length, dim)} is registered; found {shapes or 'none'}", buffers=str(shapes))


def agrees(student, oracle):
    """For the diagnosis: the same table, the same addition, registered in the same way."""
    for dim, length in SIZES:
        theirs, ours = student.PositionalEncoding(dim, length), oracle.PositionalEncoding(dim, length)
        x = torch.randn(2, length, dim, generator=torch.Generator().manual_seed(dim))
        for given in (torch.zeros(1, length, dim), x):
            assert_close(theirs(given), ours(given), "the output", rtol=1e-4, atol=ANGLE_NOISE)
        kinds = {info.kind for info in theirs.tensors if info.shape == (1, length, dim)}
        own = ["parameter"] * len(list(ours.parameters())) + ["buffer"] * len(list(ours.buffers()))
        if kinds != set(own):
            fail("the table is registered in another way")
