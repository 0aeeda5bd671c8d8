"""Decoder layer: masked self-attention, cross-attention to the encoder's output, FFN; each with residual and norm."""

import layer_parts
import torch

from grader.checking import adopt, assert_close, assert_shape, at_once, fail, moved, randomise, variations

DIM, HEADS, FFN_DIM = 16, 4, 24
TARGET, SOURCE, HIDDEN = 4, 6, 2  # lengths; the last HIDDEN source positions are padding
UNITS = ("MultiHeadAttention", "FFN")


def inputs(source=SOURCE):
    """x, enc_output, cross_attn_mask, self_attn_mask."""
    generator = torch.Generator().manual_seed(5)
    x, encoded = (torch.randn(2, length, DIM, generator=generator) for length in (TARGET, source))
    cross = (torch.arange(source) < source - HIDDEN).view(1, 1, 1, source).expand(2, 1, 1, source)
    causal = torch.ones(TARGET, TARGET, dtype=torch.bool).tril().view(1, 1, TARGET, TARGET).expand(2, 1, -1, -1)
    return x, encoded, cross, causal


def agree(theirs, ours, training=False):
    """Compare the outputs after the reference has taken over the student's weights."""
    answer = theirs(*inputs(), training=training, seed=0)
    ours.train(training)
    adopt(
        theirs,
        ours,
        lambda: assert_close(answer, ours(*inputs()), "the decoder layer's output", atol=layer_parts.NOISE),
        UNITS,
    )


def build(student, p):
    """A layer of the student's with random weights."""
    layer = student.DecoderLayer(DIM, HEADS, FFN_DIM, p)
    randomise(layer)
    return layer


def test_shape(student):
    """(B, T, dim) in, (B, T, dim) out, whatever the length of the source"""
    layer = student.DecoderLayer(DIM, HEADS, FFN_DIM, 0.1)
    assert_shape(layer(*inputs()), (2, TARGET, DIM))
    student.once("DecoderLayer", lambda: layer)


def test_structure(student):
    """Two attentions, one FFN, three LayerNorms"""
    layer = student.once("DecoderLayer", lambda: student.DecoderLayer(DIM, HEADS, FFN_DIM, 0.1))
    layer_parts.expect_parts(layer, DIM, FFN_DIM, attentions=2, norm_count=3)


def test_output(student, oracle):
    """Self-attention, cross-attention with keys and values from enc_output, FFN, each with residual and post-norm"""
    theirs, ours = student.DecoderLayer(DIM, HEADS, FFN_DIM, 0.1), oracle.DecoderLayer(DIM, HEADS, FFN_DIM, 0.1)
    randomise(theirs)
    agree(theirs, ours)


def test_masks(student):
    """The target mask hides the future in self-attention, the source mask hides padding in cross-attention"""
    layer = student.DecoderLayer(DIM, HEADS, FFN_DIM, 0.1)
    randomise(layer)
    x, encoded, cross, causal = inputs()
    by_target = [(one, encoded, cross, causal) for one in variations(x)]
    by_source = [(x, one, cross, causal) for one in variations(encoded)]
    at_once(layer.each, by_target, lambda outputs: assert_future_is_hidden(moved(outputs)))
    at_once(layer.each, by_source, lambda outputs: assert_padding_is_hidden(moved(outputs)))


def assert_future_is_hidden(by_target):
    """Fail unless a target position moves itself and what comes after it."""
    expected = torch.ones(TARGET, TARGET, dtype=torch.bool).triu()
    if by_target.shape != expected.shape:
        fail(f"the output has {by_target.shape[1]} positions, expected {TARGET}")
    if not torch.equal(by_target, expected):
        i, j = (by_target != expected).nonzero()[0].tolist()
        if by_target[i, j]:
            fail(f"target position {i} moves output {j} under the causal mask", position=i, output=j)
        fail(f"target position {i} does not move output {j} under the causal mask", position=i, output=j)


def assert_padding_is_hidden(by_source):
    """Fail unless a source position moves every output, and none if it is padding."""
    for position in range(SOURCE):
        if position >= SOURCE - HIDDEN and by_source[position].any():
            fail(f"source position {position} is padding, but moves the output", position=position)
        if position < SOURCE - HIDDEN and not by_source[position].all():
            fail(f"source position {position} does not reach every output", position=position)


def test_dropout(student, oracle):
    """Dropout on each sublayer's output, with the given p, in training only"""

    layer_parts.expect_dropout(
        lambda p: build(student, p),
        inputs(),
        lambda layer, p: agree(layer, oracle.DecoderLayer(DIM, HEADS, FFN_DIM, p), training=True),
    )


def agrees(student, oracle):
    """For the diagnosis: the same parts, the same answers, random in the same modes.

    Where source and target are equally long, exchanged tensors and masks raise nothing.
    """
    layer_parts.same(
        lambda p: build(student, p),
        lambda p: oracle.DecoderLayer(DIM, HEADS, FFN_DIM, p),
        [inputs(source=TARGET), inputs()],
        UNITS,
        DIM,
        FFN_DIM,
    )
