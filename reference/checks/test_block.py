"""The ViT's block: x + attn(norm1(x)), then x + mlp(norm2(x))."""

import torch

from grader.checking import adopt, assert_close, differs, fail, randomise

DIM, HEADS, MLP_RATIO = 16, 4, 2.0  # as in the ViT's checks, which build upon what is found out here


def tokens():
    return torch.randn(2, 6, DIM, generator=torch.Generator().manual_seed(11)) + 0.5


def test_residuals(student):
    """Residuals run past both sublayers untouched: with silent sublayers the block hands its input on"""
    block = student.Block(DIM, HEADS, mlp_ratio=3.0)
    state = block.state()
    inside = [m.path + "." for m in block.of_class("Attention", "Mlp")]
    if not differs(block(tokens()), tokens()).any():
        fail("the block hands its input on unchanged: its sublayers play no part")
    block.load({n: torch.zeros_like(t) for n, t in state.items() if n.startswith(tuple(inside))})
    assert_close(block(tokens()), tokens(), "the output of a block whose sublayers give zeros")


def test_output(student, oracle):
    """Pre-norm: each sublayer gets the normalised input, and its output is added to what came in"""
    theirs, ours = student.Block(DIM, HEADS, MLP_RATIO), oracle.Block(DIM, HEADS, MLP_RATIO)
    randomise(theirs)
    answer = theirs(tokens())
    # Another eps in its norms moves the output by up to 3e-5.
    adopt(
        theirs,
        ours,
        lambda: assert_close(answer, ours(tokens()), "the block's output", atol=2e-4),
        ("Attention", "Mlp"),
    )


def agrees(student, oracle):
    """For the diagnosis: the same answers."""
    test_output(student, oracle)
