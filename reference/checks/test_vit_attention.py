"""The ViT's attention: q, k, v from one layer, scaled by head_dim^-0.5, softmax over the tokens, then proj."""

import several_sizes
import torch

from grader.checking import assert_close, assert_shape, at_once, fail, moved, together, variations

SIZES = [(16, 4, 5), (24, 2, 9)]  # (dim, num_heads, tokens)


def tokens_of(dim, count, batch=2):
    return torch.randn(batch, count, dim, generator=torch.Generator().manual_seed(dim))


def test_shape(student):
    """(B, N, dim) in, (B, N, dim) out"""
    answers = together(
        (student.Attention(dim, num_heads=heads), (tokens_of(dim, count, batch=3),)) for dim, heads, count in SIZES
    )
    for (dim, _, count), answer in zip(SIZES, answers, strict=True):
        assert_shape(answer, (3, count, dim))


def test_equations(student, oracle):
    """With the same weights the same output: qkv in the order q, k, v, heads apart, scaled, softmax, proj"""
    layers = [
        (student.Attention(dim, num_heads=heads), oracle.Attention(dim, num_heads=heads), (tokens_of(dim, count),), 1)
        for dim, heads, count in SIZES
    ]
    several_sizes.agree(layers, "the attention's output")


def test_tokens(student):
    """Without positions the order of the tokens does not matter: permuting the input permutes the output"""
    dim, heads, count = SIZES[1]
    attention = student.Attention(dim, num_heads=heads)
    x = tokens_of(dim, count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    answers = attention.each([(x,), (x[:, order],)])
    straight = assert_shape(next(answers), tuple(x.shape))
    assert_close(next(answers), straight[:, order], "the output for permuted tokens")
    at_once(attention.each, [(one,) for one in variations(x)], lambda outputs: assert_all_hear_all(moved(outputs)))


def assert_all_hear_all(by_token):
    """Fail unless every token moves the output for every token."""
    if deaf := (~by_token).nonzero().tolist():
        fail(f"token {deaf[0][0]} has no influence on the output for token {deaf[0][1]}", tokens=deaf[0])


def agrees(student, oracle):
    """For the diagnosis: the same answers."""
    test_equations(student, oracle)
