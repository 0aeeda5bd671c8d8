"""The page of a class, for instructors: who needs a person, how the class did, every student, marking by hand.

One file, with its own few lines of script (classroom.js, which the page's policy names by its hash): sorting, filters,
and a form whose marks are downloaded as the CSV that `--marks` reads. Without the script it is a page of tables.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from markupsafe import Markup

from grader.assignment import Config
from grader.language import ENGLISH
from grader.records import Record
from grader.report.pages import TEMPLATES, render
from grader.report.pages.class_rows import (
    OTHER_STATES,
    STATES,
    Case,
    Column,
    Course,
    Group,
    Who,
    case_of,
    row_of,
    waits,
    who_is,
    why_broken,
)
from grader.report.pages.histograms import Histogram, accuracy_histogram, score_histogram
from grader.report.pages.own_work import of_class
from grader.report.results import ABSENT, PENDING, REFUSED, Standing, Summary, reviewed_of

if TYPE_CHECKING:
    from grader.integrity.findings import Review

MOST_ANALYSIS, LEAST_ANALYSIS = 200, 60  # characters of one
MOST_ANALYSES = 500_000  # bytes of all of them
Key = TypeVar("Key", bound=Hashable)


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


def course_of(config: Config) -> Course:
    """What the page needs of assignment.toml."""
    columns = tuple(Column(name, criterion.title, criterion.points) for name, criterion in config.criteria.items())
    return Course(config.title, columns, config.checkpoint.bar if config.checkpoint else None)


def classroom_page(
    everyone: Sequence[Standing], summary: Summary, course: Course, review: Review | None = None
) -> bytes:
    """The page as UTF-8 HTML, to lie in one folder with the instructors' pages of the students.

    review: what was found when the class was held against itself.
    """
    reviewed = reviewed_of(review, everyone)
    records = [(standing, record) for standing in everyone if (record := standing.record) is not None]
    graded = {c.id for _, record in records for c in record.criteria}  # --no-accuracy leaves one out
    course = replace(course, columns=tuple(c for c in course.columns if c.id in graded) or course.columns)
    mistakes, flags = _mistakes(records, course), _flags(records)
    rows = [row_of(standing, course, mistakes, flags) for standing in everyone]
    script, digest = _script()
    cases = [
        case for number, standing in enumerate(everyone) if (case := case_of(number, standing, course)) is not None
    ]
    accuracies = [r.checkpoint.accuracy for _, r in records if r.checkpoint.accuracy is not None]
    return render(
        "classroom.html.jinja",
        ENGLISH,
        course=course,
        summary=summary,
        rows=rows,
        broken=[who_is(s, why_broken(s)) for s in everyone if why_broken(s)],
        waiting=_waiting(records),
        refused=[who_is(s, s.outcome.reason) for s in everyone if s.status == REFUSED and s.outcome],
        again=[who_is(s, "; ".join(s.notes)) for s in everyone if s.notes],
        absent=[s for s in everyone if s.status == ABSENT],
        pending=[s for s in everyone if s.status == PENDING],
        scores=_scores(records, course),
        accuracies=accuracy_histogram(accuracies, course.bar) if accuracies and course.bar is not None else None,
        successes=_successes(records, course),
        mistakes=mistakes,
        flags=flags,
        cases=cases,
        most_analysis=_most_analysis(cases),
        reviewed=reviewed,
        own=of_class(reviewed) if reviewed else (),
        states=(*STATES, *OTHER_STATES),
        script=script,
        digest=digest,
    )


@lru_cache(maxsize=1)
def _script() -> tuple[Markup, str]:
    """The script as it stands in the page, and its hash as the page's policy names it."""
    text = (TEMPLATES / "classroom.js").read_text(encoding="utf-8")
    return Markup(text), "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _waiting(records: Sequence[tuple[Standing, Record]]) -> list[tuple[str, int]]:
    """Title of each criterion with proposed points, and of how many students."""
    titles = (c.title for _, record in records for c in record.criteria if waits(c) and c.proposed)
    return Counter(titles).most_common()


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
            who.setdefault(key, []).append(who_is(standing))
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
            who.setdefault(name, []).append(who_is(standing, "; ".join(many)))
    groups = [Group(name, name.replace("_", " "), "", tuple(many)) for name, many in who.items()]
    return sorted(groups, key=lambda group: -len(group.who))


def _grouped(pairs: Sequence[tuple[Key, str]]) -> dict[Key, list[str]]:
    found: dict[Key, list[str]] = {}
    for key, text in pairs:
        found.setdefault(key, []).append(text)
    return found


def _most_analysis(cases: Sequence[Case]) -> int:
    """How many characters of each analysis are shown: fewer where all together would make the page heavy."""
    total = sum(len(one.analysis[:MOST_ANALYSIS].encode()) for case in cases for one in case.experiments)
    return max(LEAST_ANALYSIS, MOST_ANALYSIS * MOST_ANALYSES // max(total, MOST_ANALYSES))
