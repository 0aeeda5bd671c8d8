"""Reading: whatever the bytes are, the answer is a notebook or one clear NotebookError."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.errors import NotebookError
from grader.notebook import MAX_CELLS, MAX_OUTPUT_CHARS, MAX_OUTPUTS, Cell, Notebook, read_notebook
from grader.program import definition_fingerprint, slice_program


def raw(*cells: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"cells": list(cells), "nbformat": 4, "nbformat_minor": 5, "metadata": {}, **more}).encode()


def code_cell(source: Any, *outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "metadata": {}, **more}


def only_cell(data: bytes) -> Cell:
    [cell] = read_notebook("a.ipynb", data).cells
    return cell


def test_a_notebook_of_nbformat_itself_is_read_in_order() -> None:
    written = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# Title"), nbformat.v4.new_code_cell("x = 1", execution_count=7)]
    )
    notebook = read_notebook("part1.ipynb", nbformat.writes(written).encode())
    assert notebook.name == "part1.ipynb"
    assert [(c.index, c.kind, c.source, c.execution_count) for c in notebook.cells] == [
        (0, "markdown", "# Title", None),
        (1, "code", "x = 1", 7),
    ]


@pytest.mark.parametrize("source", ["a = 1\nb = 2", ["a = 1\n", "b = 2"], ["a = 1\n", None, 3, "b = 2"]])
def test_a_source_may_be_a_string_or_a_list_of_strings(source: Any) -> None:
    assert only_cell(raw(code_cell(source))).source == "a = 1\nb = 2"


def test_a_cell_without_source_outputs_or_metadata_is_an_empty_cell() -> None:
    cell = only_cell(raw({"cell_type": "code"}))
    assert (cell.source, cell.outputs, cell.output_count) == ("", (), 0)


def test_a_byte_order_mark_is_no_obstacle() -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        assert only_cell(raw(code_cell("값 = 1")).decode().encode(encoding)).source == "값 = 1"


def test_nan_in_metadata_is_no_obstacle() -> None:
    assert only_cell(b'{"cells": [{"cell_type": "code", "source": "x", "metadata": {"loss": NaN}}]}').source == "x"


def test_missing_notebook_metadata_and_version_do_not_matter() -> None:
    assert only_cell(b'{"cells": [{"cell_type": "markdown", "source": "hello"}]}').kind == "markdown"


def test_an_entry_that_is_no_cell_is_passed_over_and_the_numbers_stay() -> None:
    notebook = read_notebook("a.ipynb", b'{"cells": [null, 3, {"cell_type": "code", "source": "x"}]}')
    assert [cell.index for cell in notebook.cells] == [2]


def test_an_old_notebook_of_nbformat_3_is_converted() -> None:
    old = nbformat.v3.new_notebook(
        worksheets=[
            nbformat.v3.new_worksheet(
                cells=[
                    nbformat.v3.new_text_cell("markdown", source="hello"),
                    nbformat.v3.new_code_cell(
                        input="x = 1", outputs=[nbformat.v3.new_output("stream", output_text="printed")]
                    ),
                ]
            )
        ]
    )
    notebook = read_notebook("old.ipynb", json.dumps(old).encode())
    assert [(c.kind, c.source) for c in notebook.cells] == [("markdown", "hello"), ("code", "x = 1")]
    assert notebook.cells[1].outputs == ("printed",)


def test_a_broken_old_notebook_is_a_notebook_error() -> None:
    with pytest.raises(NotebookError, match="nbformat 3"):
        read_notebook("old.ipynb", b'{"nbformat": 3, "worksheets": [3]}')


def test_outputs_are_kept_as_text_and_pictures_only_counted() -> None:
    cell = only_cell(
        raw(
            code_cell(
                "train()",
                {"output_type": "stream", "name": "stdout", "text": ["epoch 1\n", "epoch 2\n"]},
                {"output_type": "execute_result", "data": {"text/plain": "tensor(3)"}},
                {"output_type": "display_data", "data": {"image/png": "iVBOR"}},
                {"output_type": "error", "ename": "ValueError", "evalue": "bad shape", "traceback": []},
            )
        )
    )
    assert cell.outputs == ("epoch 1\nepoch 2\n", "tensor(3)", "", "ValueError: bad shape")
    assert cell.output_count == 4
    assert cell.error == "ValueError"


def test_a_long_output_keeps_its_head_and_its_tail() -> None:
    log = "start" + "." * 10 * MAX_OUTPUT_CHARS + "accuracy 91.2%"
    [text] = only_cell(raw(code_cell("", {"output_type": "stream", "text": log}))).outputs
    assert len(text) < MAX_OUTPUT_CHARS + 10
    assert text.startswith("start")
    assert text.endswith("accuracy 91.2%")


def test_of_very_many_outputs_the_first_and_the_last_are_kept_and_all_are_counted() -> None:
    outputs = [{"output_type": "stream", "text": str(number)} for number in range(MAX_OUTPUTS + 50)]
    cell = only_cell(raw(code_cell("", *outputs)))
    assert cell.output_count == MAX_OUTPUTS + 50
    assert len(cell.outputs) == MAX_OUTPUTS
    assert (cell.outputs[0], cell.outputs[-1]) == ("0", str(MAX_OUTPUTS + 49))


@pytest.mark.parametrize("count", [True, -1, 2**40, "3", 1.5, None])
def test_an_odd_execution_count_is_none(count: Any) -> None:
    assert only_cell(raw(code_cell("x", execution_count=count))).execution_count is None


def test_a_lone_surrogate_does_not_reach_the_reports() -> None:
    only_cell(rb'{"cells": [{"cell_type": "code", "source": "x = \"\ud800\""}]}').source.encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"  \n ", "empty"),
        (b"import torch\n", "not valid JSON"),
        (b"\x80\x02}q\x00.", "not UTF-8"),
        (b"[1, 2]", "no list of cells"),
        (b'{"cells": 3}', "no list of cells"),
        (b'{"cells": [' + b"1" * 5000 + b"]}", "not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"cells": ' + b'{"a":' * 200_000, "nested too deeply"),
    ],
)
def test_what_is_no_notebook_is_one_clear_error(data: bytes, words: str) -> None:
    with pytest.raises(NotebookError, match=words) as raised:
        read_notebook("hw.ipynb", data)
    assert str(raised.value).startswith("hw.ipynb is ")


def test_a_file_over_the_size_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(NotebookError, match="over the limit of 10"):
        read_notebook("a.ipynb", b"x" * 11, max_bytes=10)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
lines = st.sampled_from(
    [
        "class A(B):",
        "    x = y",
        "\tz",
        "def f(a, b=C):",
        "    return g(h)",
        "@d",
        "%time",
        "!ls \\",
        "x = !ls",
        "f?",
        "%%time",
        "%%bash",
        '"""',
        "(",
        ")",
        "[",
        "A.b = 3",
        "A += 1",
        "import a.b",
        "from c import *",
        "else:",
        "if __name__ == '__main__':",
        "for A in B:",
        "    while 1: f()",
        "try:",
        "except E as e:",
        "match A:",
        "    case B(c=d, **e): pass",
        "lambda: (yield)",
        "global A",
        "\x0c",
        "\0",
        "값 = 'ㄱ'",
        ">>> x",
        "return",
        "\r",
    ]
)
sources = st.lists(lines, max_size=12).map("\n".join) | st.text(max_size=60)
odd_cells = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown", "raw", "heading", 3, []]),
        "source": json_values | sources,
        "outputs": json_values,
        "execution_count": json_values,
    },
)
odd_notebooks = st.fixed_dictionaries(
    {},
    optional={
        "cells": st.lists(odd_cells, max_size=4) | json_values,
        "worksheets": json_values | st.lists(st.fixed_dictionaries({"cells": st.lists(odd_cells, max_size=3)})),
        "nbformat": json_values | st.integers(1, 5),
        "metadata": json_values,
    },
)


