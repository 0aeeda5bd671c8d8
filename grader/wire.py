"""The wire between the trusted side and a worker: length-capped frames, strict headers, plain tensors.

A frame is  magic (4 bytes) │ header length (u32) │ payload length (u64) │ header │ payload.
The header is msgpack, decoded into exactly one of the types below: unknown fields are refused. Tensors travel in
the payload as safetensors; the header names them by an extension type. Nothing is ever unpickled, in either direction.
The trusted side treats every reply as hostile; `Caps` says how much of one it is willing to read.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from grader.errors import WireError
from grader.records import Frozen

if TYPE_CHECKING:  # it takes seconds to import, in which a sandbox can start: where tensors are met, it is there
    import torch

MAGIC = b"GRD1"
PREFIX = struct.Struct(">4sIQ")
TENSOR_EXTENSION = 1
MAX_RANK = 8
MAX_TENSORS = 4096
MAX_TENSOR_HEADER = 1 << 20  # bytes; decoded, a shape takes many times what it takes as text

# The dtypes that a check can make sense of, by safetensors' names; quantised, complex and float8 are refused.
DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}
_ALLOWED = frozenset(f"torch.{name}" for name in DTYPES.values())
_MAX_REASON = 300  # characters of a decoder's words, which quote what the worker sent


class Caps(Frozen, frozen=True):
    """How large a frame may be, in bytes."""

    header: int = 1 << 20
    payload: int = 64 << 20


class WorkerLimits(Frozen, frozen=True):
    """What one worker may use. Handed to the warm process when it starts.

    memory_mb counts from the size that a process has after importing torch. cpu_seconds is the sum over threads.
    processes counts threads too, as RLIMIT_NPROC does. threads is how many the arithmetic takes.
    confinement, readable, scratch: set by the tier; what may be read, and where a worker's own folder is made, are
    Landlock's. devices: the device files of a GPU that the worker computes on; see `grader.worker.gpu`.
    """

    memory_mb: int = 2048
    cpu_seconds: int = 900
    file_mb: int = 64
    tmp_mb: int = 64
    open_files: int = 128
    processes: int = 64
    threads: int = 2
    confinement: Literal["namespaces", "landlock", "none"] = "namespaces"
    readable: tuple[str, ...] = ()
    scratch: str = ""
    devices: tuple[str, ...] = ()


class Source(Frozen, frozen=True):
    """One statement to execute: compiled under `filename` so that line 1 is the cell's first line."""

    text: str
    filename: str
    line: int
    names: tuple[str, ...]


# ---- requests -------------------------------------------------------------------------------------------------------


class Request(Frozen, frozen=True, tag_field="op"):
    """Base of what the trusted side may ask."""


class LoadProgram(Request, frozen=True, tag="load_program"):
    """Execute the sources in order in a fresh namespace called `program`."""

    program: str
    sources: tuple[Source, ...]


class Make(Request, frozen=True, tag="make"):
    """Build `name(*args, **kwargs)` from a program, seeded, and call it `handle`; the answer is a `Made`."""

    handle: int
    program: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    seed: int = 0


class Outline(Make, frozen=True, tag="outline"):
    """Build it as `Make` does, with weights that are not drawn but as they are found.

    Memory that nobody writes to is none that is taken. Its numbers mean nothing before weights are loaded into it.
    """


class Affine(Frozen, frozen=True):
    """(x - mean) / std on images in [0, 1]: what ToTensor, with or without Normalize, comes to."""

    mean: float = 0.0
    std: float = 1.0

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """The images whose pixels are given in uint8. Both sides compute the same."""
        images = pixels.float() / 255
        return images if self == Affine() else (images - self.mean) / self.std


class Call(Request, frozen=True, tag="call"):
    """Call a method of a made object, or of the submodule at `path`; the answer holds plain values and tensors.

    One thread serves tiny layers best, above all where other work shares the cores; the held-out images take more.
    With `follow` the answer is [value, steps], each step [path, cell, line, tensor]: what went into which layer.
    With `gpu` the object and the arguments are moved there first; see `grader.worker.gpu`.
    With `batch` the first argument is given in parts of so many rows, one after the other, and a list of answers comes;
    with `pixels` besides, it is pixels in uint8, a quarter of what crosses, and each part of them goes through that.
    """

    handle: int
    method: str
    path: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    seed: int | None = None
    training: bool = False
    threads: int = 1
    follow: bool = False
    gpu: bool = False
    batch: int = 0
    pixels: Affine | None = None


