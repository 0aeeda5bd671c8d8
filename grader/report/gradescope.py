"""Gradescope's results.json: one test a criterion, the flags in a test that only course staff see.

Every text is declared as `text`, so that Gradescope interprets none of it. The fields are those of its documentation,
“Autograder Specifications”.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from grader.inert import one_line
from grader.language import ENGLISH, Catalogue
from grader.records import CriterionResult, Record, Verdict
from grader.report.wording import MOST, accuracy_words, reasons, verdict_words
from grader.work import Outcome

FLAGS = "For course staff: flags"
TRACE = "For course staff: what broke"
_TEXT = {"output_format": "text", "test_output_format": "text", "test_name_format": "text"}
_SEEN = {"visibility": "visible", "stdout_visibility": "hidden"}
_MOST_FLAGS = 200
_MOST_PASSED = 200


def results_json(outcome: Outcome, known: Catalogue = ENGLISH) -> bytes:
    """The file for one submission, whose record comes in the language of `known`.

    Where it was not graded, the file says why, and that its 0 stands for no mark.
    """
    top = _graded(outcome.record, known) if outcome.record is not None else _not_graded(outcome, known)
    return msgspec.json.format(msgspec.json.encode(top), indent=2) + b"\n"


def _graded(record: Record, known: Catalogue) -> dict[str, Any]:
    tests = [_test(number, criterion, record, known) for number, criterion in enumerate(record.criteria, start=1)]
    if record.flags:
        lines = [f"{one_line(flag.id, MOST)}: {one_line(flag.message, MOST)}" for flag in record.flags[:_MOST_FLAGS]]
        tests.append(_hidden(FLAGS, "\n".join(lines)))
    return {
        "score": record.score,
        "execution_time": round(record.seconds, 3),
        "output": "\n".join(_headline(record, known)),
        **_TEXT,
        **_SEEN,
        "tests": tests,
        "extra_data": {
            "student_id": one_line(record.submission.student_id, MOST),
            "sha256": record.submission.sha256,
            "max_score": record.max_score,
            "needs_person": record.needs_person,
            "proposed": [criterion.id for criterion in record.criteria if criterion.proposed],
            "accuracy": record.checkpoint.accuracy,
            "sandbox": record.sandbox,
            "grader_version": record.grader_version,
        },
    }


def _headline(record: Record, known: Catalogue) -> Iterator[str]:
    yield known.say("{points} of {most} points", points=f"{record.score:g}", most=f"{record.max_score:g}")
    if accuracy := accuracy_words(record, known):
        yield accuracy
    if any(criterion.proposed for criterion in record.criteria):
        yield known.say("(proposed): course staff confirm or change these points.")
    if record.needs_person:
        yield known.say(
            "The grader itself failed in places, through no fault of yours: course staff have to look at these."
        )


def _test(number: int, criterion: CriterionResult, record: Record, known: Catalogue) -> dict[str, Any]:
    passed = [check for check in criterion.checks if check.verdict is Verdict.PASSED]
    lines = [verdict_words(criterion, known), *reasons(criterion, record.diagnoses, known)]
    lines += [f"{known.say('passed')}: {one_line(check.title, MOST)}" for check in passed[:_MOST_PASSED]]
    test: dict[str, Any] = {
        "name": one_line(criterion.title, MOST),
        "name_format": "text",
        "number": str(number),
        "output": "\n".join(lines),
        "output_format": "text",
        "visibility": "visible",
        "tags": [criterion.id],
    }
    if criterion.max_points > 0:  # else all of it is broken: Gradescope would show 0 of 0 as passed
        test |= {"score": criterion.points, "max_score": criterion.max_points}
    if criterion.verdict not in (Verdict.SKIPPED, Verdict.BROKEN) or criterion.by_hand is not None:
        test["status"] = "passed" if criterion.points >= criterion.max_points else "failed"
    return test


def _hidden(name: str, output: str) -> dict[str, Any]:
    """A test without points that students do not see."""
    return {
        "name": name,
        "name_format": "text",
        "output": output,
        "output_format": "text",
        "status": "failed",
        "visibility": "hidden",
    }


def _not_graded(outcome: Outcome, known: Catalogue) -> dict[str, Any]:
    reason = one_line(outcome.reason, MOST)
    if outcome.blame == "student":
        why = known.say("This submission cannot be graded: {reason}", reason=known.translate(reason))
        output = f"{why}\n{known.say('Mend it and hand it in again.')}"
        tests = []
    else:
        output = known.say(
            "The grader itself failed, through no fault of yours. The 0 stands for no mark: course staff have to look, "
            "and to run the autograder again."
        )
        lines = [reason, *(one_line(line, MOST) for line in outcome.trace.splitlines())]
        tests = [_hidden(TRACE, "\n".join(lines))]
    return {
        "score": 0,  # Gradescope takes no file without one
        "output": output,
        **_TEXT,
        **_SEEN,
        "tests": tests,
        "extra_data": {"needs_person": outcome.blame != "student"},
    }
