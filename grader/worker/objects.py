"""Describes and converts what student code made, for the wire."""

from __future__ import annotations

import itertools
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import init
from torch.overrides import TorchFunctionMode

from grader.wire import Failure, Frame, ModuleInfo, RaisedReply, TensorInfo

MAX_DEPTH = 8
MAX_TEXT = 2_000
MAX_MODULES = 4_096
MAX_LINE = 10**7
CELL = re.compile(r"cell ([1-9][0-9]{0,4})")  # what a program's sources are compiled under


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as the wire takes it. Raises TypeError for what is neither a tensor nor plain data."""
    if depth > MAX_DEPTH:
        raise TypeError("the value is nested too deeply")
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        return tensor.to_dense() if tensor.layout is not torch.strided else tensor
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    raise TypeError(f"a {type(value).__name__} is neither a tensor nor a plain value")


def other_names(namespace: Mapping[str, Any]) -> dict[int, list[str]]:
    """Classes, by their id, that stand there under names which are not their own: `MultiHeadAttention = MHA`."""
    own_name = type.__dict__["__name__"].__get__  # a metaclass may have ideas of its own, of hashes too
    found: dict[int, list[str]] = {}
    for name, value in namespace.items():
        if issubclass(type(value), type) and own_name(value) != name:
            found.setdefault(id(value), []).append(name)
    return found


def describe(
    value: Any, names: Mapping[int, Sequence[str]] = MappingProxyType({})
) -> tuple[tuple[ModuleInfo, ...], tuple[TensorInfo, ...]]:
    """The submodules and the tensors of a module; both empty for anything else. names: `other_names` of classes."""
    if not isinstance(value, nn.Module):
        return (), ()
    modules = [
        ModuleInfo(path=path, bases=bases, known_as=known_as)
        for path, module in itertools.islice(value.named_modules(), MAX_MODULES)
        for bases, known_as in [_bases(type(module), names)]
    ]
    return tuple(modules), tuple(_tensors(value))


def _bases(of: type, names: Mapping[int, Sequence[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that a class and its bases were given, and their other names."""
    kinds = [kind for kind in of.__mro__ if kind is not object and kind is not nn.Module]
    return tuple([kind.__name__ for kind in kinds]), tuple([n for kind in kinds for n in names.get(id(kind), ())])


def _tensors(module: nn.Module) -> list[TensorInfo]:
    found = [_info(name, "parameter", one) for name, one in module.named_parameters(remove_duplicate=False)]
    buffers = list(module.named_buffers(remove_duplicate=False))
    saved = module.state_dict() if buffers else {}
    for name, buffer in buffers:
        found.append(_info(name, "buffer" if name in saved else "hidden buffer", buffer))
    return found


def _info(name: str, kind: Any, tensor: torch.Tensor) -> TensorInfo:
    return TensorInfo(
        name=name,
        kind=kind,
        shape=tuple(tensor.shape),
        dtype=dtype_of(tensor),
        learnable=bool(tensor.requires_grad),
    )


def dtype_of(tensor: torch.Tensor) -> str:
    return _name_of(tensor.dtype)


@lru_cache(maxsize=64)
def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def named_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers, shared ones under each of their names."""
    return dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))


@contextmanager
def undrawn_weights() -> Iterator[None]:
    """In here torch's layers leave their weights as `torch.empty` gives them.

    By the functions of torch.nn.init that draw at random; constants, and what student code draws by itself, are set as
    ever. Not the meta device: code may refuse it, and its first arithmetic imports 800 modules, for a second.
    """
    drawing = {name: value for name, value in vars(init).items() if name.endswith(("uniform_", "normal_"))}
    try:
        for name in drawing:
            setattr(init, name, lambda tensor, *_, **__: tensor)
        yield
    finally:
        for name, value in drawing.items():
            setattr(init, name, value)


def frames(error: BaseException) -> tuple[Frame, ...]:
    """The lines of the traceback that lie in the notebook, outermost first."""
    found = [
        Frame(cell=int(place[1]), line=min(max(f.lineno or 0, 0), MAX_LINE), function=f.name[:200])
        for f in traceback.extract_tb(error.__traceback__, limit=200)
        if (place := CELL.fullmatch(f.filename))
    ]
    return tuple(found[-20:])


def text_of(error: BaseException) -> str:
    try:
        return str(error)[:MAX_TEXT]
    except BaseException:  # a student's own exception class may raise when it is printed
        return "(the exception cannot be printed)"


def is_memory(error: BaseException) -> bool:
    """Python says MemoryError; torch says it in a RuntimeError."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(words in text_of(error) for words in ("can't allocate memory", "not enough memory", "std::bad_alloc"))
    )


