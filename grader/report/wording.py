"""What every report says of a criterion, in words: a line a fact, whatever a student wrote in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grader.inert import one_line
from grader.language import ENGLISH, Catalogue
from grader.records import CheckResult, CriterionResult, Diagnosis, Record, Verdict

MOST = 2_000  # characters of one message; an exception's text may have a million


def verdict_words(criterion: CriterionResult, known: Catalogue = ENGLISH) -> str:
    """The verdict, and whether a person gave the points or has yet to confirm them."""
    given = criterion.by_hand
    if given is None:
        verdict = known.say(criterion.verdict.value)
        return known.say("{verdict} (proposed)", verdict=verdict) if criterion.proposed else verdict
    who = one_line(", ".join(filter(None, (given.marker, given.when))), MOST)
    points = f"{given.computed:g}"
    if who:
        words = known.say("by hand ({who}), computed {points}", who=who, points=points)
    else:
        words = known.say("by hand, computed {points}", points=points)
    return f"{words}: {one_line(given.comment, MOST)}" if given.comment else words


def not_passed(criterion: CriterionResult) -> list[CheckResult]:
    return [check for check in criterion.checks if check.verdict is not Verdict.PASSED]


def by_message(checks: Sequence[CheckResult]) -> dict[str, list[CheckResult]]:
    """One reason often costs several checks: say it once."""
    grouped: dict[str, list[CheckResult]] = {}
    for check in checks:
        grouped.setdefault(check.message, []).append(check)
    return grouped


def reasons(criterion: CriterionResult, diagnoses: Sequence[Diagnosis], known: Catalogue = ENGLISH) -> Iterator[str]:
    """The named mistakes, then the checks that did not pass with what each cost, and why."""
    for diagnosis in diagnoses:
        if diagnosis.criterion == criterion.id:
            yield one_line(diagnosis.message, MOST)
    for message, checks in by_message(not_passed(criterion)).items():
        for check in checks:
            yield f"-{check.max_points - check.points:g}  {one_line(check.title, MOST)}"
        verdict = known.say(checks[0].verdict.value)
        yield f"{verdict}: {one_line(message, MOST)}" if message else verdict


def gpu_words(record: Record, known: Catalogue = ENGLISH) -> str:
    """Whether a GPU answered for the held-out images; "" where there is none."""
    if record.checkpoint.device_reason:
        reason = one_line(record.checkpoint.device_reason, MOST)
        return known.say("there is a GPU, but the held-out images went to the CPU: {reason}", reason=reason)
    return known.say("the held-out images went to the GPU") if record.checkpoint.device == "cuda" else ""


def accuracy_words(record: Record, known: Catalogue = ENGLISH) -> str:
    """The test accuracy with its counts; "" where the weights were not evaluated."""
    checkpoint = record.checkpoint
    if checkpoint.accuracy is None:
        return ""
    return known.say(
        "test accuracy {accuracy} ({correct} of {total})",
        accuracy=f"{checkpoint.accuracy:.2%}",
        correct=checkpoint.correct,
        total=checkpoint.total,
    )
