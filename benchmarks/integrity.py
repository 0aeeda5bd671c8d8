"""What grader.integrity finds, and what it costs.

    python benchmarks/integrity.py code SEED…    for each seed 200 independent correct solutions, put together from the
                                                 variants, and 200 by students with a hand of their own; to those of the
                                                 first two seeds 20 copies are added, for each way of copying
    python benchmarks/integrity.py weights       small models trained apart, and 20 copies of each kind
    python benchmarks/integrity.py shared N…     so many who share one file, or all of it but one tensor: rows, seconds
    python benchmarks/integrity.py cost N…       made-up classes of so many: seconds and memory, by step

Printed are the planted pairs that are found, and the findings on pairs that were not planted.
"""

from __future__ import annotations

import io
import itertools
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from copies import WAYS, Notebooks, copies, independent, the_assignment, the_ground, written
from hands import own_hand

from grader import bank
from grader.checkpoint import held_out
from grader.integrity import weights
from grader.integrity.facts import RATE
from grader.integrity.likeness import ClassCode
from grader.integrity.sketch import Sketch, sketch
from grader.integrity.words import said
from grader.integrity.writing import Writing, writing
from grader.program import slice_program

CLASS, PLANTED, WITH_COPIES = 200, 20, 2
IMAGES, EPOCHS, APART = 1000, 8, 8
SETTINGS = {"img_size": 28, "patch_size": 7, "in_chans": 1, "embed_dim": 32, "depth": 2, "num_heads": 4}
HEADS, WIDTH = 4, 8
State = dict[str, torch.Tensor]
T = TypeVar("T")


# ---- code -----------------------------------------------------------------------------------------------------------


def of_code(seeds: Sequence[int]) -> None:
    """Classes of 200 for each seed, in both ways; copies are added to the first two."""
    for name, student in (("by lot", independent), ("with a hand of their own", of_own_hand)):
        for number, seed in enumerate(seeds):
            lot = random.Random(seed)
            class_ = [student(lot) for _ in range(CLASS)]
            texts = [written(notebooks) for notebooks in class_]
            _independent(f"{name}, seed {seed}", texts)
            if number < WITH_COPIES:
                _copied(class_, texts, seed)


def of_own_hand(lot: random.Random) -> Notebooks:
    return own_hand(independent(lot), lot)


def _copied(class_: Sequence[Notebooks], texts: Sequence[Writing], seed: int) -> None:
    for way in WAYS:
        planted = copies(class_, way, PLANTED, random.Random(f"{way} {seed}"))
        everyone = [*texts, *(written(notebooks) for _, notebooks in planted)]
        pairs = {(donor, CLASS + number) for number, (donor, _) in enumerate(planted)}
        found = ClassCode(everyone, len(everyone), the_ground().known, 0).findings(RATE)
        hits = sorted(one.expected for one in found if one.pair in pairs)
        middle = f"middle {hits[len(hits) // 2]:.1g}" if hits else ""
        print(f"  {way:42} {len(hits):2} of {PLANTED}, others {len(found) - len(hits)}  {middle}", flush=True)


def _independent(name: str, texts: Sequence[Writing]) -> None:
    found = ClassCode(texts, len(texts), the_ground().known, 0).findings(float("inf"))
    count, pairs = sum(one.expected < RATE for one in found), len(texts) * (len(texts) - 1) // 2
    most = f"of the most alike pair {found[0].expected:.2g} are expected by chance"
    print(f"independent, {name}: {count} findings among {pairs} pairs; {most}", flush=True)
    for role in sorted({slot.role for one in texts for slot in one}):
        whole = Counter(frozenset((s, t.fingerprints) for s, t in one.items() if s.role == role) for one in texts)
        same = sum(held * (held - 1) // 2 for held in whole.values())
        print(f"  {same} pairs have the same code throughout {role}", flush=True)


# ---- weights --------------------------------------------------------------------------------------------------------


class Training:
    """Small Vision Transformers, trained on some of the held-out images: what matters here is how they differ."""

    def __init__(self) -> None:
        assignment = the_assignment()
        spec = assignment.config.checkpoint
        assert spec is not None
        notebook = bank.as_read("part2", bank.solutions(assignment)[spec.notebook])
        names: dict[str, type[nn.Module]] = {}
        for entry in slice_program(notebook, [spec.class_name]).entries:
            exec(entry.source, names)  # our own solution
        self._model = names[spec.class_name]
        images, labels = held_out(assignment.folder, spec.images, spec.labels)
        self._images, self._labels = images[:IMAGES].unsqueeze(1).float() / 255, labels[:IMAGES]

    def __call__(
        self,
        seed: int,
        order: int,
        epochs: int = EPOCHS,
        rate: float = 1e-3,
        batch: int = 64,
        start: State | None = None,
    ) -> State:
        """seed: of the first weights; order: of the images."""
        torch.manual_seed(seed)
        model = self._model(**SETTINGS)
        if start is not None:
            model.load_state_dict(start)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        generator = torch.Generator().manual_seed(order)
        for _ in range(epochs):
            for places in torch.randperm(IMAGES, generator=generator).split(batch):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(self._images[places]), self._labels[places]).backward()
                optimizer.step()
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def heads_permuted(state: State) -> State:
    """Another order of the heads in each block, which computes the same."""
    found = dict(state)
    for block in ("blocks.0.attn.", "blocks.1.attn."):
        order = torch.randperm(HEADS)
        for name in (f"{block}qkv.weight", f"{block}qkv.bias"):
            parts = state[name].reshape(3, HEADS, WIDTH, -1)[:, order]
            found[name] = parts.reshape(state[name].shape)
        proj = state[f"{block}proj.weight"]
        found[f"{block}proj.weight"] = proj.reshape(-1, HEADS, WIDTH)[:, order].reshape(proj.shape)
    return found