class CallFunction(Request, frozen=True, tag="call_function"):
    """Call a plain function of a program."""

    program: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    seed: int | None = None


class GetState(Request, frozen=True, tag="get_state"):
    """All parameters and buffers of a made object, by name."""

    handle: int


class SetState(Request, frozen=True, tag="set_state"):
    """Overwrite the named parameters and buffers; the answer is all of them as they then are, by name."""

    handle: int
    tensors: dict[str, Any]


class Randomise(Request, frozen=True, tag="randomise"):
    """Give the floating-point parameters the values of `grader.noise`, in order; the answer is that of `SetState`."""

    handle: int
    seed: int = 0


class Forget(Request, frozen=True, tag="forget"):
    """Drop a made object."""

    handle: int


class LoadCheckpoint(Request, frozen=True, tag="load_checkpoint"):
    """Read a `.pth` with weights_only=True; answer with a `Checkpoint`."""

    data: bytes
    max_tensors: int = MAX_TENSORS


class LoadWeights(Request, frozen=True, tag="load_weights"):
    """Load the checkpoint strictly into a made object, under the names that the checkpoint was read with."""

    handle: int


class Transform(Request, frozen=True, tag="transform"):
    """Apply a program's torchvision transform to uint8 images (N, H, W); the answer is the stacked float tensor."""

    program: str
    name: str
    images: Any


AnyRequest = (
    LoadProgram
    | Make
    | Outline
    | Call
    | CallFunction
    | GetState
    | SetState
    | Randomise
    | Forget
    | LoadCheckpoint
    | LoadWeights
    | Transform
)


class Several(Request, frozen=True, tag="several"):
    """Requests in one frame. Each has a reply of its own, which is sent before the next is looked at."""

    requests: tuple[AnyRequest, ...]


# ---- replies --------------------------------------------------------------------------------------------------------


class Frame(Frozen, frozen=True):
    """One line of a traceback that lies in the student's own notebook: cells and lines count from 1."""

    cell: Annotated[int, msgspec.Meta(ge=1, le=10**6)]
    line: Annotated[int, msgspec.Meta(ge=0, le=10**7)]
    function: str


class ModuleInfo(Frozen, frozen=True):
    """One submodule: its path, and the names of its class and of that class's bases.

    known_as: the names under which the program knows these classes besides.
    """

    path: str
    bases: tuple[str, ...]
    known_as: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return *self.bases, *self.known_as


class TensorInfo(Frozen, frozen=True):
    """A parameter or buffer."""

    name: str
    kind: Literal["parameter", "buffer", "hidden buffer"]
    shape: tuple[int, ...]
    dtype: str
    learnable: bool


class Reply(Frozen, frozen=True, tag_field="is"):
    """Base of what a worker may answer."""


class Value(Reply, frozen=True, tag="value"):
    """Plain data: None, bool, int, float, str, lists, dicts with text keys, tensors."""

    value: Any = None


class Loaded(Reply, frozen=True, tag="loaded"):
    """A program was executed; statements that raised are listed, what they should have bound is missing."""

    failures: tuple[Failure, ...]


class Failure(Frozen, frozen=True):
    """A top-level statement of the student's that raised."""

    names: tuple[str, ...]
    kind: str
    message: str
    frames: tuple[Frame, ...]


class Made(Reply, frozen=True, tag="made"):
    """What was built."""

    modules: tuple[ModuleInfo, ...]
    tensors: tuple[TensorInfo, ...]


class Checkpoint(Reply, frozen=True, tag="checkpoint"):
    """What a `.pth` holds, after known wrappings (a dict around the weights, a `module.` prefix) were taken off."""

    tensors: tuple[TensorInfo, ...]
    notes: tuple[str, ...] = ()


class RaisedReply(Reply, frozen=True, tag="raised"):
    """The student's code raised."""

    kind: str
    message: str
    frames: tuple[Frame, ...]
    memory: bool = False


class NotFound(Reply, frozen=True, tag="not_found"):
    """The program has no such name, or the object no such method."""

    name: str
    message: str = ""


AnyReply = Value | Loaded | Made | Checkpoint | RaisedReply | NotFound

# ---- frames ---------------------------------------------------------------------------------------------------------


