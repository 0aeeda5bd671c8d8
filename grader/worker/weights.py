"""Reads a `.pth` inside the sandbox: weights_only first, and nothing is copied before its claims were looked at."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

MAX_EXPANDED = 2 << 30
WRAPPINGS = ("state_dict", "model_state_dict", "model", "net", "weights", "params")
ZIP_MAGIC, PICKLE_MAGIC = b"PK\x03\x04", b"\x80"
PREFIXES = ("module.", "_orig_mod.", "model.")
MAX_NAME = 300  # characters of a tensor's name
MAX_WORDS = 300  # characters of what others say about the file


class BadCheckpoint(ValueError):
    """The file is not a set of weights that can be loaded; the message says why."""


def read(data: bytes, max_tensors: int) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """The named tensors of a checkpoint and notes on what was unwrapped. Raises BadCheckpoint."""
    _look_before_loading(data)
    notes: list[str] = []
    value = _load(data, notes)
    if isinstance(value, nn.Module):
        notes.append("the whole model was saved instead of its state_dict()")
        value = value.state_dict()
    tensors = _unwrap(value, notes)
    if len(tensors) > max_tensors:
        raise BadCheckpoint(f"the file holds {len(tensors)} tensors; at most {max_tensors} are taken")
    for name, tensor in tensors.items():
        _look_at_name(name)
        _look(name, tensor)
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            notes.append(f"every name began with “{prefix}”")
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors, tuple(notes)


def _look_before_loading(data: bytes) -> None:
    """What was not saved by torch is said in its own words; a few kilobytes that expand to gigabytes are not opened."""
    if data[:1] == PICKLE_MAGIC:  # as torch saved before version 1.6
        return
    if data[:4] != ZIP_MAGIC:
        begins = repr(data[:24])[2:-1]
        raise BadCheckpoint(f"it is not a file that torch.save writes: it begins with “{begins}”")
    try:
        claimed = sum(member.file_size for member in zipfile.ZipFile(io.BytesIO(data)).infolist())
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise BadCheckpoint(f"the file is damaged: {_words(error)}") from None
    if claimed > MAX_EXPANDED:
        raise BadCheckpoint(f"the file expands to {claimed >> 20} MiB; at most {MAX_EXPANDED >> 20} are read")


def _load(data: bytes, notes: list[str]) -> Any:
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        refusal = error
    try:
        # Only in here: the sandbox is what holds. A whole saved model needs the student's own classes, which stand in
        # sys.modules["__main__"] as they did when it was saved.
        value = torch.load(io.BytesIO(data), map_location="cpu", weights_only=False)
    except MemoryError:
        raise
    except Exception:
        raise BadCheckpoint(f"torch.load refuses the file: {_reason(refusal)}") from None
    notes.append("the file holds more than tensors, and was opened inside the sandbox only")
    return value


def _reason(error: BaseException) -> str:
    """The sentence that says what is wrong with the file: torch puts advice on its own arguments around it."""
    text = str(error).partition("WeightsUnpickler error:")[2] or str(error)
    return _words(re.split(r"\. |\n", text.strip() or type(error).__name__)[0])


def _words(text: object) -> str:
    """What quotes the file, so that it can be written down: no lone surrogate, not without end."""
    return str(text).encode(errors="backslashreplace").decode()[:MAX_WORDS]


def _unwrap(value: Any, notes: list[str]) -> dict[str, torch.Tensor]:
    for _ in range(3):
        if not isinstance(value, Mapping):
            raise BadCheckpoint(f"the file holds a value of type {type(value).__name__}, not a state_dict")
        if value and all(isinstance(item, torch.Tensor) for item in value.values()):
            return {str(name): tensor for name, tensor in value.items()}
        inner = next((key for key in WRAPPINGS if isinstance(value.get(key), Mapping | nn.Module)), None)
        if inner is None:
            break
        notes.append(f"the weights lay under the key “{inner}”")
        value = value[inner].state_dict() if isinstance(value[inner], nn.Module) else value[inner]
    raise BadCheckpoint("the file holds no state_dict: a mapping from names to tensors")


def _look_at_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise BadCheckpoint(f"a tensor's name has {len(name)} characters; at most {MAX_NAME} are taken")
    if _words(name) != name:
        raise BadCheckpoint(f"a tensor's name is no text: “{_words(name)}”")


def _look(name: str, tensor: torch.Tensor) -> None:
    """A stride of zero makes 10^12 elements out of four bytes: deadly when copied."""
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise BadCheckpoint(f"“{name}” is not a plain dense tensor")
    if tensor.is_complex():
        raise BadCheckpoint(f"“{name}” is complex")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise BadCheckpoint(f"“{name}” claims {tensor.numel()} elements but stores fewer")
