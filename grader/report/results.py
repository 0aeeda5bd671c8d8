"""The results of a class, from its journal: for each student a record and two pages; the sheet; the class in figures.

    records/<id>.json  pages/<id>.html  class/<id>.html  grades.csv  summary.json      each whole or not at all

Where a student handed in more than once, the latest that could be graded counts; the others are kept in earlier/.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from grader.errors import UsageError
from grader.files import write_whole
from grader.forks import cores, do_each
from grader.gather import HandIn
from grader.inert import cell, json_text
from grader.language import ENGLISH, Catalogue, localised
from grader.ledger import Listed
from grader.records import Frozen, HandMark, Record, to_json
from grader.report.pages.own_work import Reviewed
from grader.report.pages.student import student_page
from grader.work import Outcome

if TYPE_CHECKING:
    from grader.integrity.findings import Review

RECORDS, EARLIER, GRADES, SUMMARY, WRITTEN = "records", "earlier", "grades.csv", "summary.json", ".written.json"
PAGES, CLASS = "pages", "class"  # for students; for instructors
GRADED, REFUSED, NOT_GRADED, PENDING, ABSENT = "graded", "refused", "not graded", "pending", "not handed in"
FRONT = ("student_id", "name", "archive", "status", "score", "max_score")
BACK = ("test_accuracy", "flags", "mistakes", "needs_person", "by_hand", "note")
_OURS = re.compile(rf"(?:(?:{RECORDS}|{EARLIER})/[^/\0.][^/\0]*\.json|(?:{PAGES}|{CLASS})/[^/\0.][^/\0]*\.html)")
_SAFE = "()+,=@ "  # beside letters, digits and _.-~, in a file's name
_MOST = 150  # characters of a file's name


@dataclass(frozen=True)
class Standing:
    """One student: what counts, what was handed in before, and what a person should know of it.

    counts: None for one who handed in nothing.
    """

    student_id: str
    name: str = ""
    counts: Listed | None = None
    earlier: tuple[Listed, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome | None:
        return self.counts.outcome if self.counts else None

    @property
    def record(self) -> Record | None:
        return self.outcome.record if self.outcome else None

    @property
    def status(self) -> str:
        if self.counts is None:
            return ABSENT
        if self.outcome is None:
            return PENDING
        if self.record is not None:
            return GRADED
        return REFUSED if self.outcome.blame == "student" else NOT_GRADED


class CriterionSummary(Frozen, frozen=True):
    """How a class did in one criterion. full: how many have all its points. mean: of the share of its points."""

    title: str
    max_points: float
    full: int
    mean: float


class Summary(Frozen, frozen=True):
    """A class in figures. `counts` is by status; `diagnoses` and `flags` are by id, the most frequent first."""

    assignment: str
    grader_version: str
    submissions: int
    counts: dict[str, int]
    scores: dict[str, float]
    criteria: dict[str, CriterionSummary]
    accuracies: dict[str, float]
    diagnoses: dict[str, int]
    flags: dict[str, int]
    needs_person: tuple[str, ...]
    problems: dict[str, str]  # by student: why there is no mark
    handed_in_again: dict[str, tuple[str, ...]]  # by student: what does not count
    not_handed_in: tuple[str, ...]
    left_out: tuple[str, ...] = ()  # files that are no submission
    traces: dict[str, str] = {}  # by student: where the grader itself broke
    by_hand: dict[str, dict[str, HandMark]] = {}  # by student and criterion: what a person gave, and was computed
    marks_unused: tuple[str, ...] = ()  # a person's marks that change nothing, and why


def standings(listed: Iterable[Listed], names: Mapping[str, str]) -> list[Standing]:
    """Everyone who handed in something, in the order of the listing, then those of the roster who did not.

    names: the roster, id → name.
    """
    by_student: dict[str, list[Listed]] = {}
    for one in listed:
        record = one.outcome.record if one.outcome else None
        student = record.submission.student_id if record else one.hand_in.student_id
        by_student.setdefault(student, []).append(one)
    found = [_standing(student, names.get(student, ""), many) for student, many in by_student.items()]
    return found + [Standing(student, name) for student, name in names.items() if student not in by_student]


def _standing(student: str, name: str, many: Sequence[Listed]) -> Standing:
    ordered = sorted(many, key=lambda one: (one.hand_in.modified, one.position))
    graded = [one for one in ordered if one.outcome is not None and one.outcome.record is not None]
    counts = (graded or ordered)[-1]
    others = tuple(one for one in ordered if one is not counts)
    notes = []
    if others:
        kept = ", ".join(one.hand_in.name for one in others)
        why = "the latest" if counts is ordered[-1] else "the latest that could be graded"
        notes.append(f"handed in {len(many)} times: {counts.hand_in.name}, {why}, counts, and not {kept}")
    return Standing(student, name, counts, others, tuple(notes))


def alone(name: str, outcome: Outcome) -> Standing:
    """One submission graded by itself, as the class that it is the whole of. name: of the archive or folder."""
    student = outcome.record.submission.student_id if outcome.record else name
    return Standing(student, counts=Listed(position=0, hand_in=HandIn(name=name, path=name), key="", outcome=outcome))


# ---- writing --------------------------------------------------------------------------------------------------------


def write_results(
    out: Path,
    everyone: Sequence[Standing],
    summary: Summary,
    criteria: Sequence[str],
    language: Catalogue = ENGLISH,
) -> None:
    """Write all but the instructors' pages, the students' in their language. Raises UsageError.

    What an earlier run wrote and is no longer true is removed, the instructors' pages included.
    """
    graded = [(s.student_id, s.record) for s in everyone if s.record is not None]
    written = {f"{CLASS}/index.html"} | {f"{CLASS}/{class_page(student)}" for student, _ in graded}
    for name, data in _files(everyone, summary, criteria):
        written.add(name)
        _write(out, name, data)

    def show(one: tuple[str, Record]) -> None:
        page = student_page(localised(one[1], language), "student", language)
        _write(out, f"{PAGES}/{file_name(one[0])}.html", page)

    do_each(graded, show, cores())
    written |= {f"{PAGES}/{file_name(student)}.html" for student, _ in graded}
    _remove_stale(out, written)


def write_class_pages(out: Path, everyone: Sequence[Standing], index: bytes, review: Review | None = None) -> None:
    """Write the instructors' pages. index: the page of the class. review: what was found in it. Raises UsageError."""
    reviewed = reviewed_of(review, everyone)

    def show(one: tuple[str, Record]) -> None:
        _write(out, f"{CLASS}/{class_page(one[0])}", student_page(one[1], "instructor", reviewed=reviewed))

    do_each([(s.student_id, s.record) for s in everyone if s.record is not None], show, cores())
    _write(out, f"{CLASS}/index.html", index)


