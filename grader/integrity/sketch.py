"""A checkpoint as numbers that can be compared: read from the file's bytes, and nothing of it is unpickled.

torch.save writes a zip: `data.pkl` says which tensors there are; `data/0`, `data/1`, … hold their numbers as they lie
in memory. The pickle is read as a list of instructions (pickletools) by a machine that knows strings, numbers, tuples
and dicts, and calls nothing. A worker could read it too, but there a student's class would be asked about its weights.

What is kept of it costs little to compare:
- of each tensor a hash of its values, and one of its sorted absolute values in half precision: the second survives when
  it is saved anew as float16, or with its heads or units in another order or with other signs;
- the learned scales of the norms. They all begin at 1, whatever the seed, so that what they have in common was learned;
  and no order of heads or hidden units touches them.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickletools
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from grader.integrity.channels import MOST_BESIDE, MOST_WIDTH, features
from grader.integrity.labels import NO_LABELS, Bytes, Hoard, in_tensor

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[Any]  # float32, or whole numbers

MAX_PICKLE = 4 << 20
MAX_STEPS = 400_000  # instructions; a ViT of 12 layers has about 10,000
MAX_TENSORS = 2048
MAX_NUMBERS = 50_000_000  # of all tensors together
LEAST_NUMBERS = 64  # of a tensor: by shorter ones nothing is told
LEAST_NUMBERS_OF_SCALE = 8
MAX_BESIDE = MOST_WIDTH * MOST_BESIDE
MAX_HOARDS = 20  # that are kept
MAX_SCALES = 4096  # numbers that are kept: the first layers' tell enough
LEAST_LEARNED = 1e-3  # how far scales that were trained at all lie apart
_DTYPES = {
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "DoubleStorage": "<f8",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
}
_REBUILDS = ("_rebuild_tensor_v2", "_rebuild_tensor")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


class Unreadable(ValueError):
    """The file cannot be read without unpickling it; the message says why."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a checkpoint: its name as saved, its shape, its hashes. trained: its numbers are not all one."""

    name: str
    shape: tuple[int, ...]
    exact: str
    unordered: str
    trained: bool


@dataclass(frozen=True, slots=True)
class Sketch:
    """A checkpoint. sha256: of the file. scales: of all norms, each centred. fault: why it could not be read.

    hoards: numbers that no training makes. channels: see grader.integrity.channels.
    """

    sha256: str
    tensors: tuple[Tensor, ...] = ()
    scales: Floats = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    fault: str = ""
    hoards: tuple[Hoard, ...] = ()
    channels: Floats = field(default_factory=lambda: features((), 0))

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """What models of the same settings share."""
        return (*(tensor.shape for tensor in self.tensors), self.scales.shape)


def sketch(data: bytes, labels: Bytes = NO_LABELS) -> Sketch:
    """The sketch of a `.pth`. labels: of the held-out set. Never raises, whatever it holds."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        tensors: list[Tensor] = []
        scales: list[Floats] = []
        hoards: list[Hoard] = []
        small: list[tuple[tuple[int, ...], Floats]] = []
        for name, shape, numbers in _read(data):
            if (hoard := in_tensor(name, shape, numbers, labels)) is not None and len(hoards) < MAX_HOARDS:
                hoards.append(hoard)
            if numbers.dtype.kind != "f":
                continue
            if len(numbers) >= LEAST_NUMBERS:
                tensors.append(_tensor(name, shape, numbers))
            if len(shape) > 1 and len(numbers) <= MAX_BESIDE:
                small.append((shape, numbers))
            if _is_scale(shape, numbers):
                scales.append(numbers - numbers.mean())
        together = np.concatenate(scales)[:MAX_SCALES] if scales else np.zeros(0, dtype=np.float32)
        widths = {len(scale) for scale in scales}
        channels = features(small, widths.pop() if len(widths) == 1 else 0)
        return Sketch(digest, tuple(tensors), together, hoards=tuple(hoards), channels=channels)
    except Unreadable as error:
        return Sketch(digest, fault=str(error))
    except _BROKEN as error:
        return Sketch(digest, fault=f"the file is damaged: {str(error)[:100]}")


# ---- the file -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stored:
    """A tensor as the pickle describes it: which storage, of which type, and what part of it."""

    storage: str
    kind: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _read(data: bytes) -> Iterator[tuple[str, tuple[int, ...], Numbers]]:
    """The name, shape and numbers (N,) of each tensor of finite numbers. Raises Unreadable, and what zipfile raises."""
    if data[:4] != b"PK\x03\x04":
        raise Unreadable("it was not saved as torch saves since version 1.6; the file's hash alone was compared")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1 or members[pickles[0]].file_size > MAX_PICKLE:
            raise Unreadable("it holds no list of tensors of a usual size")
        folder = pickles[0].removesuffix("data.pkl")
        left = MAX_NUMBERS
        for name, stored in _described(archive.read(pickles[0])):
            count = math.prod(stored.shape)
            if count < LEAST_NUMBERS_OF_SCALE or not _is_contiguous(stored):
                continue
            left -= count
            info = members.get(f"{folder}data/{stored.storage}")
            if left < 0 or info is None or info.file_size > 8 * MAX_NUMBERS:
                raise Unreadable("its tensors are not where the file says, or are larger than is read")
            numbers = _numbers(archive.read(info), stored, count)
            if numbers is not None:
                yield name, stored.shape, numbers


def _is_contiguous(stored: _Stored) -> bool:
    expected, step = [], 1
    for size in reversed(stored.shape):
        expected.append(step)
        step *= size
    return all(s == e or n == 1 for s, e, n in zip(stored.stride, reversed(expected), stored.shape, strict=True))


def _numbers(raw: bytes, stored: _Stored, count: int) -> Numbers | None:
    """The tensor's numbers (count,), float32 or whole; None where they are not finite."""
    dtype = _DTYPES[stored.kind]
    if dtype == "bfloat16":
        halves = np.frombuffer(raw, "<u2", count=count, offset=2 * stored.offset)
        found = (halves.astype(np.uint32) << 16).view(np.float32)
    elif np.dtype(dtype).kind != "f":
        return np.frombuffer(raw, dtype, count=count, offset=np.dtype(dtype).itemsize * stored.offset)
    else:
        size = np.dtype(dtype).itemsize
        with np.errstate(over="ignore"):
            found = np.frombuffer(raw, dtype, count=count, offset=size * stored.offset).astype(np.float32)
    return found if bool(np.isfinite(found).all()) else None


