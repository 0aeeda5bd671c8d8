"""Multi-head attention: softmax(Q K^T / sqrt(word_dim)) V in each head, between four linear layers."""

import itertools

import several_sizes
import torch

from grader.checking import assert_close, assert_shape, at_once, differing_from, differs, fail, randomise, together

SIZES = [(16, 4), (24, 3)]  # (dim, head_num)


def heads_of(dim, heads, queries, keys, seed=0):
    """Q, K, V as split leaves them: (batch, heads, length, word_dim)."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, heads, length, dim // heads, generator=generator) for length in (queries, keys, keys)]


def without_weights(answer):
    """That of scaled_dot_product, which may come with the weights beside it."""
    return answer[0] if isinstance(answer, list) and answer else answer


def distinct(tensors, dim):
    """How many different dim x dim matrices there are; a fused layer holds several."""
    matrices = [piece for tensor in tensors if tensor.dim() == 2 for piece in tensor.split(dim)]
    return sum(all(a.shape != b.shape or differs(a, b).any() for b in matrices[:i]) for i, a in enumerate(matrices))


def test_scaled_dot_product(student, oracle):
    """scaled_dot_product computes softmax(Q K^T / sqrt(word_dim)) V with the softmax over the keys"""
    asked = [(student.MultiHeadAttention(*size), heads_of(*size, queries=5, keys=7)) for size in SIZES]
    answers = map(without_weights, together(asked, "scaled_dot_product"))
    for size, (_, qkv), answer in zip(SIZES, asked, answers, strict=True):
        expected = oracle.MultiHeadAttention(*size).scaled_dot_product(*qkv)
        assert_close(answer, expected, "scaled_dot_product's output")


def test_heads_apart(student):
    """Each head attends by itself: what is in one head moves no other"""
    attention = student.MultiHeadAttention(16, 4)
    qkv = heads_of(16, 4, queries=5, keys=6)
    changes = list(itertools.product(range(4), range(3)))
    asked = [tuple(qkv)]
    for head, number in changes:
        changed = [x.clone() for x in qkv]
        part = changed[number][:, head]
        part += 2 * torch.randn(part.shape, generator=torch.Generator().manual_seed(head))
        asked.append(tuple(changed))

    def judge(answers):
        before = assert_shape(next(answers), (2, 4, 5, 4), "scaled_dot_product's output")
        moved = differing_from(before, answers).any(dim=4).any(dim=3).any(dim=1)
        for (head, number), row in zip(changes, moved, strict=True):
            if (heads := row.nonzero().flatten().tolist()) != [head]:
                name = ("queries", "keys", "values")[number]
                fail(f"a change of head {head}'s {name} moves heads {heads}", head=head, moved=heads)

    at_once(lambda inputs: map(without_weights, attention.call_each("scaled_dot_product", inputs)), asked, judge)


def test_forward(student, oracle):
    """forward projects with W_q, W_k, W_v, splits into heads, attends, combines and projects with W_o"""
    layers = []
    for dim, heads in SIZES:
        generator = torch.Generator().manual_seed(dim)
        inputs = [torch.randn(2, length, dim, generator=generator) for length in (4, 6, 6)]
        layers.append((student.MultiHeadAttention(dim, heads), oracle.MultiHeadAttention(dim, heads), inputs, heads))
    several_sizes.agree(layers, "the attention's output")


def test_layers(student):
    """Four linear layers of their own, each from dim to dim: W_q, W_k, W_v, W_o"""
    dim = 12
    attention = student.MultiHeadAttention(dim, 3)
    randomise(attention)
    own = {module.path for module in attention.modules}  # a layer that is registered twice counts once
    weights = [
        info.shape
        for info in attention.tensors
        if info.kind == "parameter" and len(info.shape) == 2 and info.name.rpartition(".")[0] in own
    ]
    if sum(rows * columns for rows, columns in weights) != 4 * dim * dim:
        fail(f"expected four {dim} x {dim} weight matrices, found {weights or 'none'}", shapes=str(weights))
    if distinct(attention.weights.values(), dim) < 4:
        fail("two of the four layers are one and the same")


def agrees(student, oracle):
    """For the diagnosis: the same answers from scaled_dot_product and forward, from as many layers."""
    test_scaled_dot_product(student, oracle)
    test_forward(student, oracle)
    theirs, ours = student.MultiHeadAttention(12, 3), oracle.MultiHeadAttention(12, 3)
    randomise(theirs)
    if distinct(theirs.weights.values(), 12) != distinct(ours.parameters(), 12):
        fail("another number of layers")