def reviewed_of(review: Review | None, everyone: Sequence[Standing]) -> Reviewed | None:
    """The review with the pages that there are."""
    if review is None:
        return None
    return Reviewed(review, {s.student_id: class_page(s.student_id) for s in everyone if s.record is not None})


def _write(out: Path, name: str, data: bytes) -> None:
    path = out / name
    try:
        if path.is_file() and path.read_bytes() == data:
            return
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; name another folder with --out") from None
    write_whole(path, data)


def _files(
    everyone: Sequence[Standing],
    summary: Summary,
    criteria: Sequence[str],
) -> Iterator[tuple[str, bytes]]:
    """All but the pages, one after the other."""
    for standing in everyone:
        if standing.record is not None:
            name = file_name(standing.student_id)
            yield f"{RECORDS}/{name}.json", to_json(standing.record)
        for one in standing.earlier:
            if one.outcome is not None and one.outcome.record is not None:
                yield f"{EARLIER}/{file_name(standing.student_id)}-{one.key[:8]}.json", to_json(one.outcome.record)
    yield GRADES, grades(everyone, criteria).encode()
    yield SUMMARY, json_text(msgspec.json.format(msgspec.json.encode(summary), indent=2).decode()).encode() + b"\n"


def _remove_stale(out: Path, now: set[str]) -> None:
    """Only what was written here before is removed: the list of it is written last."""
    for name in _written(out) - now:
        with suppress(OSError):  # it may have gone; a folder of that name is none of ours
            (out / name).unlink()
    write_whole(out / WRITTEN, json.dumps(sorted(now)).encode())


def _written(out: Path) -> set[str]:
    """What an earlier run wrote here. A list that is damaged, or that names a file of somebody else's, says nothing."""
    try:
        before = msgspec.json.decode((out / WRITTEN).read_bytes(), type=list[str])
    except (OSError, msgspec.MsgspecError):
        return set()
    return {name for name in before if _OURS.fullmatch(name)}


def file_name(student_id: str) -> str:
    """A student id as the name of a file: nothing in it leads elsewhere or is hidden, and no two ids share one."""
    readable = "".join(c if c.isalnum() or c in f"_.-~{_SAFE}" else quote(c, safe="") for c in student_id)
    name = readable if not readable.startswith(".") else f"%2E{readable[1:]}"
    if len(name.encode()) > _MOST:
        name = f"{name[:40]}~{hashlib.sha256(student_id.encode()).hexdigest()[:16]}"
    return name


