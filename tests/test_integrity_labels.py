"""Labels of the held-out set in a hand-in: tables are found however they are written, and honest numbers are none."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from copies import the_assignment

from grader import bank
from grader.integrity import labels
from grader.integrity.sketch import sketch
from grader.notebook import Cell, Notebook

RIGHT = torch.randint(0, 10, (1500,), generator=torch.Generator().manual_seed(3))
KNOWN = RIGHT.byte().numpy()
PART = RIGHT[300:1200]


def saved(**tensors: torch.Tensor) -> bytes:
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


def known(hoards: list[labels.Hoard]) -> list[bool]:
    agreed = (labels.agreement(np.frombuffer(hoard.values, np.uint8), KNOWN) for hoard in hoards)
    return [right == count == len(PART) for right, count in agreed]


def in_lines(text: str) -> str:
    return "T = (" + "".join(f"\n    '{text[at : at + 60]}'" for at in range(0, len(text), 60)) + ")"


@pytest.mark.parametrize(
    "write",
    [
        lambda raw: in_lines("".join(map(str, raw))),
        lambda raw: f"T = {list(raw)}",
        lambda raw: f"T = {dict(zip(range(10**6, 2 * 10**6), raw, strict=False))}",
        lambda raw: f"T = {raw!r}",
        lambda raw: in_lines(base64.b64encode(raw).decode()),
        lambda raw: f"T = {base64.b85encode(zlib.compress(raw)).decode()!r}",
        lambda raw: in_lines(bytes(16 * a + b for a, b in zip(raw[::2], raw[1::2], strict=True)).hex()),
    ],
    ids=["digits", "list", "dict", "bytes", "base64", "compressed", "two to a byte"],
)
def test_labels_in_a_cell_are_known(write: Callable[[bytes], str]) -> None:
    cells = (
        Cell(index=0, kind="code", source="import torch"),
        Cell(index=1, kind="code", source=write(bytes(PART.tolist()))),
    )
    found = list(labels.in_code(Notebook(name="x.ipynb", cells=cells)))
    assert known(found) == [True]
    assert found[0].where == "x.ipynb, cell 2"


@pytest.mark.parametrize(
    "table",
    [
        PART,
        PART.byte(),
        PART / 10,
        torch.randperm(10, generator=torch.Generator().manual_seed(1))[PART],
        4 * torch.nn.functional.one_hot(PART, 10) + 0.1,
    ],
    ids=["int64", "uint8", "floats", "renamed", "scores"],
)
def test_labels_in_a_tensor_are_known(table: torch.Tensor) -> None:
    found = sketch(saved(weight=torch.randn(40, 40), table=table), KNOWN)
    assert known(list(found.hoards)) == [True]
    assert [tensor.name for tensor in found.tensors][:1] == ["weight"]


def test_keys_are_found_though_they_are_no_labels() -> None:
    keys = torch.randint(0, 2**40, (1000,), generator=torch.Generator().manual_seed(1))
    assert [hoard.values for hoard in sketch(saved(keys=keys), KNOWN).hoards] == [b""]


@pytest.mark.parametrize(
    "tensor",
    [torch.randn(3000), torch.zeros(3000), torch.ones(60, 60).tril(), torch.arange(400), torch.randn(1000, 10)],
    ids=["trained", "zeros", "a mask", "positions", "a head"],
)
def test_what_models_hold_is_no_table(tensor: torch.Tensor) -> None:
    assert sketch(saved(weight=tensor), KNOWN).hoards == ()


def test_other_codes_agree_by_chance_alone() -> None:
    other = np.random.default_rng(1).integers(0, 10, 1500).astype(np.uint8)
    right, count = labels.agreement(other, KNOWN)
    assert right < 0.2 * count


def test_the_solved_notebooks_and_the_longest_code_hold_none() -> None:
    for role, notebook in bank.solutions(the_assignment()).items():
        assert list(labels.in_code(bank.as_read(role, notebook))) == []
    hostile = [
        Cell(index=n, kind="code", source=text) for n, text in enumerate(("#" * 10**6, "\\x" * 10**6, "1" * 10**6))
    ]
    assert [hoard.values for hoard in labels.in_code(Notebook(name="x", cells=tuple(hostile)))] == []


def test_a_finding_says_how_many_codes_are_the_labels() -> None:
    found = list(
        labels.findings("1", [labels.Hoard("“t” in the .pth", "900 numbers of 10 values", bytes(PART.tolist()))], KNOWN)
    )
    assert "of 900 codes 900 are the held-out labels" in found[0].figure
    assert (found[0].kind, found[0].students) == ("labels", ("1",))
