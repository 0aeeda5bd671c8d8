"""Grade a whole class. The options stand in `grader.commands.grade`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grader.commands import reports
from grader.commands.common import (
    FULL_MARKS,
    INTERRUPTED,
    NOT_GRADED,
    POINTS_LOST,
    unread,
    warn,
    warn_of_no_sandbox,
)
from grader.commands.integrity import kept_review
from grader.commands.watching import watched
from grader.errors import GraderError, UsageError
from grader.forks import cores
from grader.inert import one_line

if TYPE_CHECKING:
    from grader.assignment import Assignment
    from grader.batch import Plan, Workforce
    from grader.language import Catalogue
    from grader.ledger import Ledger
    from grader.marks import Marks
    from grader.report.results import Standing, Summary
    from grader.work import Setup

HELP_MARKS = "a person's marks, CSV: student_id, criterion, points, comment, marker, when; with --out they are kept"
HELP_ROSTER = "who is in the class, CSV with a column student_id"
HELP_FAIL_UNDER = "exit with 1 where a score is below"
HANGS = 4  # times the seconds that a submission may take in all; its own limits end it long before
AGAIN = "grade.py integrity SUBMISSIONS/ --out RESULTS/"
MOST_NAMED = 10  # of a kind, at the end of a run; grades.csv has them all


def run(options: argparse.Namespace) -> int:
    """Grade what `options` name into the folder `options.out`."""
    from grader import batch

    reports.refuse_impossible(options)
    if options.dask is not None:
        _prepare_cluster(options)
    known = known_of(options)
    if options.dask is None and _is_new(options.out) and all(path.exists() for path in options.submissions):
        from grader.pool import start_early

        start_early()
    assignment = known.assignment
    jobs = options.jobs or cores()
    if options.sandbox == "none":
        warn_of_no_sandbox(known.language)
    plan = batch.Plan(
        paths=tuple(options.submissions),
        out=options.out,
        assignment=assignment,
        tier=options.sandbox,
        accuracy=not options.no_accuracy,
        gpu=options.gpu,
        threads=max(cores() // jobs, 1) if options.dask is None else 1,
        force=options.force,
        only=frozenset(options.only or ()),
        shard=options.shard or (1, 1),
    )

    @contextmanager
    def workplace(setup: Setup, ledger: Ledger) -> Iterator[Workforce]:
        seconds = HANGS * assignment.config.limits.submission_seconds
        if options.dask is not None:
            from grader.cluster import Cluster

            with Cluster(options.dask, setup, assignment, seconds) as cluster:
                yield cluster
            return
        from grader.pool import Pool

        with Pool(setup, jobs, seconds, ledger) as pool:
            _prepare_pages()
            yield pool

    take_marks(known, options.out)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as CI services end a job
    try:
        with reports.quoted(options.github, sys.stdout), watched() as watcher:
            batch.run(plan, workplace, watcher)
    except KeyboardInterrupt:
        warn(f"interrupted; what was graded is kept in {options.out}: the same command goes on from there")
        return INTERRUPTED
    return _end(options, plan, known)


def _is_new(out: Path) -> bool:
    """Whether nothing was graded into the folder, so that all of a class is to be."""
    from grader.ledger import NAME

    return not (out / NAME).exists()


def _end(options: argparse.Namespace, plan: Plan, known: Known) -> int:
    """The marks first; then, whatever becomes of the review, the pages for instructors. Returns the exit code."""
    everyone, summary = standings_in(plan.out, known)
    code = finish(options, known, everyone, summary)
    try:
        if not options.no_integrity:
            _hold_against_each_other(plan, options.last_year or [], known.assignment, everyone, summary, options.jobs)
    except KeyboardInterrupt:
        warn(f"interrupted; the marks are written, the submissions not yet held against each other: {AGAIN}")
        code = INTERRUPTED
    show(plan.out, known.assignment, everyone, summary)
    return code


def _hold_against_each_other(
    plan: Plan,
    last_year: Sequence[Path],
    assignment: Assignment,
    everyone: Sequence[Standing],
    summary: Summary,
    jobs: int | None,
) -> None:
    """A whole class alone: a part of it does not tell what is usual. No mark and no exit code hangs on it."""
    if plan.shard != (1, 1):
        warn(f"a part of a class is not held against itself; when all parts are merged: {AGAIN}")
        return
    from grader.commands import integrity

    try:
        integrity.after_grading(assignment, plan.paths, last_year, plan.out, everyone, summary, jobs or cores())
    except GraderError as error:
        warn(f"the submissions were not held against each other: {error}")
    except Exception as error:  # noqa: BLE001 - a fault of ours, which may neither stop a batch nor change how it ended
        warn(
            f"the submissions were not held against each other: the grader is at fault: {type(error).__name__}: {error}"
        )


def _prepare_pages() -> None:
    """While the grading processes start, and a core has nothing else to do: what the end would wait for."""
    from grader.report import results  # noqa: F401 - with the students' pages
    from grader.report.pages import classroom, prepare  # noqa: F401

    prepare()


def _prepare_cluster(options: argparse.Namespace) -> None:
    """Before anything is read: what --dask needs, and what whoever types it should know. Raises UsageError."""
    if options.jobs:
        raise UsageError("--jobs is for this machine; on a cluster it is `dask worker --nthreads` that says how many")
    try:
        from grader.cluster import is_open
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("dask", "distributed"):
            raise
        raise UsageError("--dask needs the extra of that name: .venv/bin/pip install -e '.[dask]'") from None
    if is_open(options.dask):
        warn(
            f"--dask {options.dask}: nothing protects this scheduler: whoever reaches its port runs code as you, and "
            "archives and marks travel in clear. Use tls://, or a network that you trust."
        )


# ---- the end --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What the results need beside the journal."""

    assignment: Assignment
    marks: Marks
    roster: Mapping[str, str]
    language: Catalogue  # of the students' pages


