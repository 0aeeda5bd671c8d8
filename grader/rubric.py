"""From verdicts to points: pure arithmetic on the assignment's criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from grader.errors import AssignmentError
from grader.records import Blame, CheckResult, CriterionResult, Frozen, Verdict

Points = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]  # an infinite one has no share


class CriterionSpec(Frozen, frozen=True):
    """A line of the rubric. The checks stand in checks/test_<criterion>.py as test_<check>; values are points."""

    title: str
    points: Points
    checks: dict[str, Points]
    needs: tuple[str, ...] = ()  # classes or files without which every check of it is "missing"
    standins: tuple[str, ...] = ()  # classes to replace when a check fails with the student's own
    proposed: bool = False  # whether a person confirms the points
    slow: bool = False  # left out by --no-accuracy


class Outcome(Frozen, frozen=True):
    """How one check came out. `share` is the part of its points that was earned."""

    criterion: str
    check: str
    title: str
    verdict: Verdict
    share: float
    message: str = ""
    evidence: dict[str, object] = {}
    seconds: float = 0.0


# When nothing was earned, the criterion takes the verdict that says most about what to mend.
GRAVITY = (
    Verdict.DIED,
    Verdict.MEMORY,
    Verdict.TIMEOUT,
    Verdict.RAISED,
    Verdict.FAILED,
    Verdict.PARTIAL,
    Verdict.MISSING,
    Verdict.SKIPPED,
)


def score(criteria: Mapping[str, CriterionSpec], outcomes: Sequence[Outcome]) -> tuple[CriterionResult, ...]:
    """One result a criterion, in the rubric's order.

    A broken check is the grader's fault: its points are neither earned nor lost until a person has looked, so that
    they count neither in the criterion's points nor in its maximum. Raises AssignmentError
    when the checks that ran are not the checks that the rubric names.
    """
    by_criterion: dict[str, dict[str, Outcome]] = {name: {} for name in criteria}
    for outcome in outcomes:
        if outcome.criterion not in criteria or outcome.check not in criteria[outcome.criterion].checks:
            raise AssignmentError(
                f"the check {outcome.criterion}.{outcome.check} ran, but assignment.toml gives it no points; "
                f"name it under [criteria.{outcome.criterion}.checks]"
            )
        by_criterion[outcome.criterion][outcome.check] = outcome
    return tuple(_criterion(name, spec, by_criterion[name]) for name, spec in criteria.items())


def _criterion(name: str, spec: CriterionSpec, outcomes: Mapping[str, Outcome]) -> CriterionResult:
    for check in spec.checks:
        if check not in outcomes:
            raise AssignmentError(
                f"assignment.toml gives points to the check {name}.{check}, but test_{name}.py has no test_{check}"
            )
    results = tuple(_result(name, outcomes[check], points) for check, points in spec.checks.items())
    verdict = _verdict(results)
    return CriterionResult(
        id=name,
        title=spec.title,
        points=round(sum(result.points for result in results), 6),
        max_points=round(sum(result.max_points for result in results), 6),
        verdict=verdict,
        blame=verdict.blame,
        proposed=spec.proposed,
        checks=results,
    )


def _result(criterion: str, outcome: Outcome, points: float) -> CheckResult:
    share, message = min(max(outcome.share, 0.0), 1.0), outcome.message
    if outcome.verdict is Verdict.BROKEN:  # a submission that provokes a fault of ours must gain nothing by it
        points, message = 0.0, f"{message}; {points:g} points wait for a person"
    return CheckResult(
        id=f"{criterion}.{outcome.check}",
        title=outcome.title,
        verdict=outcome.verdict,
        blame=outcome.verdict.blame,
        message=message,
        evidence=dict(outcome.evidence),
        points=round(points * share, 6),
        max_points=points,
        seconds=outcome.seconds,
    )


def _verdict(results: Sequence[CheckResult]) -> Verdict:
    if any(result.blame is Blame.GRADER for result in results):
        return Verdict.BROKEN
    if all(result.verdict is Verdict.PASSED for result in results):
        return Verdict.PASSED
    if any(result.points > 0 for result in results):
        return Verdict.PARTIAL
    found = {result.verdict for result in results}
    return next((verdict for verdict in GRAVITY if verdict in found), Verdict.FAILED)
