"""The wire refuses whatever is not exactly a message of ours."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grader import wire
from grader.errors import WireError

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Source = Callable[[socket.socket], "socket.socket | wire.Inbox"]
BOTH_WAYS = pytest.mark.parametrize("source", [lambda sock: sock, wire.Inbox], ids=["socket", "inbox"])


def read(source: socket.socket | wire.Inbox, seconds: float = 5.0, caps: wire.Caps | None = None) -> wire.AnyReply:
    return wire.receive(source, wire.AnyReply, caps or wire.Caps(), time.monotonic() + seconds)  # type: ignore[no-any-return]


def test_plain_values_and_tensors_come_back_as_they_were_sent(pair: Pair) -> None:
    ours, theirs = pair
    tensor = torch.arange(6.0).reshape(2, 3)
    wire.send(theirs, wire.Value(value={"a": [1, None, True, "x", float("inf")], "t": [tensor, tensor.bool()]}))
    value = read(ours).value  # type: ignore[union-attr]
    assert value["a"] == [1, None, True, "x", float("inf")]
    assert torch.equal(value["t"][0], tensor)
    assert value["t"][1].dtype == torch.bool


@pytest.mark.parametrize("tensor", [torch.arange(6).reshape(2, 3).T, torch.ones(1).expand(4, 5), torch.ones(2, 0)])
def test_views_cross_as_what_they_show(tensor: torch.Tensor, pair: Pair) -> None:
    wire.send(pair[1], wire.Value(value=tensor))
    assert torch.equal(read(pair[0]).value, tensor)  # type: ignore[union-attr]


def test_two_names_of_one_tensor_may_cross_together(pair: Pair) -> None:
    shared = torch.ones(3)
    wire.send(pair[1], wire.Value(value=[shared, shared]))
    assert len(read(pair[0]).value) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [torch.ones(2, dtype=torch.complex64), object(), torch.ones(2).to_sparse()])
def test_what_is_not_plain_cannot_be_sent(value: object) -> None:
    with pytest.raises(WireError):
        wire.encode(wire.Value(value=value))


def frame(header: bytes, payload: bytes = b"", magic: bytes = wire.MAGIC) -> bytes:
    return wire.PREFIX.pack(magic, len(header), len(payload)) + header + payload


def packed(**fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


TENSOR = msgspec.msgpack.Ext(wire.TENSOR_EXTENSION, struct.pack(">I", 0))


def tensors(entry: dict[str, object], data: bytes = b"") -> bytes:
    header = json.dumps({"0": entry}).encode()
    return len(header).to_bytes(8, "little") + header + data


HOSTILE = {
    "another magic": frame(packed(**{"is": "value"}), magic=b"HTTP"),
    "two gigabytes claimed": wire.PREFIX.pack(wire.MAGIC, 2 << 30, 0),
    "an exabyte of payload claimed": wire.PREFIX.pack(wire.MAGIC, 1, 1 << 60),
    "an unknown field": frame(packed(**{"is": "value", "value": 1, "score": 100})),
    "an unknown kind": frame(packed(**{"is": "verdict"})),
    "a request for a reply": frame(packed(op="get_state", handle=1)),
    "a wrong type": frame(packed(**{"is": "made", "handle": "1", "modules": [], "tensors": []})),
    "not msgpack": frame(b"\xc1\xc1"),
    "nested a thousand deep": frame(b"\x82\xa2is\xa5value\xa5value" + b"\x91" * 5000 + b"\x01"),
    "an unknown extension": frame(packed(**{"is": "value", "value": msgspec.msgpack.Ext(9, b"x")})),
    "a tensor that is not there": frame(packed(**{"is": "value", "value": TENSOR})),
    "tensors cut short": frame(packed(**{"is": "value", "value": TENSOR}), b"\xff" * 9),
    "a shape larger than its data": frame(
        packed(**{"is": "value", "value": TENSOR}),
        tensors({"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4]}, b"\0" * 4),
    ),
    "an impossible shape": frame(
        packed(**{"is": "value", "value": TENSOR}),
        tensors({"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]}),
    ),
    "a dtype that is not taken": frame(
        packed(**{"is": "value", "value": TENSOR}),
        tensors({"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}, b"\0"),
    ),
}


@BOTH_WAYS
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reply_is_one_clear_error(name: str, source: Source, pair: Pair) -> None:
    pair[1].sendall(HOSTILE[name])
    with pytest.raises(WireError):
        read(source(pair[0]))


@BOTH_WAYS
def test_a_reply_that_drips_meets_the_deadline(source: Source, pair: Pair) -> None:
    pair[1].sendall(frame(packed(**{"is": "value"}))[:-1])
    with pytest.raises(TimeoutError):
        read(source(pair[0]), seconds=0.2)


@BOTH_WAYS
@pytest.mark.parametrize("sent", [0, 7, 20])
def test_a_closed_connection_is_the_end_of_the_file(sent: int, source: Source, pair: Pair) -> None:
    pair[1].sendall(frame(packed(**{"is": "value"}))[:sent])
    pair[1].close()
    with pytest.raises(EOFError):
        read(source(pair[0]))


@pytest.mark.parametrize("size", [1, 15, 1000, wire.Inbox.AT_ONCE, 1 << 20])
def test_an_inbox_gives_one_frame_after_the_other_however_their_bytes_come(size: int, pair: Pair) -> None:
    ours, theirs = pair
    values = [
        torch.arange(float(count)) for count in (1, 2, 20_000, 3, 40_000, 0)
    ]  # two take more than it reads at once
    data = b"".join(wire.encode(wire.Value(value=value)) for value in values)
    inbox = wire.Inbox(ours)

    def send() -> None:
        for start in range(0, len(data), size):
            theirs.sendall(data[start : start + size])

    sender = threading.Thread(target=send)
    sender.start()
    for value in values:
        assert torch.equal(read(inbox).value, value)  # type: ignore[union-attr]
    sender.join()
    assert not inbox.holds_more
    theirs.sendall(wire.encode(wire.Value()) * 2)
    read(inbox)
    assert inbox.holds_more


@given(header=st.binary(max_size=200), payload=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_a_message_or_a_wire_error(header: bytes, payload: bytes) -> None:
    with contextlib.suppress(WireError):
        wire.decode(header, payload, wire.AnyReply)
