"""One student's page: what a record says, in the order in which a student wants to know it.

The score and one sentence; each criterion that lost points, with the reason, the student's own line and a picture; what
is right, folded; the trained model; the experiments; the code. For instructors besides: evidence, timings, flags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grader.language import ENGLISH, Catalogue
from grader.records import (
    Answers,
    CheckResult,
    CriterionResult,
    Exhibits,
    Record,
    Verdict,
)
from grader.report.pages import points, render
from grader.report.pages.excerpts import Piece, Pieces
from grader.report.pages.own_work import Reviewed, of_student
from grader.report.pages.pictures import Picture, grey, picture
from grader.report.pages.plots import plots

Audience = Literal["student", "instructor"]

WORDS = {
    Verdict.PASSED: "All points",
    Verdict.PARTIAL: "Some points",
    Verdict.FAILED: "Not right yet",
    Verdict.RAISED: "The code raised an error",
    Verdict.MISSING: "Not there",
    Verdict.TIMEOUT: "Took too long",
    Verdict.MEMORY: "Used too much memory",
    Verdict.DIED: "The process ended",
    Verdict.SKIPPED: "Not judged",
    Verdict.BROKEN: "Not judged, a person will look",
}


@dataclass(frozen=True)
class Loss:
    """One reason, and the checks that it cost. `checks`: (points lost, title)."""

    checks: tuple[tuple[str, str], ...]
    message: str
    verdict: str
    expected: str  # one number, where there are numbers to compare
    found: str
    at: str  # its index


@dataclass(frozen=True)
class Part:
    """One criterion as it is shown. state: full, part, lost, wait (for a person), none (not judged)."""

    id: str
    title: str
    points: float
    max_points: float
    state: str
    words: str
    proposed: bool
    comment: str
    computed: str  # what the grader had found, where a person changed it
    named: tuple[str, ...]
    losses: tuple[Loss, ...]
    held: tuple[str, ...]
    remarks: tuple[str, ...]
    pieces: tuple[Piece, ...]
    pictures: tuple[Picture, ...]
    evidence: tuple[tuple[str, str], ...]  # for instructors


@dataclass(frozen=True)
class Thumb:
    uri: str
    predicted: str
    confidence: str
    label: str  # "" for students


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix. shade: from 0 to 1; deep: so dark that its number is written in the light."""

    count: int
    shade: float
    deep: bool