def known_of(options: argparse.Namespace) -> Known:
    """Read --assignment, --marks, --roster and --lang, before an evening's work.

    Raises UsageError and AssignmentError.
    """
    from grader.assignment import load_assignment
    from grader.language import catalogue
    from grader.marks import read_marks
    from grader.roster import read_roster

    assignment = load_assignment(options.assignment)
    marks = read_marks(options.marks, assignment.maxima) if options.marks is not None else {}
    roster = read_roster(options.roster) if options.roster is not None else {}
    return Known(assignment, marks, roster, catalogue(options.lang, assignment.folder))


def take_marks(known: Known, out: Path) -> None:
    """Note the marks of --marks in the journal in `out`, and say which earlier ones they replace. Raises UsageError."""
    from grader import batch
    from grader.ledger import NAME

    said = batch.take_marks(known.marks, out) if known.marks else []
    with unread(sys.stdout):
        for line in _first(said, f"{out}/{NAME}"):
            print(line)


def finish(options: argparse.Namespace, known: Known, everyone: Sequence[Standing], summary: Summary) -> int:
    """Write the results into `options.out`, all but the pages for instructors, and say how the class did.

    Returns the exit code. Raises UsageError.
    """
    from grader.report import results

    out, fail_under = options.out, options.fail_under
    results.write_results(out, everyone, summary, list(known.assignment.maxima), known.language)
    with reports.quoted(options.github, sys.stdout), unread(sys.stdout):
        for line in _closing(everyone, summary, out):
            print(line)
    reports.write_class(options, everyone, summary)
    if summary.problems or summary.needs_person:
        return NOT_GRADED
    below = [s for s in everyone if s.record and fail_under is not None and s.record.score < fail_under]
    return POINTS_LOST if below else FULL_MARKS


def show(out: Path, assignment: Assignment, everyone: Sequence[Standing], summary: Summary) -> None:
    """Write the pages for instructors, with what the last review in `out` found. Raises UsageError."""
    from grader.report.pages.classroom import classroom_page, course_of
    from grader.report.results import write_class_pages

    review = kept_review(out)
    index = classroom_page(everyone, summary, course_of(assignment.config), review)
    write_class_pages(out, everyone, index, review)
    with unread(sys.stdout):
        print(f"written: {out}/class/index.html for instructors")


def standings_in(out: Path, known: Known) -> tuple[list[Standing], Summary]:
    """Everyone in the journal in `out` and on the roster, a person's marks included. Raises UsageError."""
    from msgspec.structs import replace

    import grader
    from grader import batch
    from grader.marks import unused, with_marks
    from grader.report import results

    maxima = known.assignment.maxima
    with batch.opened(out) as ledger:
        listed, facts, marks = ledger.listed(), ledger.facts(), ledger.marks()
    for place, one in enumerate(listed):
        if marks and one.outcome is not None and one.outcome.record is not None:
            record = with_marks(one.outcome.record, marks, maxima)
            listed[place] = replace(one, outcome=replace(one.outcome, record=record))
    everyone = results.standings(listed, known.roster)
    left_out = json.loads(facts.get("left_out", "[]"))
    without_effect = unused({s.student_id: s.record for s in everyone if s.record is not None}, marks, maxima)
    summary = results.summarise(everyone, known.assignment.config.id, grader.__version__, left_out, without_effect)
    return everyone, summary


def _closing(everyone: Sequence[Standing], summary: Summary, out: Path) -> Iterator[str]:
    counts = ", ".join(f"{count} {status}" for status, count in summary.counts.items())
    yield f"{summary.submissions} submissions: {counts}"
    for title, figures in (("score", summary.scores), ("accuracy", summary.accuracies)):
        if figures:
            yield f"{title}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    named = [(f"{name}: {reason}") for name, reason in summary.problems.items()]
    named += [f"{name}: the grader is at fault somewhere, a person must look" for name in summary.needs_person]
    named += [f"{s.student_id}: {note}" for s in everyone for note in s.notes]
    named += [f"{name}: no submission, and left out" for name in summary.left_out]
    yield from _first([*named, *summary.marks_unused], f"{out}/summary.json")
    if summary.not_handed_in:
        shown = ", ".join(summary.not_handed_in[:MOST_NAMED])
        more = len(summary.not_handed_in) - MOST_NAMED
        yield one_line(f"handed in nothing: {shown}" + (f" and {more} more" if more > 0 else ""))
    yield f"written: {out}/grades.csv, {out}/summary.json, {out}/records/"
    yield f"written: {out}/pages/ for the students"


def _first(lines: Sequence[str], rest: str) -> Iterator[str]:
    """The first lines of many, and where the rest stands."""
    yield from map(one_line, lines[:MOST_NAMED])
    if len(lines) > MOST_NAMED:
        yield f"and {len(lines) - MOST_NAMED} more in {rest}"
