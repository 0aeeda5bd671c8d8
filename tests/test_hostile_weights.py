"""Weights that attack, on the whole road: they cost the weights' own criteria, and the student is told why.

What a wrong but honest `.pth` gets stands in tests/test_checkpoint.py; fuzzing, in tests/fuzz.
"""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import HandIn, criterion, lost

from grader.records import Record, Verdict, to_json

Quick = Callable[[HandIn | Path], Record]
State = dict[str, torch.Tensor]

pytestmark = pytest.mark.filterwarnings("ignore:.*quantize")  # torch, of what it writes for us


def saved(value: object, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def state_of(hand_in: HandIn) -> State:
    return torch.load(io.BytesIO(hand_in.files["vit.pth"]), weights_only=True)  # type: ignore[no-any-return]


class Gadget:
    """Runs code when it is unpickled: it reads what must be hidden, and leaves a trace."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"import glob; open({self.trace!r}, 'w').write(str(glob.glob('/**/*ubyte.gz')))",)


TRACE = Path("/tmp/trace-of-hostile-weights")


def claimed(count: int) -> bytes:
    """A file of a few hundred bytes, as torch saved before 1.6, whose storage claims `count` numbers."""
    data = saved({"x": torch.zeros(1)}, old=True)
    return data.replace(b"K\x01Nt", b"\x8a\x08" + struct.pack("<q", count) + b"Nt", 1)


def legacy_tar() -> bytes:
    """As torch saved before 0.1.10."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, value in (("sys_info", {}), ("pickle", {"x": 1}), ("storages", 0), ("tensors", 0)):
            data = pickle.dumps(value)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def scripted() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps(()))
        archive.writestr("archive/code/__torch__.py", "class M(Module): pass")
        archive.writestr("archive/data.pkl", pickle.dumps({"x": 1}))
        archive.writestr("archive/version", "3")
    return buffer.getvalue()


def replaced(state: State, name: str, value: object) -> dict[str, object]:
    return OrderedDict({**state, name: value})


REFUSED: dict[str, tuple[Callable[[State], bytes], str]] = {
    "a gadget": (lambda _: saved(Gadget(str(TRACE))), "type NoneType, not a state_dict"),
    "a gadget among the weights": (lambda s: saved(replaced(s, "x", Gadget(str(TRACE)))), "no state_dict"),
    "a gadget, as torch saved before 1.6": (lambda _: saved(Gadget(str(TRACE)), old=True), "not a state_dict"),
    "a bare gadget": (lambda _: pickle.dumps(Gadget(str(TRACE))), "torch.load refuses the file"),
    "a storage of an exabyte": (lambda _: claimed(2**60), "torch.load refuses the file"),
    "a tar, as torch saved before 0.1.10": (lambda _: legacy_tar(), "it is not a file that torch.save writes"),
    "a git-lfs pointer": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
        "it begins with “version https://git-lfs",
    ),
    "TorchScript": (lambda _: scripted(), "torch.load refuses the file"),
    "lists nested a million deep": (
        lambda _: b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".",
        "torch.load refuses the file",
    ),
    "one tensor": (lambda s: saved(s["cls_token"]), "type Tensor, not a state_dict"),
    "a number": (lambda _: saved(3), "type int, not a state_dict"),
    "an empty dict": (lambda _: saved(OrderedDict()), "no state_dict: a mapping from names to tensors"),
    "quantised": (
        lambda s: saved(replaced(s, "norm.bias", torch.quantize_per_tensor(s["norm.bias"], 0.1, 0, torch.qint8))),
        "“norm.bias” is not a plain dense tensor",
    ),
    "sparse": (lambda s: saved(replaced(s, "norm.bias", s["norm.bias"].to_sparse())), "not a plain dense tensor"),
    "meta": (lambda s: saved(replaced(s, "norm.bias", s["norm.bias"].to("meta"))), "not a plain dense tensor"),
    "complex": (lambda s: saved(replaced(s, "norm.bias", s["norm.bias"] + 0j)), "“norm.bias” is complex"),
    "a stride of zero": (
        lambda s: saved(replaced(s, "norm.bias", torch.zeros(1).expand(10**6, 10**6))),
        "“norm.bias” claims 1000000000000 elements but stores fewer",
    ),
    "a name with control characters": (
        lambda s: saved(replaced(s, "x\x1b[2J\u202e\n100 / 100", torch.ones(1))),
        "the .pth has “x\x1b[2J\u202e\n100 / 100”, the model has not",
    ),
    "a name without end": (lambda s: saved(replaced(s, "x" * 10**6, torch.ones(1))), "name has 1000000 characters"),
    "a name that is no text": (lambda s: saved(replaced(s, "x\udcff", torch.ones(1))), "a tensor's name is no text"),
    "ten thousand tensors": (
        lambda _: saved({str(number): torch.ones(1) for number in range(10_000)}),
        "the file holds 10000 tensors; at most 4096 are taken",
    ),
    "another shape": (lambda s: saved(replaced(s, "norm.bias", torch.ones(3))), "“norm.bias” is (3,) in the .pth and"),
    "a tensor of no dimension": (lambda s: saved(replaced(s, "norm.bias", torch.tensor(1.0))), "“norm.bias” is ()"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_weights_cost_their_criterion_alone_in_one_sentence(what: str, hand_in: HandIn, quick: Quick) -> None:
    make, words = REFUSED[what]
    hand_in.files["vit.pth"] = make(state_of(hand_in))
    record = quick(hand_in)
    assert set(lost(record)) == {"checkpoint"}
    [check] = criterion(record, "checkpoint").checks
    assert check.verdict is Verdict.FAILED
    assert words in check.message
    assert len(check.message) < 1_000
    assert not TRACE.exists()  # it may run in the sandbox, which has a /tmp of its own
    assert b"\x1b" not in to_json(record)


HARMLESS: dict[str, Callable[[State], Any]] = {
    "views of one storage": lambda s: _in_one_storage(s),
    "double precision": lambda s: {name: tensor.double() for name, tensor in s.items()},
    "parameters that want a gradient": lambda s: {name: torch.nn.Parameter(tensor) for name, tensor in s.items()},
    "transposed in memory": lambda s: {
        name: tensor.mT.contiguous().mT if tensor.ndim > 1 else tensor for name, tensor in s.items()
    },
    "with metadata that is none": lambda s: _with_metadata(s),
}


def _in_one_storage(state: State) -> State:
    all_in_one = torch.cat([tensor.flatten() for tensor in state.values()])
    pieces = all_in_one.split([tensor.numel() for tensor in state.values()])
    return {name: piece.view(state[name].shape) for name, piece in zip(state, pieces, strict=True)}


def _with_metadata(state: State) -> State:
    odd: Any = OrderedDict(state)
    odd._metadata = {"": {"version": 10**9}}
    return odd  # type: ignore[no-any-return]


@pytest.mark.parametrize("what", HARMLESS)
def test_weights_that_are_only_saved_oddly_cost_nothing(what: str, hand_in: HandIn, quick: Quick) -> None:
    hand_in.files["vit.pth"] = saved(HARMLESS[what](state_of(hand_in)))
    assert lost(quick(hand_in)) == {}


def test_weights_that_are_no_numbers_load_and_are_counted_as_the_images_come_out(
    hand_in: HandIn, graded: Callable[..., Record]
) -> None:
    state = state_of(hand_in)
    hand_in.files["vit.pth"] = saved({name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()})
    record = graded(hand_in, accuracy=True)
    assert set(lost(record)) == {"accuracy"}
    assert criterion(record, "accuracy").verdict is Verdict.FAILED
    assert record.checkpoint.total in (None, 10_000)
