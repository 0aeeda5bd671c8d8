"""Patch embedding: the image is cut into patches, row by row, and each becomes one token by the same linear map."""

import itertools

import torch

from grader.checking import (
    adopt,
    assert_close,
    assert_shape,
    at_once,
    differing_from,
    differs,
    fail,
    randomise,
    together,
    tolerance,
)
from grader.errors import Failed

SIZES = [(28, 4, 1, 12), (28, 7, 1, 8), (24, 8, 3, 10)]  # (img_size, patch_size, in_chans, embed_dim)


def build(side, size):
    """An embedding of the student's or of the oracle's."""
    image, patch, channels, width = size
    return side.PatchEmbed(img_size=image, patch_size=patch, in_chans=channels, embed_dim=width)


def picture(size, batch=2, seed=0):
    image, _, channels, _ = size
    return torch.randn(batch, channels, image, image, generator=torch.Generator().manual_seed(seed))


def answers(embed, inputs):
    """The embedding of each input: the student's are asked all at once."""
    return map(embed, inputs) if isinstance(embed, torch.nn.Module) else embed.each((one,) for one in inputs)


def moved_by_students_patch(student, size):
    """The same of the student's: two checks look at it, and it is asked once."""
    return student.once(("moved_by_patch", size), lambda: moved_by_patch(build(student, size), size))


def moved_by_patch(embed, size):
    """A bool matrix (patches in row-major order, tokens): does replacing the patch move the token?"""
    image, patch, _channels, width = size
    side = image // patch
    x = picture(size, batch=1)
    asked = [x]
    for number in range(side * side):
        top, left = patch * (number // side), patch * (number % side)
        changed = x.clone()
        changed[..., top : top + patch, left : left + patch] += 2.0
        asked.append(changed)

    def find(tokens):
        before = assert_shape(next(tokens), (1, side * side, width))
        return differing_from(before, tokens)[:, 0].any(dim=-1)

    each_its_own = torch.eye(side * side, dtype=torch.bool)
    return at_once(
        lambda inputs: answers(embed, [one for (one,) in inputs]),
        [(one,) for one in asked],
        find,
        lambda found: torch.equal(found, each_its_own),
    )


def test_shape(student):
    """(B, C, H, W) in, (B, num_patches, embed_dim) out"""
    tokens = together((build(student, size), (picture(size, batch=3),)) for size in SIZES)
    for (image, patch, _, width), answer in zip(SIZES, tokens, strict=True):
        assert_shape(answer, (3, (image // patch) ** 2, width))


def test_locality(student):
    """Each token depends on a patch of its own, and on nothing outside it"""
    for size in SIZES[1:]:
        moved = moved_by_students_patch(student, size)
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
        moved = moved_by_students_patch(student, size)
        for patch, row in enumerate(moved):
            if not row[patch]:
                fail(f"patch {patch} does not move token {patch}", patch=patch, tokens=row.nonzero().flatten().tolist())


def tokens_of(embed, size, *images):
    """The tokens of each batch of images, in the shape that they must have: what follows computes with them."""
    image, patch, _, width = size
    for x, tokens in zip(images, answers(embed, images), strict=True):
        yield assert_shape(tokens, (len(x), (image // patch) ** 2, width))


def single_pixels(size):
    """No pixel, and then each pixel of the first patch alone."""
    image, patch, channels, _ = size
    pixels = torch.zeros(channels, patch, patch, channels, image, image)
    for channel, row, column in itertools.product(range(channels), range(patch), range(patch)):
        pixels[channel, row, column, channel, row, column] = 5.0
    return torch.zeros(1, channels, image, image), pixels.flatten(0, 2)


def responses(origin, moved):
    """What each pixel adds to the first token, from the tokens of `single_pixels`: (pixels, embed_dim)."""
    return moved[:, 0] - origin[:, 0]


def deaf_pixels(moved):
    """Numbers of the pixels that add nothing."""
    return (~differs(moved, torch.zeros_like(moved)).any(dim=-1)).nonzero().flatten().tolist()


def twin_pixels(moved):
    """The first two pixels that add the same, so that no weights tell them apart; at most one pair."""
    distance = torch.cdist(moved, moved, p=float("inf")).fill_diagonal_(float("inf"))
    return (distance <= tolerance()[1]).nonzero().tolist()[:1]


def mixture(size):
    """Nothing, two images, and a mixture of these."""
    a, b = picture(size, seed=1), picture(size, seed=2)
    return torch.zeros_like(a), a, b, 2.0 * a - 3.0 * b


def assert_linear(origin, of_a, of_b, of_mixture):
    """Fail unless the tokens of a mixture are the mixture of the tokens."""
    mixed = 2.0 * (of_a - origin) - 3.0 * (of_b - origin) + origin
    assert_close(of_mixture, mixed, "the embedding of a mixture of two images", atol=1e-4)


def test_projection(student):
    """The same linear map for every patch, in which every pixel of every channel counts"""
    for size in SIZES:
        image, patch, channels, _ = size
        tile = torch.randn(1, channels, patch, patch, generator=torch.Generator().manual_seed(3))
        tiled = tile.repeat(1, 1, image // patch, image // patch)
        found = tokens_of(build(student, size), size, *mixture(size), tiled, *single_pixels(size))
        assert_linear(*itertools.islice(found, 4))
        tokens = next(found)
        assert_close(tokens, tokens[:, :1].expand_as(tokens), "the tokens of equal patches", atol=1e-4)
        moved = responses(*found)
        place = f"of a patch of {channels} x {patch} x {patch}, counted from 0"
        if deaf := deaf_pixels(moved):
            fail(f"{len(deaf)} pixels have no influence, the first is number {deaf[0]} {place}", pixels=deaf)
        if twins := twin_pixels(moved):
            fail(f"pixels {twins[0][0]} and {twins[0][1]} {place}, share their weights", pixels=twins[0])


def agrees(student, oracle):
    """For the diagnosis: the same shapes, patches that move the same tokens, the same kind of map from pixels."""
    for size in SIZES[1:]:
        theirs, ours = build(student, size), build(oracle, size).requires_grad_(False)
        shapes = [tuple(embed(picture(size)).shape) for embed in (theirs, ours)]
        kinds = [kind_of_map(embed, size, shape) for embed, shape in zip((theirs, ours), shapes, strict=True)]
        if shapes[0] != shapes[1] or kinds[0] != kinds[1]:
            fail("another kind of map")
        if kinds[0] == NOT_LINEAR:  # nothing but equal outputs says that two such maps are the same
            randomise(theirs)
            answer = theirs(picture(size))
            adopt(theirs, ours, lambda a=answer, o=ours, s=size: assert_close(a, o(picture(s)), atol=1e-4))


NOT_LINEAR = ("not linear",)


def kind_of_map(embed, size, shape):
    """Facts about the map that do not depend on its weights, for comparing with ==."""
    image, patch, _, width = size
    if shape[1:] != ((image // patch) ** 2, width):
        return ()
    try:
        assert_linear(*tokens_of(embed, size, *mixture(size)))
    except Failed:
        return NOT_LINEAR
    moved = responses(*tokens_of(embed, size, *single_pixels(size)))
    return moved_by_patch(embed, size).tolist(), deaf_pixels(moved), twin_pixels(moved)
