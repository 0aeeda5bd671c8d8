"""A person's marks replace computed ones, and a wrong file is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.marks import Mark, Marks, read_marks, unused, with_marks
from grader.records import Blame, CheckpointResult, CriterionResult, Record, SubmissionInfo, Verdict

MAXIMA = {"mlp": 3.0, "experiments": 10.0}


def record(experiments: Verdict = Verdict.PASSED) -> Record:
    def criterion(name: str, points: float, verdict: Verdict, proposed: bool = False) -> CriterionResult:
        maximum = 0.0 if verdict is Verdict.BROKEN else MAXIMA[name]
        points = min(points, maximum)
        return CriterionResult(
            id=name,
            title=name,
            points=points,
            max_points=maximum,
            verdict=verdict,
            blame=verdict.blame,
            proposed=proposed,
        )

    criteria = (criterion("mlp", 3, Verdict.PASSED), criterion("experiments", 10, experiments, True))
    return Record(
        submission=SubmissionInfo(student_id="7", archive="7.zip", sha256=""),
        assignment="a",
        score=sum(c.points for c in criteria),
        max_score=sum(c.max_points for c in criteria),
        criteria=criteria,
        checkpoint=CheckpointResult(),
        needs_person=experiments.blame is Blame.GRADER,
    )


def marks(folder: Path, text: str) -> Marks:
    path = folder / "marks.csv"
    path.write_text(text, encoding="utf-8")
    return read_marks(path, MAXIMA)


def test_a_mark_replaces_the_proposed_points_and_says_what_they_were(tmp_path: Path) -> None:
    given = marks(tmp_path, '\ufeffstudent_id,criterion,points,comment,who\n7,experiments,6.5,"two, unclear",kim\n')
    marked = with_marks(record(), given, MAXIMA)
    experiments = marked.criteria[1]
    assert (experiments.points, experiments.max_points, experiments.proposed) == (6.5, 10, False)
    assert experiments.by_hand is not None
    assert (experiments.by_hand.computed, experiments.by_hand.comment) == (10, "two, unclear")
    assert (marked.score, marked.max_score) == (9.5, 13)


def test_another_students_mark_changes_nothing(tmp_path: Path) -> None:
    given = marks(tmp_path, "student_id,criterion,points\n8,experiments,0\n")
    assert with_marks(record(), given, MAXIMA) == record()


def test_a_mark_settles_what_was_broken(tmp_path: Path) -> None:
    broken = record(Verdict.BROKEN)
    assert (broken.score, broken.max_score, broken.needs_person) == (3, 3, True)
    marked = with_marks(broken, marks(tmp_path, "student_id,criterion,points\n7,experiments,9\n"), MAXIMA)
    assert (marked.score, marked.max_score, marked.needs_person) == (12, 13, False)


def test_who_gave_a_mark_and_when_are_kept_as_given(tmp_path: Path) -> None:
    given = marks(tmp_path, "student_id,criterion,points,marker,when\n7,mlp,2,김민수,2026-06-12T14:30:05+09:00\n")
    by_hand = with_marks(record(), given, MAXIMA).criteria[0].by_hand
    assert by_hand is not None
    assert (by_hand.marker, by_hand.when, by_hand.computed) == ("김민수", "2026-06-12T14:30:05+09:00", 3)


def test_an_empty_cell_of_points_withdraws_a_mark(tmp_path: Path) -> None:
    given = marks(tmp_path, "student_id,criterion,points\n7,experiments,\n")
    assert given == {("7", "experiments"): Mark(points=None, file="marks.csv")}
    assert with_marks(record(), given, MAXIMA) == record()


def test_an_id_as_the_sheet_of_grades_spells_it_is_the_students(tmp_path: Path) -> None:
    given = marks(tmp_path, "student_id,criterion,points,comment\n'=7,mlp,2,'-1 for style\n")
    assert given == {("=7", "mlp"): Mark(points=2, comment="-1 for style", file="marks.csv")}


def test_a_mark_that_changes_nothing_is_told(tmp_path: Path) -> None:
    given = marks(tmp_path, "student_id,criterion,points\n8,mlp,2\n7,mlp,2\n7,experiments,9\n")
    smaller = {"mlp": 3.0, "experiments": 8.0}
    said = unused({"7": with_marks(record(), given, smaller)}, given, smaller)
    assert [line.partition(": the mark")[0] for line in said] == ["8, mlp", "7, experiments"]
    assert said[0].endswith("no submission of this student was graded")
    assert said[1].endswith("the criterion has 8 points now")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the header lacks student_id, criterion, points"),
        ("student_id,points\n7,1\n", "the header lacks criterion"),
        ("student_id,criterion,points\n7,taste,1\n", "row 2: there is no criterion “taste”"),
        ("student_id,criterion,points\n7,mlp,4\n", "row 2: “4” is no number from 0 to 3"),
        ("student_id,criterion,points\n7,mlp,nan\n", "“nan” is no number"),
        ("student_id,criterion,points\n7,mlp,two\n", "“two” is no number"),
        ("student_id,criterion,points\n7,mlp\n", "“” is no number"),
        ("student_id,criterion,points\n7,mlp,1\n7,mlp,2\n", "row 3: 7 has two marks for mlp"),
        ('student_id,criterion,points\n7,"mlp', "cannot be read"),
        (
            "student_id,criterion,points,when\n7,mlp,2,6/12/2026",
            "row 2: “6/12/2026” is no time; write it as 2026-06-12",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        marks(tmp_path, text)
    assert words in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv cannot be read"):
        read_marks(tmp_path / "none.csv", MAXIMA)
