"""Gradescope's results.json, held against the fields of its documentation, and the autograder that writes it there."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from conftest import ROOT, HandIn, small_assignment
from handmade import BROKEN, EVERYTHING, FAILED, PASSED, SKIPPED, made_of, record

from grader.assignment import Assignment
from grader.autograder.harness import outcome_of, student_of, submission_in
from grader.autograder.pack import pack, unfinished
from grader.cli import main
from grader.errors import UsageError
from grader.records import Flag, HandMark
from grader.report.gradescope import FLAGS, TRACE, results_json
from grader.work import Outcome

FORMATS = ["text", "html", "simple_format", "md", "ansi"]
VISIBILITIES = ["visible", "hidden", "after_due_date", "after_published"]
TEST = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "score": {"type": "number"},
        "max_score": {"type": "number"},
        "status": {"enum": ["passed", "failed"]},
        "name": {"type": "string"},
        "name_format": {"enum": FORMATS},
        "number": {"type": "string"},
        "output": {"type": "string"},
        "output_format": {"enum": FORMATS},
        "tags": {"type": "array", "items": {"type": "string"}},
        "visibility": {"enum": VISIBILITIES},
        "extra_data": {"type": "object"},
    },
    "dependentRequired": {"score": ["max_score"], "max_score": ["score"]},
}
RESULTS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["score"],  # needed unless every test has one
    "properties": {
        "score": {"type": "number"},
        "execution_time": {"type": "number"},
        "output": {"type": "string"},
        "output_format": {"enum": FORMATS},
        "test_output_format": {"enum": FORMATS},
        "test_name_format": {"enum": FORMATS},
        "visibility": {"enum": VISIBILITIES},
        "stdout_visibility": {"enum": VISIBILITIES},
        "extra_data": {"type": "object"},
        "tests": {"type": "array", "items": TEST},
        "leaderboard": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "value"],
                "properties": {"name": {"type": "string"}, "value": {}, "order": {"enum": ["asc", "desc"]}},
            },
        },
    },
}


def read(data: bytes) -> dict[str, Any]:
    """The file, held against the schema; every text in it is declared as text, whoever wrote it."""
    found: dict[str, Any] = json.loads(data)
    jsonschema.validate(found, RESULTS)
    assert {found[name] for name in ("output_format", "test_output_format", "test_name_format")} == {"text"}
    assert {test[name] for test in found["tests"] for name in ("name_format", "output_format")} <= {"text"}
    return found


def test_a_criterion_is_a_test_with_its_points_and_reasons() -> None:
    found = read(results_json(Outcome(record=made_of(PASSED, FAILED, SKIPPED, BROKEN))))
    assert found["score"] == 4
    shown = [(t["name"], t.get("score"), t.get("max_score"), t.get("status")) for t in found["tests"]]
    assert shown == [
        ("Mlp", 4, 4, "passed"),
        ("Block", 0, 4, "failed"),
        ("Vit", 0, 4, None),
        ("Encoder", None, None, None),  # a fault of ours is neither earned nor lost
    ]
    assert found["tests"][1]["output"] == "failed\n-4  block does what it must\nfailed: the output is wrong"
    assert "4 points wait for a person" in found["tests"][3]["output"]
    assert "test accuracy 91.41% (9141 of 10000)" in found["output"]
    assert "through no fault of yours" in found["output"]
    assert found["extra_data"]["needs_person"] is True


def test_what_a_person_gave_counts_and_is_said() -> None:
    marked = msgspec.structs.replace(BROKEN, points=4, max_points=4, by_hand=HandMark(points=4, comment="", computed=0))
    (test,) = read(results_json(Outcome(record=made_of(marked))))["tests"]
    assert (test["score"], test["max_score"], test["status"]) == (4, 4, "passed")
    assert test["output"].startswith("by hand, computed 0")


def test_flags_are_for_the_staff_alone() -> None:
    found = read(results_json(Outcome(record=made_of(PASSED, flags=(Flag(id="cleared", message="all of it"),)))))
    seen = [test for test in found["tests"] if test["visibility"] == "visible"]
    hidden = [test for test in found["tests"] if test["visibility"] == "hidden"]
    assert "cleared" not in json.dumps([seen, found["output"]])
    assert [(test["name"], test["output"]) for test in hidden] == [(FLAGS, "cleared: all of it")]


def test_what_was_not_graded_says_whose_doing_it_is() -> None:
    refused = read(results_json(Outcome(reason="x.zip is no archive", blame="student")))
    assert (refused["score"], refused["extra_data"]) == (0, {"needs_person": False})
    assert "x.zip is no archive" in refused["output"]
    broken = read(results_json(Outcome(reason="a fault", blame="grader", trace="Traceback\n  secret")))
    assert "stands for no mark" in broken["output"]
    assert "secret" not in broken["output"]
    (trace,) = broken["tests"]
    assert (trace["name"], trace["visibility"]) == (TRACE, "hidden")
    assert "secret" in trace["output"]


@pytest.mark.parametrize("what", EVERYTHING)
def test_whatever_a_student_wrote_the_file_is_valid(what: str) -> None:
    text = EVERYTHING[what]
    for outcome in (
        Outcome(record=record(text)),
        Outcome(reason=text, trace=text),
        Outcome(reason=text, blame="student"),
    ):
        data = results_json(outcome)
        found = read(data)
        assert len(data) < 50_000
        assert all(line.isprintable() for test in found["tests"] for line in test["output"].split("\n"))


# ---- the autograder -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_assignment(tmp_path_factory.mktemp("small") / "reference", ("positional_encoding", "mlp"))


@pytest.fixture(scope="module")
def unpacked(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip as Gradescope unpacks it: into `source`, access rights kept for the two scripts."""
    root = tmp_path_factory.mktemp("autograder")
    packed = root / "autograder.zip"
    assert main(["gradescope", "--assignment", str(small), "--output", str(packed)]) == 0
    shutil.unpack_archive(packed, root / "source")
    return root


