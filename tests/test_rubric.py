"""Points are arithmetic: what is earned, who is to blame, what a contradiction in the rubric says."""

from __future__ import annotations

import pytest

from grader.errors import AssignmentError
from grader.records import Blame, Verdict
from grader.rubric import CriterionSpec, Outcome, score

SPEC = {"encoder": CriterionSpec(title="Encoder", points=8, checks={"shape": 2, "output": 6})}


def outcome(check: str, verdict: Verdict, share: float | None = None, criterion: str = "encoder") -> Outcome:
    earned = share if share is not None else float(verdict is Verdict.PASSED)
    return Outcome(criterion=criterion, check=check, title=check, verdict=verdict, share=earned)


@pytest.mark.parametrize(
    ("shape", "output", "points", "verdict", "blame"),
    [
        (Verdict.PASSED, Verdict.PASSED, 8, Verdict.PASSED, Blame.STUDENT),
        (Verdict.PASSED, Verdict.FAILED, 2, Verdict.PARTIAL, Blame.STUDENT),
        (Verdict.MISSING, Verdict.MISSING, 0, Verdict.MISSING, Blame.STUDENT),
        (Verdict.FAILED, Verdict.TIMEOUT, 0, Verdict.TIMEOUT, Blame.STUDENT),
        (Verdict.BROKEN, Verdict.FAILED, 0, Verdict.BROKEN, Blame.GRADER),
        (Verdict.BROKEN, Verdict.PASSED, 6, Verdict.BROKEN, Blame.GRADER),
    ],
)
def test_a_criterion_adds_up_its_checks(
    shape: Verdict, output: Verdict, points: float, verdict: Verdict, blame: Blame
) -> None:
    (result,) = score(SPEC, [outcome("shape", shape), outcome("output", output)])
    assert (result.points, result.verdict, result.blame) == (points, verdict, blame)


def test_a_broken_check_is_neither_earned_nor_lost() -> None:
    (result,) = score(SPEC, [outcome("shape", Verdict.BROKEN), outcome("output", Verdict.PASSED)])
    assert (result.points, result.max_points) == (6, 6)
    assert "2 points wait for a person" in result.checks[0].message


def test_a_share_of_a_check_is_a_share_of_its_points() -> None:
    (result,) = score(SPEC, [outcome("shape", Verdict.PASSED), outcome("output", Verdict.PARTIAL, 0.5)])
    assert result.points == 5
    assert [check.points for check in result.checks] == [2, 3]


def test_a_check_without_points_is_refused() -> None:
    extra = outcome("taste", Verdict.PASSED)
    with pytest.raises(AssignmentError, match=r"encoder\.taste ran, but assignment.toml gives it no points"):
        score(SPEC, [outcome("shape", Verdict.PASSED), outcome("output", Verdict.PASSED), extra])


def test_points_without_a_check_are_refused() -> None:
    with pytest.raises(AssignmentError, match="no test_output"):
        score(SPEC, [outcome("shape", Verdict.PASSED)])
