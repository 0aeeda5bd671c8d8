"""The page of a class, for instructors: who needs a person, how the class did, every student, marking by hand.

One file, with its own few lines of script (classroom.js, which the page's policy names by its hash): sorting, filters,
and a form whose marks are downloaded as the CSV that `--marks` reads. Without the script it is a page of tables.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote

from markupsafe import Markup

from grader.assignment import Config
from grader.language import ENGLISH
from grader.records import CriterionResult, FoundExperiment, Record, Verdict
from grader.report.pages import TEMPLATES, points, render
from grader.report.pages.histograms import Histogram, accuracy_histogram, score_histogram
from grader.report.results import ABSENT, NOT_GRADED, PENDING, REFUSED, Standing, Summary, class_page

MOST_WHY = 200  # characters of the reason of a lost criterion; the student's page has all of it
MOST_EXPERIMENTS = 6  # of one student; for three hundred the page must stay light
MOST_ANALYSIS, LEAST_ANALYSIS = 200, 60  # characters of one
MOST_ANALYSES = 500_000  # bytes of all of them


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
class Success:
    """How a class did in one criterion: counts, of those who were judged in it."""

    title: str
    full: int
    part: int
    lost: int
    mean: float

    @property
    def total(self) -> int:
        return self.full + self.part + self.lost


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


Key = TypeVar("Key", bound=Hashable)
STATES = ("graded", REFUSED, NOT_GRADED, PENDING, ABSENT)
OTHER_STATES = ("needs a person", "points proposed", "marked by hand", "handed in again")


def course_of(config: Config) -> Course:
    """What the page needs of assignment.toml."""
    columns = tuple(Column(name, criterion.title, criterion.points) for name, criterion in config.criteria.items())
    return Course(config.title, columns, config.checkpoint.bar if config.checkpoint else None)


def classroom_page(everyone: Sequence[Standing], summary: Summary, course: Course) -> bytes:
    """The page as UTF-8 HTML, to lie in one folder with the instructors' pages of the students."""
    records = [(standing, record) for standing in everyone if (record := standing.record) is not None]
    graded = {c.id for _, record in records for c in record.criteria}  # --no-accuracy leaves one out
    course = replace(course, columns=tuple(c for c in course.columns if c.id in graded) or course.columns)
    mistakes, flags = _mistakes(records, course), _flags(records)
    rows = [_row(standing, course, mistakes, flags) for standing in everyone]
    script, digest = _script()
    cases = [case for number, standing in enumerate(everyone) if (case := _case(number, standing, course)) is not None]
    accuracies = [r.checkpoint.accuracy for _, r in records if r.checkpoint.accuracy is not None]
    return render(
        "classroom.html.jinja",
        ENGLISH,
        course=course,
        summary=summary,
        rows=rows,
        broken=[_who(s, _broken(s)) for s in everyone if _broken(s)],
        waiting=_waiting(records),
        refused=[_who(s, s.outcome.reason) for s in everyone if s.status == REFUSED and s.outcome],
        again=[_who(s, "; ".join(s.notes)) for s in everyone if s.notes],
        absent=[s for s in everyone if s.status == ABSENT],
        pending=[s for s in everyone if s.status == PENDING],
        scores=_scores(records, course),
        accuracies=accuracy_histogram(accuracies, course.bar) if accuracies and course.bar is not None else None,
        successes=_successes(records, course),
        mistakes=mistakes,
        flags=flags,
        cases=cases,
        most_analysis=_most_analysis(cases),
        states=(*STATES, *OTHER_STATES),
        script=script,
        digest=digest,
    )


@lru_cache(maxsize=1)
def _script() -> tuple[Markup, str]:
    """The script as it stands in the page, and its hash as the page's policy names it."""
    text = (TEMPLATES / "classroom.js").read_text(encoding="utf-8")
    return Markup(text), "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _who(standing: Standing, said: str = "") -> Who:
    # Relative, so that a name with a colon in it is no scheme.
    href = f"./{quote(class_page(standing.student_id))}" if standing.record is not None else ""
    return Who(standing.student_id, href, said)


def _broken(standing: Standing) -> str:
    """Why a person must look, where the grader is at fault."""
    if standing.status == NOT_GRADED and standing.outcome is not None:
        return standing.outcome.reason
    if standing.record is None or not standing.record.needs_person:
        return ""
    return "; ".join(
        f"{c.title}: {_why(c, standing.record)}" for c in standing.record.criteria if _waits(c) and not c.proposed
    )