@pytest.fixture
def autograder(unpacked: Path) -> Callable[..., dict[str, Any]]:
    """Run run_autograder upon a submission folder; what it wrote."""

    def run(submission: Path, **environment: str) -> dict[str, Any]:
        shutil.rmtree(unpacked / "submission", ignore_errors=True)
        shutil.rmtree(unpacked / "results", ignore_errors=True)
        shutil.copytree(submission, unpacked / "submission")
        known = {"AUTOGRADER_ROOT": str(unpacked), "AUTOGRADER_PYTHON": sys.executable, "PYTHONPATH": ""}
        done = subprocess.run(
            ["bash", str(unpacked / "source/run_autograder")],
            env={**os.environ, **known, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "<script>" not in done.stdout + done.stderr
        return read((unpacked / "results/results.json").read_bytes())

    return run


def test_loose_files_are_graded_at_gradescope(
    autograder: Callable[..., dict[str, Any]], unpacked: Path, hand_in: HandIn, tmp_path: Path
) -> None:
    with tarfile.open(hand_in.without_figures().pack(tmp_path)) as archive:
        archive.extractall(tmp_path / "loose", filter="data")
    metadata = {"users": [{"email": "kim@x.edu", "sid": "1102444016", "name": "<script>"}], "created_at": "now"}
    (unpacked / "submission_metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    found = autograder(tmp_path / "loose")
    assert found["score"] == found["extra_data"]["max_score"] == 13
    assert {test["status"] for test in found["tests"] if test["visibility"] == "visible"} == {"passed"}
    assert found["extra_data"]["student_id"] == "1102444016"


def test_an_archive_that_is_none_is_the_students_to_mend(
    autograder: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "<script>_1102444016.tar.gz").write_bytes(b"this is no archive")
    found = autograder(tmp_path)
    assert (found["score"], found["extra_data"]["needs_person"]) == (0, False)
    assert "cannot be graded" in found["output"]


def test_where_python_itself_does_not_start_there_are_results(
    autograder: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    found = autograder(tmp_path, AUTOGRADER_PYTHON="/nowhere/python")
    assert found["extra_data"]["needs_person"] is True
    assert "stands for no mark" in found["output"]


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / "submission" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "submission" / name).write_bytes(b"x")
    (root / "submission").mkdir(exist_ok=True)
    return root


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "nothing in it to be graded"),
        (("notes.txt",), "nothing in it to be graded"),
        (("a.zip", "b.tar.gz"), "more than one submission in it: a.zip, b.tar.gz"),
        (("a.zip", "vit.pth"), "more than one submission in it: a.zip, vit.pth"),
    ],
)
def test_a_folder_without_one_submission_is_refused(
    names: tuple[str, ...], words: str, small: Path, tmp_path: Path
) -> None:
    outcome = outcome_of(put(tmp_path, *names), small, "auto")
    assert (outcome.record, outcome.blame) == (None, "student")
    assert words in outcome.reason


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("1102444016.tar.gz",), "1102444016.tar.gz"),
        (("inner/1102444016.zip", "notes.txt"), "inner/1102444016.zip"),
        (("Assignment2-1_Transformer_from_scratch.ipynb", "vit.pth"), "."),
        (("1102444016/Assignment2-2_Vit.ipynb", "1102444016/vit.pth"), "."),
        (("one/Assignment2-1.ipynb", "two/vit.pth"), "."),  # all of it is one student's
    ],
)
def test_an_archive_or_loose_files_in_whatever_folders_are_one_submission(
    names: tuple[str, ...], found: str, assignment: Assignment, tmp_path: Path
) -> None:
    folder = put(tmp_path, *names) / "submission"
    assert submission_in(folder, assignment) == folder / found


