"""Ten checks as a teacher writes them for pytest, nbgrader or Otter: one for each criterion that looks at code.

They look for the same facts as the grader's 37, with fewer cases and no words for the student. The names that they
use are the submission's own. No check needs the others, so that each can stand in a cell of its own.
"""

import torch
from submission import *  # noqa: F403 - as in a notebook, where the student's names are simply there

# ruff: noqa: F405 - see above


def test_positional_encoding():
    position, column = torch.arange(30.0).view(-1, 1), torch.arange(0, 16, 2.0)
    angle = position / 10000 ** (column / 16)
    expected = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)
    answer = PositionalEncoding(16, 40)(torch.zeros(1, 30, 16))[0]
    assert torch.allclose(answer, expected, atol=1e-4)


def test_attention():
    layer = MultiHeadAttention(16, 4).eval()
    q, k, v = (torch.randn(2, 4, length, 4) for length in (5, 7, 7))
    answer = layer.scaled_dot_product(q, k, v)
    answer = answer[0] if isinstance(answer, tuple) else answer
    assert torch.allclose(answer, torch.nn.functional.scaled_dot_product_attention(q, k, v), atol=1e-5)
    answer = layer(*(torch.randn(2, length, 16) for length in (5, 7, 7)))
    answer = answer[0] if isinstance(answer, tuple) else answer
    assert answer.shape == (2, 5, 16)


def test_masking():
    layer = MultiHeadAttention(8, 2).eval()
    mask = torch.ones(6, 6, dtype=torch.bool).tril().view(1, 1, 6, 6)
    q, k, v = (torch.randn(2, 2, 6, 4) for _ in range(3))
    before = layer.scaled_dot_product(q, k, v, mask)
    for key in range(1, 6):
        other = v.clone()
        other[:, :, key] += 3.0
        after = layer.scaled_dot_product(q, k, other, mask)
        before_, after_ = (x[0] if isinstance(x, tuple) else x for x in (before, after))
        assert torch.equal(before_[:, :, :key], after_[:, :, :key])
        assert not torch.allclose(before_[:, :, key], after_[:, :, key])


def test_encoder():
    layer, x, mask = EncoderLayer(16, 2, 24, 0.5), torch.randn(2, 5, 16), torch.ones(2, 1, 1, 5, dtype=torch.bool)
    layer.eval()
    assert layer(x, mask).shape == x.shape
    assert torch.equal(layer(x, mask), layer(x, mask))
    assert torch.allclose(layer(x, mask).mean(dim=-1), torch.zeros(2, 5), atol=1e-4)  # a norm comes last
    layer.train()
    assert not torch.equal(layer(x, mask), layer(x, mask))


def test_decoder():
    layer = DecoderLayer(16, 2, 24, 0.1).eval()
    x, encoded = torch.randn(2, 4, 16), torch.randn(2, 6, 16)
    cross, causal = torch.ones(2, 1, 1, 6, dtype=torch.bool), torch.ones(4, 4, dtype=torch.bool).tril().view(1, 1, 4, 4)
    before = layer(x, encoded, cross, causal)
    changed = x.clone()
    changed[:, -1] += 3.0
    after = layer(changed, encoded, cross, causal)
    assert before.shape == x.shape
    assert torch.allclose(before[:, :-1], after[:, :-1], atol=1e-5)
    assert not torch.allclose(before, layer(x, encoded + 1.0 * torch.randn(2, 6, 16), cross, causal))


def test_patch_embed():
    layer, images = PatchEmbed(img_size=28, patch_size=7, in_chans=1, embed_dim=8).eval(), torch.randn(1, 1, 28, 28)
    before = layer(images)
    assert before.shape == (1, 16, 8)
    for patch in range(16):
        top, left = 7 * (patch // 4), 7 * (patch % 4)
        changed = images.clone()
        changed[..., top : top + 7, left : left + 7] += 2.0
        moved = (layer(changed) - before).abs().amax(dim=(0, 2)) > 1e-5
        assert moved.nonzero().flatten().tolist() == [patch]


def test_vit_attention():
    layer, x = Attention(16, num_heads=4).eval(), torch.randn(2, 5, 16)
    q, k, v = layer.qkv(x).view(2, 5, 3, 4, 4).permute(2, 0, 3, 1, 4)
    heads = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 5, 16)
    assert torch.allclose(layer(x), layer.proj(heads), atol=1e-5)


def test_mlp():
    for hidden, out in ((20, 12), (20, None), (None, 12)):
        layer = Mlp(8, hidden_features=hidden, out_features=out)
        assert layer(torch.randn(2, 3, 8)).shape == (2, 3, out or 8)
        sizes = sorted(p.numel() for p in layer.parameters() if p.dim() == 2)
        assert sizes == sorted((8 * (hidden or 8), (hidden or 8) * (out or 8)))


def test_block():
    layer, x = Block(16, 4, mlp_ratio=2.0).eval(), torch.randn(2, 6, 16)
    middle = x + layer.attn(layer.norm1(x))
    assert torch.allclose(layer(x), middle + layer.mlp(layer.norm2(middle)), atol=1e-5)


def test_vit():
    settings = {"img_size": 28, "patch_size": 7, "in_chans": 1, "num_classes": 10, "embed_dim": 16, "depth": 2}
    model = VisionTransformer(**settings, num_heads=4).eval()
    assert model(torch.randn(3, 1, 28, 28)).shape == (3, 10)
    assert isinstance(model.pos_embed, torch.nn.Parameter)
    assert model.pos_embed.shape == (1, 17, 16)