class _TensorMeta(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


_META = msgspec.json.Decoder(dict[str, _TensorMeta])


def encode(message: Request | Reply) -> bytes:
    """A whole frame. Tensors anywhere inside the message are moved into the payload."""
    tensors: list[torch.Tensor] = []

    def hook(value: Any) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            if str(value.dtype) not in _ALLOWED or value.layout is not torch.strided:
                raise WireError(f"a tensor of dtype {value.dtype} and layout {value.layout} cannot cross the wire")
            tensors.append(value)
            return msgspec.msgpack.Ext(TENSOR_EXTENSION, struct.pack(">I", len(tensors) - 1))
        raise WireError(f"a value of type {type(value).__name__} cannot cross the wire")

    header = msgspec.msgpack.encode(message, enc_hook=hook)
    payload = _payload(tensors) if tensors else b""
    return PREFIX.pack(MAGIC, len(header), len(payload)) + header + payload


def payload_of(request: AnyRequest) -> int:
    """Bytes of the tensors that a request names as arguments or as weights; those in lists are not counted."""
    found: Iterable[Any] = ()
    if isinstance(request, Call | CallFunction | Make):
        found = (*request.args, *request.kwargs.values())
    elif isinstance(request, SetState):
        found = request.tensors.values()
    return sum(getattr(value, "nbytes", 0) for value in found)


def _payload(tensors: list[torch.Tensor]) -> bytes:
    """As safetensors.torch.save writes them, without its search for shared storage: each of these is copied."""
    import safetensors

    plain = [_as_stored(tensor.detach()) for tensor in tensors]
    specs = {}
    for number, tensor in enumerate(plain):
        pointer, size = tensor.data_ptr(), tensor.nbytes
        if size and not pointer:
            raise WireError("a tensor without storage cannot cross the wire")
        dtype = str(tensor.dtype).removeprefix("torch.")
        specs[str(number)] = safetensors.TensorSpec(dtype=dtype, shape=tensor.shape, data_ptr=pointer, data_len=size)
    return bytes(safetensors.serialize(specs))


def _as_stored(tensor: torch.Tensor) -> torch.Tensor:
    """On the CPU, its elements side by side in order and with their own sign."""
    import torch

    if tensor.is_cpu and tensor.is_contiguous() and not tensor.is_neg():
        return tensor
    return tensor.to("cpu").clone(memory_format=torch.contiguous_format)


def _reason(error: Exception) -> str:
    return str(error)[:_MAX_REASON]


def _tensors(payload: bytes) -> dict[str, torch.Tensor]:
    """Decode safetensors after holding its own header against the allow-list."""
    if not payload:
        return {}
    import safetensors

    if len(payload) < 8 or (length := int.from_bytes(payload[:8], "little")) > len(payload) - 8:
        raise WireError("the tensors of a frame are cut short")
    if length > MAX_TENSOR_HEADER:
        raise WireError(f"the tensors of a frame have a header of {length} bytes; at most {MAX_TENSOR_HEADER} are read")
    try:
        metas = _META.decode(payload[8 : 8 + length])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"the tensors of a frame have a header that cannot be read: {_reason(error)}") from None
    if len(metas) > MAX_TENSORS:
        raise WireError(f"a frame holds {len(metas)} tensors; at most {MAX_TENSORS} are taken")
    for meta in metas.values():
        if meta.dtype not in DTYPES or len(meta.shape) > MAX_RANK:
            raise WireError("a frame holds a tensor of a kind that is not taken")
        if any(not 0 <= size < 1 << 40 for size in meta.shape):
            raise WireError("a frame holds a tensor of an impossible shape")
    try:
        return {name: _stored(part) for name, part in safetensors.deserialize(payload)}  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, RuntimeError, ValueError, KeyError, OverflowError) as error:
        raise WireError(f"the tensors of a frame cannot be read: {_reason(error)}") from None


def _stored(part: dict[str, Any]) -> torch.Tensor:
    """One tensor as safetensors takes it apart."""
    import torch

    dtype: torch.dtype = getattr(torch, DTYPES[part["dtype"]])
    if not part["data"]:  # frombuffer takes nothing so short
        return torch.empty(part["shape"], dtype=dtype)
    return torch.frombuffer(part["data"], dtype=dtype).reshape(part["shape"])


class _Held(threading.local):
    """The tensors of the frame that this thread is decoding."""

    tensors: dict[str, torch.Tensor]


_HELD = _Held()


