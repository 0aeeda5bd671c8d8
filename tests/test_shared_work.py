"""What is worked out once for several submissions, or asked at once: nothing of one may reach another."""

from __future__ import annotations

import ast
import gc
import itertools
import shutil
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, ROOT, HandIn, lost, small_assignment

from grader import pool, wire
from grader.assignment import Assignment, load_assignment
from grader.checking.student import Student
from grader.checkpoint import Evaluation, TrainedModel
from grader.errors import Died, Raised
from grader.given import compare
from grader.notebook import Cell, Notebook
from grader.pipeline import Options, grade
from grader.program import slice_program
from grader.reading import read_settings
from grader.records import Answers, CheckpointResult, NoiseResult
from grader.sandbox.process import WarmProcess
from grader.statements import code
from grader.submission import hidden_part
from grader.unit import Bench
from grader.work import Outcome, Work

MLP = """
import os
import torch
from torch import nn
class Mlp(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.calls = 0
    def forward(self, x):
        self.calls += 1
        if x.sum() < 0:
            raise ValueError("a negative one")
        if x.sum() > 100:
            os._exit(3)
        return x + 1.0
"""


def notebook(*sources: str) -> Notebook:
    cells = [Cell(index=number, kind="code", source=source) for number, source in enumerate(sources)]
    return Notebook(name="n.ipynb", cells=tuple(cells))


@pytest.fixture
def student(sandbox: WarmProcess, assignment: Assignment) -> Iterator[Student]:
    one = Student(sandbox, assignment, {"part2": notebook(MLP)}, {})
    yield one
    one.close()


def inputs(*values: float) -> list[tuple[torch.Tensor]]:
    return [(torch.full((1,), value),) for value in values]


# ---- many questions at once -----------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_questions_however_many_they_are(student: Student) -> None:
    mlp = student.Mlp()
    assert [float(answer) for answer in mlp.each(inputs(*range(14)))] == [float(n + 1) for n in range(14)]
    large = [(torch.zeros(40_000),)] * 5  # each more than may be on its way
    assert [tuple(answer.shape) for answer in mlp.each(large)] == [(40_000,)] * 5


def test_a_fault_is_raised_where_its_answer_is_taken_and_the_next_question_gets_its_own(student: Student) -> None:
    mlp = student.Mlp()
    answers = mlp.each(inputs(1, -1, 7, 8))
    assert float(next(answers)) == 2.0
    with pytest.raises(Raised, match="a negative one"):
        next(answers)
    assert float(mlp(*inputs(20)[0])) == 21.0  # and not 8, which nobody took


def test_answers_that_nobody_takes_are_not_taken_for_others(student: Student) -> None:
    mlp = student.Mlp()
    left = mlp.each(inputs(1, 2, 3))
    next(left)
    assert float(mlp(*inputs(20)[0])) == 21.0
    with pytest.raises(RuntimeError, match="before all answers were taken"):
        next(left)


def test_questions_go_in_few_frames_and_each_has_its_own_answer(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, frames = wire.send_frame, list[int]()

    def counted(sock: Any, frame: bytes, *rest: Any) -> None:
        frames.append(len(frame))
        sent(sock, frame, *rest)

    mlp = student.Mlp()
    monkeypatch.setattr(wire, "send_frame", counted)
    assert [float(answer) for answer in mlp.each(inputs(1, 2, 3, 4))] == [2.0, 3.0, 4.0, 5.0]
    assert len(frames) == 1  # the object is built with them
    frames.clear()
    answers = list(mlp.each([(torch.zeros(6_000),)] * 5))  # two of which may be on their way
    assert [tuple(answer.shape) for answer in answers] == [(6_000,)] * 5
    assert len(frames) == 3
    assert max(frames) < 64 << 10


def test_batches_sent_together_are_answered_one_after_the_other(student: Student) -> None:
    mlp = student.Mlp()
    assert float(mlp(*inputs(20)[0])) == 21.0
    answers = mlp.forward_in_batches(torch.arange(10.0), 4, threads=1, seconds=5.0)
    assert [answer.tolist() for answer in answers] == [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0]]
    pixels, affine = torch.arange(0, 250, 50, dtype=torch.uint8), wire.Affine(mean=-0.25, std=0.5)
    answers = mlp.forward_in_batches(pixels, 2, threads=1, seconds=5.0, pixels=affine)
    assert torch.equal(torch.cat(answers), (pixels.float() / 255 + 0.25) / 0.5 + 1.0)
    with pytest.raises(Raised, match="a negative one"):
        mlp.forward_in_batches(torch.tensor([1.0, -1.0, 3.0]), 1, threads=1, seconds=5.0)


