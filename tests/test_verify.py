"""The bank proves the assignment, and `verify` can tell when it does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from grader import bank, verify
from grader.assignment import Assignment, load_assignment
from grader.cli import main
from grader.errors import AssignmentError, UsageError

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
THREE = """
[by_dim]
message = "One."
edits = [["math.sqrt(self.word_dim)", "self.dim"]]

[no_output]
message = "The other."
edits = [["heads = self.W_o(self.combine(heads))", "heads = self.combine(heads)"]]

[by_dim_without_output]
message = "Both."
edits = [["/ math.sqrt(self.word_dim)", "/ self.dim"], ["self.W_o(self.combine(heads))", "self.combine(heads)"]]
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
        ("variants/a.py", '"""A.\n\nsettings: depth=x"""\n# %% part1 start\n', "wants to be `settings: name=number"),
    ],
)
def test_a_malformed_bank_is_one_sentence(copied: Path, file: str, text: str, words: str) -> None:
    (copied / file).write_text(text)
    with pytest.raises(AssignmentError, match=words):
        verify.cases(load_assignment(copied))


def test_a_variant_whose_settings_are_found_otherwise_than_it_states_is_found_out(copied: Path) -> None:
    stated = ROOT / "tests/variants/settings_dataclass.py"
    text = stated.read_text()
    (copied / "variants/right.py").write_text(text)
    (copied / "variants/wrong.py").write_text(text.replace("num_heads=8, mlp", "num_heads=4, mlp", 1))
    found = findings(copied, "variant")
    assert found["right"] == ()
    assert found["wrong"][-1].startswith("its settings are taken to be {'patch_size': 4")


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


@pytest.mark.timeout(600)
def test_two_mistakes_at_once_are_never_taken_for_a_third(assignment: Assignment) -> None:
    wanted = verify.cases(assignment, ["pair"], pairs=1)
    assert len(wanted) == len({mutant.criterion for mutant in bank.load_mutants(assignment)})
    found = verify.verify(verify.Setup(REFERENCE, "auto", accuracy=False), wanted, JOBS, lambda _: None)
    assert {finding.case.id: finding.wrong for finding in found if finding.wrong} == {}
    assert {"both named", "the first place alone"} <= {finding.said for finding in found}


def test_a_pair_that_is_taken_for_a_third_is_found_out(copied: Path) -> None:
    (copied / "mutants/attention.toml").write_text(THREE)
    wanted = verify.cases(load_assignment(copied), ["pair"], pairs=9)
    found = verify.verify(verify.Setup(copied, "auto", accuracy=False), wanted, 1, lambda _: None)
    assert {finding.case.id: finding.wrong for finding in found if finding.wrong} == {
        "by_dim + no_output": ("it is taken for by_dim_without_output",)
    }
