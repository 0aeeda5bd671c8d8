"""Which key moves which query: one key and its value are changed at a time, under each kind of mask."""

import torch

from grader.checking import assert_shape, figure

HEADS, WIDTH, LENGTH, PADDED = 2, 4, 8, 3


def influence(attention, mask):
    """How far changing one key moves one query's output at most: (queries, keys). All keys in one batch."""
    generator = torch.Generator().manual_seed(21)
    q, k, v = (torch.randn(1, HEADS, LENGTH, WIDTH, generator=generator) for _ in range(3))
    q, k, v = (x.repeat(LENGTH + 1, 1, 1, 1) for x in (q, k, v))  # the last one stays as it is
    for key in range(LENGTH):
        k[key, :, key] += 2.0 * torch.randn(HEADS, WIDTH, generator=generator)
        v[key, :, key] += 2.0 * torch.randn(HEADS, WIDTH, generator=generator)
    answer = attention.scaled_dot_product(q, k, v, mask.expand(LENGTH + 1, 1, -1, -1))
    answer = answer[0] if isinstance(answer, list) and answer else answer
    answer = assert_shape(answer, tuple(q.shape), "scaled_dot_product's output")
    return (answer[:-1] - answer[-1:]).abs().amax(dim=(1, 3)).T  # (keys, queries) to (queries, keys)


def show(student, oracle, mask, caption):
    yours = influence(student.MultiHeadAttention(HEADS * WIDTH, HEADS), mask)
    right = oracle.once(caption, lambda: influence(oracle.MultiHeadAttention(HEADS * WIDTH, HEADS), mask))
    return figure(
        f"{caption} The darker a cell, the further changing this key moves this query's output.",
        {"Yours": yours, "As it should be": right},
        limits=(0.0, max(float(right.max()), 1e-3)),
        row="query",
        col="key",
    )


def padding():
    return (torch.arange(LENGTH) < LENGTH - PADDED).view(1, 1, 1, LENGTH)


def causal():
    return torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril().view(1, 1, LENGTH, LENGTH)


def exhibit_padding(student, oracle):
    """Who hears whom under a padding mask"""
    caption = f"The last {PADDED} keys are padding: their columns must be empty, for every query."
    return show(student, oracle, padding(), caption)


def exhibit_causal(student, oracle):
    """Who hears whom under a causal mask"""
    return show(student, oracle, causal(), "The future is hidden: everything above the diagonal must be empty.")


def exhibit_combined(student, oracle):
    """Who hears whom under both masks"""
    caption = "Padding and future together: no column of a padded key, nothing above the diagonal."
    return show(student, oracle, padding() & causal(), caption)