@pytest.mark.parametrize("value", ["one", [], [torch.zeros(4)] * 2, torch.zeros(3)])
def test_other_answers_than_one_a_batch_are_a_broken_connection(
    student: Student, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    mlp = student.Mlp()
    assert float(mlp(*inputs(20)[0])) == 21.0
    monkeypatch.setattr(type(mlp), "_values", lambda *_: iter([value]))  # as a worker gone wrong might answer
    with pytest.raises(Died, match="batch by batch"):
        mlp.forward_in_batches(torch.arange(10.0), 4, threads=1, seconds=5.0)


def test_a_death_among_many_questions_costs_the_one_that_died(student: Student) -> None:
    answers = student.Mlp().each(inputs(1, 101, 3))
    assert float(next(answers)) == 2.0
    with pytest.raises(Died, match="exit code 3"):
        next(answers)
    assert float(student.Mlp()(*inputs(4)[0])) == 5.0  # in a new worker


def test_a_death_before_all_was_sent_costs_the_one_that_died_too(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, frames = wire.send_frame, itertools.count()

    def late(*arguments: Any) -> None:
        if next(frames) == 3:  # the object and two questions are on their way
            time.sleep(0.5)
        sent(*arguments)

    mlp = student.Mlp()
    monkeypatch.setattr(wire, "send_frame", late)
    answers = mlp.each(inputs(1, 101, 3))
    assert float(next(answers)) == 2.0
    with pytest.raises(Died, match="exit code 3"):
        next(answers)


def test_a_death_behind_a_failed_check_costs_nobody(student: Student) -> None:
    for _ in range(3):  # more often than a class may kill its worker
        next(student.Mlp().each(inputs(1, 101)))
    assert float(student.Mlp()(*inputs(4)[0])) == 5.0


# ---- what is read once ----------------------------------------------------------------------------------------------


def test_the_same_cell_keeps_its_place_in_each_notebook() -> None:
    shared = "def helper():\n    return 1"
    first, second = notebook(shared, "A = helper()"), notebook("B = 2", "pass", shared, "A = helper()", shared)
    assert [s.cell for s in code(first).statements if "helper" in s.uses.binds] == [0]
    assert [s.cell for s in code(second).statements if "helper" in s.uses.binds] == [2, 4]
    assert [entry.cell for entry in slice_program(first, ["A"]).entries] == [0, 1]
    assert [entry.cell for entry in slice_program(second, ["A"]).entries] == [2, 3]


def test_each_assignment_has_its_own_solution(assignment: Assignment, tmp_path: Path) -> None:
    folder = small_assignment(tmp_path / "other", ("mlp",))
    master = folder / "notebooks" / assignment.config.files["part2"].master
    text = master.read_text(encoding="utf-8")
    assert "act_layer=nn.GELU" in text
    master.write_text(text.replace("act_layer=nn.GELU", "act_layer=nn.Tanh"), encoding="utf-8")
    other = load_assignment(folder)
    x = torch.ones(1, 8)
    ours, theirs = (hidden_part(one).oracle.Mlp(8, 8)(x) for one in (assignment, other))
    assert not torch.equal(ours, theirs)
    assert torch.equal(ours, hidden_part(assignment).oracle.Mlp(8, 8)(x))


# ---- checks that are collected once ---------------------------------------------------------------------------------


def timeless(record: Any) -> list[Any]:
    return [(c.id, check.id, check.verdict, check.message) for c in record.criteria for check in c.checks]


def test_one_submission_after_another_gets_what_it_gets_alone(
    assignment: Assignment, sandbox: WarmProcess, tmp_path: Path
) -> None:
    right = HandIn().without_figures().pack(tmp_path, "11024440")
    mistake = ("PE[:, 1::2] = torch.cos(angle)", "PE[:, 1::2] = torch.sin(angle)")
    wrong = HandIn().without_figures().edit(*mistake).pack(tmp_path, "11024441")
    options = Options(accuracy=False, criteria=QUICK)
    records = [grade(path, assignment, sandbox, options) for path in (right, wrong, right, wrong)]
    assert lost(records[0]) == lost(records[2]) == {}
    assert set(lost(records[1])) == {"positional_encoding"}
    assert timeless(records[0]) == timeless(records[2])
    assert timeless(records[1]) == timeless(records[3])
    assert [len(record.diagnoses) for record in records] == [0, 1, 0, 1]


def test_checks_of_the_same_name_stay_with_their_assignment(
    assignment: Assignment, sandbox: WarmProcess, tmp_path: Path
) -> None:
    folder = small_assignment(tmp_path / "other", ("mlp",))
    check = folder / "checks/test_mlp.py"
    text = check.read_text(encoding="utf-8")
    check.write_text(text.replace('"""fc2(activation(fc1(x)))', '"""Another title'), encoding="utf-8")
    path = HandIn().without_figures().pack(tmp_path)
    options = Options(accuracy=False, criteria=frozenset({"mlp"}))
    titles = [
        grade(path, one, sandbox, options).criteria[0].checks[0].title
        for one in (assignment, load_assignment(folder), assignment)
    ]
    assert [title.startswith("Another title") for title in titles] == [False, True, False]


# ---- weights that are evaluated once --------------------------------------------------------------------------------


class Remembered:
    """Evaluations by fingerprint, as a batch keeps them."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}
        self._asked = ""

    def find(self, key: str) -> bytes | None:
        self._asked = key
        return self.known.get(key)

    def keep(self, result: bytes) -> None:
        self.known[self._asked] = result


def test_the_same_weights_in_the_same_code_are_evaluated_once(
    assignment: Assignment, sandbox: WarmProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[object] = []

    def evaluate(model: TrainedModel, candidate: Any) -> Evaluation:
        evaluated.append(candidate)
        model._right[len(model._right)] = torch.ones(1, dtype=torch.bool)
        result = CheckpointResult(accuracy=0.91, correct=91, total=100, settings=dict(candidate.values))
        return Evaluation(result=result, answers=Answers(counts=((91, 9),)))

    monkeypatch.setattr(TrainedModel, "_evaluate", evaluate)
    monkeypatch.setattr(TrainedModel, "_with_noise", lambda *_: NoiseResult(total=1, exact=1, noisy=1))
    monkeypatch.setattr(TrainedModel, "_of_sample", lambda *_: None)
    first = HandIn().without_figures().pack(tmp_path, "11024440")
    twin = Path(shutil.copy(first, tmp_path / "11024441.tar.gz"))
    other = HandIn().without_figures().edit("x = x + self.pos_embed", "x = self.pos_embed + x")
    options = Options(criteria=frozenset({"accuracy"}), evaluations=Remembered())
    records = [grade(path, assignment, sandbox, options) for path in (first, twin, other.pack(tmp_path, "11024442"))]
    assert len(evaluated) == 2  # the first's, and that of other code
    assert [record.checkpoint.correct for record in records] == [91, 91, 91]
    assert [record.score for record in records] == [10.0, 10.0, 10.0]


class Pipe:
    def __init__(self) -> None:
        self.told: list[bytes | None] = []

    def send(self, what: bytes | None) -> None:
        self.told.append(what)


class Journal(dict[str, bytes]):
    def evaluation(self, key: str) -> bytes | None:
        return self.get(key)

    def evaluated(self, key: str, result: bytes) -> None:
        self[key] = result


def test_of_processes_that_want_the_same_evaluation_one_makes_it_and_the_others_wait() -> None:
    seats = [pool._Seat(process=None, pipe=Pipe()) for _ in range(3)]  # type: ignore[arg-type]
    of = pool.Pool.__new__(pool.Pool)
    of._seats, of._evaluations = seats, Journal()
    for seat in seats:
        of._heard(seat, ("find", "the same"))
    assert [seat.pipe.told for seat in seats] == [[None], [], []]  # type: ignore[attr-defined]
    of._heard(seats[0], ("keep", b"91"))
    of._heard(seats[0], ("outcome", None))
    assert [seat.pipe.told for seat in seats] == [[None], [b"91"], [b"91"]]  # type: ignore[attr-defined]


# ---- what one leaves behind ----------------------------------------------------------------------------------------


def test_what_refers_to_itself_is_gone_before_the_next_submission_is_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[weakref.ref[Any]] = []

    def graded(*_: object) -> Outcome:
        ring = torch.nn.Module()
        object.__setattr__(ring, "itself", ring)
        left.append(weakref.ref(ring))
        return Outcome(reason="none")

    monkeypatch.setattr(Bench, "_graded", graded)
    bench = Bench.__new__(Bench)
    bench._numbers = itertools.count(1)
    gc.disable()
    try:
        assert bench.grade(Work(position=0, path="")).reason == "none"
    finally:
        gc.enable()
    assert [ring() for ring in left] == [None]


def test_what_is_found_out_about_a_statement_does_not_hold_it() -> None:
    """Else the two would hold each other when the cell is forgotten, and a class's memory would grow."""
    cell = "import torch\ndef train():\n    def inner():\n        return 4\n    torch.save(inner(), 'a')\ntrain()"
    read_settings(notebook(cell), ("depth", "embed_dim"), "Mlp")
    compare(notebook(cell), notebook(cell.replace("4", "3")), ("Mlp",), ("depth",))
    nodes = [node for statement in code(notebook(cell)).statements for node in ast.walk(statement.node)]
    kept = [(node, found) for node in nodes for name, found in vars(node).items() if name.startswith("_grader.")]
    assert {type(found) for _, found in kept} >= {tuple, list, bool}
    holding = [node for node, found in kept if found is node or any(one is node for one in gc.get_referents(found))]
    assert not holding


# ---- the start ------------------------------------------------------------------------------------------------------


def test_a_sandbox_can_be_opened_before_torch_is_imported() -> None:
    line = "import sys, grader.sandbox.tiers, grader.limits; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", line], cwd=ROOT, check=False).returncode == 0