def raised(error: BaseException) -> RaisedReply:
    return RaisedReply(
        kind=type(error).__name__[:200], message=text_of(error), frames=frames(error), memory=is_memory(error)
    )


def failure(error: BaseException, names: tuple[str, ...]) -> Failure:
    return Failure(names=names, kind=type(error).__name__[:200], message=text_of(error), frames=frames(error))


class CudaMeansCpu(TorchFunctionMode):
    """Sends what asks for a GPU to the CPU: a notebook that says `.cuda()` was right where it was written."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if not kwargs and func is not torch.device and name not in ("cuda", "to"):
            for value in args:
                if isinstance(value, (str, torch.device)):
                    break
            else:
                return func(*args)  # almost all of what a layer calls is of this kind
        kwargs = dict(kwargs or {})
        if name == "cuda" and args and isinstance(args[0], torch.Tensor):
            return args[0]
        if func is torch.device and not _is_number_of_gpu(*args[:1]):  # ("cuda", 0): only the whole of it is a device
            return self._cpu(func(*args, **kwargs))
        if func is torch.device or (name == "to" and _is_number_of_gpu(*args[1:2])):  # `.to(0)` means the first GPU
            args = ("cpu",) if func is torch.device else (args[0], "cpu", *args[2:])
        if _is_number_of_gpu(kwargs.get("device")):
            kwargs["device"] = "cpu"
        args = tuple(self._cpu(value) for value in args)
        return func(*args, **{name: self._cpu(value) for name, value in kwargs.items()})

    @staticmethod
    def _cpu(value: Any) -> Any:
        if isinstance(value, torch.device):
            return torch.device("cpu") if value.type == "cuda" else value
        if isinstance(value, str) and (value == "cuda" or value.startswith("cuda:")):
            return torch.device("cpu")
        if isinstance(value, str) and value.startswith("torch.cuda."):  # `.type("torch.cuda.FloatTensor")`
            return value.replace("torch.cuda.", "torch.", 1)
        return value


def _is_number_of_gpu(value: Any = None) -> bool:
    return type(value) is int  # a bool is none


def wants_cuda(error: BaseException) -> bool:
    """Torch has several ways to say that there is no GPU, one of them a missing name of its own."""
    message = text_of(error)
    return any(words in message for words in ("CUDA", "NVIDIA", "_cuda_", "accelerator device", "dummy base class"))


class _Idle:
    """A stream, an event or a chosen GPU, where there is none: it can be asked anything, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> _Idle:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python looks up by itself, to copy it for one
            raise AttributeError(name)
        return lambda *_, **__: 0.0


def compile_nothing() -> None:
    """Make `torch.compile` give back what it is given.

    So it does by itself where TORCHDYNAMO_DISABLE is set, once it has imported the compiler: 0.6 s in each worker.
    """

    def uncompiled(model: Any = None, **_: Any) -> Any:
        return (lambda decorated: decorated) if model is None else model

    torch.compile = uncompiled


def quiet_cuda() -> None:
    """Make `torch.cuda` answer without a GPU. It times, seeds and counts, and none of that changes a value."""
    answers = {
        None: "synchronize empty_cache ipc_collect init set_device manual_seed manual_seed_all seed seed_all "
        "reset_peak_memory_stats reset_max_memory_allocated",
        0: "current_device memory_allocated max_memory_allocated memory_reserved max_memory_reserved",
        1: "device_count",
        "CPU": "get_device_name",
    }
    for answer, names in answers.items():
        for name in names.split():
            setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    for name in ("Event", "Stream", "current_stream", "default_stream", "stream", "device", "get_device_properties"):
        setattr(torch.cuda, name, _Idle)
    for place in (torch.cuda, torch.cpu):  # `torch.random.fork_rng()` asks the one, and by `CudaMeansCpu` the other
        setattr(place, "get_rng_state", lambda *_, **__: torch.get_rng_state())  # noqa: B010 - mypy knows no such name
        setattr(place, "set_rng_state", lambda *_, **__: None)  # noqa: B010
    for name in ("Float", "Double", "Half", "BFloat16", "Byte", "Char", "Short", "Int", "Long", "Bool"):
        setattr(torch.cuda, f"{name}Tensor", getattr(torch, f"{name}Tensor"))
