"""What every report says of a criterion, in words: a line a fact, whatever a student wrote in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grader.inert import one_line
from grader.records import CheckResult, CriterionResult, Diagnosis, Record, Verdict

MOST = 2_000  # characters of one message; an exception's text may have a million


def verdict_words(criterion: CriterionResult) -> str:
    """The verdict, and whether a person gave the points or has yet to confirm them."""
    if criterion.by_hand is not None:
        comment = f": {one_line(criterion.by_hand.comment, MOST)}" if criterion.by_hand.comment else ""
        who = one_line(", ".join(filter(None, (criterion.by_hand.marker, criterion.by_hand.when))), MOST)
        return f"by hand{f' ({who})' if who else ''}, computed {criterion.by_hand.computed:g}{comment}"
    return criterion.verdict.value + (" (proposed)" if criterion.proposed else "")


def not_passed(criterion: CriterionResult) -> list[CheckResult]:
    return [check for check in criterion.checks if check.verdict is not Verdict.PASSED]


def by_message(checks: Sequence[CheckResult]) -> dict[str, list[CheckResult]]:
    """One reason often costs several checks: say it once."""
    grouped: dict[str, list[CheckResult]] = {}
    for check in checks:
        grouped.setdefault(check.message, []).append(check)
    return grouped


def reasons(criterion: CriterionResult, diagnoses: Sequence[Diagnosis]) -> Iterator[str]:
    """The named mistakes, then the checks that did not pass with what each cost, and why."""
    for diagnosis in diagnoses:
        if diagnosis.criterion == criterion.id:
            yield one_line(diagnosis.message, MOST)
    for message, checks in by_message(not_passed(criterion)).items():
        for check in checks:
            yield f"-{check.max_points - check.points:g}  {one_line(check.title, MOST)}"
        yield f"{checks[0].verdict.value}: {one_line(message, MOST)}" if message else checks[0].verdict.value


def accuracy_words(record: Record) -> str:
    """The test accuracy with its counts; "" where the weights were not evaluated."""
    checkpoint = record.checkpoint
    if checkpoint.accuracy is None:
        return ""
    return f"test accuracy {checkpoint.accuracy:.2%} ({checkpoint.correct} of {checkpoint.total})"
