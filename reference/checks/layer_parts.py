"""What the encoder's and the decoder's checks share: counting parts, and dropout at its two ends."""

import itertools

import torch

from grader.checking import adopt, assert_close, differs, fail
from grader.errors import Raised


def norms(layer, dim):
    """Paths of the modules that can be a LayerNorm: by class, or by owning just a gain and a bias of size dim."""
    owned = {}
    for info in layer.tensors:
        path, _, _ = info.name.rpartition(".")
        owned.setdefault(path, []).append(tuple(size for size in info.shape if size != 1))
    found = []
    for module in layer.modules:
        shapes = owned.get(module.path, [])
        inside = any(module.path.startswith(path + ".") for path in found)
        last = not any(path.startswith(module.path + ".") for path in owned)  # nothing below it learns anything
        by_hand = last and 1 <= len(shapes) <= 2 and all(shape == (dim,) for shape in shapes)
        if module.path and not inside and ("LayerNorm" in module.bases or by_hand):
            found.append(module.path)
    return found


def parts(layer, dim, ffn_dim):
    """How many attentions, feed-forward networks and LayerNorms a layer of the student's has."""
    attentions = [m.path for m in layer.of_class("MultiHeadAttention", "MultiheadAttention")]
    outside = [p for p in norms(layer, dim) if not any(p.startswith(a + ".") for a in attentions)]
    shapes = [info.shape for info in layer.tensors]
    written_out = (ffn_dim, dim) in shapes and (dim, ffn_dim) in shapes  # in the layer, without the given class
    ffns = len(layer.of_class("FFN")) or int(written_out)
    return {"attention": len(attentions), "FFN": ffns, "LayerNorm": len(outside)}


def oracle_parts(layer):
    """The same of the oracle's."""
    kinds = [type(module).__name__ for module in layer.modules()]
    ffns = kinds.count("FFN") or int("Linear" in {type(m).__name__ for m in direct(layer)})
    return {"attention": kinds.count("MultiHeadAttention"), "FFN": ffns, "LayerNorm": kinds.count("LayerNorm")}


def direct(layer):
    """The oracle's modules outside its attentions and feed-forward networks."""
    units = [path for path, module in layer.named_modules() if type(module).__name__ in ("MultiHeadAttention", "FFN")]
    return [m for path, m in layer.named_modules() if not any(path.startswith(unit + ".") for unit in units)]


def expect_parts(layer, dim, ffn_dim, attentions, norm_count):
    """Fail unless the layer has these many attentions and norms, and one FFN."""
    found = parts(layer, dim, ffn_dim)
    expected = {"attention": attentions, "FFN": 1, "LayerNorm": norm_count}
    for part, count in expected.items():
        if found[part] != count:
            fail(f"expected {count} {part}, found {found[part]}", expected=expected, found=found)


# Two norms in a row on a word of small variance: another eps in LayerNorm moves the output by up to 6e-5.
NOISE = 2e-4
ALMOST = 0.999999  # dropout so near to 1 leaves nothing of these small tensors; at 1 a hand-written one divides 0 by 0


def expect_dropout(build, inputs, agree):
    """Dropout acts in training only, on the output of every sublayer, with the p that was asked for.

    build(p) makes a layer; inputs are what it is called with; agree(layer, p) compares it in training mode with the
    reference. With p near 1 every sublayer's output is gone, and what is left is certain; so is p=0.
    """
    half, none, almost = build(0.5), build(0.0), build(ALMOST)
    modes = False, False, True, True
    first, second, *training = half.each([inputs] * 4, training=modes, seeds=(1, 2, 1, 2))
    if differs(first, second).any():
        fail("two passes in eval mode differ: dropout is still on")
    if not differs(*training).any():
        fail("two passes in training mode are equal: there is no dropout")
    trained, still = none.each([inputs] * 2, training=(True, False), seeds=(1, 1))
    assert_close(trained, still, "with dropout=0.0 the output in training")
    agree(almost, ALMOST)


class Ours:
    """A layer of the oracle's, called as a proxy is: layer(*inputs, training=…, seed=…)."""

    def __init__(self, module):
        self.module = module

    def __call__(self, *inputs, training=False, seed=None):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(seed or 0)
            return self.module.train(training)(*inputs)


def attempt(layer, *inputs, **mode):
    """The answer, or None where there is none: a mutant may well raise for some shapes, and so may a student."""
    try:
        return layer(*inputs, **mode)
    except (Raised, RuntimeError):
        return None


def is_noisy(layer, *inputs, training):
    """Whether two passes differ."""
    first, second = (attempt(layer, *inputs, training=training, seed=seed) for seed in (1, 2))
    return first is not None and second is not None and bool(differs(first, second, atol=NOISE).any())


def same(build_theirs, build_ours, many_inputs, units, dim, ffn_dim):
    """Fail unless both layers have the same parts, are random in the same modes, and agree where nothing is random.

    build(p) makes a layer with dropout p; many_inputs: arguments to try, some of which may make a layer raise.
    """
    for p in (0.5, 0.0, ALMOST):
        theirs, ours = build_theirs(p), Ours(build_ours(p))
        if (found := parts(theirs, dim, ffn_dim)) != (expected := oracle_parts(ours.module)):
            fail("another number of parts", found=found, expected=expected)
        for inputs, training in itertools.product(many_inputs, (False, True)):
            noisy = is_noisy(theirs, *inputs, training=training)
            if noisy != is_noisy(ours, *inputs, training=training):
                fail(f"random in another mode (p={p}, training={training})")
            if noisy:
                continue
            answer = attempt(theirs, *inputs, training=training)

            def agree(answer=answer, inputs=inputs, training=training, ours=ours):
                expected = attempt(ours, *inputs, training=training)
                if (answer is None) != (expected is None):
                    fail("one of the two raises")
                if expected is not None:
                    assert_close(answer, expected, atol=NOISE)

            adopt(theirs, ours.module, agree, units)
