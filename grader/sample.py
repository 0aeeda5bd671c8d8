"""A sample of the training images, asked beside the held-out ones: together they tell which of them a model has seen.

A model that was trained on an image answers it better than one that it never saw, and most of all where others fail: on
the hard images. So of the held-out images those are counted that models which never saw them get wrong, and as hard
ones of the training set. An honest model answers the hard held-out images about as it answers the training images once
they are moved by a pixel; one that was fitted to the held-out images answers better. How much honest models differ is
the norm, a linear one, from trainings: benchmarks/testset.py makes it, docs/integrity.md has its figures.
"""

from __future__ import annotations

import functools
import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from grader.errors import AssignmentError
from grader.records import Counted, Frozen, SampleResult

Bytes = npt.NDArray[np.uint8]
Truths = npt.NDArray[np.bool_]
GZIP_MAGIC = b"\x1f\x8b"
_TAIL = 400.0  # standard deviations, up to which a tail is summed
_STEPS = 200_000


class Norm(Frozen, frozen=True):
    """What honest trainings give. hard_test: places of the hard held-out images. hard: so many of the sample are, and
    stand in front. share: of the training images that are as hard.

    coefficients, inverse, spread: of the regression of `features` (see `excess`) over `models` honest models: the
    inverse of XᵀX, and the standard deviation of what is left.
    """

    hard_test: tuple[int, ...]
    hard: int
    share: float
    models: int
    coefficients: tuple[float, ...]
    inverse: tuple[tuple[float, ...], ...]
    spread: float


@dataclass(frozen=True, eq=False)
class Sample:
    """Training images (S, H, W) uint8 with labels (S,), and the norm."""

    images: Bytes
    labels: Bytes
    norm: Norm

    @property
    def shown(self) -> Bytes:
        """What a model is asked, (2S, H, W): the images, and the images moved to the right by a pixel."""
        moved = np.zeros_like(self.images)
        moved[:, :, 1:] = self.images[:, :, :-1]
        return np.concatenate((self.images, moved))

    def is_about(self, held_out: int) -> bool:
        """Are there so many held-out images that the norm's can be among them? A course may take another set."""
        return max(self.norm.hard_test, default=held_out) < held_out

    def counted(self, right: Truths, of_shown: Truths) -> SampleResult:
        """right: which held-out images are answered right, (N,); of_shown: which of `shown`, (2S,)."""
        hard, size = self.norm.hard, len(self.labels)
        return SampleResult(
            hard_test=_counted(right[list(self.norm.hard_test)]),
            hard=_counted(of_shown[:hard]),
            other=_counted(of_shown[hard:size]),
            hard_moved=_counted(of_shown[size : size + hard]),
            other_moved=_counted(of_shown[size + hard :]),
        )


@dataclass(frozen=True)
class Excess:
    """How far a model's answers to hard held-out images are above an honest one's: in shares, and in standard
    deviations; p: how often an honest model comes so high."""

    found: float
    expected: float
    deviations: float
    p: float


def _counted(right: Truths) -> Counted:
    return Counted(right=int(right.sum()), total=len(right))


def features(result: SampleResult) -> tuple[float, ...]:
    """What an honest model's share of hard held-out images follows from: how it answers the hard training images, as
    they are and moved, the latter also by what a move costs on other images."""
    moved = result.hard_moved.share
    return (1.0, result.hard.share, moved, moved * result.other_moved.share / max(result.other.share, 0.01))


def excess(result: SampleResult, norm: Norm) -> Excess:
    """Of one model, by a prediction of the regression; Student's t with as many degrees as the norm leaves."""
    x = np.array(features(result))
    expected = float(x @ np.array(norm.coefficients))
    deviation = norm.spread * math.sqrt(1 + float(x @ np.array(norm.inverse) @ x))
    deviations = (result.hard_test.share - expected) / deviation
    return Excess(result.hard_test.share, expected, deviations, tail(deviations, norm.models - len(x)))


def tail(t: float, degrees: int) -> float:
    """The chance that a variable with Student's distribution exceeds t, by summing its density."""
    if t <= 0:
        return 1 - tail(-t, degrees) if t < 0 else 0.5
    if t >= _TAIL:
        return 0.0
    log = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(degrees * math.pi)
    at = t + (np.arange(_STEPS) + 0.5) * (_TAIL - t) / _STEPS
    density = np.exp(log - (degrees + 1) / 2 * np.log1p(at**2 / degrees))
    return float(density.sum() * (_TAIL - t) / _STEPS)


def training_accuracy(result: SampleResult, norm: Norm) -> float:
    """On all training images, from the sample, in which hard ones are frequent."""
    return norm.share * result.hard.share + (1 - norm.share) * result.other.share


# ---- files ----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def load_sample(images: Path, labels: Path, norm: Path) -> Sample:
    """Raises AssignmentError."""
    found = Sample(read_idx(images), read_idx(labels), load_norm(norm))
    if len(found.images) != len(found.labels) or found.norm.hard > len(found.labels):
        raise AssignmentError(f"{images} holds {len(found.images)} images, {labels} {len(found.labels)} labels")
    return found


@functools.lru_cache(maxsize=4)
def load_norm(path: Path) -> Norm:
    """Raises AssignmentError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Norm)
    except (OSError, msgspec.DecodeError) as error:
        raise AssignmentError(f"the norm {path} cannot be read: {error}") from None


def read_idx(path: Path) -> Bytes:
    """An IDX file of bytes, gzipped or not (magic 0, 0, 8, rank; sizes big-endian).

    http://yann.lecun.com/exdb/mnist describes it. Raises AssignmentError.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == GZIP_MAGIC else data
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise AssignmentError(f"the held-out set {path} cannot be read: {error}") from None
    if data[:3] != b"\0\0\x08":
        raise AssignmentError(f"{path} is not an IDX file of bytes")
    try:
        head = 4 + 4 * data[3]
        shape = struct.unpack(f">{data[3]}I", data[4:head])
        return np.frombuffer(data, np.uint8, offset=head).reshape(shape)
    except (IndexError, struct.error, ValueError):
        raise AssignmentError(f"{path} holds fewer or more numbers than it says") from None
