"""Vision Transformer: patches, class token in front, learnable positions, blocks, norm, class token to the head."""

import torch

from grader.checking import adopt, assert_close, assert_shape, fail, randomise, together

SETTINGS = {"img_size": 28, "patch_size": 7, "in_chans": 1, "num_classes": 10, "embed_dim": 16, "depth": 3}
SETTINGS |= {"num_heads": 4, "mlp_ratio": 2.0}
PATCHES = 16


def pictures(batch=2):
    return torch.randn(batch, 1, 28, 28, generator=torch.Generator().manual_seed(13))


def parts_of(student, depth, built=None):
    """The tensors of a model, and how many blocks it has: what three checks build, or look at, is built once."""

    def look():
        model = built or student.VisionTransformer(**(SETTINGS | {"depth": depth}))
        return model.tensors, len(model.of_class("Block"))

    return student.once(("parts", depth), look)


def test_shape(student):
    """(B, C, H, W) in, (B, num_classes) out"""
    models = [
        student.VisionTransformer(**(SETTINGS | {"patch_size": p, "num_classes": n})) for p, n in ((7, 10), (14, 7))
    ]
    logits = together(zip(models, ((pictures(3),), (pictures(1),)), strict=True))
    for answer, shape in zip(logits, ((3, 10), (1, 7)), strict=True):
        assert_shape(answer, shape, "the logits")
    parts_of(student, SETTINGS["depth"], models[0])


def test_learnable(student):
    """A class token (1, 1, D) and positions (1, num_patches + 1, D), both learnable"""
    tensors, _ = parts_of(student, SETTINGS["depth"])
    width = SETTINGS["embed_dim"]
    for what, shape in (("class token", (1, 1, width)), ("positions", (1, PATCHES + 1, width))):
        fitting = [info for info in tensors if info.shape == shape]
        if not fitting:
            fail(f"no {what}: nothing has shape {shape}", expected_shape=list(shape))
        if not any(info.kind == "parameter" and info.learnable for info in fitting):
            fail(f"the {what} are not learnable" if what == "positions" else "the class token is not learnable")


def test_depth(student):
    """As many blocks as depth says"""
    for depth in (1, 3):
        _, count = parts_of(student, depth)
        if count != depth:
            fail(f"with depth={depth} the model has {count} blocks", depth=depth, found=count)


def test_output(student, oracle):
    """Class token first, positions on every token, all blocks, the norm, and logits from the class token alone"""
    theirs, ours = student.VisionTransformer(**SETTINGS), oracle.VisionTransformer(**SETTINGS)
    randomise(theirs)
    answer = theirs(pictures())
    adopt(
        theirs, ours, lambda: assert_close(answer, ours(pictures()), "the logits", atol=1e-4), ("PatchEmbed", "Block")
    )


def agrees(student, oracle):
    """For the diagnosis: the same logits, the same things learnable, as many blocks."""
    test_output(student, oracle)
    for depth in (1, 3):
        settings = SETTINGS | {"depth": depth}
        theirs, ours = student.VisionTransformer(**settings), oracle.VisionTransformer(**settings)
        if len(theirs.of_class("Block")) != sum(type(module).__name__ == "Block" for module in ours.modules()):
            fail("another number of blocks")
        width = settings["embed_dim"]
        for shape in ((1, 1, width), (1, PATCHES, width), (1, PATCHES + 1, width)):
            learnable = [info for info in theirs.tensors if info.shape == shape and info.learnable]
            if len(learnable) != sum(tuple(parameter.shape) == shape for parameter in ours.parameters()):
                fail(f"another number of learnable tensors of shape {shape}")
