"""What a record shows beside the marks: drawn from the student's own code, and never at the cost of a mark."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from conftest import PART1, ROOT, HandIn
from hypothesis import given, settings
from hypothesis import strategies as st

from grader import exhibits, template
from grader.answers import MOST_MISTAKES, answered, answers
from grader.assignment import Assignment
from grader.curves import MOST_POINTS, find_curves
from grader.errors import SandboxError
from grader.exhibits import load_exhibits
from grader.notebook import Cell, Notebook
from grader.pipeline import Options, grade
from grader.records import Exhibits, Record, to_json
from grader.report.pages.student import student_page
from grader.sandbox.process import WarmProcess

Shown = Callable[..., Record]


@pytest.fixture
def shown(assignment: Assignment, sandbox: WarmProcess, tmp_path: Path) -> Shown:
    """Grade by some criteria, with exhibits and without what takes most of the time."""

    def run(hand_in: HandIn, *criteria: str) -> Record:
        hand_in.without_figures()
        options = Options(accuracy=False, criteria=frozenset(criteria), exhibits=True)
        return grade(hand_in.pack(tmp_path), assignment, sandbox, options)

    return run


def exhibited(record: Record) -> Exhibits:
    assert record.exhibits is not None
    return record.exhibits


def marked(record: Record, criterion: str) -> list[str]:
    """The lines that are marked as the place of a mistake, as text."""
    found = exhibited(record)
    return [
        excerpt.source.split("\n")[line - excerpt.line].strip()
        for mark in found.marks
        if mark.criterion == criterion and mark.exact
        for excerpt in [found.excerpts[mark.excerpt]]
        for line in mark.lines
    ]


def own_lines(role_master: Path, name: str, hand_in: HandIn) -> set[str]:
    """The lines of the solution that the student does not have."""
    master = template.read_master(role_master)
    solved = {line.strip() for cell in template.solved(master, name).cells for line in cell.source.splitlines()}
    theirs = {
        line.strip()
        for notebook in hand_in.notebooks.values()
        for cell in notebook["cells"]
        for line in "".join(cell["source"]).splitlines()
    }
    return {line for line in solved - theirs if len(line) > 20}


def test_figures_of_the_wrong_code_show_where_it_differs_and_its_line_is_marked(
    hand_in: HandIn, shown: Shown, assignment: Assignment, tmp_path: Path
) -> None:
    hand_in.edit("math.sqrt(self.word_dim)", "math.sqrt(self.dim)")
    hand_in.edit("PE[:, 0::2] = torch.sin(angle)", "PE[:, 0::2] = torch.cos(angle)")
    hand_in.edit("PE[:, 1::2] = torch.cos(angle)", "PE[:, 1::2] = torch.sin(angle)")
    record = shown(hand_in, "positional_encoding", "attention")
    found = exhibited(record)
    assert found.left_out == ()
    [figure] = found.figures
    yours, right, difference = figure.matrices
    assert yours.levels != right.levels
    assert len(set(difference.levels)) > 100
    assert marked(record, "attention") == ["scores = torch.matmul(Q, K.transpose(-2, -1)) / math.sqrt(self.dim)"]
    assert marked(record, "positional_encoding") == ["PE[:, 0::2] = torch.cos(angle)", "PE[:, 1::2] = torch.sin(angle)"]
    assert len(to_json(record)) < 100_000
    page = student_page(record, "student").decode()
    hidden = own_lines(assignment.master("part1"), PART1, hand_in)
    assert any("sqrt(self.word_dim)" in line for line in hidden)
    assert not [line for line in hidden if line in page]
    checks = {line.strip() for path in assignment.checks.glob("*.py") for line in path.read_text().splitlines()}
    titles = {check.title for criterion in record.criteria for check in criterion.checks}
    assert not [line for line in checks if len(line) > 25 and line in page and line.strip('"') not in titles]
    for place in (str(ROOT), str(tmp_path), str(Path.home())):
        assert place not in page


def test_the_reference_is_shown_to_be_like_itself(hand_in: HandIn, shown: Shown, assignment: Assignment) -> None:
    found = exhibited(shown(hand_in, "positional_encoding", "masking", "patch_embed"))
    assert found.left_out == ()
    assert len(found.figures) == len(load_exhibits(assignment)) == 5
    for figure in found.figures:
        yours, right, *_ = figure.matrices
        assert yours.levels == right.levels, figure.id
        assert len(set(yours.levels)) > 1, figure.id
    causal = next(figure for figure in found.figures if figure.id == "masking-causal").matrices[0]
    above = [
        causal.levels[row * causal.cols + col] for row in range(causal.rows) for col in range(row + 1, causal.cols)
    ]
    assert set(above) == {0}


ODD = {
    "raises": ("raise ValueError('no pictures, <b>please</b>')", "no pictures"),
    "gives NaN": ("return X * float('nan')", "NaN"),
    "hangs": ("while True: pass", "seconds"),
    "ends its process": ("import os; os._exit(0)", "ended its process"),
}


@pytest.mark.parametrize("what", ODD)
def test_code_that_spoils_its_picture_alone_loses_the_picture_and_no_mark(
    what: str, hand_in: HandIn, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhibits, "SECONDS", 0.5)
    body, words = ODD[what]
    only_there = "if X.shape == (1, 48, 32):\n            "  # the shape that the picture is made with
    hand_in.edit("return X + self.PE[:, :X.size(1)]", f"{only_there}{body}\n        return X + self.PE[:, :X.size(1)]")
    record = shown(hand_in, "positional_encoding")
    assert record.score == record.max_score == 10
    [sentence] = exhibited(record).left_out
    assert words in sentence


def test_a_sandbox_that_ends_meanwhile_costs_the_pictures_alone(
    hand_in: HandIn, shown: Shown, monkeypatch: pytest.MonkeyPatch, assignment: Assignment
) -> None:
    def gone(_student: object, _oracle: object) -> None:
        raise SandboxError("the machine ended a worker")

    def slip(_student: object, _oracle: object) -> None:
        raise ZeroDivisionError

    drawn = load_exhibits(assignment)[0]
    broken = (like(drawn, slip), like(drawn, gone), drawn)
    monkeypatch.setattr(exhibits, "load_exhibits", lambda _assignment: broken)
    record = shown(hand_in, "positional_encoding")
    assert record.score == record.max_score
    assert exhibited(record).figures == ()
    assert [sentence.partition("; ")[2] for sentence in exhibited(record).left_out] == [
        "what the code answers is no picture",
        "the sandbox ended meanwhile",
    ]


def like(drawn: exhibits.Exhibit, draw: Callable[..., object]) -> exhibits.Exhibit:
    return exhibits.Exhibit(drawn.id, drawn.criterion, drawn.title, draw)  # type: ignore[arg-type]


# ---- answers --------------------------------------------------------------------------------------------------------


def test_answers_are_counted_by_right_class_and_the_surest_mistakes_are_kept() -> None:
    logits = torch.tensor([[4.0, 0.0], [0.0, 1.0], [9.0, 0.0], [float("nan"), 0.0], [float("inf"), 0.0]])
    predicted, confidence = answered(logits)
    assert predicted.tolist() == [0, 1, 0, -1, 0]
    assert confidence[4] == 0.0  # infinite logits say nothing about how sure
    images = torch.arange(5 * 4, dtype=torch.uint8).reshape(5, 2, 2)
    found = answers(predicted, confidence, images, torch.tensor([0, 0, 1, 1, 0]), classes=2)
    assert found.counts == ((2, 1), (1, 0))
    assert [(m.predicted, m.label, m.pixels) for m in found.mistakes] == [
        (0, 1, bytes([8, 9, 10, 11])),
        (1, 0, bytes(range(4, 8))),
    ]
    assert found.mistakes[0].confidence > 0.99 > found.mistakes[1].confidence


def test_no_more_mistakes_are_kept_than_a_record_can_hold() -> None:
    many = 500
    found = answers(
        torch.zeros(many, dtype=torch.int64),
        torch.rand(many),
        torch.zeros(many, 28, 28, dtype=torch.uint8),
        torch.ones(many, dtype=torch.int64),
        classes=10,
    )
    assert len(found.mistakes) == MOST_MISTAKES
    assert len(msgspec.json.encode(found)) < 20_000


# ---- curves ---------------------------------------------------------------------------------------------------------


def curves_of(output: str) -> dict[tuple[str, str], tuple[tuple[float, ...], tuple[float, ...]]]:
    cell = Cell(index=2, kind="code", source="Train()", outputs=(output,), output_count=1)
    found = find_curves("part2", Notebook(name="x.ipynb", cells=(cell,)))
    assert all(curve.cell == 3 for curve in found)
    return {(curve.run, curve.what): (curve.steps, curve.values) for curve in found}


LOGS = {
    "this course's": (
        "final  epoch  1/40  loss 1.57  training accuracy 48.1%\n"
        "final  epoch  2/40  loss 1.18  training accuracy 67%\n",
        {("final", "loss"): (1.57, 1.18), ("final", "training accuracy"): (48.1, 67.0)},
    ),
    "in brackets": (
        "Epoch [1/10], Loss: 0.5321, Val Acc: 0.81\nEpoch [2/10], Loss: 0.4, Val Acc: 0.88",
        {("", "loss"): (0.5321, 0.4), ("", "validation accuracy"): (81.0, 88.0)},
    ),
    "with underscores": (
        "epoch=1 train_loss=0.9 test_acc=71.2\nepoch=2 train_loss=0.8 test_acc=75.0",
        {("", "training loss"): (0.9, 0.8), ("", "test accuracy"): (71.2, 75.0)},
    ),
    "a progress bar's": (
        "Epoch 1:  50%|##| 3/6 [loss=0.9]\rEpoch 1: 100%|####| 6/6 [loss=0.7]\nEpoch 2: 100%|####| 6/6 [loss=0.5]",
        {("", "loss"): (0.7, 0.5)},
    ),
    "on the line below": (
        "Epoch 1/2\nloss: 2.1 - accuracy: 0.4\nEpoch 2/2\nloss: 1.9 - accuracy: 0.6",
        {("", "loss"): (2.1, 1.9), ("", "accuracy"): (40.0, 60.0)},
    ),
    "Korean": (
        "에폭 1 손실 0.9 정확도 80%\n에폭 2 손실 0.8 정확도 85%",
        {("", "loss"): (0.9, 0.8), ("", "accuracy"): (80, 85)},
    ),
    "no log": ("loss is what we minimise, accuracy 91%\nTest accuracy: 91.41%", {}),
    "one epoch": ("Epoch 1 loss 0.5", {}),
}


@pytest.mark.parametrize("what", LOGS)
def test_curves_are_read_from_a_log_that_is(what: str) -> None:
    log, expected = LOGS[what]
    assert {key: values for key, (_, values) in curves_of(log).items()} == expected


def test_a_run_that_begins_anew_is_another_curve_and_a_long_one_is_thinned() -> None:
    twice = "".join(f"Epoch {n} loss {n / 10}\n" for n in (1, 2, 3, 1, 2, 3))
    cell = Cell(index=0, kind="code", source="", outputs=(twice,), output_count=1)
    assert [c.steps for c in find_curves("part1", Notebook(name="x", cells=(cell,)))] == [(1, 2, 3), (1, 2, 3)]
    long = curves_of("".join(f"Epoch {n} loss {n}\n" for n in range(1, 1501)))
    assert 50 < len(long["", "loss"][0]) <= MOST_POINTS


WORDS = ["epoch ", "Epoch 1", "loss", "test acc ", ": ", "0.5", "1e9", "%", "\r", "\n", "\x1b[2J", "٣", "²", " "]


@given(text=st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), max_size=60).map("".join))
@settings(deadline=None, max_examples=60)
def test_whatever_was_printed_gives_curves_that_a_record_can_hold(text: str) -> None:
    for steps, values in curves_of(text).values():
        assert len(steps) == len(values) >= 2
        assert all(map(math.isfinite, (*steps, *values)))


def test_odd_outputs_end_quickly_and_raise_nothing() -> None:
    for odd in (
        "epoch " * 5_000,
        "loss" * 5_000,
        "Epoch 1 " + "9" * 5_000,
        "epoch 1 loss 1e99\nepoch 2 loss nan\x1b[2J",
    ):
        curves_of(odd)
