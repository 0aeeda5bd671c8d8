"""Positional encoding: PE(pos, 2i) = sin(pos / 10000^(2i/dim)), PE(pos, 2i+1) = cos of the same."""

import torch

from grader.checking import assert_close, assert_shape, differs, fail, together

# The angle of position 100 carries about 1e-5 of float32 noise, and pow and exp differ in the last digits.
ANGLE_NOISE = 2e-4
SIZES = [(16, 40), (64, 100), (10, 7)]  # (dim, seq_len_max); several, so that a table for one size alone fails


def test_formula(student, oracle):
    """The table follows the formula: sin in even columns, cos in odd ones, the right wavelengths"""
    zeros = [torch.zeros(1, length, dim) for dim, length in SIZES]  # what a layer answers to them is its table
    tables = together((student.PositionalEncoding(*size), (x,)) for size, x in zip(SIZES, zeros, strict=True))
    for (dim, length), x, theirs in zip(SIZES, zeros, tables, strict=True):
        ours = oracle.PositionalEncoding(dim, length)(x)
        assert_close(theirs, ours, f"PE for dim={dim}, seq_len_max={length}", atol=ANGLE_NOISE)


def test_addition(student):
    """forward adds the first rows of the table to its input, for every batch and every shorter length"""
    dim, length = 12, 30
    shapes = (3, length), (2, 9), (1, 1)
    inputs = [torch.randn(*shape, dim, generator=torch.Generator().manual_seed(shape[0])) for shape in shapes]
    answers = student.PositionalEncoding(dim, length).each((x,) for x in (torch.zeros(1, length, dim), *inputs))
    whole = assert_shape(next(answers), (1, length, dim))
    for x, answer in zip(inputs, answers, strict=True):
        assert_close(answer, x + whole[:, : x.shape[1]], f"the output for an input of shape {tuple(x.shape)}")
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