def units_permuted(state: State) -> State:
    """Another order of the hidden units of each Mlp, and other signs of the values that heads pass on."""
    found = dict(state)
    for block in ("blocks.0.", "blocks.1."):
        order = torch.randperm(len(state[f"{block}mlp.fc1.bias"]))
        for name in ("fc1.weight", "fc1.bias"):
            found[f"{block}mlp.{name}"] = state[f"{block}mlp.{name}"][order]
        found[f"{block}mlp.fc2.weight"] = state[f"{block}mlp.fc2.weight"][:, order]
        signs = torch.randint(0, 2, (HEADS * WIDTH,)) * 2.0 - 1
        for name in ("qkv.weight", "qkv.bias"):
            tensor = state[f"{block}attn.{name}"].clone()
            tensor[2 * HEADS * WIDTH :] *= signs.reshape(-1, *[1] * (tensor.dim() - 1))
            found[f"{block}attn.{name}"] = tensor
        found[f"{block}attn.proj.weight"] = state[f"{block}attn.proj.weight"] * signs
    return found


def channels_permuted(state: State) -> State:
    """Another order of the channels that all layers share."""
    order = torch.randperm(SETTINGS["embed_dim"])
    found = dict(state)
    for name, tensor in state.items():
        last = name.endswith(("pos_embed", "cls_token", "qkv.weight", "fc1.weight", "head.weight"))
        first = "patch_embed" in name or "norm" in name or name.endswith(("attn.proj.weight", "fc2.weight"))
        first = first or name.endswith(("attn.proj.bias", "fc2.bias"))
        found[name] = tensor[..., order] if last else tensor[order] if first else tensor
    return found


def of_weights() -> None:
    torch.set_num_threads(1)
    train = Training()
    donors = [train(seed, seed) for seed in range(PLANTED)]
    apart = [sketch(saved(state)) for state in donors[:APART]]
    begun_alike = [donors[0], *(train(0, 1000 + n) for n in range(APART - 1))]
    one_seed = [sketch(saved(state)) for state in begun_alike]
    print("cosines of all numbers, which say nothing:", flush=True)
    print(f"  {'one seed, other order of images':40} {_spread(itertools.starmap(_whole, _pairs(begun_alike)))}")
    further = [_whole(state, train(0, 9999, 1, start=state)) for state in donors[:APART]]
    print(f"  {'one epoch further':40} {_spread(further)}", flush=True)
    print(f"cosines of the scales, {IMAGES} images, {EPOCHS} epochs:", flush=True)
    for title, group in (("other seeds", apart), ("one seed, other order of images", one_seed)):
        print(f"  {title:40} {_spread(itertools.starmap(_cosine, _pairs(group)))}")
    changes = {"rate": 2e-3, "batch": 32, "epochs": EPOCHS + 4}
    for name, value in changes.items():
        other = sketch(saved(train(0, 0, **{name: value})))  # type: ignore[arg-type]  # each of its own type
        print(f"  {f'one seed and order, other {name}':40} {_spread([_cosine(one_seed[0], other)])}", flush=True)
    print(f"pairs found by the bar of {weights.NEAR} among the {APART} of other seeds and the {APART} of one seed:")
    for group in (apart, one_seed):
        print(f"  {len(weights.alike(dict(enumerate(group)), len(group)))} of {APART * (APART - 1) // 2}")

    def again(state: State, epochs: int = 1, rate: float = 1e-3) -> State:
        return train(0, 9999, epochs, rate, start=state)

    kinds: dict[str, Callable[[State], object]] = {
        "the same file": lambda state: state,
        "saved anew, in a dict, as module.…": lambda s: {"model": {f"module.{k}": v for k, v in s.items()}, "epoch": 3},
        "saved anew as float16": lambda state: {name: tensor.half() for name, tensor in state.items()},
        "one tensor changed": lambda state: {**state, "head.bias": state["head.bias"] + 1},
        "heads permuted": heads_permuted,
        "hidden units permuted, signs flipped": units_permuted,
        "channels permuted": channels_permuted,
        "one epoch further": again,
        "one epoch further at a third of the rate": lambda state: again(state, 1, 3e-4),
        "heads permuted, one epoch further": lambda state: again(heads_permuted(state)),
        "three epochs further": lambda state: again(state, 3),
        "channels permuted, one epoch further": lambda state: again(channels_permuted(state)),
        "channels permuted, three epochs further": lambda state: again(channels_permuted(state), 3),
    }
    originals = [sketch(saved(state)) for state in donors]
    for kind, change in kinds.items():
        torch.manual_seed(7)
        made = [sketch(saved(change(state))) for state in donors]
        found = weights.alike(dict(enumerate([*originals, *made])), 2 * PLANTED)
        hits = [one for one in found if one.places == (one.places[0], one.places[0] + PLANTED)]
        how = ", ".join(sorted({one.how.partition(":")[0] for one in hits}))
        print(f"{kind:42} {len(hits):2} of {PLANTED}  others {len(found) - len(hits)}  {how}", flush=True)