def _waits(criterion: CriterionResult) -> bool:
    """Whether a person has to decide: proposed points, or a fault of the grader's."""
    return criterion.by_hand is None and (criterion.proposed or criterion.verdict is Verdict.BROKEN)


def _waiting(records: Sequence[tuple[Standing, Record]]) -> list[tuple[str, int]]:
    """Title of each criterion with proposed points, and of how many students."""
    titles = (c.title for _, record in records for c in record.criteria if _waits(c) and c.proposed)
    return Counter(titles).most_common()


# ---- the class ------------------------------------------------------------------------------------------------------


def _scores(records: Sequence[tuple[Standing, Record]], course: Course) -> Histogram | None:
    if not records:
        return None
    most = max((record.max_score for _, record in records), default=0.0)
    return score_histogram([record.score for _, record in records], most or sum(c.points for c in course.columns))


def _successes(records: Sequence[tuple[Standing, Record]], course: Course) -> list[Success]:
    found = []
    for column in course.columns:
        judged = [c for _, r in records for c in r.criteria if c.id == column.id and c.max_points > 0]
        if judged:
            full = sum(c.points >= c.max_points for c in judged)
            part = sum(0 < c.points < c.max_points for c in judged)
            mean = sum(c.points / c.max_points for c in judged) / len(judged)
            found.append(Success(column.title, full, part, len(judged) - full - part, mean))
    return found


def _mistakes(records: Sequence[tuple[Standing, Record]], course: Course) -> list[Group]:
    """Named mistakes, the commonest first; a mistake that is told in several ways is shown in the commonest."""
    said: dict[tuple[str, str], Counter[str]] = {}
    who: dict[tuple[str, str], list[Who]] = {}
    for standing, record in records:
        for key, many in _grouped([((d.id, d.criterion), d.message) for d in record.diagnoses]).items():
            said.setdefault(key, Counter()).update(many[:1])
            who.setdefault(key, []).append(_who(standing))
    titles = {column.id: column.title for column in course.columns}
    groups = [
        Group(key[0], said[key].most_common(1)[0][0], titles.get(key[1], key[1]), tuple(many))
        for key, many in who.items()
    ]
    return sorted(groups, key=lambda group: -len(group.who))


def _flags(records: Sequence[tuple[Standing, Record]]) -> list[Group]:
    who: dict[str, list[Who]] = {}
    for standing, record in records:
        for name, many in _grouped([(flag.id, flag.message) for flag in record.flags]).items():
            who.setdefault(name, []).append(_who(standing, "; ".join(many)))
    groups = [Group(name, name.replace("_", " "), "", tuple(many)) for name, many in who.items()]
    return sorted(groups, key=lambda group: -len(group.who))


def _grouped(pairs: Sequence[tuple[Key, str]]) -> dict[Key, list[str]]:
    found: dict[Key, list[str]] = {}
    for key, text in pairs:
        found.setdefault(key, []).append(text)
    return found


# ---- a student ------------------------------------------------------------------------------------------------------


def _row(standing: Standing, course: Course, mistakes: Sequence[Group], flags: Sequence[Group]) -> Row:
    record = standing.record
    results = {c.id: c for c in record.criteria} if record else {}
    cells = tuple(
        _cell(results[column.id], column, record) if record and column.id in results else None
        for column in course.columns
    )
    held = {flag.id for flag in record.flags} if record else set()
    return Row(
        id=standing.student_id,
        href=_who(standing).href,
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
        bool(_broken(standing)),
        any(_waits(criterion) and criterion.proposed for criterion in criteria),
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


def _case(number: int, standing: Standing, course: Course) -> Case | None:
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
        if _waits(c) and c.id in columns
    )
    if not questions:
        return None
    found = standing.record.exhibits.experiments if standing.record.exhibits else ()
    shown = found[:MOST_EXPERIMENTS]
    names = tuple(dict.fromkeys(str(name) for one in shown for name in one.settings))[:7]
    return Case(number, _who(standing), standing.name, questions, names, shown, len(found) - len(shown))


def _most_analysis(cases: Sequence[Case]) -> int:
    """How many characters of each analysis are shown: fewer where all together would make the page heavy."""
    total = sum(len(one.analysis[:MOST_ANALYSIS].encode()) for case in cases for one in case.experiments)
    return max(LEAST_ANALYSIS, MOST_ANALYSIS * MOST_ANALYSES // max(total, MOST_ANALYSES))
