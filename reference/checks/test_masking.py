"""Masks are boolean, True = may attend. What is hidden must have no influence, what is visible must keep its own."""

import torch

from grader.checking import assert_close, assert_shape, at_once, differing_from, fail

HEADS, WIDTH, LENGTH = 2, 4, 6
LOUD = 60.0


def attend(attention, q, k, v, mask):
    return checked(attention.scaled_dot_product(q, k, v, mask), q)


def attend_each(attention, inputs):
    """The answers to several (q, k, v, mask), in their order."""
    answers = attention.call_each("scaled_dot_product", inputs)
    return (checked(answer, q) for answer, (q, *_) in zip(answers, inputs, strict=True))


def checked(answer, q):
    answer = answer[0] if isinstance(answer, list) and answer else answer
    return assert_shape(answer, tuple(q.shape), "scaled_dot_product's output")


def inputs(batch=2, loud=1.0):
    generator = torch.Generator().manual_seed(7)
    q, k, v = (torch.randn(batch, HEADS, LENGTH, WIDTH, generator=generator) for _ in range(3))
    return q * loud, k, v


def loud_inputs(batch=2):
    """Scores that tell a fill that is effectively -inf (-1e4 and below) from one that is not (-1, -100).

    Those of the first query are all about -360.
    """
    q, k, v = inputs(batch, LOUD)
    q[:, :, 0] = -LOUD
    return q, k + 3.0, v


def hides_what_it_must(attention, mask):
    """Change one key and its value at a time: exactly the queries that may see it move.

    A row of the mask that hides every key is not defined by the assignment, and is not looked at.
    """
    q, k, v = inputs()
    defined = mask.expand(2, 1, LENGTH, LENGTH)[:, 0].any(dim=-1)
    asked = [(q, k, v, mask)]
    for key in range(LENGTH):
        k2, v2 = k.clone(), v.clone()
        generator = torch.Generator().manual_seed(key)
        k2[:, :, key] += 3 * torch.randn(k2[:, :, key].shape, generator=generator)
        v2[:, :, key] += 3 * torch.randn(v2[:, :, key].shape, generator=generator)
        asked.append((q, k2, v2, mask))

    def judge(answers):
        moved = differing_from(next(answers), answers).any(dim=4).any(dim=2)  # (keys, batch, queries)
        may = mask.expand(2, 1, LENGTH, LENGTH)[:, 0].movedim(2, 0)
        wrong = (moved != may) & defined
        for key, sample, query in wrong.nonzero().tolist():
            place = {"key": key, "query": query, "sample": sample}
            if moved[key, sample, query]:
                fail(f"key {key} is hidden from query {query}, but moves its output", **place)
            fail(f"key {key} is visible to query {query}, but has no influence", **place)

    at_once(lambda inputs: attend_each(attention, inputs), asked, judge)


def equals_attention_without(attention, mask, visible):
    """Hiding the last keys must come to the same as not having them: the weights of the rest add up to one."""
    q, k, v = loud_inputs(batch=1)
    asked = [(q, k[:, :, :visible], v[:, :, :visible], None), (q, k, v, mask)]
    short, hidden = attend_each(attention, asked)
    assert_close(hidden, short, f"the output with all but {visible} keys hidden", atol=1e-4)


def padding_mask():
    """(B,1,1,S): the last keys are padding, one more in the first sentence."""
    mask = torch.ones(2, 1, 1, LENGTH, dtype=torch.bool)
    mask[0, :, :, 4:] = False
    mask[1, :, :, 5:] = False
    return mask


def causal_mask():
    """(1,1,T,T): the lower triangle."""
    return torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril().view(1, 1, LENGTH, LENGTH)


def combined_masks():
    """(B,1,T,T), as generate_mask builds it, and with padded keys in place of padded queries."""
    real = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    return real.view(2, 1, LENGTH, 1) & causal_mask(), real.view(2, 1, 1, LENGTH) & causal_mask()


def test_padding(student):
    """A padding mask (B,1,1,S): padded keys have no influence, the others keep theirs"""
    attention = student.MultiHeadAttention(HEADS * WIDTH, HEADS)
    hides_what_it_must(attention, padding_mask())
    only = (torch.arange(LENGTH) < 4).view(1, 1, 1, LENGTH)
    equals_attention_without(attention, only, visible=4)


def test_causal(student):
    """A causal mask (1,1,T,T): the future has no influence on the past"""
    hides_what_it_must(student.MultiHeadAttention(HEADS * WIDTH, HEADS), causal_mask())


def test_combined(student):
    """A target mask (B,1,T,T), padding and future together, as generate_mask builds it"""
    attention = student.MultiHeadAttention(HEADS * WIDTH, HEADS)
    for mask in combined_masks():
        hides_what_it_must(attention, mask)


def agrees(student, oracle):
    """For the diagnosis: the same answers under every mask, wherever a query may see a key."""
    theirs, ours = student.MultiHeadAttention(HEADS * WIDTH, HEADS), oracle.MultiHeadAttention(HEADS * WIDTH, HEADS)
    for qkv in (inputs(), loud_inputs()):
        assert_close(attend(theirs, *qkv, None), ours.scaled_dot_product(*qkv), "the output without a mask")
        for mask in (padding_mask(), causal_mask(), *combined_masks()):
            defined = mask.expand(2, 1, LENGTH, LENGTH).any(dim=-1, keepdim=True)
            answers = [attend(side, *qkv, mask).where(defined, 0.0) for side in (theirs, ours)]
            assert_close(*answers, "the output under a mask", atol=1e-4)
