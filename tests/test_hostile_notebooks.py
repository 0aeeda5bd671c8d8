"""Notebooks that attack, on the whole road: what cannot be read costs its own classes, and what is only odd costs none.

How each is read stands in tests/test_notebook.py; fuzzing, in tests/fuzz.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PART2, HandIn, criterion, lost

from grader.records import Record, Verdict

Quick = Callable[[HandIn | Path], Record]
Change = Callable[[dict[str, Any]], object]
SCRIPT = "<script>fetch('https://example.org')</script><img src=x onerror=alert(1)>"
ANSI = "\x1b[2J\x1b]8;;https://example.org\x07\x9b31m\u202e\u2028\x00\x7f"


def as_bytes(notebook: dict[str, Any]) -> bytes:
    return json.dumps(notebook).encode()


UNREADABLE: dict[str, tuple[Callable[[dict[str, Any]], bytes], str]] = {
    "deep JSON": (lambda _: b'{"cells": ' + b"[" * 100_000, "nested too deeply to be a notebook: open it in Jupyter"),
    "deep metadata": (
        lambda n: as_bytes(n)[:-1] + b', "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        "nested too deeply",
    ),
    "ten thousand cells": (
        lambda n: as_bytes({**n, "cells": n["cells"] * (10_000 // len(n["cells"]) + 1)}),
        "cells, over the limit of 5,000: hand in the assignment's own notebook",
    ),
    "a page that asks to log in": (lambda _: SCRIPT.encode(), "not valid JSON, so not a notebook"),
    "a Python file": (lambda _: b"import torch\n", "save it as .ipynb from Jupyter or Colab"),
    "a picture": (lambda _: b"\x89PNG\r\n\x1a\n\xff\xfe", "is not UTF-8 text, so not a notebook"),
    "no byte": (lambda _: b"", "is empty: save the notebook again and check its size"),
    "other JSON": (lambda _: b'{"nbformat": 4}', "it has no list of cells"),
    "half of it": (lambda n: as_bytes(n)[:5000], "not valid JSON"),
    "an old one that is broken": (lambda _: b'{"nbformat": 2, "worksheets": [{"cells": 3}]}', "old notebook"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_costs_its_own_classes_alone_and_is_told_why(
    what: str, hand_in: HandIn, quick: Quick
) -> None:
    make, words = UNREADABLE[what]
    hand_in.files[PART2] = make(hand_in.notebooks.pop(PART2))
    record = quick(hand_in)
    assert set(lost(record)) == {"mlp", "checkpoint"}
    for check in criterion(record, "mlp").checks:
        assert check.verdict is Verdict.MISSING
        assert check.message.startswith(f"the notebook of part 2 (Vision Transformer) cannot be read: {PART2} ")
        assert words in check.message


def test_a_hundred_megabytes_of_output_cost_the_notebook_and_nothing_else(
    hand_in: HandIn, quick: Quick, tmp_path: Path
) -> None:
    pictures = os.urandom(48 << 20).hex()
    hand_in.notebooks[PART2]["cells"][0]["outputs"] = [{"output_type": "stream", "text": pictures}]
    folder = tmp_path / "1102444016"
    folder.mkdir()
    files = {name: as_bytes(notebook) for name, notebook in hand_in.notebooks.items()} | hand_in.files
    for name, data in files.items():
        (folder / name).write_bytes(data)
    record = quick(folder)
    assert set(lost(record)) == {"mlp", "checkpoint"}
    message = criterion(record, "mlp").checks[0].message
    assert "over the limit of 33,554,432: clear the outputs that hold large pictures, keep the rest" in message


def everywhere(text: str) -> Change:
    """In every string that says nothing about the code."""

    def change(notebook: dict[str, Any]) -> None:
        notebook["metadata"] = {text: text, "kernelspec": {"display_name": text, "name": text}}
        for cell in notebook["cells"]:
            cell["metadata"] = {"tags": [text], text: text}
            cell["id"] = text
            if cell["cell_type"] == "markdown":
                cell["source"] = f"{text}\n\n{''.join(cell['source'])}"
                cell["attachments"] = {text: {"text/html": text}}
            else:
                cell["outputs"] = [
                    *cell["outputs"],
                    {"output_type": "display_data", "metadata": {}, "data": {"text/html": text, "text/plain": text}},
                    {"output_type": "stream", "name": text, "text": [text, text]},
                ]

    return change


def every_cell(**fields: Any) -> Change:
    return lambda notebook: [cell.update(fields) for cell in notebook["cells"]]


def add_cells(*cells: Any) -> Change:
    return lambda notebook: notebook["cells"].extend(cells)


def code(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}


ODD: dict[str, Change] = {
    "NaN and Infinity in metadata": lambda n: n.update(metadata={"loss": float("nan"), "lr": float("-inf")}),
    "numbers that no float holds": lambda n: n.update(metadata={"x": 10**400}),
    "nbformat 5": lambda n: n.update(nbformat=5, nbformat_minor=99),
    "nbformat that is no number": lambda n: n.update(nbformat={"x": SCRIPT}),
    "metadata that is none": lambda n: n.update(metadata=[SCRIPT]),
    "script in every string": everywhere(SCRIPT),
    "control characters in every string": everywhere(ANSI),
    "lone surrogates in every string": everywhere("\ud800"),
    "two megabytes of output in a cell": lambda n: n["cells"][1].update(
        outputs=[{"output_type": "stream", "text": "epoch\r" * 400_000}]
    ),
    "a hundred thousand outputs": lambda n: n["cells"][1].update(
        outputs=[{"output_type": "stream", "text": "."}] * 100_000
    ),
    "cell metadata and ids of other types": every_cell(metadata=3, id=[1]),
    "execution counts without end": every_cell(execution_count=2**70),
    "entries that are no cells": add_cells(
        None, 3, "x", [], {"cell_type": ["code"]}, {"cell_type": "code", "source": {}}
    ),
    "four thousand more cells": add_cells(*[code("x = 1")] * 4_000),
    "a cell that is too long to be read": add_cells(code("y = 0\n" * 100_000)),
    "code that is nested too deeply": add_cells(code("y = " + "-" * 5_000 + "1"), code("z = " + "(" * 500)),
    "code with NUL and control characters": add_cells(code(f"y = '{ANSI}'"), code("\0")),
    "a number of five thousand digits": add_cells(code("y = " + "9" * 5_000)),
    "magics that would run something": add_cells(code("!reboot\n%run evil.py\n%%bash\nreboot")),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_only_odd_costs_nothing(what: str, hand_in: HandIn, quick: Quick) -> None:
    ODD[what](hand_in.notebooks[PART2])
    assert lost(quick(hand_in)) == {}


@pytest.mark.parametrize(
    "name",
    [
        "=cmd|' /C calc'!A0,\"2-2\";.ipynb",
        "+2-2,\t'x'\n.ipynb",
        "<b>&amp;]]>2-2\x0b.ipynb",
        "[2-2](https://example.org) | `x` |.ipynb",
        "2-2\u202egpj\u2066.ipynb",
        "2-2" + "x" * 300 + ".ipynb",
    ],
)
def test_a_name_that_would_break_a_table_is_a_name(name: str, hand_in: HandIn, quick: Quick) -> None:
    hand_in.files[name] = as_bytes(hand_in.notebooks.pop(PART2))
    record = quick(hand_in)
    assert lost(record) == {}
    assert record.submission.files["part2"].isprintable()
    assert len(record.submission.files["part2"]) <= 200
