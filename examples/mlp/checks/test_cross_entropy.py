"""Cross-entropy: the mean over the batch of logsumexp(z) - z[label]."""

import torch

from grader.checking import assert_close

LABELS = torch.tensor([0, 2, 1, 2, 2])


def logits():
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(2))


def test_mean(student, oracle):
    """The mean over the batch of -log softmax(logits) at the label"""
    assert_close(student.cross_entropy(logits(), LABELS), oracle.cross_entropy(logits(), LABELS), "the loss")


def test_large_logits(student, oracle):
    """Logits of a thousand neither overflow nor vanish"""
    large = 1000 * logits()
    assert_close(student.cross_entropy(large, LABELS), oracle.cross_entropy(large, LABELS), "the loss of large logits")


def agrees(student, oracle):
    """For the diagnosis: the same loss, of small logits and of large ones."""
    test_mean(student, oracle)
    test_large_logits(student, oracle)
