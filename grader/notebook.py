"""Reading a notebook as real submissions hold it. From its cells, `grader.program` makes the slice.

The road: read (here) ─▶ statements (magics, recovery) ─▶ names (what binds, what needs) ─▶ program (the slice).
"""

from __future__ import annotations

import codecs
import json
from typing import Any, Literal

from grader.errors import NotebookError
from grader.records import Frozen

MAX_BYTES = 32 * 2**20  # a notebook full of plots has a few MiB; JSON grows about twentyfold in memory
MAX_OUTPUT_CHARS = 20_000  # of one output: its head and its tail, where a training log says its accuracy
MAX_OUTPUTS = 200  # of one cell
MAX_CELLS = 5_000  # the hand-out has about forty


class Cell(Frozen, frozen=True):
    """One cell. `index` counts from 0 in the notebook as saved; people are told `index + 1`."""

    index: int
    kind: Literal["code", "markdown", "raw"]
    source: str  # as the student wrote it
    outputs: tuple[str, ...] = ()  # the text of each output: streams, text/plain, error names
    output_count: int = 0
    execution_count: int | None = None
    error: str | None = None  # ename of a saved error output


class Notebook(Frozen, frozen=True):
    """A notebook as read: tolerant of what real submissions contain."""

    name: str  # the file's name, for messages
    cells: tuple[Cell, ...]


class Entry(Frozen, frozen=True):
    """One top-level statement of the student's code, with its place."""

    source: str
    cell: int  # Cell.index
    line: int  # of the statement's first line within the cell, from 1
    names: tuple[str, ...]  # what it binds


class Problem(Frozen, frozen=True):
    """A piece of a cell that does not parse."""

    cell: int
    line: int  # within the cell, from 1
    message: str
    text: str  # the offending line
    names: tuple[str, ...]  # top-level names that the piece appears to define


class Program(Frozen, frozen=True):
    """The slice for some wanted names, in execution order."""

    notebook: str
    entries: tuple[Entry, ...]
    missing: tuple[str, ...] = ()  # wanted names that no cell defines
    problems: tuple[Problem, ...] = ()  # pieces that do not parse, for wanted or needed names


def read_notebook(name: str, data: bytes, *, max_bytes: int = MAX_BYTES) -> Notebook:
    """The notebook in `data`, the bytes of the file `name`. nbformat 1 to 4; what does not matter may be wrong.

    Raises NotebookError, and nothing else, when the bytes are no notebook.
    """
    if len(data) > max_bytes:
        raise NotebookError(
            f"{name} is {len(data):,} bytes, over the limit of {max_bytes:,}: clear the outputs that hold large "
            "pictures, keep the rest, and save it again."
        )
    try:
        raw = json.loads(_text(name, data))
        return Notebook(name=name, cells=tuple(_cells(_current_format(name, raw))))
    except (RecursionError, MemoryError):
        raise NotebookError(
            f"{name} is nested too deeply to be a notebook: open it in Jupyter and save it again."
        ) from None
    except ValueError as error:  # json's own, and int()'s refusal of thousands of digits
        raise NotebookError(
            f"{name} is not valid JSON, so not a notebook ({str(error)[:120]}): "
            "save it as .ipynb from Jupyter or Colab."
        ) from None


def _text(name: str, data: bytes) -> str:
    """The decoded text: UTF-8 with or without a mark, or UTF-16 with one."""
    if not data.strip():
        raise NotebookError(f"{name} is empty: save the notebook again and check its size before packing it.")
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise NotebookError(f"{name} is not UTF-8 text, so not a notebook: save it as .ipynb from Jupyter.") from None


def _current_format(name: str, raw: Any) -> dict[str, Any]:
    """The notebook as nbformat 4, with a list of cells."""
    if isinstance(raw, dict) and isinstance(raw.get("worksheets"), list) and "cells" not in raw:
        raw = _converted(name, raw)
    if not isinstance(raw, dict) or not isinstance(raw.get("cells"), list):
        raise NotebookError(
            f"{name} is JSON, but not a notebook: it has no list of cells. Save it as .ipynb from Jupyter or Colab."
        )
    if len(raw["cells"]) > MAX_CELLS:
        raise NotebookError(
            f"{name} has {len(raw['cells']):,} cells, over the limit of {MAX_CELLS:,}: "
            "hand in the assignment's own notebook."
        )
    return raw


def _converted(name: str, raw: dict[str, Any]) -> Any:
    import nbformat  # slow to import, and almost every notebook is version 4 already

    major = raw.get("nbformat")
    raw = {**raw, "nbformat": major if major in (1, 2, 3) else 3, "metadata": raw.get("metadata") or {}}
    try:
        return nbformat.convert(nbformat.from_dict(raw), 4)  # type: ignore[no-untyped-call]  # nbformat has none
    except Exception as error:  # noqa: BLE001  # its converters raise whatever the odd content makes them raise
        raise NotebookError(
            f"{name} is an old notebook (nbformat 3) that cannot be converted ({type(error).__name__}): "
            "open it in Jupyter and save it again."
        ) from None


def _cells(raw: dict[str, Any]) -> list[Cell]:
    """Cells in order. An entry that is no cell is passed over, and the others keep their numbers."""
    return [_cell(index, cell) for index, cell in enumerate(raw["cells"]) if isinstance(cell, dict)]


def _cell(index: int, raw: dict[str, Any]) -> Cell:
    kinds: dict[str, Literal["code", "markdown"]] = {"code": "code", "markdown": "markdown", "heading": "markdown"}
    kind = raw.get("cell_type")
    saved = raw.get("outputs")
    outputs = [output for output in saved if isinstance(output, dict)] if isinstance(saved, list) else []
    middle = slice(MAX_OUTPUTS // 2, max(len(outputs) - MAX_OUTPUTS // 2, MAX_OUTPUTS // 2))
    shown = [output for number, output in enumerate(outputs) if not middle.start <= number < middle.stop]
    errors = [_joined(output.get("ename")) for output in outputs if output.get("output_type") == "error"]
    count = raw.get("execution_count")
    return Cell(
        index=index,
        kind=kinds.get(kind, "raw") if isinstance(kind, str) else "raw",
        source=_joined(raw.get("source")),
        outputs=tuple(_capped(_output_text(output)) for output in shown),
        output_count=len(outputs),
        # A bool is an int in Python, and a count of more than 32 bits is no count.
        execution_count=count if type(count) is int and 0 <= count < 2**31 else None,
        error=(errors[-1][:200] or "error") if errors else None,
    )


def _output_text(output: dict[str, Any]) -> str:
    if output.get("output_type") == "error":
        return f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}"
    if output.get("output_type") == "stream":
        return _joined(output.get("text"))
    data = output.get("data")
    return _joined(data.get("text/plain")) if isinstance(data, dict) else ""


def _joined(text: Any) -> str:
    """A multi-line string as nbformat stores it: a string, or a list of strings. Anything else is empty."""
    if isinstance(text, list):
        text = "".join(part for part in text if isinstance(part, str))
    if not isinstance(text, str):
        return ""
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and no UTF-8 report can hold
        return text.encode(errors="replace").decode()
    return text


def _capped(text: str) -> str:
    if len(text) <= MAX_OUTPUT_CHARS:
        return text
    half = MAX_OUTPUT_CHARS // 2
    return f"{text[:half]}\n…\n{text[-half:]}"