def class_page(student_id: str) -> str:
    """The name of the instructor's page of one student in class/, where index.html is the class's own."""
    name = file_name(student_id)
    return f"{f'%{ord(name[0]):02X}{name[1:]}' if name.casefold() == 'index' else name}.html"


def grades(everyone: Sequence[Standing], criteria: Sequence[str]) -> str:
    """The sheet: one row a student, one column a criterion. What students wrote can be no formula in it."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow((*FRONT, *criteria, *BACK))
    for standing in everyone:
        writer.writerow(_row(standing, criteria))
    return sheet.getvalue()


def _row(standing: Standing, criteria: Sequence[str]) -> Iterator[str]:
    record, counts = standing.record, standing.counts
    yield cell(standing.student_id)
    yield cell(standing.name)
    yield cell(counts.hand_in.name) if counts else ""
    yield standing.status
    points = {criterion.id: f"{criterion.points:g}" for criterion in record.criteria} if record else {}
    yield f"{record.score:g}" if record else ""
    yield f"{record.max_score:g}" if record else ""
    for criterion in criteria:
        yield points.get(criterion, "")
    accuracy = record.checkpoint.accuracy if record else None
    yield f"{accuracy:.4f}" if accuracy is not None else ""
    yield cell(" ".join(flag.id for flag in record.flags)) if record else ""
    yield cell(" ".join(diagnosis.id for diagnosis in record.diagnoses)) if record else ""
    yield "yes" if standing.status == NOT_GRADED or (record and record.needs_person) else ""
    yield cell("; ".join(f"{name} {mark.points:g}, computed {mark.computed:g}" for name, mark in by_hand(record)))
    reason = standing.outcome.reason if standing.outcome else ""
    yield cell("; ".join(filter(None, (reason, *standing.notes))))


def by_hand(record: Record | None) -> list[tuple[str, HandMark]]:
    """Criterion and mark, where a person gave one."""
    return [(c.id, c.by_hand) for c in record.criteria if c.by_hand is not None] if record else []


# ---- the class in figures -------------------------------------------------------------------------------------------


def summarise(
    everyone: Sequence[Standing],
    assignment: str,
    version: str,
    left_out: Sequence[str],
    marks_unused: Sequence[str] = (),
) -> Summary:
    """The class in figures. Medians and means are over those who have a mark."""
    records = [standing.record for standing in everyone if standing.record is not None]
    accuracies = [r.checkpoint.accuracy for r in records if r.checkpoint.accuracy is not None]
    handed_in = [standing for standing in everyone if standing.counts is not None]
    return Summary(
        assignment=assignment,
        grader_version=version,
        submissions=sum(1 + len(standing.earlier) for standing in handed_in),
        counts=dict(Counter(standing.status for standing in everyone)),
        scores=_figures([record.score for record in records]),
        criteria=_by_criterion(records),
        accuracies=_figures(accuracies),
        diagnoses=dict(Counter(d.id for record in records for d in record.diagnoses).most_common()),
        flags=dict(Counter(flag.id for record in records for flag in record.flags).most_common()),
        needs_person=tuple(s.student_id for s in everyone if s.record is not None and s.record.needs_person),
        problems={s.student_id: s.outcome.reason for s in handed_in if s.outcome and s.outcome.reason},
        handed_in_again={s.student_id: tuple(one.hand_in.name for one in s.earlier) for s in handed_in if s.earlier},
        not_handed_in=tuple(standing.student_id for standing in everyone if standing.status == ABSENT),
        left_out=tuple(left_out),
        traces={s.student_id: s.outcome.trace for s in handed_in if s.outcome and s.outcome.trace},
        by_hand={s.student_id: dict(marks) for s in everyone if (marks := by_hand(s.record))},
        marks_unused=tuple(marks_unused),
    )


def _figures(numbers: Sequence[float]) -> dict[str, float]:
    if not numbers:
        return {}
    figures = {"mean": statistics.fmean(numbers), "median": statistics.median(numbers)}
    return {"min": min(numbers), **{name: round(value, 6) for name, value in figures.items()}, "max": max(numbers)}


def _by_criterion(records: Sequence[Record]) -> dict[str, CriterionSummary]:
    found = {}
    for criterion in dict.fromkeys(criterion.id for record in records for criterion in record.criteria):
        results = [c for record in records for c in record.criteria if c.id == criterion and c.max_points > 0]
        if results:
            found[criterion] = CriterionSummary(
                title=results[0].title,
                max_points=max(c.max_points for c in results),
                full=sum(c.points >= c.max_points for c in results),
                mean=round(statistics.fmean(c.points / c.max_points for c in results), 6),
            )
    return found
