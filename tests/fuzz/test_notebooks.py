"""Notebooks with anything wrong, in their JSON or in their code: read to the end, or refused in one sentence."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest
from conftest import PART1, PART2, ROOT

from fuzz.conftest import Fuzz, check_sentence
from fuzz.mutation import broken_bytes, broken_json, broken_text
from grader.assignment import Assignment
from grader.errors import NotebookError
from grader.experiments import find_experiments, proposal
from grader.flags import accuracy_flags, notebook_flags
from grader.notebook import Notebook, read_notebook
from grader.program import definition_fingerprint, slice_program
from grader.settings import candidates
from grader.submission import hidden_part
from grader.transform import transform_of

SOLVED = {
    role: json.loads((ROOT / "reference/notebooks/solved" / name).read_text(encoding="utf-8"))
    for role, name in (("part1", PART1), ("part2", PART2))
}
OLD = {
    "nbformat": 3,
    "nbformat_minor": 0,
    "metadata": {"name": ""},
    "worksheets": [
        {
            "cells": [
                {"cell_type": "heading", "level": 1, "source": "Part 2"},
                {"cell_type": "code", "language": "python", "input": ["class Mlp:\n", "    pass"], "outputs": [
                    {"output_type": "pyout", "prompt_number": 1, "text": "91.2"},
                    {"output_type": "pyerr", "ename": "E", "evalue": "v", "traceback": []},
                ], "prompt_number": 1, "collapsed": False},
            ]
        }
    ],
}  # fmt: skip
CODE = (
    "class Mlp(nn.Module):", "class Mlp(Mlp):", "    def forward(self, x):", "        return x", "@", "%", "%%time",
    "%%bash", "!pip install x \\", "x = !ls", "f?", '"""', "'''", "(", ")", "[", "{", "\\", "\t", "\x0c", "\0", "\r",
    "lambda: (yield)", "if __name__ == '__main__':", "global device", "from torch import *", "import a.b as c",
    "patch_size = depth = 6", "num_heads: int = 9", "VisionTransformer(28, *a, **k)",
    "def Train(*, depth=1e400): Train()", "for depth in [1]*10**9:",
    "depth **= 10**10", "match x:\n    case {'a': 1, **r}: pass", "async def f(): await g()",
    "| depth | heads | test acc |", "|---|---|---|", "| 6 | 6 | 91% |", "## Setting 2: 분석", "test accuracy: 91.2%",
    "return", "-" * 3000, "(" * 300, "not " * 3000, "a." * 3000 + "b", "x" + "[0]" * 2000, "f(" * 90 + ")" * 90,
    "1" * 5000, "0" * 5000 + "1", '"\\ud800"', "b'\\xff'", "f'{x!r:{w}}'",
)  # fmt: skip


def a_notebook(random: Random) -> bytes:
    """Some cells of a solved notebook, its values replaced; or its text or bytes broken."""
    notebook = OLD if random.random() < 0.08 else some_cells(random)
    if random.random() < 0.15:
        return broken_bytes(random, json.dumps(notebook).encode(random.choice(("utf-8", "utf-16", "utf-8-sig"))))
    return broken_json(random, notebook).encode(errors="surrogatepass")


def a_notebook_of_broken_code(random: Random) -> bytes:
    notebook = some_cells(random)
    for cell in random.sample(notebook["cells"], k=min(2, len(notebook["cells"]))):
        cell["source"] = broken_text(random, "".join(cell["source"]), CODE)
        if random.random() < 0.1:
            cell["source"] = random.choice(CODE) * random.choice((10, 1000))
        for output in cell.get("outputs", ()):
            if "text" in output:
                output["text"] = broken_text(random, "".join(output["text"]), CODE)
    return json.dumps(notebook).encode()


def some_cells(random: Random) -> dict[str, Any]:
    """Copies of a few cells, pictures left out: they are only counted."""
    notebook = random.choice(list(SOLVED.values()))
    chosen = json.loads(json.dumps(random.sample(notebook["cells"], k=random.randint(1, 4))))
    for cell in chosen:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/png", None)
    return {**notebook, "cells": chosen}


@pytest.fixture(scope="module")
def judge(assignment: Assignment) -> Any:
    """All that is read out of a notebook without executing it."""
    config, stubs = assignment.config, hidden_part(assignment).stubs
    assert config.checkpoint is not None
    wanted = config.checkpoint.settings

    def read(data: bytes) -> None:
        try:
            notebook = read_notebook("hw.ipynb", data)
        except NotebookError as error:
            check_sentence(str(error), "hw.ipynb ")
            return
        assert isinstance(notebook, Notebook)
        program = slice_program(
            notebook, ["VisionTransformer", "Mlp", "MultiHeadAttention"], {"Mlp": "class Mlp: pass"}
        )
        for entry in program.entries:
            compile(entry.source, "cell", "exec", dont_inherit=True)
        definition_fingerprint(notebook, "Mlp")
        found = [program, candidates(notebook, wanted, "VisionTransformer"), transform_of(notebook, "FashionMNIST")]
        found.append(proposal(find_experiments(notebook, wanted, stubs["part2"]), 5))
        found.append(find_experiments(notebook, wanted))
        for role, stub in stubs.items():
            graded = [name for name, spec in config.classes.items() if spec.file == role]
            found += notebook_flags(role, notebook, stub, graded, wanted)
            found += accuracy_flags(role, notebook, stub, 50.0)
        msgspec.json.encode(found)  # whatever was found can be written down

    return read


@pytest.mark.filterwarnings("error")
def test_notebooks_end_in_a_program_or_in_one_sentence(fuzz: Fuzz, judge: Any) -> None:
    fuzz.run(a_notebook, judge)


def test_code_that_is_broken_ends_in_a_program_all_the_same(fuzz: Fuzz, judge: Any) -> None:
    fuzz.run(a_notebook_of_broken_code, judge)
