"""The network: three linear layers, ReLU after the first and after the second."""

import torch

from grader.checking import adopt, assert_close, assert_shape, fail, randomise

SIZES = [(6, 8, 4), (5, 16, 12)]  # in, hidden and out features


def rows(in_features):
    return torch.randn(32, in_features, generator=torch.Generator().manual_seed(3))


def test_shape(student):
    """(B, in_features) in, (B, out_features) out"""
    for sizes in SIZES:
        assert_shape(student.MLP(*sizes)(rows(sizes[0])), (32, sizes[2]))


def test_layers(student):
    """Three matrices: in to hidden, hidden to hidden, hidden to out features"""
    for width, hidden, classes in SIZES:
        tensors = student.MLP(width, hidden, classes).tensors
        found = sorted(tuple(sorted(info.shape)) for info in tensors if len(info.shape) == 2)
        wanted = sorted(tuple(sorted(pair)) for pair in ((width, hidden), (hidden, hidden), (hidden, classes)))
        if found != wanted:
            fail(f"the network has matrices of sizes {found}, expected {wanted}", found=found, expected=wanted)


def test_output(student, oracle):
    """third(relu(second(relu(first(x)))))"""
    for sizes in SIZES:
        theirs, ours = student.MLP(*sizes), oracle.MLP(*sizes)
        randomise(theirs)
        x = rows(sizes[0])
        answer = theirs(x)
        adopt(theirs, ours, lambda a=answer, o=ours, x=x: assert_close(a, o(x), "the network's output"), ("Dense",))


def agrees(student, oracle):
    """For the diagnosis: the same answers."""
    test_output(student, oracle)
