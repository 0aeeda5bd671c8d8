"""assignment.toml is decoded strictly, and what contradicts itself is refused with the place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from grader.assignment import Assignment, load_assignment
from grader.errors import AssignmentError

TEXT = (ROOT / "reference/assignment.toml").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("checks", "standins"):
        shutil.copytree(ROOT / "reference" / name, tmp_path / name)
    return tmp_path


def load(folder: Path, old: str = "", new: str = "") -> Assignment:
    assert old in TEXT
    (folder / "assignment.toml").write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    return load_assignment(folder)


def test_the_assignment_has_thirteen_criteria_and_a_hundred_points(folder: Path) -> None:
    assignment = load(folder)
    assert len(assignment.config.criteria) == 13
    assert assignment.max_score == 100


EXPERIMENTS = '[experiments]\nnotebook = "notebook"\n\n[tolerance]'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("points = 10", "points = 11", "add up to 10 points, not to 11"),
        ("points = 10", 'points = "10"', "Expected `float`"),
        ("points = 10", "pionts = 10", "pionts"),
        ("seed = 20260302", "seed = ", "assignment.toml"),
        ('needs = ["PositionalEncoding"]', 'needs = ["PositionEncoding"]', "PositionEncoding"),
        ('standins = ["MultiHeadAttention"]', 'standins = ["EncoderLayer"]', "has no stand-in"),
        ('standin = "standins/mlp.py"', 'standin = "standins/nlp.py"', "standins/nlp.py does not exist"),
        ("[criteria.mlp]", "[criteria.mpl]", "test_mpl.py"),
        ('file = "weights"', 'file = "wieghts"', "wieghts"),
        ("bar = 0.90", "bar = 90", "<= 1.0"),
        ("memory_mb = 2048", "memory_mb = 0", ">= 1"),
        ("max_mb = 100", "max_mb = 0", ">= 1"),
        ("ask_seconds = 10", "ask_seconds = 0", "> 0.0"),
        ("atol = 1e-5", "atol = -1", ">= 0.0"),
        ("formula = 5, addition = 3", "formula = -5, addition = 13", "> 0.0"),
        ('[[shapes]]\nname = "Mlp"', '[[shapes]]\nname = "Mpl"', "“Mpl” is not among [classes]"),
        ("collect = 'Assignment2-1*.ipynb'", "collect = 'a|b'", "no pattern that CollectSubmission.sh can hold"),
        ("[experiments]\n", "[experiments]\nsettings = 5\n", "Expected `array`"),
    ],
)
def test_a_contradiction_is_one_clear_error(old: str, new: str, words: str, folder: Path) -> None:
    with pytest.raises(AssignmentError) as error:
        load(folder, old, new)
    assert words in str(error.value)
    assert str(folder / "assignment.toml") in str(error.value)


def test_experiments_name_their_settings_where_no_checkpoint_does(tmp_path: Path) -> None:
    text = (ROOT / "examples/mlp/assignment.toml").read_text(encoding="utf-8").replace("[tolerance]", EXPERIMENTS)
    shutil.copytree(ROOT / "examples/mlp", tmp_path, dirs_exist_ok=True)
    (tmp_path / "assignment.toml").write_text(text, encoding="utf-8")
    with pytest.raises(AssignmentError, match=r"experiments: it names no settings"):
        load_assignment(tmp_path)
    text = text.replace("[experiments]", '[experiments]\nsettings = ["width"]')
    (tmp_path / "assignment.toml").write_text(text, encoding="utf-8")
    assert load_assignment(tmp_path).config.settings_of_experiments == ("width",)


def test_a_folder_without_a_configuration_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(AssignmentError, match="--assignment names the folder"):
        load_assignment(tmp_path)
