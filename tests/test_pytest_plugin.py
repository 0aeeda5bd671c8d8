"""The plugin under pytest itself: the shipped checks, and an instructor's own in five lines."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import ROOT, HandIn

pytest_plugins = ["pytester"]

CHECK = '''
import torch
from grader.checking import assert_close

def test_equations(student, oracle):
    """The Mlp ends where it began"""
    assert_close(student.Mlp(4)(torch.zeros(1, 4)) * 0, torch.zeros(1, 4))

def test_widths(student):
    """This one is never right"""
    assert student.Mlp(4)(torch.zeros(1, 4)).shape == (9, 9), "nine by nine was wanted"
'''


def run(pytester: pytest.Pytester, *arguments: object) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *map(str, arguments))


def test_the_shipped_checks_run_as_plain_pytest(pytester: pytest.Pytester, hand_in: HandIn) -> None:
    archive = hand_in.edit("math.sqrt(self.word_dim)", "math.sqrt(self.dim)").pack(pytester.path)
    result = run(pytester, ROOT / "reference/checks", "--submission", archive, "-k", "attention or encoder")
    result.assert_outcomes(passed=9, failed=2)
    result.stdout.fnmatch_lines(["*failed: scaled_dot_product's output is wrong*"])


def test_without_a_submission_pytest_says_which_option_is_wanted(pytester: pytest.Pytester) -> None:
    result = run(pytester, ROOT / "reference/checks/test_mlp.py")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*--submission ARCHIVE*"])


def test_an_archive_that_is_none_is_one_sentence(pytester: pytest.Pytester) -> None:
    archive = pytester.path / "x.tar.gz"
    archive.write_bytes(b"hello")
    result = run(pytester, ROOT / "reference/checks/test_mlp.py", "--submission", archive)
    assert result.ret != 0
    assert "x.tar.gz" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_an_instructors_own_check_is_a_few_readable_lines(pytester: pytest.Pytester, hand_in: HandIn) -> None:
    folder = pytester.path / "mine"
    shutil.copytree(ROOT / "reference", folder, ignore=shutil.ignore_patterns("solved", "*.gz", "imgs"))
    (folder / "checks/test_mlp.py").write_text(CHECK)
    archive = hand_in.pack(pytester.path)
    junit = pytester.path / "junit.xml"
    result = run(pytester, folder / "checks/test_mlp.py", "--submission", archive, f"--junit-xml={junit}")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*failed: nine by nine was wanted*"])
    assert '<property name="verdict" value="failed"' in junit.read_text()


def test_a_run_that_grades_nothing_loads_no_torch(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import sys\ndef test_light():\n    assert 'torch' not in sys.modules\n")
    run(pytester).assert_outcomes(passed=1)


def test_a_check_that_breaks_is_the_graders_fault_and_lowers_no_mark(
    pytester: pytest.Pytester, hand_in: HandIn, tmp_path: Path
) -> None:
    from grader.assignment import load_assignment
    from grader.limits import worker_limits
    from grader.pipeline import Options, grade
    from grader.records import Blame, Verdict
    from grader.sandbox.tiers import open_sandbox

    folder = tmp_path / "broken"
    shutil.copytree(ROOT / "reference", folder, ignore=shutil.ignore_patterns("solved", "*.gz", "imgs"))
    path = folder / "checks/test_mlp.py"
    path.write_text(path.read_text().replace("agree(layers", "agree(leyers"))
    assignment = load_assignment(folder)
    with open_sandbox("auto", worker_limits(assignment)) as sandbox:
        record = grade(hand_in.pack(tmp_path), assignment, sandbox, Options(accuracy=False))
    mlp = next(c for c in record.criteria if c.id == "mlp")
    assert (mlp.verdict, mlp.blame, mlp.points) == (Verdict.BROKEN, Blame.GRADER, mlp.max_points)
    assert mlp.max_points < 3
    assert record.score == record.max_score == 87 + mlp.points
    assert record.needs_person
    assert any("NameError" in check.message for check in mlp.checks)