def _pairs(group: Sequence[T]) -> Iterator[tuple[T, T]]:
    return itertools.combinations(group, 2)


def _cosine(left: Sketch, right: Sketch) -> float:
    """Of the scales."""
    a, b = torch.from_numpy(left.scales), torch.from_numpy(right.scales)
    return float(nn.functional.cosine_similarity(a, b, dim=0))


def _whole(left: State, right: State) -> float:
    """Of all numbers, each tensor centred."""
    a, b = (torch.cat([(t - t.mean()).flatten() for t in one.values()]) for one in (left, right))
    return float(nn.functional.cosine_similarity(a, b, dim=0))


def _spread(cosines: Iterable[float]) -> str:
    found = list(cosines)
    return f"{len(found):3} pairs, {min(found):6.3f} to {max(found):6.3f}"


def of_shared(sizes: Sequence[int]) -> None:
    """Rows on weights, and CPU seconds, where so many hold the reference's."""
    original = torch.load(the_assignment().folder / "data/vit.pth", weights_only=True)
    name = next(name for name, tensor in original.items() if tensor.dim() > 1)
    for size in sizes:
        one = sketch(saved(original))
        own = [sketch(saved({**original, name: original[name] + number})) for number in range(size)]
        for what, sketches in (("one file", [one] * size), ("one tensor of one's own", own)):
            begun = time.process_time()
            found = weights.alike(dict(enumerate(sketches)), size)
            print(f"{size} with {what}: {len(found)} rows, {time.process_time() - begun:.2f} s", flush=True)


# ---- cost -----------------------------------------------------------------------------------------------------------


def of_cost(sizes: list[int]) -> None:
    """CPU seconds of this process, for classes of students with a hand of their own."""
    begun = time.process_time()
    known = the_ground().known
    print(f"the hand-out and the variants: {time.process_time() - begun:.1f} s")
    data = (the_assignment().folder / "data/vit.pth").read_bytes()
    begun = time.process_time()
    for _ in range(10):
        sketch(data)
    print(f"one submission's weights ({len(data) >> 10} KiB): {(time.process_time() - begun) / 10:.3f} s", flush=True)
    for size in sizes:
        lot = random.Random(2)
        reading = 0.0
        class_, speech = [], []
        for _ in range(size):
            notebooks = {role: bank.as_read(role, one) for role, one in of_own_hand(lot).items()}
            begun = time.process_time()
            texts: Writing = {}
            for role, notebook in notebooks.items():
                texts = {**texts, **writing(notebook, the_ground().handouts[role])}
                speech.append(said(notebook, role, the_ground().said))
            reading += time.process_time() - begun
            class_.append(texts)
        begun = time.process_time()
        ground = ClassCode(class_, size, known, 0)
        ranked = time.process_time()
        partners = ground.partners()
        sought = time.process_time()
        found = ground.findings(RATE)
        ended = time.process_time()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{size:5} submissions, {ground.pairs} pairs: read {reading:.1f} s ({reading / size:.3f} each), "
            f"ranks {ranked - begun:.1f} s, partners {sought - ranked:.1f} s, {len(partners)} pairs compared "
            f"{ended - 2 * sought + ranked:.1f} s, {len(found)} findings; {memory} MiB",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["cost"]:
        of_cost([int(size) for size in sys.argv[2:]] or [300, 5000])
    elif sys.argv[1:2] == ["code"] and sys.argv[2:]:
        of_code([int(seed) for seed in sys.argv[2:]])
    elif sys.argv[1:2] == ["shared"] and sys.argv[2:]:
        of_shared([int(size) for size in sys.argv[2:]])
    elif sys.argv[1:] == ["weights"]:
        of_weights()
    else:
        print(__doc__)