def _named_tensor(code: int, data: memoryview) -> Any:
    if code != TENSOR_EXTENSION or len(data) != 4:
        raise WireError("a frame holds an extension that is not known")
    try:
        return _HELD.tensors[str(struct.unpack(">I", data)[0])]
    except KeyError:
        raise WireError("a frame names a tensor that it does not hold") from None


@lru_cache(maxsize=16)
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, ext_hook=_named_tensor)


def decode(header: bytes | memoryview, payload: bytes, kind: Any) -> Any:
    """One message of type `kind`. Raises WireError for anything else."""
    _HELD.tensors = _tensors(payload)
    try:
        return _decoder(kind).decode(header)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise WireError(f"a frame's header cannot be read: {_reason(error)}") from None
    finally:
        _HELD.tensors = {}


def send(sock: socket.socket, message: Request | Reply, deadline: float | None = None) -> None:
    """Send one frame. `deadline` is a time.monotonic() value; raises TimeoutError, OSError."""
    send_frame(sock, encode(message), deadline)


def send_frame(sock: socket.socket, frame: bytes, deadline: float | None = None) -> None:
    """Send what `encode` gave."""
    for chunk in _pieces(memoryview(frame)):
        _arm(sock, deadline)
        sock.sendall(chunk)


def _pieces(view: memoryview, size: int = 1 << 20) -> Iterator[memoryview]:
    for start in range(0, len(view), size):
        yield view[start : start + size]


def receive(source: socket.socket | Inbox, kind: Any, caps: Caps, deadline: float | None = None) -> Any:
    """Read one frame and decode it as `kind`.

    Raises TimeoutError when the deadline (a time.monotonic() value) passes, however slowly bytes drip in; EOFError
    when the other side has closed; WireError when the frame breaks the protocol.
    """
    read = source.exactly if isinstance(source, Inbox) else partial(exactly, source)
    prefix = read(PREFIX.size, deadline)
    magic, header_length, payload_length = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise WireError("a frame does not begin as frames do")
    if header_length > caps.header or payload_length > caps.payload:
        raise WireError(
            f"a frame claims {header_length} + {payload_length} bytes; at most {caps.header} + {caps.payload} are read"
        )
    if payload_length > Inbox.AT_ONCE:  # a turn more, and no copy of it
        header = memoryview(read(header_length, deadline))
        return decode(header, bytes(read(payload_length, deadline)), kind)
    frame = memoryview(read(header_length + payload_length, deadline))
    return decode(frame[:header_length], bytes(frame[header_length:]), kind)


class Inbox:
    """What comes out of a socket in short frames: as many of them as have come are taken out at once."""

    AT_ONCE = 1 << 16  # bytes

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = bytearray()
        self._place = 0  # what lies before it has been read

    @property
    def holds_more(self) -> bool:
        return self._place < len(self._data)

    def exactly(self, length: int, deadline: float | None) -> bytearray:
        """`length` bytes. Raises as `exactly` does."""
        if len(self._data) - self._place < length:
            del self._data[: self._place]
            self._place = 0
            if length > self.AT_ONCE:
                had, self._data = self._data, bytearray()
                return had + exactly(self._sock, length - len(had), deadline)
            while len(self._data) < length:
                self._data += _piece(self._sock, self.AT_ONCE, deadline)
        start, self._place = self._place, self._place + length
        return self._data[start : self._place]


def exactly(sock: socket.socket, length: int, deadline: float | None) -> bytes | bytearray:
    """`length` bytes. Raises TimeoutError at the deadline, EOFError at the end.

    Whoever sets no deadline trusts the other side: memory for all of it is taken at once, and nothing is copied.
    """
    most, flags = (1 << 20, 0) if deadline is not None else (length, socket.MSG_WAITALL)
    data = bytearray()
    while len(data) < length:
        piece = _piece(sock, min(length - len(data), most), deadline, flags)
        if len(piece) == length:
            return piece
        data += piece
    return data


def _piece(sock: socket.socket, most: int, deadline: float | None, flags: int = 0) -> bytes:
    """What has come, at least a byte. Raises as `exactly` does."""
    _arm(sock, deadline)
    piece = sock.recv(most, flags)
    if not piece:
        raise EOFError("the other side has closed the connection")
    return piece


def _arm(sock: socket.socket, deadline: float | None) -> None:
    if deadline is None:
        sock.settimeout(None)
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)