@dataclass(frozen=True)
class Model:
    """What the trained model answers. rows: (class, cells)."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    accuracies: tuple[tuple[str, float], ...]
    thumbs: tuple[Thumb, ...]


def student_page(
    record: Record, audience: Audience, known: Catalogue = ENGLISH, reviewed: Reviewed | None = None
) -> bytes:
    """The page as UTF-8 HTML: for `student`, no evidence, no flags, no label; for `instructor`, all that there is.

    The record comes in the language of `known`, as `localised` makes it. reviewed: what was found when the class was
    held against itself; it names other students, and a student's page has none of it.
    """
    if audience == "student":
        reviewed = None
    exhibits = record.exhibits or Exhibits()
    pieces = Pieces(exhibits, record.submission.files)
    pictures = [(figure.criterion, shown) for figure in exhibits.figures if (shown := picture(figure)) is not None]
    parts = [_part(criterion, record, pieces, pictures, audience) for criterion in record.criteria]
    lost = [part for part in parts if part.state in ("lost", "part", "wait", "none")]
    right = [part for part in parts if part.state == "full"]
    return render(
        "student.html.jinja",
        known,
        record=record,
        title=exhibits.title or record.assignment,
        instructor=audience == "instructor",
        sentence=_sentence(record, audience),
        parts=parts,
        lost=lost,
        right=right,
        gallery=[shown for criterion, shown in pictures if criterion in {part.id for part in right}],
        left_out=exhibits.left_out,
        model=_model(exhibits.answers, exhibits.class_names, audience),
        plots=plots(exhibits.curves, record.submission.files),
        experiments=exhibits.experiments,
        code=pieces.whole,
        reviewed=reviewed,
        own=of_student(record.submission.student_id, reviewed) if reviewed else (),
        timings=[(check.id, f"{check.seconds:.2f} s") for c in record.criteria for check in c.checks],
    )


def _sentence(record: Record, audience: Audience) -> str:
    student = audience == "student"
    total, most = points(record.score), points(record.max_score)
    said = f"You have {total} of {most} points" if student else f"This submission has {total} of {most} points"
    losses = [(c.max_points - c.points, c) for c in record.criteria if c.points < c.max_points]
    if not losses and not record.max_score:
        said = "Nothing of it could be judged yet"
    elif not losses:
        said = f"You have all {most} points" if student else f"This submission has all {most} points"
    else:
        largest, criterion = max(losses, key=lambda pair: pair[0])
        said += f"; the {'largest' if len(losses) > 1 else 'only'} loss is {points(largest)} in “{criterion.title}”"
    waiting = sum(c.max_points for c in record.criteria if c.proposed)
    if waiting:
        said += f"; {points(waiting)} of the {most} are a proposal, which a person confirms"
    if record.needs_person:
        said += ". Part of it could not be judged: a person will look, and nothing is lost by it"
    return said


# ---- a criterion ----------------------------------------------------------------------------------------------------


def _part(
    criterion: CriterionResult,
    record: Record,
    pieces: Pieces,
    pictures: Sequence[tuple[str, Picture]],
    audience: Audience,
) -> Part:
    lost = [check for check in criterion.checks if check.verdict is not Verdict.PASSED]
    state = _state(criterion)
    by_hand = criterion.by_hand
    return Part(
        id=criterion.id,
        title=criterion.title,
        points=criterion.points,
        max_points=criterion.max_points,
        state=state,
        words=_words(criterion),
        proposed=criterion.proposed,
        comment=by_hand.comment if by_hand else "",
        computed=points(by_hand.computed) if by_hand else "",
        named=tuple(d.message for d in record.diagnoses if d.criterion == criterion.id),
        losses=tuple(_losses(lost, audience)),
        held=tuple(check.title for check in criterion.checks if check.verdict is Verdict.PASSED),
        remarks=tuple(dict.fromkeys(c.message for c in criterion.checks if c.verdict is Verdict.PASSED and c.message)),
        pieces=pieces.of(criterion.id),
        pictures=tuple(shown for about, shown in pictures if about == criterion.id),
        evidence=tuple(
            (f"{check.id}: {name}", str(value)) for check in criterion.checks for name, value in check.evidence.items()
        )
        if audience == "instructor"
        else (),
    )


def _state(criterion: CriterionResult) -> str:
    if criterion.by_hand is None:
        if criterion.verdict is Verdict.BROKEN:
            return "wait"
        if criterion.verdict is Verdict.SKIPPED:
            return "none"
    if criterion.points >= criterion.max_points:
        return "full"
    return "part" if criterion.points > 0 else "lost"


def _words(criterion: CriterionResult) -> str:
    if criterion.by_hand is not None:
        return "Marked by a person"
    words = WORDS[criterion.verdict]
    return f"{words} (proposed)" if criterion.proposed else words


def _losses(lost: Sequence[CheckResult], audience: Audience) -> list[Loss]:
    """One reason often costs several checks: say it once."""
    grouped: dict[str, list[CheckResult]] = {}
    for check in lost:
        grouped.setdefault(check.message, []).append(check)
    return [
        Loss(
            checks=tuple((_minus(check), check.title) for check in checks),
            message=_reason(checks[0], audience),
            verdict=WORDS[checks[0].verdict],
            expected=_number(checks[0].evidence.get("expected")),
            found=_number(checks[0].evidence.get("found")),
            at=_number(checks[0].evidence.get("at")),
        )
        for checks in grouped.values()
    ]


def _minus(check: CheckResult) -> str:
    return f"−{points(check.max_points - check.points)}" if check.max_points > check.points else ""


def _reason(check: CheckResult, audience: Audience) -> str:
    """A fault of the grader's own names its files and lines: these are for instructors."""
    if check.verdict is Verdict.BROKEN and audience == "student":
        return "The grader itself failed here. Nothing is lost by it: a person will look."
    return check.message


def _number(value: Any) -> str:
    """A number, or an index, of the evidence; "" for whatever else stands there."""
    if isinstance(value, bool) or not isinstance(value, int | float | list | tuple):
        return ""
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_number, value[:8]))})" if value else ""
    return f"{value:.6g}".replace("-", "−")


# ---- the model --------------------------------------------------------------------------------------------------


def _model(answers: Answers | None, names: Sequence[str], audience: Audience) -> Model | None:
    if answers is None:
        return None
    classes = tuple(names[n] if n < len(names) else str(n) for n in range(len(answers.counts)))
    rows, accuracies = [], []
    for number, (name, counts) in enumerate(zip(classes, answers.counts, strict=True)):
        total = sum(counts) or 1
        rows.append((name, tuple(_cell(count, count / total) for count in counts)))
        accuracies.append((name, counts[number] / total if number < len(counts) else 0.0))
    thumbs = [
        Thumb(
            uri=uri,
            predicted=classes[mistake.predicted] if mistake.predicted < len(classes) else str(mistake.predicted),
            confidence=f"{100 * mistake.confidence:.3g}%",
            label=classes[mistake.label] if audience == "instructor" and mistake.label < len(classes) else "",
        )
        for mistake in answers.mistakes
        if (uri := grey(mistake.pixels, mistake.rows, mistake.cols))
    ]
    return Model(classes, tuple(rows), tuple(accuracies), tuple(thumbs))


def _cell(count: int, share: float) -> Cell:
    """No shade lies where neither dark nor light figures can be read on it: between 0.55 and 0.78."""
    deep = share > 0.55
    return Cell(count, round(0.78 + (share - 0.55) / 0.45 * 0.22 if deep else share, 3), deep)
