"""Masks are boolean, True = may attend. What is hidden must have no influence, what is visible must keep its own."""

import torch

from grader.checking import assert_close, assert_shape, differs, fail

HEADS, WIDTH, LENGTH = 2, 4, 6
# Scores of this size tell a fill that is effectively -inf (-1e4 and below) from one that is not (-1, -100).
LOUD = 25.0


def attend(attention, q, k, v, mask):
    answer = attention.scaled_dot_product(q, k, v, mask)
    answer = answer[0] if isinstance(answer, list) and answer else answer
    return assert_shape(answer, tuple(q.shape), "scaled_dot_product's output")


def inputs(batch=2, loud=1.0):
    generator = torch.Generator().manual_seed(7)
    q, k, v = (torch.randn(batch, HEADS, LENGTH, WIDTH, generator=generator) for _ in range(3))
    return q * loud, k, v


def hides_what_it_must(attention, mask):
    """Change one key and its value at a time: exactly the queries that may see it move.

    A row of the mask that hides every key is not defined by the assignment, and is not looked at.
    """
    q, k, v = inputs()
    defined = mask.expand(2, 1, LENGTH, LENGTH)[:, 0].any(dim=-1)
    before = attend(attention, q, k, v, mask)
    for key in range(LENGTH):
        k2, v2 = k.clone(), v.clone()
        generator = torch.Generator().manual_seed(key)
        k2[:, :, key] += 3 * torch.randn(k2[:, :, key].shape, generator=generator)
        v2[:, :, key] += 3 * torch.randn(v2[:, :, key].shape, generator=generator)
        moved = differs(before, attend(attention, q, k2, v2, mask)).any(dim=-1).any(dim=1)
        may = mask.expand(2, 1, LENGTH, LENGTH)[:, 0, :, key]
        leaks, deaf = moved & ~may & defined, ~moved & may & defined
        if leaks.any():
            sample, query = leaks.nonzero()[0].tolist()
            fail(f"key {key} is hidden from query {query}, but moves its output", key=key, query=query, sample=sample)
        if deaf.any():
            sample, query = deaf.nonzero()[0].tolist()
            fail(f"key {key} is visible to query {query}, but has no influence", key=key, query=query, sample=sample)


def equals_attention_without(attention, mask, visible):
    """Hiding the last keys must come to the same as not having them: the weights of the rest add up to one."""
    q, k, v = inputs(batch=1, loud=LOUD)
    short = attention.scaled_dot_product(q, k[:, :, :visible], v[:, :, :visible])
    short = short[0] if isinstance(short, list) and short else short
    assert_close(attend(attention, q, k, v, mask), short, f"the output with all but {visible} keys hidden", atol=1e-4)


def test_padding(student):
    """A padding mask (B,1,1,S): padded keys have no influence, the others keep theirs"""
    attention = student.MultiHeadAttention(HEADS * WIDTH, HEADS)
    mask = torch.ones(2, 1, 1, LENGTH, dtype=torch.bool)
    mask[0, :, :, 4:] = False
    mask[1, :, :, 5:] = False
    hides_what_it_must(attention, mask)
    only = (torch.arange(LENGTH) < 4).view(1, 1, 1, LENGTH)
    equals_attention_without(attention, only, visible=4)


def test_causal(student):
    """A causal mask (1,1,T,T): the future has no influence on the past"""
    attention = student.MultiHeadAttention(HEADS * WIDTH, HEADS)
    causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril().view(1, 1, LENGTH, LENGTH)
    hides_what_it_must(attention, causal)


def test_combined(student):
    """A target mask (B,1,T,T), padding and future together, as generate_mask builds it"""
    attention = student.MultiHeadAttention(HEADS * WIDTH, HEADS)
    real = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    hides_what_it_must(attention, real.view(2, 1, LENGTH, 1) & causal)
    hides_what_it_must(attention, real.view(2, 1, 1, LENGTH) & causal)
