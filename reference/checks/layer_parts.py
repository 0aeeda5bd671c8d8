"""What the encoder's and the decoder's checks share: counting parts, and dropout at its two ends."""

from grader.checking import assert_close, differs, fail


def norms(layer, dim):
    """Paths of the modules that can be a LayerNorm: by class, or by having just a gain and a bias of size dim."""
    owned = {}
    for info in layer.tensors:
        path, _, _ = info.name.rpartition(".")
        owned.setdefault(path, []).append(info.shape)
    found = []
    for module in layer.modules:
        shapes = owned.get(module.path, [])
        by_hand = not module.children and 1 <= len(shapes) <= 2 and all(shape == (dim,) for shape in shapes)
        if module.path and ("LayerNorm" in module.bases or by_hand):
            found.append(module.path)
    return found


def expect_parts(layer, dim, attentions, norm_count):
    """Fail unless the layer has these many attentions and norms, and one FFN."""
    attention_paths = [m.path for m in layer.of_class("MultiHeadAttention", "MultiheadAttention")]
    outside = [p for p in norms(layer, dim) if not any(p.startswith(a + ".") for a in attention_paths)]
    found = {"attention": len(attention_paths), "FFN": len(layer.of_class("FFN")), "LayerNorm": len(outside)}
    expected = {"attention": attentions, "FFN": 1, "LayerNorm": norm_count}
    for part, count in expected.items():
        if found[part] != count:
            fail(f"expected {count} {part}, found {found[part]}", expected=expected, found=found)


def expect_dropout(build, run, agree):
    """Dropout acts in training only, on the output of every sublayer, with the p that was asked for.

    build(p) makes a layer; run(layer, **mode) calls it; agree(layer, p) compares it in training mode with the
    reference. With p=1 every sublayer's output is gone, and what is left is certain; so is p=0.
    """
    half = build(0.5)
    if differs(run(half, seed=1), run(half, seed=2)).any():
        fail("two passes in eval mode differ: dropout is still on")
    if not differs(run(half, training=True, seed=1), run(half, training=True, seed=2)).any():
        fail("two passes in training mode are equal: there is no dropout")
    none = build(0.0)
    assert_close(run(none, training=True, seed=1), run(none), "with dropout=0.0 the output in training")
    agree(build(1.0), 1.0)
