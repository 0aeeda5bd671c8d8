"""A whole class: what is there is listed, what is not yet in the journal is graded, and the results are written.

    gather ─▶ keys ─▶ ledger: which are settled? ─▶ pool or cluster ─▶ ledger ─▶ report.results

Interrupted or killed at any moment, the next run with the same folder goes on. See `grader.ledger`.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from grader.archives import fingerprint
from grader.assignment import Assignment
from grader.errors import IntakeError, UsageError
from grader.gather import Gathered, HandIn, gather, intake_limits, roles_of
from grader.inert import one_line
from grader.ledger import NAME, Ledger, Listed, MarkChange, ground, key_of
from grader.marks import Marks
from grader.work import GPU_CHOICES, Outcome, Setup, Work

LOCK = ".lock"
UNREADABLE = "unreadable"


class Workforce(Protocol):
    """Grades submissions somewhere, and hands each back when it is done."""

    def grade(self, works: Sequence[Work]) -> Iterator[tuple[Work, Outcome]]: ...


Workplace = Callable[[Setup, Ledger], AbstractContextManager[Workforce]]


@dataclass(frozen=True)
class Plan:
    """What a run is to do. only: ids, or names, of those that alone are graded. shard: (number from 1, of how many)."""

    paths: tuple[Path, ...]
    out: Path
    assignment: Assignment
    tier: str = "auto"
    accuracy: bool = True
    gpu: str = GPU_CHOICES[0]
    threads: int = 1
    force: bool = False
    only: frozenset[str] = frozenset()
    shard: tuple[int, int] = (1, 1)


class Watcher(Protocol):
    """Is told how far a run is."""

    def listed(self, total: int, todo: int) -> None: ...

    def graded(self, hand_in: HandIn, outcome: Outcome) -> None: ...


def run(plan: Plan, workplace: Workplace, watcher: Watcher) -> None:
    """Grade what needs grading, and leave all of it in the journal in `plan.out`.

    Raises IntakeError where nothing is there to grade, UsageError for a folder that cannot be used, SandboxError and
    AssignmentError.
    """
    config = plan.assignment.config
    with tempfile.TemporaryDirectory(prefix="grader-") as private, opened(plan.out) as ledger:
        gathered = gather(plan.paths, roles_of(config), Path(private), config.id_pattern, plan.out)
        listed = _listed(plan, gathered)
        todo = _todo(plan, listed, ledger)
        ledger.note_all(listed, _facts(plan, gathered))
        watcher.listed(len(listed), len(todo))
        if not todo:
            return
        below = {str(path.resolve() if path.is_dir() else path.resolve().parent) for path in plan.paths}
        hidden = tuple(sorted(below | {private, str(plan.out.resolve())}))
        setup = Setup(
            assignment=str(plan.assignment.folder),
            tier=plan.tier,
            accuracy=plan.accuracy,
            gpu=plan.gpu,
            threads=plan.threads,
            hidden=hidden,
        )
        works = [Work(position=n, path=hand_in.path, owner=hand_in.owner) for n, hand_in, _ in todo]
        with workplace(setup, ledger) as workforce:
            of = {position: (hand_in, key) for position, hand_in, key in todo}
            for work, outcome in workforce.grade(works):
                hand_in, key = of[work.position]
                ledger.settle(key, hand_in.name, outcome)
                watcher.graded(hand_in, outcome)


Row = tuple[int, HandIn, str]  # place, what was handed in, key


def _listed(plan: Plan, gathered: Gathered) -> list[Row]:
    """Everything of this run's shard, with its key."""
    limits = intake_limits(plan.assignment.config)
    base = ground(plan.assignment.folder, f"accuracy={plan.accuracy} sandbox={plan.tier}")
    number, count = plan.shard
    rows = []
    for position, hand_in in enumerate(gathered.hand_ins):
        if position % count != number - 1:
            continue
        try:
            sha256 = fingerprint(Path(hand_in.path), limits)
        except IntakeError:
            sha256 = UNREADABLE  # whoever grades it says why
        rows.append((position, hand_in, key_of(hand_in, sha256, base)))
    return rows


def _todo(plan: Plan, listed: Sequence[Row], ledger: Ledger) -> list[Row]:
    """Those to be graded now. Raises UsageError for a name in `only` that is not there."""
    wanted = list(listed)
    if plan.only:
        known = {row.key: row.outcome.record for row in ledger.listed() if row.outcome is not None}
        names: dict[str, set[str]] = {}
        for _, hand_in, key in listed:
            record = known.get(key)
            names[key] = {hand_in.name, hand_in.student_id, *([record.submission.student_id] if record else [])}
        for name in sorted(plan.only):
            if not any(name in called for called in names.values()):
                raise UsageError(f"--only {name}: there is no such submission; name a student id or an archive")
        wanted = [row for row in listed if names[row[2]] & plan.only]
    if plan.force:
        return wanted
    settled = ledger.settled()
    return [row for row in wanted if row[2] not in settled]


