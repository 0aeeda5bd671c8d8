"""Good input with a few things wrong: bytes, text and JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

HOSTILE_TEXT = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",  # a lone surrogate
    "\x1b[2J\x1b]8;;https://example.org\x07click\x1b]8;;\x07",  # clears a terminal, writes a link
    "\x9b31m",  # the same as one control character
    "\u202e100 / 100\u2066",  # writes from right to left
    "\r100 / 100",
    "line\u2028separator\x85\x0b\x0c",
    "::error::file=x",
    "##[add-mask]100",
    '=HYPERLINK("https://example.org")',
    "+1-1",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    "]]>&lt;\ufffe",
    "![x](https://example.org) | a | `b` [c]",
    "[bold red]100[/]",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\x",
    "CON",
    "%s%n{0}{x.y}",
    "e\u0301" * 40,
    "Z" + "\u0335" * 60,
    "값",
    "과제".encode("cp949").decode("latin-1"),
    "\U000e0041\U0010ffff",
    "x" * 300,
    "9" * 5000,
    "None",
    "__class__",
)
HOSTILE_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    -(2**80),
    1e308,
    float("nan"),
    float("inf"),
    -0.0,
    [],
    {},
    [[]],
    [None] * 50,
    {"": {}},
    {"cells": []},
    {"source": 1},
)
HOSTILE_BYTES = (0, 1, 9, 10, 13, 27, 32, 34, 39, 44, 47, 58, 91, 92, 123, 127, 128, 155, 192, 237, 254, 255)
HOSTILE_NUMBERS = (0, 1, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)


def broken_bytes(random: Random, data: bytes) -> bytes:
    """Flipped, replaced, cut out, put in twice, cut off: one to four times."""
    broken = bytearray(data)
    for _ in range(random.randint(1, 4)):
        random.choice(_BYTES)(random, broken)
    return bytes(broken)


def _flip(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _replace(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice(HOSTILE_BYTES)


def _number(random: Random, data: bytearray) -> None:
    """A length, an offset, a count."""
    size = random.choice((1, 2, 4, 8))
    place = random.randint(0, len(data))
    number = random.choice(HOSTILE_NUMBERS) % 2 ** (8 * size)
    data[place : place + size] = number.to_bytes(size, random.choice(("big", "little")))


def _cut_out(random: Random, data: bytearray) -> None:
    place = random.randint(0, len(data))
    del data[place : place + random.choice((1, 2, 4, 16, 512))]


def _again(random: Random, data: bytearray) -> None:
    place, size = random.randint(0, len(data)), random.choice((1, 4, 30, 512, 1024))
    to = random.randint(0, len(data))
    data[to:to] = data[place : place + size]


def _noise(random: Random, data: bytearray) -> None:
    place = random.randint(0, len(data))
    data[place : place + random.randint(0, 8)] = random.randbytes(random.randint(0, 16))


def _cut_off(random: Random, data: bytearray) -> None:
    if random.random() < 0.3:  # what is cut off reaches no further
        del data[random.randint(0, len(data)) :]


_BYTES: tuple[Callable[[Random, bytearray], None], ...] = (
    _flip, _flip, _replace, _replace, _number, _cut_out, _again, _noise, _cut_off,
)  # fmt: skip


def broken_text(random: Random, text: str, pieces: Sequence[str] = ()) -> str:
    """Lines lost, doubled and moved; hostile text, and `pieces` of the format's own, put in or in place of a word."""
    for _ in range(random.randint(1, 4)):
        lines = text.split("\n")
        place = random.randrange(len(lines))
        kind = random.randrange(7)
        if kind == 0:
            del lines[place]
        elif kind == 1:
            lines.insert(random.randrange(len(lines) + 1), lines[place])
        elif kind == 2:
            lines[place] = lines[place][: random.randint(0, len(lines[place]))]
        else:
            words = lines[place].split(" ")
            words[random.randrange(len(words))] = random.choice(pieces if pieces and kind < 5 else HOSTILE_TEXT)
            lines[place] = " ".join(words)
        text = "\n".join(lines)
    return text


_DEEP, _TWICE = "\x01deep\x01", "\x01twice\x01"


def broken_json(random: Random, value: Any) -> str:
    """The JSON text of `value` with one to four of its values lost, doubled or replaced. Spells what JSON cannot."""
    holder = [json.loads(json.dumps(value))]
    for _ in range(random.randint(1, 4)):
        owner, key = _somewhere(random, holder)
        kind = random.randrange(8)
        if kind == 0 and owner is not holder:
            del owner[key]
        elif kind == 1 and isinstance(owner, list) and owner is not holder:
            owner.insert(key, owner[key])
        elif kind == 2 and isinstance(owner, dict):
            owner[random.choice(HOSTILE_TEXT)] = owner.pop(key)
        elif kind == 3:
            owner[key] = random.choice((_DEEP, _TWICE))
        elif kind == 4:
            owner[key] = [owner[key]]
        elif kind < 7:
            owner[key] = random.choice(HOSTILE_TEXT)
        else:
            owner[key] = random.choice(HOSTILE_VALUES)
    text = json.dumps(holder[0], ensure_ascii=random.random() < 0.9)
    depth = random.choice((50, 900, 1100, 100_000))
    text = text.replace(json.dumps(_DEEP), random.choice(("[", '{"a":')) * depth + "1" * random.randint(0, 1))
    return text.replace(json.dumps(_TWICE), '{"cells": 1, "cells": [], "source": "x", "source": ["y"]}')


def _somewhere(random: Random, holder: list[Any]) -> tuple[Any, Any]:
    """A container and a key in it, deep ones as likely as shallow ones."""
    owner: Any = holder
    key: Any = 0
    while isinstance(owner[key], (list, dict)) and owner[key] and random.random() < 0.8:
        owner = owner[key]
        key = random.randrange(len(owner)) if isinstance(owner, list) else random.choice(list(owner))
    return owner, key