def test_a_reference_that_is_broken_is_no_students_fault(small: Path, tmp_path: Path) -> None:
    broken = tmp_path / "reference"
    shutil.copytree(small, broken)
    config = (broken / "assignment.toml").read_text(encoding="utf-8")
    (broken / "assignment.toml").write_text(config.replace("[criteria.mlp]", "[criteria.mpl]"), encoding="utf-8")
    outcome = outcome_of(put(tmp_path, "vit.pth"), broken, "auto")
    assert (outcome.record, outcome.blame) == (None, "grader")
    assert "test_mpl.py" in outcome.reason
    assert read(results_json(outcome))["extra_data"]["needs_person"] is True


@pytest.mark.parametrize(
    ("text", "student"),
    [
        ('{"users": [{"sid": 1102444016, "email": "a@b"}]}', "1102444016"),
        ('{"users": [{"sid": null, "email": "a@b"}, {"sid": "2"}], "id": 1}', "a@b, 2"),
        ('{"users": []}', ""),
        ('{"users": 3}', ""),
        ("\udcff", ""),
    ],
)
def test_who_handed_in_is_what_gradescope_says(text: str, student: str, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert student_of(tmp_path / "m.json") == student
    assert student_of(tmp_path / "nowhere.json") == ""


def test_the_zip_is_the_same_each_time_and_holds_what_is_needed(small: Path) -> None:
    packed = pack(ROOT, small, "https://example.org/cpu")
    assert packed == pack(ROOT, small, "https://example.org/cpu")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
        modes = {name: archive.getinfo(name).external_attr >> 16 & 0o777 for name in names}
        assert archive.read("pip.conf") == b"[install]\nextra-index-url = https://example.org/cpu\n"
        assert archive.read("unfinished.json") == unfinished()
    needed = {"setup.sh", "run_autograder", "grade.py", "constraints.txt", "reference/assignment.toml"}
    assert needed <= set(names)
    assert names == sorted(names)
    assert not [name for name in names if "__pycache__" in name or "/." in name]
    assert {name for name, mode in modes.items() if mode & 0o111} == {"setup.sh", "run_autograder"}
    read(unfinished())


@pytest.mark.parametrize("index", ["example.org", "https://x\nno-index = true", "https://x y"])
def test_an_index_that_is_no_url_is_refused(index: str, small: Path) -> None:
    with pytest.raises(UsageError, match="no URL"):
        pack(ROOT, small, index)


@pytest.mark.parametrize("script", ["setup.sh", "run_autograder"])
def test_the_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / "grader/autograder" / script)], check=True)
