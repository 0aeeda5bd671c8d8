"""Mlp: a linear layer, the activation, a linear layer."""

import several_sizes
import torch

from grader.checking import assert_shape, fail, together


def agree(student, oracle, *sizes):
    """Fail unless both compute the same with the same weights. sizes: in, hidden and out features."""
    layers = []
    for widths in sizes:
        x = torch.randn(2, 5, widths[0], generator=torch.Generator().manual_seed(1))
        layers.append((student.Mlp(*widths), oracle.Mlp(*widths), (x,), 1))
    several_sizes.agree(layers, "the Mlp's output")


def test_equations(student, oracle):
    """fc2(activation(fc1(x))) with GELU unless told otherwise"""
    agree(student, oracle, (8, 20, 12), (16, 24, 16))


def test_widths(student):
    """hidden_features and out_features are what was asked for, and in_features where nothing was"""
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(2))
    widths = (20, 12), (20, None), (None, 12), (None, None)
    mlps = [student.Mlp(8, hidden_features=hidden, out_features=out) for hidden, out in widths]
    for (hidden, out), mlp, answer in zip(widths, mlps, together((mlp, (x,)) for mlp in mlps), strict=True):
        assert_shape(answer, (2, 3, out or 8), f"the output of Mlp(8, {hidden}, {out})")
        # A matrix may stand as (out, in) or (in, out), or as a kernel of size 1.
        matrices = {tuple(sorted(n for n in info.shape if n > 1)) for info in mlp.tensors if len(info.shape) > 1}
        wanted = {tuple(sorted(pair)) for pair in ((hidden or 8, 8), (out or 8, hidden or 8))}
        if matrices != wanted:
            fail(f"Mlp(8, {hidden}, {out}) has weights of shapes {sorted(matrices)}, expected {sorted(wanted)}")


def agrees(student, oracle):
    """For the diagnosis: the same answers, from layers of the same widths."""
    agree(student, oracle, (8, 20, 12), (16, 24, 16), (8, 20, None), (8, None, 12))
