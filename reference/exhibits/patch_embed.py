"""Which patch goes into which token: one patch of an image is changed at a time."""

import torch

from grader.checking import assert_shape, differs, figure

IMAGE, PATCH, WIDTH = 28, 7, 8
SIDE = IMAGE // PATCH


def moved(embed):
    """1 where replacing a patch moves a token, else 0: (patches, tokens). All patches in one batch."""
    count = SIDE * SIDE
    x = torch.randn(1, 1, IMAGE, IMAGE, generator=torch.Generator().manual_seed(9)).repeat(count + 1, 1, 1, 1)
    for number in range(count):  # the last image stays as it is
        top, left = PATCH * (number // SIDE), PATCH * (number % SIDE)
        x[number, :, top : top + PATCH, left : left + PATCH] += 2.0
    tokens = assert_shape(embed(x), (count + 1, count, WIDTH))
    return differs(tokens[:-1], tokens[-1:].expand(count, -1, -1)).any(dim=-1).float()


def exhibit_tokens(student, oracle):
    """Which patch goes into which token"""
    size = {"img_size": IMAGE, "patch_size": PATCH, "in_chans": 1, "embed_dim": WIDTH}
    right = oracle.once("exhibit_tokens", lambda: moved(oracle.PatchEmbed(**size)))
    return figure(
        f"An image of {IMAGE} × {IMAGE} in patches of {PATCH} × {PATCH}: {SIDE * SIDE} patches, numbered row by row. "
        "Each must move one token alone, and the tokens must stand in the order of the patches: a diagonal line.",
        {"Yours": moved(student.PatchEmbed(**size)), "As it should be": right},
        limits=(0.0, 1.0),
        row="patch",
        col="token",
    )