def _facts(plan: Plan, gathered: Gathered) -> dict[str, str]:
    return {
        "assignment": plan.assignment.config.id,
        "maxima": _spelled(plan.assignment),
        "shard": f"{plan.shard[0]}/{plan.shard[1]}",
        "total": str(len(gathered.hand_ins)),
        "left_out": json.dumps(gathered.ignored),
    }


def _spelled(assignment: Assignment) -> str:
    """The criteria and their points, to be held against those of another run."""
    return json.dumps(assignment.maxima, sort_keys=True)


def take_marks(marks: Marks, out: Path) -> list[str]:
    """Note a person's marks in the journal of a folder of results; say which met another. Raises UsageError."""
    with opened(out) as ledger:
        changes = ledger.take_marks(marks)
    return [f"{one.student_id}, {one.criterion}: {_said(one, marks)}" for one in changes]


def _said(change: MarkChange, marks: Marks) -> str:
    if change.counts is not marks[change.student_id, change.criterion]:
        return f"the mark {change.gave_way} is older than {change.counts}, which goes on counting"
    verb = "is withdrawn" if change.counts.points is None else f"gives way to {change.counts}"
    return f"the mark {change.gave_way} {verb}"


def merge(sources: Sequence[Path], out: Path, assignment: Assignment) -> list[str]:
    """Put the journals of several folders of results into one; say what is doubtful about it.

    Raises UsageError where one is none, or was graded with another assignment; then nothing is written.
    """
    for source in sources:
        if not (source / NAME).is_file():
            raise UsageError(f"{source} holds no results: there is no {NAME} in it; name a folder given to --out")
        if source.resolve() == out.resolve():
            raise UsageError(f"{source} cannot be merged into itself; name another folder with --out")
        with Ledger(source / NAME) as other:
            _refuse_another(source, other.facts(), assignment)
    journals: list[tuple[list[Listed], dict[str, str]]] = []
    conflicts: list[MarkChange] = []
    with opened(out) as ledger:
        for source in sources:
            with Ledger(source / NAME) as other:
                journals.append((other.listed(), other.facts()))
                ledger.take(source / NAME)
                conflicts += ledger.merge_marks(other)
        sharded = any(facts.get("shard", "1/1") != "1/1" for _, facts in journals)
        rows: dict[str, tuple[tuple[int, int, int], Listed]] = {}
        for number, (listed, _) in enumerate(journals):
            for one in listed:
                order = (one.position if sharded else 0, number, one.position)
                rows.setdefault(one.hand_in.name, (order, one))
        ordered = [one for _, one in sorted(rows.values(), key=lambda row: row[0])]
        left_out = dict.fromkeys(name for _, facts in journals for name in json.loads(facts.get("left_out", "[]")))
        merged = {
            "assignment": assignment.config.id,
            "maxima": _spelled(assignment),
            "shard": "1/1",
            "total": str(len(rows)),
            "left_out": json.dumps(list(left_out)),
        }
        ledger.note_all([(place, one.hand_in, one.key) for place, one in enumerate(ordered)], merged)
    return _doubts([facts for _, facts in journals], len(rows)) + [
        f"{one.student_id}, {one.criterion}: two marks, {one.counts} and {one.gave_way}, and not both say when they "
        "were given; the first counts, which was taken in later"
        for one in conflicts
    ]


def _refuse_another(source: Path, facts: dict[str, str], assignment: Assignment) -> None:
    """Raise UsageError where these results are of another assignment, or of one with other criteria or points."""
    named, config = facts.get("assignment"), assignment.config
    why = ""
    if named is not None and named != config.id:  # a run that ended early noted nothing
        why = f"“{one_line(named)}”, and {assignment.folder} is “{config.id}”"
    elif facts.get("maxima", _spelled(assignment)) != _spelled(assignment):
        why = f"one with other criteria or points than {assignment.folder}"
    if why:
        raise UsageError(f"{source} was graded with another assignment, {why}; name its folder with --assignment")


def _doubts(facts: Sequence[dict[str, str]], found: int) -> list[str]:
    """Whether these are all parts of one run."""
    doubts = []
    counts = {one.get("shard", "1/1").partition("/")[2] for one in facts}
    if counts != {"1"}:
        if len(counts) > 1:
            doubts.append(f"they are shards of different runs: of {', '.join(sorted(counts))} parts")
        else:
            count = int(counts.pop())
            there = {int(one["shard"].partition("/")[0]) for one in facts}
            missing = [f"{number}/{count}" for number in range(1, count + 1) if number not in there]
            if missing:
                doubts.append(f"shards are missing: {', '.join(missing)}")
        totals = {one.get("total") for one in facts}
        if len(totals) > 1:
            doubts.append("they saw different submissions: give each shard the same folder")
        elif not doubts and found != int(facts[0]["total"]):
            doubts.append(f"{found} of {facts[0]['total']} submissions are there")
    return doubts


@contextmanager
def opened(out: Path) -> Iterator[Ledger]:
    """The journal in a folder of results, which is made; nobody else may write to it meanwhile. Raises UsageError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror}; name another folder") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            why = "another run is writing there; wait for it, or name another folder"
            raise UsageError(f"--out {out}: {why}") from None
        with Ledger(out / NAME) as ledger:
            yield ledger
    finally:
        os.close(descriptor)
