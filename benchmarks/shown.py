"""FashionMNIST on a device, and what models answer to its images, as they are and changed in small ways."""

from __future__ import annotations

import gzip
import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from stacked import REFERENCE, SIDE, Stack
from torch.nn import functional as F

DATA = Path("/usr/share/datasets/fashion-mnist")
ASKED, AHEAD = 4000, 500  # images of the training set that are asked for; at once, in evaluation
TRAIN, TEST, PAD = 60000, 10000, 2


@dataclass(frozen=True)
class Images:
    """All images on the device: padded (N, 32, 32) uint8, the training set first; labels (N,)."""

    padded: torch.Tensor
    labels: torch.Tensor
    train: int
    test: int
    asked: torch.Tensor

    def plain(self, places: torch.Tensor) -> torch.Tensor:
        return self.padded[places, PAD : PAD + SIDE, PAD : PAD + SIDE]


def read(folder: Path, device: str, count: int | None) -> Images:
    """count: so many training images, and a sixth as many test images, for a try."""
    found = {}
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        places = (folder / f"{name}-ubyte.gz", REFERENCE / "data" / "fashion-mnist" / f"{name}-ubyte.gz")
        path = next((path for path in places if path.is_file()), None)
        if path is None:
            raise SystemExit(f"{places[0]} is missing: name FashionMNIST's folder with --data")
        data = torch.frombuffer(bytearray(gzip.decompress(path.read_bytes())), dtype=torch.uint8)
        found[name] = data[16:].reshape(-1, SIDE, SIDE) if "images" in name else data[8:].long()
    train, test = min(count or TRAIN, TRAIN), min(count // 6 if count else TEST, TEST)
    both = torch.cat([found["train-images-idx3"][:train], found["t10k-images-idx3"][:test]])
    labels = torch.cat([found["train-labels-idx1"][:train], found["t10k-labels-idx1"][:test]])
    asked = torch.randperm(train, generator=torch.Generator().manual_seed(1))[: min(ASKED, train // 6)]
    padded = F.pad(both, (PAD, PAD, PAD, PAD))
    return Images(padded.to(device), labels.to(device), train, test, asked)


@torch.no_grad()
def answers(
    stack: Stack, rows: torch.Tensor, images: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of the true class and whether the answer is right, (models, N), of images (N, side, side) uint8."""
    losses, rights = [], []
    for some, true in zip(images.split(AHEAD), labels.split(AHEAD), strict=True):
        logits = stack(rows, (some.float() / 255).expand(len(rows), -1, -1, -1))
        expected = true.expand(len(rows), -1)
        losses.append(-logits.log_softmax(dim=2).gather(2, expected.unsqueeze(2)).squeeze(2))
        rights.append(logits.argmax(dim=2) == expected)
    return torch.cat(losses, dim=1), torch.cat(rights, dim=1)


def packed(losses: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """A byte each: 128 where the answer is right, and 30 log(1 + 4 loss) of the true class in the seven other bits."""
    return (30 * (4 * losses).log1p()).round().clamp(0, 127).to(torch.uint8) + 128 * right.to(torch.uint8)


def unpacked(found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses, and which answers are right."""
    return ((found & 127).float() / 30).expm1() / 4, found > 127


def _noise(levels: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def noisy(images: torch.Tensor) -> torch.Tensor:
        lot = torch.Generator().manual_seed(levels)
        by = torch.randint(-levels, levels + 1, images.shape, generator=lot).to(images.device)
        return (images + by).clamp(0, 255).to(torch.uint8)

    return noisy


def moved(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """By so many pixels, black where nothing was."""
    padded = F.pad(images, (2, 2, 2, 2))
    return padded[:, 2 - down : 2 - down + SIDE, 2 - right : 2 - right + SIDE]


def blurred(images: torch.Tensor) -> torch.Tensor:
    """By the binomial kernel 1 2 1 in both directions."""
    kernel = torch.tensor([1.0, 2.0, 1.0], device=images.device)
    kernel = (kernel[:, None] * kernel / 16)[None, None]
    return F.conv2d(images.unsqueeze(1).float(), kernel, padding=1).squeeze(1).round().to(torch.uint8)


def as_jpeg(images: torch.Tensor) -> torch.Tensor:
    """Encoded as JPEG of quality 75 and decoded."""
    import numpy as np
    from PIL import Image

    found = []
    for image in images.cpu().numpy():
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=75)
        found.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(found)).to(images.device)


VARIANTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "as it is": lambda images: images,
    "noise 2": _noise(2),
    "noise 8": _noise(8),
    "moved right": lambda images: moved(images, 0, 1),
    "mirrored": lambda images: images.flip(2),
    "blurred": blurred,
    "jpeg": as_jpeg,
}


def shown(images: Images) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The images that every model is asked for, by set and variant, with their labels."""
    device = images.padded.device
    sets = {"test": images.train + torch.arange(images.test), "train": images.asked}
    found = {}
    for (name, places), (variant, change) in itertools.product(sets.items(), VARIANTS.items()):
        on_device = places.to(device)
        try:
            found[f"{name}/{variant}"] = change(images.plain(on_device)), images.labels[on_device]
        except ImportError as error:
            print(f"{variant}: left out, {error}", flush=True)
    return found
