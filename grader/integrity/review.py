"""A whole class, reviewed: every submission is taken in once, kept as what is compared, and the pairs are looked at.

Archives are read as intake reads them, to memory and under its limits; what cannot be read is left out, and said.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from grader.assignment import Assignment
from grader.gather import HandIn, gather, roles_of
from grader.integrity.exhibit import Exhibit
from grader.integrity.facts import compared
from grader.integrity.findings import Review
from grader.integrity.ground import Ground, handed_out, known_code
from grader.integrity.readers import read_all
from grader.records import Record

LAST_YEAR = " (last year)"
LEAST = 8  # submissions; see TOO_FEW
TOO_FEW = (
    f"fewer than {LEAST} submissions: whose code is alike cannot be told, for lack of a class to rank it against; "
    "--last-year gives one"
)
Progress = Callable[[str, int, int], None]


def review(
    assignment: Assignment,
    paths: Sequence[Path],
    *,
    last_year: Sequence[Path] = (),
    out: Path | None = None,
    records: Mapping[str, Record] | None = None,
    counting: Collection[str] | None = None,
    jobs: int = 1,
    progress: Progress = lambda _what, _done, _total: None,
) -> Review:
    """Review the submissions in `paths`, held against each other and against last year's.

    out: a folder below the paths that holds results, and no submissions. records: by the name of the hand-in,
    for the claims; counting: the names of the hand-ins that count, else each student's latest. jobs: processes that
    read. Raises IntakeError where nothing can be read, NotGraded where such a process ends, and AssignmentError.
    """
    ground: Ground | None = None
    left_out: list[str] = []
    exhibits: list[Exhibit] = []
    recent = 0
    for folders, mark in ((paths, ""), (last_year, LAST_YEAR)):
        if folders:
            with tempfile.TemporaryDirectory(prefix="grader-") as private:
                roles, pattern = roles_of(assignment.config), assignment.config.id_pattern
                found = gather(folders, roles, Path(private), pattern, out).hand_ins
                latest = _latest(found, None if mark else counting)
                ground = ground or handed_out(assignment)
                with closing(read_all(latest, assignment, ground, records or {}, mark, jobs)) as everyone:
                    for number, (hand_in, read) in enumerate(zip(latest, everyone, strict=True)):
                        progress(f"reading{mark}", number + 1, len(latest))
                        if isinstance(read, str):
                            left_out.append(f"{hand_in.name}: {read}")
                        else:
                            exhibits.append(read)
        recent = recent or len(exhibits)
    few = len(exhibits) < LEAST
    known = known_code(assignment, ground.handouts) if ground is not None and not few else {}
    norm = ground.norm if ground is not None else None
    findings = compared(exhibits, recent, known, assignment.config.seed, norm)
    pairs = recent * (recent - 1) // 2 + recent * (len(exhibits) - recent)
    return Review(tuple(findings), len(exhibits), pairs, tuple(left_out), (TOO_FEW,) if few else ())


def _latest(hand_ins: Sequence[HandIn], counting: Collection[str] | None) -> list[HandIn]:
    """One a student, so that nobody is held against an earlier hand-in of their own."""
    if counting is not None:
        return [one for one in hand_ins if one.name in counting]
    by_student: dict[str, HandIn] = {}
    for one in hand_ins:
        known = by_student.get(one.student_id)
        if known is None or one.modified >= known.modified:
            by_student[one.student_id] = one
    return list(by_student.values())
