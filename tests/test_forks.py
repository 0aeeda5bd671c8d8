"""Work in forks of this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.forks import WORTH, do_each

MANY = 2 * WORTH + 1


def test_each_is_done_once_and_in_several_processes(tmp_path: Path) -> None:
    def do(number: int) -> None:
        with (tmp_path / str(number)).open("x") as file:  # a second time it would fail
            file.write(str(os.getpid()))

    do_each(range(MANY), do, 2)
    by = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(by) == set(map(str, range(MANY)))
    assert by["0"] == by["1"] == str(os.getpid())
    assert len(set(by.values())) == (2 if sys.platform == "linux" else 1)


def test_what_goes_wrong_in_another_process_is_raised_here(tmp_path: Path) -> None:
    def do(number: int) -> None:
        if number == 2:
            raise UsageError(f"{number} cannot be written")

    with pytest.raises(UsageError, match="2 cannot be written"):
        do_each(range(MANY), do, 2)


def test_a_process_that_ends_in_the_middle_leaves_nothing_undone(tmp_path: Path) -> None:
    here = os.getpid()

    def do(number: int) -> None:
        if os.getpid() != here and number == 10:
            os.kill(os.getpid(), 9)
        (tmp_path / str(number)).touch()

    do_each(range(MANY), do, 2)
    assert len(list(tmp_path.iterdir())) == MANY


def test_a_few_are_done_here() -> None:
    done: list[int] = []
    do_each(range(WORTH), done.append, 8)
    assert done == list(range(WORTH))
    do_each((), done.append, 2)
