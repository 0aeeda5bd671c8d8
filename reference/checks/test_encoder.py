"""Encoder layer: attention, dropout, residual, norm; then FFN, dropout, residual, norm (post-norm)."""

import layer_parts
import torch

from grader.checking import adopt, assert_close, assert_shape, randomise

DIM, HEADS, FFN_DIM = 16, 4, 24
UNITS = ("MultiHeadAttention", "FFN")


def inputs(length=5):
    x = torch.randn(2, length, DIM, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(2, 1, 1, length, dtype=torch.bool)
    mask[0, :, :, -2:] = False
    return x, mask


def agree(theirs, ours, training=False):
    """Compare the outputs after the reference has taken over the student's weights."""
    x, mask = inputs()
    answer = theirs(x, mask, training=training, seed=0)
    ours.train(training)
    adopt(
        theirs,
        ours,
        lambda: assert_close(answer, ours(x, mask), "the encoder layer's output", atol=layer_parts.NOISE),
        UNITS,
    )


def build(student, p):
    """A layer of the student's with random weights."""
    layer = student.EncoderLayer(DIM, HEADS, FFN_DIM, p)
    randomise(layer)
    return layer


def test_shape(student):
    """(B, L, dim) in, (B, L, dim) out"""
    layer, asked = student.EncoderLayer(DIM, HEADS, FFN_DIM, 0.1), [inputs(length) for length in (5, 8)]
    for (x, _), answer in zip(asked, layer.each(asked), strict=True):
        assert_shape(answer, tuple(x.shape))
    student.once("EncoderLayer", lambda: layer)


def test_structure(student):
    """One attention, one FFN, two LayerNorms"""
    layer = student.once("EncoderLayer", lambda: student.EncoderLayer(DIM, HEADS, FFN_DIM, 0.1))
    layer_parts.expect_parts(layer, DIM, FFN_DIM, attentions=1, norm_count=2)


def test_output(student, oracle):
    """norm(x + attention(x)), then norm(that + FFN(that)): residuals around each sublayer, norms after them"""
    theirs, ours = student.EncoderLayer(DIM, HEADS, FFN_DIM, 0.1), oracle.EncoderLayer(DIM, HEADS, FFN_DIM, 0.1)
    randomise(theirs)
    agree(theirs, ours)


def test_dropout(student, oracle):
    """Dropout on each sublayer's output, with the given p, in training only"""

    layer_parts.expect_dropout(
        lambda p: build(student, p),
        inputs(),
        lambda layer, p: agree(layer, oracle.EncoderLayer(DIM, HEADS, FFN_DIM, p), training=True),
    )


def agrees(student, oracle):
    """For the diagnosis: the same parts, the same answers, random in the same modes."""
    layer_parts.same(
        lambda p: build(student, p),
        lambda p: oracle.EncoderLayer(DIM, HEADS, FFN_DIM, p),
        [inputs()],
        UNITS,
        DIM,
        FFN_DIM,
    )
