"""What the page of a class shows of one student: a row of its table, and what waits for a person, with the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from grader.records import CriterionResult, FoundExperiment, Record, Verdict
from grader.report.pages import points
from grader.report.results import ABSENT, NOT_GRADED, PENDING, REFUSED, Standing, class_page

MOST_EXPERIMENTS = 6  # of one student; for three hundred the page must stay light
STATES = ("graded", REFUSED, NOT_GRADED, PENDING, ABSENT)
OTHER_STATES = ("needs a person", "points proposed", "marked by hand", "handed in again")


@dataclass(frozen=True)
class Column:
    """A criterion of the rubric."""

    id: str
    title: str
    points: float


@dataclass(frozen=True)
class Course:
    """What the page needs of the assignment. bar: the accuracy to be reached, None where there is none."""

    title: str
    columns: tuple[Column, ...]
    bar: float | None = None


@dataclass(frozen=True)
class Cell:
    """A student's points in one criterion.

    kind: full, part, lost, wait (broken) or none, and `hand` where a person gave them, `open` where they are proposed.
    """

    points: str
    kind: str
    most: float
    computed: str = ""
    why: str = ""


@dataclass(frozen=True)
class Row:
    """A student. lost, flags, mistakes, states: what the filters ask for, as numbers of their options."""

    id: str
    href: str  # "" where there is no page
    name: str
    status: str
    score: str
    most: str
    cells: tuple[Cell | None, ...]
    accuracy: float | None
    flag_names: str
    lost: str
    flags: str
    mistakes: str
    states: str


@dataclass(frozen=True)
class Who:
    """One name in a list."""

    id: str
    href: str
    said: str = ""


@dataclass(frozen=True)
class Group:
    """A mistake or a flag, and who has it."""

    id: str
    title: str
    where: str
    who: tuple[Who, ...]


@dataclass(frozen=True)
class Question:
    """A criterion of one student that waits for a person. checks: (title, points, message)."""

    number: int  # of its column
    title: str
    points: str
    most: str
    checks: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Case:
    """What a person must decide about one student, and the evidence. row: the student's number in the table."""

    row: int
    who: Who
    name: str
    questions: tuple[Question, ...]
    settings: tuple[str, ...]
    experiments: tuple[FoundExperiment, ...]
    more: int  # experiments that are not shown


def who_is(standing: Standing, said: str = "") -> Who:
    # Relative, so that a name with a colon in it is no scheme.
    href = f"./{quote(class_page(standing.student_id))}" if standing.record is not None else ""
    return Who(standing.student_id, href, said)


def why_broken(standing: Standing) -> str:
    """Why a person must look, where the grader is at fault."""
    if standing.status == NOT_GRADED and standing.outcome is not None:
        return standing.outcome.reason
    if standing.record is None or not standing.record.needs_person:
        return ""
    return "; ".join(
        f"{c.title}: {_why(c, standing.record)}" for c in standing.record.criteria if waits(c) and not c.proposed
    )


def waits(criterion: CriterionResult) -> bool:
    """Whether a person has to decide: proposed points, or a fault of the grader's."""
    return criterion.by_hand is None and (criterion.proposed or criterion.verdict is Verdict.BROKEN)


def row_of(standing: Standing, course: Course, mistakes: Sequence[Group], flags: Sequence[Group]) -> Row:
    record = standing.record
    results = {c.id: c for c in record.criteria} if record else {}
    cells = tuple(
        _cell(results[column.id], column, record) if record and column.id in results else None
        for column in course.columns
    )
    held = {flag.id for flag in record.flags} if record else set()
    return Row(
        id=standing.student_id,
        href=who_is(standing).href,
        name=standing.name,
        status=standing.status,
        score=points(record.score) if record else "",
        most=points(record.max_score) if record else "",
        cells=cells,
        accuracy=record.checkpoint.accuracy if record else None,
        flag_names=", ".join(group.title for group in flags if group.id in held),
        lost=_numbers(c is not None and c.kind.split()[0] in ("part", "lost") for c in cells),
        flags=_numbers(group.id in held for group in flags),
        mistakes=_numbers(any(who.id == standing.student_id for who in group.who) for group in mistakes),
        states=_numbers(_states(standing)),
    )


def _numbers(holds: Iterable[bool]) -> str:
    return " ".join(str(number) for number, held in enumerate(holds) if held)


def _states(standing: Standing) -> list[bool]:
    criteria = standing.record.criteria if standing.record else ()
    others = (
        bool(why_broken(standing)),
        any(waits(criterion) and criterion.proposed for criterion in criteria),
        any(criterion.by_hand is not None for criterion in criteria),
        bool(standing.earlier),
    )
    return [*(standing.status == state for state in STATES), *others]


def _cell(criterion: CriterionResult, column: Column, record: Record) -> Cell:
    by_hand = criterion.by_hand
    if by_hand is None and criterion.verdict in (Verdict.BROKEN, Verdict.SKIPPED):
        kind = "wait" if criterion.verdict is Verdict.BROKEN else "none"
    else:
        kind = "full" if criterion.points >= criterion.max_points else "part" if criterion.points > 0 else "lost"
    why = "" if kind == "full" else _why(criterion, record)
    if by_hand is not None:
        who = ", ".join(filter(None, (by_hand.marker, by_hand.when)))
        why = f"by hand{f' ({who})' if who else ''}, computed {points(by_hand.computed)}" + (
            f": {by_hand.comment}" if by_hand.comment else ""
        )
    return Cell(
        points=points(criterion.points),
        kind=f"{kind} hand" if by_hand else f"{kind} open" if criterion.proposed else kind,
        most=column.points,
        computed=points(by_hand.computed) if by_hand else "",
        why=why,
    )


def _why(criterion: CriterionResult, record: Record) -> str:
    named = [d.message for d in record.diagnoses if d.criterion == criterion.id]
    lost = [c.message for c in criterion.checks if c.verdict is not Verdict.PASSED and c.message]
    return " ".join(dict.fromkeys(named or lost))


def case_of(number: int, standing: Standing, course: Course) -> Case | None:
    """What waits for a person, with the evidence; None where nothing does."""
    if standing.record is None:
        return None
    columns = {column.id: place for place, column in enumerate(course.columns)}
    questions = tuple(
        Question(
            number=columns[c.id],
            title=c.title,
            points="" if c.verdict is Verdict.BROKEN else points(c.points),
            most=points(course.columns[columns[c.id]].points),
            checks=tuple(
                (check.title, f"{points(check.points)} / {points(check.max_points)}", check.message)
                for check in c.checks
            ),
        )
        for c in standing.record.criteria
        if waits(c) and c.id in columns
    )
    if not questions:
        return None
    found = standing.record.exhibits.experiments if standing.record.exhibits else ()
    shown = found[:MOST_EXPERIMENTS]
    names = tuple(dict.fromkeys(str(name) for one in shown for name in one.settings))[:7]
    return Case(number, who_is(standing), standing.name, questions, names, shown, len(found) - len(shown))
