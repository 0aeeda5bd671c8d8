"""What the fuzzers found, one small test each."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from conftest import ROOT

from fuzz.conftest import check_sentence
from fuzz.test_weights import read, saved
from grader import wire
from grader.assignment import load_assignment
from grader.errors import AssignmentError, UsageError, WireError
from grader.marks import Mark, read_marks
from grader.sandbox.process import WarmProcess


def test_a_worker_cannot_put_a_megabyte_into_a_report_by_a_reply_that_is_refused() -> None:
    header = msgspec.msgpack.encode({"is": "x" * 500_000})
    with pytest.raises(WireError) as error:
        wire.decode(header, b"", wire.AnyReply)
    check_sentence(str(error.value))


CONFIGURATION = {
    "a number of five thousand digits": ("seed = 20260302", f"seed = {'9' * 5000}"),
    "a thousand lists in each other": ("seed = 20260302", f"seed = {'[' * 2000}{']' * 2000}"),
    "a seed that torch does not take": ("seed = 20260302", f"seed = {'9' * 30}"),
    "points without end": ("points = 3\n", "points = inf\n"),
    "seconds without end, which no socket can wait": ("ask_seconds = 10", "ask_seconds = inf"),
    "more memory than can be counted": ("memory_mb = 2048", "memory_mb = 99999999999999"),
    "a file's pattern that is none": (r"patterns = ['vit\.pth', ", "patterns = ['(', "),
    "an id's pattern that is none": ("seed = 20260302", "id_pattern = '[z-a]'"),
    "a stand-in whose name no file can have": ('standin = "standins/mlp.py"', f'standin = "{"x" * 5000}"'),
}


@pytest.mark.parametrize("what", CONFIGURATION)
def test_a_configuration_that_cannot_work_is_one_sentence_with_its_place(what: str, tmp_path: Path) -> None:
    old, new = CONFIGURATION[what]
    text = (ROOT / "reference/assignment.toml").read_text(encoding="utf-8")
    assert old in text
    for name in ("checks", "standins"):
        shutil.copytree(ROOT / "reference" / name, tmp_path / name)
    (tmp_path / "assignment.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(AssignmentError) as error:
        load_assignment(tmp_path)
    check_sentence(str(error.value), str(tmp_path / "assignment.toml"))


MARKS = {
    "a decimal comma, which made two points of 2,5": (
        "7,mlp,2,5,thin",
        "row 2 has 5 values for 4 columns",
    ),
    "an underscore, which makes ten of 1_0": ("7,mlp,0_1,", "“0_1” is no number"),
    "digits of another script": ("7,mlp,٣,", "“٣” is no number"),
    "nobody's mark": (",mlp,1,", "row 2: there is no student id"),
    "a mark that no terminal should show": ("7,mlp,\x1b[2J\u202e,", "“\ufffd[2J\ufffd” is no number"),
    "a criterion without end": (f"7,{'x' * 100_000},1,", "there is no criterion “xxx"),
}


@pytest.mark.parametrize("what", MARKS)
def test_marks_that_say_something_else_than_was_meant_are_refused(what: str, tmp_path: Path) -> None:
    row, words = MARKS[what]
    (tmp_path / "marks.csv").write_text(f"student_id,criterion,points,comment\n{row}\n", encoding="utf-8")
    with pytest.raises(UsageError) as error:
        read_marks(tmp_path / "marks.csv", {"mlp": 3.0})
    check_sentence(str(error.value), f"--marks {tmp_path / 'marks.csv'}")
    assert words in str(error.value)


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text("student_id,criterion,points,points\n7,mlp,1,3\n", encoding="utf-8")
    with pytest.raises(UsageError, match="the header has points more than once"):
        read_marks(tmp_path / "marks.csv", {"mlp": 3.0})


def test_empty_rows_that_a_spreadsheet_saves_are_no_marks(tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text("student_id,criterion,points,comment\n7,mlp,1,\n,,,\n\n", encoding="utf-8")
    assert read_marks(tmp_path / "marks.csv", {"mlp": 3.0}) == {("7", "mlp"): Mark(points=1.0, file="marks.csv")}


@pytest.mark.parametrize(
    ("name", "words"),
    [("norm.\ud800", r"a tensor's name is no text: “norm.\ud800”"), ("x" * 100_000, "name has 100000 characters")],
    ids=["no text", "without end"],
)
def test_a_tensors_name_that_cannot_stand_in_a_report_is_refused(name: str, words: str, sandbox: WarmProcess) -> None:
    [(kind, said)] = read(sandbox, [saved({name: torch.ones(1)})])
    assert kind == "BadCheckpoint"
    assert words in said