class _Mark:
    pass


def _described(data: bytes) -> list[tuple[str, _Stored]]:
    """The tensors that a pickle describes, by the keys under which they stand. Raises Unreadable."""
    machine = _Machine()
    try:
        for number, (operation, argument, _) in enumerate(pickletools.genops(data)):
            if number > MAX_STEPS or len(machine.found) > MAX_TENSORS:
                raise Unreadable("it holds more than is read")
            machine.step(operation.name, argument)
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Unreadable(f"its list of tensors cannot be followed ({type(error).__name__})") from None
    return machine.found


class _Machine:
    """Follows a pickle's instructions with values that do nothing. What it does not know becomes None."""

    def __init__(self) -> None:
        self.found: list[tuple[str, _Stored]] = []
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[int(argument)])
        elif name == "MARK":
            stack.append(_Mark)
        elif name == "GLOBAL":
            stack.append(str(argument).rpartition(" ")[2])
        elif name == "STACK_GLOBAL":
            stack[-2:] = [stack[-1]]
        elif name in ("EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"):
            stack.append(())
        elif name in ("TUPLE", "LIST", "DICT", "FROZENSET"):
            items = self._marked()
            stack.append(tuple(items))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(name[-1])
            stack[-size:] = [tuple(stack[-size:])]
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            stack.append(self._rebuilt(function, arguments))
        elif name == "BINPERSID":
            stack.append(("persistent", stack.pop()))
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self._note(key, value)
        elif name == "SETITEMS":
            items = self._marked()
            for key, value in zip(items[::2], items[1::2], strict=False):
                self._note(key, value)
        elif name in ("APPENDS", "ADDITEMS"):
            self._marked()
        elif name in ("BUILD", "APPEND", "POP"):
            stack.pop()
        elif name not in ("PROTO", "FRAME", "STOP"):
            stack.append(True if name == "NEWTRUE" else argument)

    def _marked(self) -> list[Any]:
        at = len(self._stack) - 1
        while self._stack[at] is not _Mark:
            at -= 1
            if at < 0:
                raise IndexError
        items = self._stack[at + 1 :]
        del self._stack[at:]
        return items

    def _note(self, key: Any, value: Any) -> None:
        if isinstance(key, str) and isinstance(value, _Stored):
            self.found.append((key[:300], value))

    def _rebuilt(self, function: Any, arguments: Any) -> Any:
        if function == "_rebuild_parameter":
            return arguments[0]
        if function not in _REBUILDS:
            return None
        (_, (_, kind, key, *_)), offset, shape, stride = arguments[:4]
        whole = all(type(n) is int and 0 <= n < 1 << 40 for n in (offset, *shape, *stride))
        if not whole or len(shape) != len(stride) or kind not in _DTYPES or not isinstance(key, str):
            return None
        return _Stored(key, kind, offset, tuple(shape), tuple(stride))


# ---- the numbers ----------------------------------------------------------------------------------------------------


def _tensor(name: str, shape: tuple[int, ...], numbers: Floats) -> Tensor:
    with np.errstate(over="ignore"):
        halves = np.sort(np.abs(numbers.astype(np.float16)))
    return Tensor(name, shape, _hash(numbers), _hash(halves), bool(numbers.min() != numbers.max()))


def _is_scale(shape: tuple[int, ...], numbers: Floats) -> bool:
    """Is it the learned scale of a norm: one number a channel, near the 1 that each began with?"""
    if len(shape) != 1:
        return False
    middle, spread = float(numbers.mean(dtype=np.float64)), float(numbers.std(dtype=np.float64))
    return 0.5 < middle < 2.0 and LEAST_LEARNED < spread < 0.5


def _hash(numbers: npt.NDArray[Any]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(numbers).tobytes(), digest_size=12).hexdigest()
