"""A linear layer: x Wᵀ + b."""

import torch

from grader.checking import adopt, assert_close, assert_shape, randomise


def rows(in_features):
    return torch.randn(4, in_features, generator=torch.Generator().manual_seed(1))


def test_shape(student):
    """(B, in_features) in, (B, out_features) out"""
    assert_shape(student.Dense(3, 5)(rows(3)), (4, 5))


def test_output(student, oracle):
    """Each row times the weights, plus the bias"""
    theirs, ours = student.Dense(3, 5), oracle.Dense(3, 5)
    randomise(theirs)
    answer = theirs(rows(3))
    adopt(theirs, ours, lambda: assert_close(answer, ours(rows(3)), "the layer's output"))


def agrees(student, oracle):
    """For the diagnosis: the same answers."""
    test_output(student, oracle)