@settings(deadline=None)
@given(odd_notebooks | json_values)
def test_odd_json_gives_a_notebook_or_a_notebook_error(odd: Any) -> None:
    try:
        notebook = read_notebook("odd.ipynb", json.dumps(odd).encode(errors="replace"))
    except NotebookError:
        return
    assert slice_program(notebook, ["A", "f"]).notebook == "odd.ipynb"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_give_a_notebook_error(odd: bytes) -> None:
    with pytest.raises(NotebookError, match=r"^odd\.ipynb is "):
        read_notebook("odd.ipynb", odd)  # 200 random bytes are never a notebook


@settings(deadline=None, max_examples=300)
@given(st.lists(sources, max_size=3))
def test_whatever_the_cells_hold_the_slice_is_a_program_that_compiles(cells: list[str]) -> None:
    notebook = Notebook(name="n", cells=tuple(Cell(index=i, kind="code", source=s) for i, s in enumerate(cells)))
    program = slice_program(notebook, ["A", "f"], {"g": "def g(): return 1"})
    for entry in program.entries:
        compile(entry.source, "cell", "exec", dont_inherit=True)
    definition_fingerprint(notebook, "A")


def test_a_notebook_of_a_million_cells_is_refused() -> None:
    with pytest.raises(NotebookError, match="5,001 cells"):
        read_notebook("x.ipynb", json.dumps({"nbformat": 4, "cells": [{}] * (MAX_CELLS + 1)}).encode())
