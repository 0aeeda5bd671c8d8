"""Values as far as reading can tell them, and the few calls and operators whose results can be told."""

from __future__ import annotations

import ast
import json
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

MAX_ITEMS = 64  # of a list that is appended to, and turns of a loop over a list
_LARGEST = 1e12
_MAX_JSON = 4_000  # characters; settings are short, and a loop may read them again and again


class Unknown:
    """What cannot be told. It spreads: anything made from it is unknown too."""


UNKNOWN: Final = Unknown()


@dataclass(slots=True, eq=False)
class Function:
    node: ast.FunctionDef | ast.AsyncFunctionDef
    cell: int
    offset: int  # from the node's own line numbers to the cell's


@dataclass(slots=True, eq=False)
class Class:
    node: ast.ClassDef
    values: dict[str, Any]
    cell: int
    offset: int


@dataclass(slots=True, eq=False)
class Object:
    """An object, a namespace, parsed arguments: attributes by name."""

    values: dict[str, Any]
    of: Class | None = None


def is_number(value: Any) -> TypeGuard[int | float]:
    """A finite number of a sane size. A bool is none, and a setting is never beyond 10^12."""
    return type(value) in (int, float) and abs(value) <= _LARGEST and math.isfinite(value)


def operate(sign: ast.operator, left: Any, right: Any) -> Any:
    """`left sign right` for numbers and the union of mappings."""
    if isinstance(sign, ast.BitOr) and isinstance(left, dict) and isinstance(right, dict):
        return {**left, **right}
    function = _ARITHMETIC.get(type(sign))
    if function is None or not is_number(left) or not is_number(right):
        return UNKNOWN
    if isinstance(sign, ast.Pow) and (abs(left) > 1e6 or abs(right) > 64):
        return UNKNOWN
    try:
        result = function(left, right)
    except (ArithmeticError, ValueError):
        return UNKNOWN
    return result if is_number(result) else UNKNOWN


def item(owner: Any, key: Any) -> Any:
    """`owner[key]`."""
    if isinstance(owner, dict) and isinstance(key, (str, int)):
        return owner.get(key, UNKNOWN)
    if isinstance(owner, list) and isinstance(key, int) and -len(owner) <= key < len(owner):
        return owner[key]
    return UNKNOWN


def call(name: str, positional: list[Any], named: Mapping[str, Any]) -> Any:
    """The result of a function by its last name: `int`, `dict`, `SimpleNamespace`, `copy.deepcopy`, …"""
    first = positional[0] if positional else UNKNOWN
    if name in _CONVERSIONS and len(positional) == 1 and is_number(first):
        return _CONVERSIONS[name](first)
    if name in ("max", "min") and len(positional) > 1 and all(is_number(value) for value in positional):
        return max(positional) if name == "max" else min(positional)
    if name in ("dict", "SimpleNamespace", "Namespace", "EasyDict"):
        given = _mapping(first) if positional else {}
        if given is None:
            return UNKNOWN
        return {**given, **named} if name == "dict" else Object({**given, **named})
    if name in ("deepcopy", "copy", "tuple", "list") and isinstance(first, (dict, list, Object)):
        return first.copy() if isinstance(first, (dict, list)) else Object(dict(first.values), first.of)
    if name in ("vars", "asdict") and isinstance(first, Object):
        return dict(first.values)
    if name == "loads" and isinstance(first, str):
        return _json(first)
    if name == "ArgumentParser":
        return Object({})
    if name == "enumerate" and isinstance(first, list):
        return [[position, value] for position, value in enumerate(first)]
    if name == "zip" and all(isinstance(value, list) for value in positional):
        return [list(values) for values in zip(*positional, strict=False)]
    return UNKNOWN


def _json(text: str) -> Any:
    try:
        read = json.loads(text[:_MAX_JSON])
    except (ValueError, RecursionError):
        return UNKNOWN
    return read if isinstance(read, dict) else UNKNOWN


def _mapping(value: Any) -> dict[Any, Any] | None:
    """A mapping, or the pairs of one, as `dict` takes them; None for anything else."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        return None
    pairs = [pair for pair in value if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], (str, int))]
    return dict(pairs) if len(pairs) == len(value) else None


def call_method(owner: Any, name: str, positional: list[Any], named: Mapping[str, Any]) -> Any:
    """The result of `owner.name(…)` for mappings, lists and an argument parser, which it may change."""
    key = positional[0] if positional else UNKNOWN
    if isinstance(owner, dict):
        if name == "get" and isinstance(key, (str, int)):
            return owner.get(key, positional[1] if len(positional) > 1 else UNKNOWN)
        if name == "update":
            owner.update({**(key if isinstance(key, dict) else {}), **named})
        if name == "items":
            return [list(pair) for pair in owner.items()]
        if name in ("values", "copy"):
            return list(owner.values()) if name == "values" else dict(owner)
    if isinstance(owner, list) and name == "append" and positional and len(owner) < MAX_ITEMS:
        owner.append(key)
    if isinstance(owner, Object) and name == "add_argument":  # argparse makes `num_heads` of `--num-heads`
        longest = max((option for option in positional if isinstance(option, str)), key=len, default="")
        owner.values[longest.lstrip("-").replace("-", "_")] = named.get("default", UNKNOWN)
    if isinstance(owner, Object) and name in ("parse_args", "parse_known_args"):
        parsed = Object(dict(owner.values))
        return parsed if name == "parse_args" else [parsed, UNKNOWN]
    return UNKNOWN


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {"int": int, "float": float, "round": round, "abs": abs}
