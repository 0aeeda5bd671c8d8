"""Grades an attack, and says what went otherwise than it must."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from attacks.attack import Attack, submission
from attacks.field import CANARY
from grader.assignment import Assignment
from grader.pipeline import Options, grade
from grader.records import Record, Verdict, from_json, to_json
from grader.sandbox import Sandbox
from grader.wire import WorkerLimits

# Small, so that what uses them up is quick; an honest layer of 16 dimensions takes a few megabytes.
LIMITS = WorkerLimits(memory_mb=512, cpu_seconds=60, file_mb=16, tmp_mb=16, open_files=64, processes=32, threads=1)

MOST = 1 << 20  # bytes of a record; an honest one takes a hundredth of that

# The attacked class, and one beside it that an attack must not touch either.
CRITERIA = frozenset({"attention", "encoder"})


def limited(assignment: Assignment, changes: Mapping[str, Any]) -> Assignment:
    """The assignment with other limits."""
    limits = msgspec.structs.replace(assignment.config.limits, **changes)
    return Assignment(assignment.folder, msgspec.structs.replace(assignment.config, limits=limits))


def judged(attack: Attack, assignment: Assignment, sandbox: Sandbox, folder: Path, place: dict[str, Any]) -> Record:
    """The record of the submission that attacks, as it is written to a file and read back."""
    hand_in = submission(attack.work, attack.code, attack.at, attack.every, place)
    return _graded(hand_in.pack(folder, attack.name), limited(assignment, attack.limits), sandbox)


def aftermath(attack: Attack, assignment: Assignment, sandbox: Sandbox, folder: Path, place: dict[str, Any]) -> Record:
    """The record of the submission that comes next and looks for what this one has left."""
    hand_in = submission("right", attack.then, place=place)
    return _graded(hand_in.pack(folder, "next"), limited(assignment, attack.limits), sandbox)


def honest(work: str, assignment: Assignment, sandbox: Sandbox, folder: Path) -> Record:
    """The record of the same submission without the attack."""
    return _graded(submission(work).pack(folder, f"honest-{work}"), assignment, sandbox)  # type: ignore[arg-type]


def _graded(archive: Path, assignment: Assignment, sandbox: Sandbox) -> Record:
    try:
        return from_json(to_json(grade(archive, assignment, sandbox, Options(accuracy=False, criteria=CRITERIA))))
    finally:
        archive.unlink()


def points(record: Record) -> dict[str, float]:
    return {criterion.id: criterion.points for criterion in record.criteria}


def deviations(attack: Attack, record: Record, without: Record) -> list[str]:
    """What the record says otherwise than it must; empty where the attack got exactly the honest mark."""
    found = gains(record)
    for name, earned in points(without).items():
        expected = earned - attack.costs.get(name, 0.0)
        if points(record)[name] != expected:
            found.append(f"{name} earned {points(record)[name]:g} points, not {expected:g}")
    if record.max_score != without.max_score:
        found.append(f"it was judged out of {record.max_score:g} points, not {without.max_score:g}")
    before = {check.id: check for criterion in without.criteria for check in criterion.checks}
    for check in (check for criterion in record.criteria for check in criterion.checks):
        lost = before[check.id].points - check.points
        if attack.costs and lost > 0 and check.verdict != attack.verdict:
            found.append(f"{check.id} says {check.verdict}, not {attack.verdict}: {check.message}")
    return found


def gains(record: Record) -> list[str]:
    """What no submission may reach: a verdict that blames the grader, loot, a canary, a report that nobody can read."""
    found = ["it made a check break, which asks for a person"] if record.needs_person else []
    for check in (check for criterion in record.criteria for check in criterion.checks):
        if "LOOT" in check.message:
            found.append(f"it got hold of something: {check.message[:300]}")
        if check.verdict is Verdict.BROKEN:
            found.append(f"{check.id} broke: {check.message}")
    if (size := len(to_json(record))) > MOST:
        found.append(f"the report has grown to {size} bytes")
    leaked = CANARY.findall(to_json(record).decode())
    return [*found, *(f"{word} stands in the report" for word in leaked)]


def profits(attack: Attack, record: Record, without: Record) -> list[str]:
    """What the attack has reached; a mark that merely fell is no success."""
    expected = {name: earned - attack.costs.get(name, 0.0) for name, earned in points(without).items()}
    more = [
        f"{name} earned {points(record)[name]:g} points instead of {earned:g}"
        for name, earned in expected.items()
        if points(record)[name] > earned
    ]
    return [*gains(record), *more]


def harm(record: Record, without: Record) -> list[str]:
    """What the next submission has suffered, which did nothing itself; without: its record where nobody came before."""
    less = [
        f"the next one's {name} earned {points(record)[name]:g} points instead of {earned:g}"
        for name, earned in points(without).items()
        if points(record)[name] != earned
    ]
    return [*gains(record), *less]
