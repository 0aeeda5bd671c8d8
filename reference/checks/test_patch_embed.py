"""Patch embedding: the image is cut into patches, row by row, and each becomes one token by the same linear map."""

import itertools

import torch

from grader.checking import assert_close, assert_shape, differs, fail

SIZES = [(28, 4, 1, 12), (28, 7, 1, 8), (24, 8, 3, 10)]  # (img_size, patch_size, in_chans, embed_dim)


def build(student, size):
    image, patch, channels, width = size
    return student.PatchEmbed(img_size=image, patch_size=patch, in_chans=channels, embed_dim=width)


def picture(size, batch=2, seed=0):
    image, _, channels, _ = size
    return torch.randn(batch, channels, image, image, generator=torch.Generator().manual_seed(seed))


def moved_by_patch(embed, size):
    """A bool matrix (patches in row-major order, tokens): does replacing the patch move the token?"""
    image, patch, _channels, width = size
    side = image // patch
    x = picture(size, batch=1)
    before = assert_shape(embed(x), (1, side * side, width))
    rows = []
    for number in range(side * side):
        top, left = patch * (number // side), patch * (number % side)
        changed = x.clone()
        changed[..., top : top + patch, left : left + patch] += 2.0
        rows.append(differs(before, embed(changed))[0].any(dim=-1))
    return torch.stack(rows)


def test_shape(student):
    """(B, C, H, W) in, (B, num_patches, embed_dim) out"""
    for size in SIZES:
        image, patch, _, width = size
        assert_shape(build(student, size)(picture(size, batch=3)), (3, (image // patch) ** 2, width))


def test_locality(student):
    """Each token depends on a patch of its own, and on nothing outside it"""
    for size in SIZES[1:]:
        moved = moved_by_patch(build(student, size), size)
        for patch, row in enumerate(moved):
            if int(row.sum()) != 1:
                fail(
                    f"patch {patch} moves {int(row.sum())} tokens", patch=patch, tokens=row.nonzero().flatten().tolist()
                )
        if not moved.any(dim=0).all():
            fail("a token depends on no patch at all", tokens=(~moved.any(dim=0)).nonzero().flatten().tolist())


def test_order(student):
    """Tokens follow the patches row by row: left to right, then down"""
    for size in SIZES[1:]:
        moved = moved_by_patch(build(student, size), size)
        for patch, row in enumerate(moved):
            if not row[patch]:
                fail(f"patch {patch} does not move token {patch}", patch=patch, tokens=row.nonzero().flatten().tolist())


def test_projection(student):
    """The same linear map for every patch, in which every pixel of every channel counts"""
    for size in SIZES:
        image, patch, channels, _ = size
        embed = build(student, size)
        a, b, zero = picture(size, seed=1), picture(size, seed=2), torch.zeros(2, channels, image, image)
        origin = embed(zero)
        mixed = 2.0 * (embed(a) - origin) - 3.0 * (embed(b) - origin) + origin
        assert_close(embed(2.0 * a - 3.0 * b), mixed, "the embedding of a mixture of two images", atol=1e-4)
        tile = torch.randn(1, channels, patch, patch, generator=torch.Generator().manual_seed(3))
        tokens = embed(tile.repeat(1, 1, image // patch, image // patch))
        assert_close(tokens, tokens[:, :1].expand_as(tokens), "the tokens of equal patches", atol=1e-4)
        pixels = torch.zeros(channels, patch, patch, channels, image, image)
        for channel, row, column in itertools.product(range(channels), range(patch), range(patch)):
            pixels[channel, row, column, channel, row, column] = 5.0
        moved = differs(embed(pixels.flatten(0, 2))[:, 0], origin[:1, 0].expand(channels * patch * patch, -1))
        deaf = (~moved.any(dim=-1)).view(channels, patch, patch).nonzero().tolist()
        if deaf:
            fail(f"{len(deaf)} pixels of a patch have no influence, the first at [channel, row, column] {deaf[0]}")
