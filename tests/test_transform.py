"""The test transform of a notebook is read off its source, wherever it stands."""

from __future__ import annotations

import pytest

from grader.notebook import Cell, Notebook, Program
from grader.transform import NAME, transform_of
from grader.wire import Affine


def transform(*sources: str) -> Affine | Program:
    cells = tuple(Cell(index=i, kind="code", source=source) for i, source in enumerate(sources))
    return transform_of(Notebook(name="n.ipynb", cells=cells), "FashionMNIST")


SCALED = Affine()
CENTRED = Affine(mean=0.5, std=0.25)
LOCAL = """
def Train():
    t = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.25,))])
    train = datasets.FashionMNIST('./data', train=True, transform=transforms.ToTensor())
    test = datasets.FashionMNIST('./data', train=False, transform=t)
"""


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (("x = 1",), SCALED),
        (("test = FashionMNIST('./data', False, ToTensor())",), SCALED),
        ((LOCAL,), CENTRED),
        (
            ("t = Compose([ToTensor(), Normalize(0.5, 0.25)])", "d = FashionMNIST(root='.', train=False, transform=t)"),
            CENTRED,
        ),
        (
            ("d = FashionMNIST(train=False, transform=Compose([ToTensor(), Normalize(mean=[0.5], std=[0.25])]))",),
            CENTRED,
        ),
        (("d = FashionMNIST(train=True, transform=Compose([RandomHorizontalFlip(), ToTensor()]))",), SCALED),
    ],
)
def test_simple_transforms_are_read_off(sources: tuple[str, ...], expected: Affine) -> None:
    assert transform(*sources) == expected


def test_the_test_split_counts_before_the_training_split() -> None:
    source = "a = FashionMNIST(train=False, transform=ToTensor())\nb = FashionMNIST(train=True, transform=Odd())"
    assert transform(source) == SCALED


def test_an_unusual_transform_becomes_a_program_that_binds_it() -> None:
    program = transform(
        "from torchvision import transforms\nSIDE = 28",
        "def Train():\n    size = SIDE\n    t = transforms.Compose([transforms.Resize(size), transforms.ToTensor()])\n"
        "    d = FashionMNIST('.', train=False, transform=t)",
    )
    assert isinstance(program, Program)
    names = [name for entry in program.entries for name in entry.names]
    assert names == ["transforms", "SIDE", "size", "t", NAME]


@pytest.mark.parametrize(
    "mean",
    ["{[]: 1}", "1" + "0" * 400, "-" * 150 + "1", "0x" + "f" * 3000, "[0.5, []]", "1e999999 + {}", "x", "'0.5'"],
)
def test_a_number_that_cannot_be_read_is_left_to_the_worker(mean: str) -> None:
    source = f"d = FashionMNIST(train=False, transform=Compose([ToTensor(), Normalize({mean}, 0.5)]))"
    assert isinstance(transform(source), Program)


def test_a_number_that_cannot_even_be_written_again_costs_the_transform_alone() -> None:
    source = f"d = FashionMNIST(train=False, transform=Compose([Normalize(0x{'f' * 9000}, 0.5)]))"
    assert transform(source) == SCALED
