"""Replies with anything wrong, read off a socket: a message, a WireError, or the end of the file."""

from __future__ import annotations

import io
import json
import socket
import time
from random import Random
from typing import Any, cast

import msgspec
import torch

from fuzz.conftest import Fuzz, check_sentence
from fuzz.mutation import HOSTILE_NUMBERS, HOSTILE_TEXT, HOSTILE_VALUES, broken_bytes, broken_json
from grader import wire
from grader.errors import WireError
from grader.inert import one_line

FRAME = wire.Frame(cell=3, line=7, function="forward")
INFO = wire.TensorInfo(name="W_q.weight", kind="parameter", shape=(4, 4), dtype="float32", learnable=True)
MODULE = wire.ModuleInfo(path="attn", bases=("Linear",))
REPLIES: tuple[wire.AnyReply, ...] = (
    wire.Value(value={"a": [1, None, True, "x", 0.5], "t": torch.arange(6.0).reshape(2, 3)}),
    wire.Value(value=[torch.ones(2, dtype=torch.bfloat16), torch.ones(0, 3), torch.tensor(1)]),
    wire.Loaded(failures=(wire.Failure(names=("A",), kind="NameError", message="no x", frames=(FRAME,)),)),
    wire.Made(modules=(MODULE, MODULE), tensors=(INFO,)),
    wire.Checkpoint(tensors=(INFO, INFO), notes=("every name began with “module.”",)),
    wire.RaisedReply(kind="ValueError", message="bad shape", frames=(FRAME, FRAME)),
    wire.NotFound(name="W_q", message=""),
)
FRAMES = tuple(wire.encode(reply) for reply in REPLIES)
KEYS = ("is", "value", "failures", "names", "kind", "message", "frames", "handle", "modules", "tensors", "op", "score")
EXTENSIONS = (msgspec.msgpack.Ext(1, b"\0\0\0\0"), msgspec.msgpack.Ext(1, b"\0\0\0\t"), msgspec.msgpack.Ext(-7, b""))


def a_frame(random: Random) -> bytes:
    frame = random.choice(FRAMES)
    kind = random.randrange(4)
    if kind == 0:
        return broken_bytes(random, frame)
    header, payload = _parts(frame)
    if kind == 1:
        header = broken_bytes(random, header)
    elif kind == 2:
        header = _pack(_odd(random, msgspec.msgpack.decode(header)))
    elif payload:
        payload = _odd_tensors(random, payload)
    return wire.PREFIX.pack(wire.MAGIC, len(header), len(payload)) + header + payload


def _parts(frame: bytes) -> tuple[bytes, bytes]:
    _, length, _ = wire.PREFIX.unpack(frame[: wire.PREFIX.size])
    return frame[wire.PREFIX.size :][:length], frame[wire.PREFIX.size + length :]


def _odd(random: Random, value: Any) -> Any:
    """The same structure with hostile parts."""
    if random.random() < 0.12:
        return random.choice(
            (*HOSTILE_VALUES, *HOSTILE_TEXT, *HOSTILE_NUMBERS, *KEYS, *EXTENSIONS, b"\xff", [[]] * 300)
        )
    if isinstance(value, dict):
        return {
            random.choice(KEYS) if random.random() < 0.05 else key: _odd(random, inner)
            for key, inner in value.items()
            if random.random() > 0.03
        }
    if isinstance(value, list):
        return [_odd(random, inner) for inner in value for _ in range(random.choice((1, 1, 1, 1, 0, 2)))]
    return value


def _pack(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError):  # a number or a lone surrogate that msgpack cannot spell
        return b"\x81\xa2is\xd9\x03\xed\xa0\x80"


def _odd_tensors(random: Random, payload: bytes) -> bytes:
    length = int.from_bytes(payload[:8], "little")
    header, data = payload[8 : 8 + length], payload[8 + length :]
    kind = random.randrange(3)
    if kind == 0:
        header = broken_json(random, json.loads(header)).encode(errors="surrogatepass")
    elif kind == 1:
        entry = {"dtype": random.choice((*wire.DTYPES, "F8_E4M3", "C64", "F4", "")), "shape": _shape(random)}
        header = json.dumps({"0": entry | {"data_offsets": [0, random.choice((len(data), 0, 2**63))]}}).encode()
    else:
        return broken_bytes(random, payload)
    return len(header).to_bytes(8, "little") + header + data


def _shape(random: Random) -> list[int]:
    return [random.choice((0, 1, 2, 3, 6, -1, 2**31, 2**39, 2**62, 2**64)) for _ in range(random.choice((0, 1, 2, 9)))]


class Pieces:
    """A socket from which bytes come in pieces, and then the end."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def settimeout(self, seconds: float | None) -> None:
        pass

    def recv(self, size: int, _: int = 0) -> bytes:
        return self._stream.read(min(size, 1000))


def read(data: bytes) -> None:
    inbox = wire.Inbox(cast("socket.socket", Pieces(data)))
    try:
        reply = wire.receive(inbox, wire.AnyReply, wire.Caps(), time.monotonic() + 60)
    except EOFError:
        return
    except WireError as error:
        check_sentence(one_line(str(error)))  # a report shows it so
        return
    assert isinstance(reply, wire.AnyReply)
    if isinstance(reply, wire.Value):
        for tensor in tensors_of(reply.value):
            assert str(tensor.dtype).removeprefix("torch.") in wire.DTYPES.values()
            assert tensor.device.type == "cpu"
            assert tensor.is_contiguous()
            assert len(tensor.untyped_storage()) <= len(data)  # nothing larger than what was sent


def tensors_of(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [tensor for part in inner for tensor in tensors_of(part)]


def test_frames_end_in_a_message_or_in_a_wire_error(fuzz: Fuzz) -> None:
    fuzz.run(a_frame, read)
