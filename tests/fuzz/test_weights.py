"""Weights with anything wrong, read where they always are: in the sandbox, by the worker, many of them in one."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from random import Random

import pytest
import torch

from fuzz.conftest import Fuzz
from fuzz.mutation import HOSTILE_TEXT, broken_bytes
from grader import wire
from grader.sandbox.process import WarmProcess

BATCH = 60
SECONDS = 120.0
# Runs in the worker. The sandbox holds the package `grader` as far as the worker needs it.
READER = """
from grader.worker import objects, weights

def read(files):
    ends = []
    for data in files:
        try:
            tensors, notes = weights.read(data.numpy().tobytes(), 4096)
            [objects._info(name, "parameter", tensor) for name, tensor in tensors.items()]
            sum(float(tensor.double().sum()) for tensor in tensors.values())
            ends.append(["read", " ".join(notes)])
        except MemoryError:
            ends.append(["memory", ""])
        except BaseException as error:
            ends.append([type(error).__name__, str(error)[:2000]])
    return ends
"""
NAMES = ("cls_token", "blocks.0.attn.qkv.weight", "module.norm.bias", "state_dict", "model", *HOSTILE_TEXT)
DTYPES = (torch.float32,) * 6 + (torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64, torch.uint8)


def saved(value: object, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def a_tensor(random: Random) -> object:
    tensor = torch.ones(random.choice(((), (0,), (3,), (2, 3))), dtype=random.choice(DTYPES))
    kind = random.randrange(40)  # most are as they should be, so that something is left to be read
    if kind == 0:
        return torch.ones(1).expand(10**6, 10**6)
    if kind == 1:
        return torch.eye(2).to_sparse()
    if kind == 2:
        return torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    if kind == 3:
        return torch.full((2,), random.choice((float("nan"), float("inf"))))
    if kind == 4:
        return torch.ones(2, device="meta")
    if kind == 5:
        return torch.nn.Parameter(torch.ones(6).as_strided((2, 2), (3, 1)))
    if kind == 6:
        return random.choice((None, 3, "x", [torch.ones(1)], {"x": torch.ones(1)}, torch.Size([2])))
    return tensor


def weights(random: Random) -> bytes:
    """Odd values, saved as students save them, in the new format or the old; then most often broken."""
    value: object = OrderedDict((random.choice(NAMES), a_tensor(random)) for _ in range(random.randint(0, 4)))
    for _ in range(random.choice((0, 0, 1, 2))):
        value = {random.choice(NAMES): value, "epoch": 3}
    if random.random() < 0.1:
        value = random.choice(
            ([1], 3, "x", torch.ones(2), torch.nn.Linear(2, 2), {1: torch.ones(1)}, {None: torch.ones(1)})
        )
    data = saved(value, old=random.random() < 0.3)
    kind = random.randrange(4)
    if kind == 0:
        return data
    if kind == 1 or data[:2] != b"PK":
        return broken_bytes(random, data)
    return packed_anew(random, data)


def packed_anew(random: Random, data: bytes) -> bytes:
    """The same zip with one of its members broken, missing, renamed or doubled, and right checksums."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        names = old.namelist()
        victim = random.choice([name for name in names if random.random() < 0.2 or name.endswith("data.pkl")])
        for name in names:
            content, written = old.read(name), name
            if name == victim:
                kind = random.randrange(6)
                if kind == 0:
                    continue
                if kind == 1:
                    written = random.choice(("archive/data.pkl", "archive/../x", "x/constants.pkl", "archive/data/0"))
                if kind > 1:
                    content = broken_bytes(random, content)
            if written not in new.namelist():
                new.writestr(written, content)
    return buffer.getvalue()


def a_file(random: Random) -> bytes:
    if random.random() < 0.05:
        return broken_bytes(random, pickle.dumps({"x": [1] * 5}, protocol=random.randrange(6)))
    return weights(random)


@pytest.mark.filterwarnings("ignore")  # torch, of what it writes for us
def test_weights_end_in_tensors_or_in_one_sentence(fuzz: Fuzz, sandbox: WarmProcess, tmp_path: Path) -> None:
    cases = [(number, a_file(random)) for number, random in fuzz.numbers()]
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        for (number, data), (kind, words) in zip(batch, read(sandbox, [data for _, data in batch]), strict=True):
            if kind not in ("read", "memory", "BadCheckpoint"):
                raise fuzz.found(number, data, f"{kind}: {words}")
            if len(words) > 1_000 or "\n" in words:
                raise fuzz.found(number, data, f"no sentence: {words}")


def read(sandbox: WarmProcess, files: list[bytes]) -> list[tuple[str, str]]:
    """How each ends. Where one takes the worker with it, each gets a worker of its own: death has a verdict too."""
    worker = sandbox.start()
    try:
        worker.ask(
            wire.LoadProgram(program="p", sources=(wire.Source(text=READER, filename="r", line=1, names=()),)), 20
        )
        tensors = [torch.frombuffer(bytearray(data or b" "), dtype=torch.uint8) for data in files]
        reply = worker.ask(wire.CallFunction(program="p", name="read", args=(tensors,)), SECONDS)
    except (EOFError, TimeoutError):
        if len(files) == 1:
            return [("memory", "")]
        return [end for data in files for end in read(sandbox, [data])]
    finally:
        worker.kill()
    assert isinstance(reply, wire.Value), reply
    return [(kind, words) for kind, words in reply.value]
