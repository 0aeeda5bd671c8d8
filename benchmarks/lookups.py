"""What grader.integrity.labels finds of hand-ins that hold the labels of the test set.

    python benchmarks/lookups.py

Twenty of each kind, in the solved notebook or the reference's weights, each with the labels of another part of the test
set: 1,000 to 10,000 of them. Then what it says of the variants' notebooks, and of the weights as they are.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from copies import independent, the_assignment

from grader import bank
from grader.checkpoint import held_out
from grader.integrity import labels
from grader.integrity.sketch import sketch
from grader.notebook import Cell, Notebook
from grader.sample import read_idx

PLANTED, CLASS = 20, 200
Tensors = dict[str, torch.Tensor]


def lines(text: str, width: int = 76) -> str:
    """A text as a student pastes it: a string over many lines."""
    return "(\n" + "\n".join(f"    '{text[at : at + width]}'" for at in range(0, len(text), width)) + "\n)"


def digits(some: torch.Tensor) -> str:
    return "".join(map(str, some.tolist()))


def packed(some: torch.Tensor) -> bytes:
    return bytes(some.tolist())


def halves(some: torch.Tensor) -> bytes:
    both = some[: len(some) // 2 * 2].reshape(-1, 2)
    return bytes((16 * both[:, 0] + both[:, 1]).tolist())


def crcs(images: torch.Tensor) -> list[int]:
    return [zlib.crc32(image.numpy().tobytes()) for image in images]


def shas(images: torch.Tensor) -> list[str]:
    return [hashlib.sha256(image.numpy().tobytes()).hexdigest()[:12] for image in images]


IN_CODE: dict[str, Callable[[torch.Tensor, torch.Tensor], str]] = {
    "a string of digits": lambda _, some: f"T = {lines(digits(some))}",
    "a list": lambda _, some: f"T = {some.tolist()}",
    "base64": lambda _, some: f"T = {lines(base64.b64encode(packed(some)).decode())}",
    "base64, compressed": lambda _, some: f"T = {lines(base64.b64encode(zlib.compress(packed(some), 9)).decode())}",
    "base85, compressed": lambda _, some: f"T = {base64.b85encode(gzip.compress(packed(some))).decode()!r}",
    "hexadecimal, two to a byte": lambda _, some: f"T = {lines(halves(some).hex())}",
    "bytes": lambda _, some: f"T = {packed(some)!r}",
    "a dict by CRC-32": lambda images, some: f"T = {dict(zip(crcs(images), some.tolist(), strict=True))}",
    "a dict by mean pixel": lambda images, some: (
        f"T = {dict(zip(images.float().mean((1, 2)).mul(1000).long().tolist(), some.tolist(), strict=True))}"
    ),
    "a dict by a prefix of SHA-256": lambda images, some: f"T = {dict(zip(shas(images), some.tolist(), strict=True))}",
}
IN_WEIGHTS: dict[str, Callable[[torch.Tensor, torch.Tensor], Tensors]] = {
    "labels, int64": lambda _, some: {"table": some},
    "labels, uint8": lambda _, some: {"table": some.byte()},
    "labels, float32": lambda _, some: {"table": some.float()},
    "labels, float32, a tenth of them": lambda _, some: {"table": some / 10},
    "labels, renamed": lambda _, some: {"table": torch.randperm(10)[some]},
    "labels, one-hot": lambda _, some: {"table": torch.nn.functional.one_hot(some, 10).float()},
    "labels, in noisy scores": lambda _, some: {
        "table": 4 * torch.nn.functional.one_hot(some, 10) + torch.randn(len(some), 10)
    },
    "hashes, sorted, and labels": lambda images, some: sorted_hashes(images, some),
    "images and labels, for the nearest": lambda images, some: {"near": images[:, ::4, ::4].flatten(1), "of": some},
    "labels, two to a byte": lambda _, some: {"table": torch.tensor(list(halves(some)), dtype=torch.uint8)},
}


def sorted_hashes(images: torch.Tensor, some: torch.Tensor) -> Tensors:
    found = torch.tensor(crcs(images))
    order = found.argsort()
    return {"keys": found[order], "answers": some[order]}


def saved(tensors: Tensors) -> bytes:
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


def main() -> None:
    assignment = the_assignment()
    spec = assignment.config.checkpoint
    assert spec is not None
    images, right = held_out(assignment.folder, spec.images, spec.labels)
    known = read_idx(assignment.folder / spec.labels)
    lot, total = random.Random(1), len(right)
    torch.manual_seed(1)
    parts = []
    for _ in range(PLANTED):
        count = lot.choice((1000, 2000, 5000, total))
        first = lot.randrange(total - count + 1)
        parts.append((images[first : first + count], right[first : first + count]))
    solved = bank.as_read("part2", bank.solutions(assignment)[spec.notebook])
    state = torch.load(assignment.folder / "data/vit.pth", weights_only=True)
    for kind, make in IN_CODE.items():
        found = []
        for some in parts:
            cells = (*solved.cells, Cell(index=len(solved.cells), kind="code", source=make(*some)))
            found.append(list(labels.in_code(Notebook(name="x", cells=cells))))
        said(kind, found, known)
    for kind, change in IN_WEIGHTS.items():
        said(kind, [list(sketch(saved({**state, **change(*some)}), known).hoards) for some in parts], known)
    honest = sum(
        len(list(labels.in_code(bank.as_read(role, notebook))))
        for _ in range(CLASS)
        for role, notebook in independent(lot).items()
    )
    print(f"the notebooks of {CLASS} independent solutions: {honest} findings")
    print(f"the reference's weights: {len(sketch(saved(state), known).hoards)} findings")


def said(kind: str, found: list[list[labels.Hoard]], known: labels.Bytes) -> None:
    told = 0
    for hoards in found:
        agreed = [labels.agreement(np.frombuffer(hoard.values, np.uint8), known) for hoard in hoards]
        told += any(right > 0.9 * count > 0 for right, count in agreed)
    print(f"{kind:40} found {sum(map(bool, found)):2} of {len(found)}, known as the labels {told:2}", flush=True)


if __name__ == "__main__":
    main()
