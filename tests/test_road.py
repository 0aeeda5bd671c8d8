"""The whole road on real archives: what each mistake costs, and what it does not cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import torch
from conftest import PART1, PART2, ROOT, HandIn, criterion, lost

from grader import bank
from grader.assignment import Assignment
from grader.pipeline import Options, grade
from grader.records import Blame, Record, Verdict, to_json
from grader.sandbox.process import WarmProcess

Graded = Callable[..., Record]

SCALE = "math.sqrt(self.word_dim)"
FFN_IN_ENCODER = "output = self.norm2(X + self.dropout(self.ffn(X)))"


def test_the_reference_earns_every_point_and_clears_the_bar_with_room(hand_in: HandIn, graded: Graded) -> None:
    record = graded(hand_in, accuracy=True)
    assert lost(record) == {}
    assert record.score == record.max_score == 100
    assert record.checkpoint.total == 10_000
    assert record.checkpoint.correct is not None
    assert record.checkpoint.correct >= 9_050
    assert record.checkpoint.settings["num_heads"] == 6
    assert [c.id for c in record.criteria if c.proposed] == ["experiments"]


def test_the_untouched_template_scores_zero_and_nothing_is_broken(assignment: Assignment, sandbox: WarmProcess) -> None:
    record = grade(ROOT / "student_template", assignment, sandbox)
    assert record.score == 0
    assert {c.verdict for c in record.criteria} <= {Verdict.MISSING, Verdict.FAILED}
    assert {c.blame for c in record.criteria} == {Blame.STUDENT}


def test_a_notebook_full_of_magics_and_a_hanging_cell_is_graded_like_the_reference(
    hand_in: HandIn, graded: Graded
) -> None:
    for name in (PART1, PART2):
        hand_in.cell(name, "%env CUDA_VISIBLE_DEVICES = 0\n!pip install einops\n%cd /content", at=0)
        hand_in.cell(name, "import os\nassert os.environ['CONDA_DEFAULT_ENV'] == 'ai_hw2'", at=1)
        hand_in.cell(name, "while True:\n    pass")
    record = graded(hand_in)
    assert lost(record) == {}


def test_weights_saved_on_a_gpu_load_like_any(hand_in: HandIn, graded: Graded, tmp_path: Path) -> None:
    path = tmp_path / "vit.pth"
    path.write_bytes(hand_in.files["vit.pth"])
    weights = torch.load(path, weights_only=True)
    tagged = torch.serialization.location_tag
    torch.serialization.location_tag = lambda _storage: "cuda:0"  # what a save on a GPU writes
    try:
        torch.save(weights, path)
    finally:
        torch.serialization.location_tag = tagged
    assert b"cuda:0" in path.read_bytes()
    hand_in.files["vit.pth"] = path.read_bytes()
    assert lost(graded(hand_in)) == {}


def test_a_wrong_scale_costs_attention_its_points_and_leaves_the_layers_theirs(hand_in: HandIn, graded: Graded) -> None:
    record = graded(hand_in.edit(SCALE, "math.sqrt(self.dim)"))
    assert set(lost(record)) == {"attention"}
    checks = {check.id: check for check in criterion(record, "attention").checks}
    assert checks["attention.scaled_dot_product"].verdict is Verdict.FAILED
    assert any("stand-in" in check.message for check in criterion(record, "encoder").checks)


@pytest.mark.parametrize(
    "name",
    [
        "attention_alias",  # bound to the name that is asked for, and of another
        "attention_fused_kv",
        "attention_fused_rows_per_head",
        "attention_layers_per_head",
        "mlp_act_in_forward",
        "mlp_module_list",
    ],
)
def test_a_layer_is_judged_with_the_students_own_parts_however_they_are_built(
    name: str, assignment: Assignment, sandbox: WarmProcess, tmp_path: Path
) -> None:
    variant = next(variant for variant in bank.load_variants(assignment) if variant.id == name)
    for role, notebook in bank.varied(bank.solutions(assignment), variant).items():
        nbformat.write(notebook, tmp_path / assignment.config.files[role].master)  # type: ignore[no-untyped-call]
    criteria = frozenset({"attention", "encoder", "decoder", "mlp", "vit_attention", "block", "vit"})
    record = grade(tmp_path, assignment, sandbox, Options(accuracy=False, criteria=criteria))
    assert {check.id: check.message for c in record.criteria for check in c.checks if check.message} == {}


DEADLY = {
    "leaves": ("import os; os._exit(0)", Verdict.DIED, "exit code 0"),
    "hangs": ("while True: pass", Verdict.TIMEOUT, "10 seconds"),
    "eats memory": ("torch.zeros(20 << 30, dtype=torch.uint8)", Verdict.MEMORY, "MiB"),
    "does not parse": ("output = = 1", Verdict.MISSING, "does not parse"),
    "raises": ("raise ValueError('hm')", Verdict.RAISED, "ValueError: hm in cell"),
}


@pytest.mark.parametrize("case", DEADLY)
def test_deadly_code_in_one_class_costs_that_class_alone(case: str, hand_in: HandIn, graded: Graded) -> None:
    code, verdict, words = DEADLY[case]
    record = graded(hand_in.edit(FFN_IN_ENCODER, f"{code}\n        {FFN_IN_ENCODER}"))
    assert set(lost(record)) == {"encoder"}
    found = {check.verdict for check in criterion(record, "encoder").checks if check.points == 0}
    assert found == {verdict}
    assert any(words in check.message for check in criterion(record, "encoder").checks)
    assert Verdict.BROKEN not in {c.verdict for c in record.criteria}


def test_a_raised_error_points_into_the_students_own_cell(hand_in: HandIn, graded: Graded) -> None:
    record = graded(hand_in.edit(FFN_IN_ENCODER, f"oops = X.nothing\n        {FFN_IN_ENCODER}"))
    check = next(c for c in criterion(record, "encoder").checks if c.verdict is Verdict.RAISED)
    cell = hand_in.notebooks[PART1]["cells"][check.evidence["cell"] - 1]
    line = "".join(cell["source"]).splitlines()[check.evidence["line"] - 1]
    assert line.strip() == check.evidence["code"] == "oops = X.nothing"


def test_an_hour_of_training_before_a_class_is_not_run(hand_in: HandIn, graded: Graded) -> None:
    hand_in.cell(PART1, "import time\nfor epoch in range(100):\n    time.sleep(36)\nloss = 0.0", at=3)
    record = graded(hand_in)
    assert lost(record) == {}
    assert record.seconds < 60


def test_a_missing_pth_costs_checkpoint_and_accuracy(hand_in: HandIn, graded: Graded) -> None:
    del hand_in.files["vit.pth"]
    record = graded(hand_in, accuracy=True)
    assert lost(record) == {"checkpoint": 5, "accuracy": 10}
    assert criterion(record, "accuracy").verdict is Verdict.MISSING


def test_weights_of_other_settings_are_told_by_the_tensor_that_differs(hand_in: HandIn, graded: Graded) -> None:
    record = graded(hand_in.edit("embed_dim = 96", "embed_dim = 48"))
    check = criterion(record, "checkpoint").checks[0]
    assert check.verdict is Verdict.FAILED
    assert "(1, 1, 96)" in check.message or "96" in check.message
    assert "in the .pth" in check.message


def test_one_record_has_the_keys_that_others_rely_on(hand_in: HandIn, tmp_path: Path) -> None:
    archive, out = hand_in.pack(tmp_path), tmp_path / "report.json"
    command = [sys.executable, str(ROOT / "grade.py"), str(archive), "--no-accuracy", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTEST_ADDOPTS": "-k nothing"})
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert record["submission"]["student_id"] == "1102444016"
    assert record["score"] == record["max_score"] == 90
    keys = {"id", "points", "max_points", "verdict", "blame", "checks"}
    assert all(keys <= criterion.keys() for criterion in record["criteria"])
    keys = {"id", "title", "verdict", "blame", "message", "evidence"}
    assert all(keys <= check.keys() for criterion in record["criteria"] for check in criterion["checks"])
    assert {"accuracy", "correct", "total", "settings"} <= record["checkpoint"].keys()
    assert "Positional encoding" in done.stdout
    assert "\x1b" not in done.stdout


def without_times(value: object) -> object:
    """A record's built-in types, its seconds left out."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key != "seconds"}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def test_the_same_archive_gives_the_same_record_on_every_run(
    hand_in: HandIn, assignment: Assignment, sandbox: WarmProcess, tmp_path: Path
) -> None:
    archive = hand_in.edit(SCALE, "math.sqrt(self.dim)").pack(tmp_path)
    threads = torch.get_num_threads()
    records = []
    try:
        for count in (1, 2, threads):
            torch.set_num_threads(count)
            records.append(json.loads(to_json(grade(archive, assignment, sandbox, Options(accuracy=False)))))
    finally:
        torch.set_num_threads(threads)
    assert without_times(records[0]) == without_times(records[1]) == without_times(records[2])
