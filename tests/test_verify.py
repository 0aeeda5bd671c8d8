"""The bank proves the assignment, and `verify` can tell when it does not."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, HandIn

from grader import bank, verify
from grader.assignment import Assignment, load_assignment
from grader.cli import main
from grader.errors import AssignmentError, UsageError
from grader.pipeline import Options, grade
from grader.sandbox.process import WarmProcess

REFERENCE = ROOT / "reference"
JOBS = len(os.sched_getaffinity(0))


def findings(folder: Path, *names: str) -> dict[str, tuple[str, ...]]:
    """What is wrong with each case that is named, or with all."""
    wanted = verify.cases(load_assignment(folder), names)
    setup = verify.Setup(folder, "auto", accuracy=False)
    return {f.case.id: f.wrong for f in verify.verify(setup, wanted, JOBS, lambda _: None)}


@pytest.mark.timeout(1200)  # some three hundred hand-ins
def test_reference_template_mutants_and_variants_come_out_as_they_must(assignment: Assignment) -> None:
    mutants, variants = bank.load_mutants(assignment), bank.load_variants(assignment)
    assert len(mutants) >= 70
    assert len(variants) >= 40
    assert {mutant.criterion for mutant in mutants} == verify.code_criteria(assignment) - {"experiments"}
    found = findings(REFERENCE)
    assert len(found) == 2 + len(mutants) + len(variants)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The assignment with a bank of its own, still empty."""
    folder = tmp_path / "reference"
    shutil.copytree(REFERENCE, folder, ignore=shutil.ignore_patterns("mutants", "imgs", "__pycache__"))
    config = folder / "assignment.toml"
    config.write_text(config.read_text().replace('variants = "../tests/variants"', 'variants = "variants"'))
    (folder / "mutants").mkdir()
    (folder / "variants").mkdir()
    return folder


HARMLESS = """
[harmless]
message = "This is no mistake."
edits = [["scores.masked_fill(mask == 0, -1e9)", "scores.masked_fill(~mask, -1e9)"]]

[of_another_criterion]
message = "This is a mistake in the scaling."
edits = [["math.sqrt(self.word_dim)", "self.dim"]]
"""
TWINS = """
[twin_a]
message = "One."
edits = [["math.sqrt(self.word_dim)", "self.dim"]]

[twin_b]
message = "The other."
edits = [["math.sqrt(self.word_dim)", "(self.dim * 1.0)"]]
"""
WRONG_VARIANT = '''"""Not a correct alternative at all"""
# %% part2 replace Mlp
class Mlp(nn.Module):
    def __init__(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU):
        super().__init__()
        self.fc = nn.Linear(in_features, out_features or in_features)

    def forward(self, x):
        return self.fc(x)
'''


def test_a_bank_that_proves_nothing_is_found_out(copied: Path) -> None:
    (copied / "mutants/masking.toml").write_text(HARMLESS)
    (copied / "mutants/attention.toml").write_text(TWINS)
    (copied / "variants/wrong.py").write_text(WRONG_VARIANT)
    found = findings(copied, "mutant", "variant")
    assert found["harmless"] == ("masking loses nothing", "it is not named")
    assert any(line.startswith("attention loses") for line in found["of_another_criterion"])
    assert found["twin_a"] == found["twin_b"] == ("it is not named",)  # two alike: neither can be named
    assert any(line.startswith("mlp.equations loses 2") for line in found["wrong"])


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("mutants/nothing.toml", "", "there is no criterion “nothing”"),
        ("mutants/mlp.toml", "[a]\nmessage = 'x'\n", "edits"),
        ("mutants/mlp.toml", "[a]\nmessage = 'x'\nedits = []\nwhy = 1", "why"),
        ("mutants/mlp.toml", "[a", "mlp.toml"),
        ("mutants/accuracy.toml", "[a]\nmessage = 'x'\nedits = []", "needs no class"),
        ("variants/a.py", "# %% part1 start\nx = 1\n", "begins with a docstring"),
        ("variants/a.py", '"""A."""\n', "at least one cell"),
        ("variants/a.py", '"""A."""\n# %% part1 instead Mlp\n', "“instead” wants to be"),
    ],
)
def test_a_malformed_bank_is_one_sentence(copied: Path, file: str, text: str, words: str) -> None:
    (copied / file).write_text(text)
    with pytest.raises(AssignmentError, match=words):
        verify.cases(load_assignment(copied))


def test_a_patch_that_fits_nowhere_or_twice_is_named(copied: Path) -> None:
    solved = bank.solutions(load_assignment(copied))["part2"]
    for old in ("no such text", "self"):
        mutant = bank.Mutant(id="m", criterion="mlp", file="part2", message="", edits=((old, "x"),))
        with pytest.raises(AssignmentError, match="times in the solution, not once"):
            bank.mutated(solved, mutant)


def test_a_name_that_there_is_not_is_a_usage_error(assignment: Assignment) -> None:
    with pytest.raises(UsageError, match="no mutant, variant or kind “nonesuch”"):
        verify.cases(assignment, ["nonesuch"])


def test_verify_prints_the_counts_and_exits_by_them(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "mutants/attention.toml").write_text(TWINS.partition("[twin_b]")[0])
    assert main(["verify", "--assignment", str(copied), "--no-accuracy", "--jobs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "mutation score 100.0%" in printed
    assert "1 of 1" in printed
    (copied / "mutants/attention.toml").write_text(TWINS)
    assert main(["verify", "--assignment", str(copied), "--jobs", "1", "twin_a"]) == 1
    assert "it is not named" in capsys.readouterr().out


# ---- two mistakes at once -------------------------------------------------------------------------------------------


def pairs(assignment: Assignment, criterion: str, count: int) -> list[tuple[bank.Mutant, bank.Mutant]]:
    """Pairs of mutants whose patches fit side by side, spread over the criterion's bank."""
    role = "part1"
    solved = bank.solutions(assignment)[role]
    fitting = []
    for a, b in itertools.combinations([m for m in bank.load_mutants(assignment) if m.criterion == criterion], 2):
        try:
            bank.mutated(bank.mutated(solved, a), b)
        except AssignmentError:
            continue
        fitting.append((a, b))
    return fitting[:: max(1, len(fitting) // count)][:count]


@pytest.mark.parametrize("criterion", ["attention", "encoder"])
def test_two_mistakes_at_once_are_never_taken_for_a_third(
    criterion: str, assignment: Assignment, sandbox: WarmProcess, tmp_path: Path
) -> None:
    several = pairs(assignment, criterion, 8)
    assert len(several) >= 6
    for number, (a, b) in enumerate(several):
        both = HandIn()
        for old, new in (*a.edits, *b.edits):
            both.edit(old, new)
        folder = tmp_path / str(number)
        folder.mkdir()
        options = Options(accuracy=False, criteria=frozenset([criterion]))
        record = grade(both.pack(folder), assignment, sandbox, options)
        assert record.score < record.max_score
        both_at_once = {m.id for m in bank.load_mutants(assignment) if {*m.edits} == {*a.edits, *b.edits}}
        assert {diagnosis.id for diagnosis in record.diagnoses} <= {a.id, b.id} | both_at_once
