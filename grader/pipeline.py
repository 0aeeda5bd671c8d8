"""The road as one function: from an archive to a record."""

from __future__ import annotations

import ctypes
import gc
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grader
from grader.assignment import Assignment
from grader.checkpoint import Evaluations
from grader.collected import collected
from grader.errors import NotGraded, SandboxError
from grader.exhibits import exhibits_of
from grader.flags import flags_of
from grader.gpu import Gpu
from grader.judging import Grading
from grader.records import CheckpointResult, CriterionResult, Diagnosis, Exhibits, Record, SubmissionInfo, Verdict
from grader.rubric import CriterionSpec, score
from grader.sandbox import HEAP_MMAP, HEAP_TRIM, Sandbox
from grader.submission import Opened, Progress, opened, silent

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
TRIM_AFTER = 16  # submissions
COLLECT_AFTER = 20_000  # objects more than there were; Python's own 700 look through all of them hundreds of times


def settle() -> None:
    """For a process that grades: what it has by now, it keeps, and the garbage collector need not look at it again.

    Memory that a submission gives back is kept for the next one, too: glibc would return it to the system after each
    larger tensor, and ask for it anew, 3,000 pages a submission.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)
    with suppress(AttributeError, OSError):  # glibc's alone
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, HEAP_MMAP)
        libc.mallopt(M_TRIM_THRESHOLD, HEAP_TRIM)


def tidy(number: int) -> None:
    """After the `number`-th submission of many: what it left is put away, so that a long class takes no more memory.

    What refers to itself would else lie among later submissions' for a hundred of them, in pages that none can free.
    Now and then everything is looked through: what a collection met while it was in use, later ones pass over.
    """
    everything = number % TRIM_AFTER == 0
    gc.collect(2 if everything else 1)
    if everything:  # what goes back to the system is soon asked for again
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True)
class Options:
    """What a caller may choose about one grading run."""

    accuracy: bool = True
    criteria: frozenset[str] | None = None  # these alone
    owner: str = ""  # whose it is by its place, where its name may not tell
    exhibits: bool = False  # what pages show beside the marks
    evaluations: Evaluations | None = None  # those of other submissions, by fingerprints of code and weights
    gpu: Gpu | None = None  # for the held-out images


def grade(
    path: Path,
    assignment: Assignment,
    sandbox: Sandbox,
    options: Options = Options(),
    progress: Progress = silent,
) -> Record:
    """Grade one submission. Raises IntakeError, AssignmentError, SandboxError; all else is a verdict in the record.

    Where the sandbox ends, it is started anew and the submission graded once more. Raises NotGraded when that one ends
    as well: what a submission did to the sandbox is neither a mark nor a full mark.
    """
    try:
        return _grade(path, assignment, sandbox, options, progress)
    except SandboxError:
        sandbox.revive()
    try:
        return _grade(path, assignment, sandbox, options, progress)
    except SandboxError as error:
        sandbox.revive()
        raise NotGraded(f"{path.name} could not be graded: the sandbox ended twice meanwhile ({error})") from None


def _grade(path: Path, assignment: Assignment, sandbox: Sandbox, options: Options, progress: Progress) -> Record:
    started = time.monotonic()
    with opened(path, assignment, sandbox, progress, options.owner, options.evaluations, options.gpu) as submission:
        grading = Grading(submission)
        _run_checks(grading, options, progress)
        criteria = score(_rubric(assignment, options), grading.outcomes)
        diagnoses = tuple(grading.diagnoses)
        exhibits = exhibits_of(submission, criteria, diagnoses) if options.exhibits else None
        return _record(submission, criteria, diagnoses, exhibits, sandbox.tier, time.monotonic() - started)


def _rubric(assignment: Assignment, options: Options) -> dict[str, CriterionSpec]:
    return {
        name: spec
        for name, spec in assignment.config.criteria.items()
        if (options.accuracy or not spec.slow) and (options.criteria is None or name in options.criteria)
    }


def _run_checks(grading: Grading, options: Options, progress: Progress) -> None:
    collected(grading, tuple(_rubric(grading.opened.assignment, options))).run(grading, progress)
    if grading.sandbox_gone is not None:
        raise grading.sandbox_gone


def _record(
    submission: Opened,
    criteria: tuple[CriterionResult, ...],
    diagnoses: tuple[Diagnosis, ...],
    exhibits: Exhibits | None,
    tier: str,
    seconds: float,
) -> Record:
    files = submission.submission.files
    names = {role: files[role].name for role in files}
    return Record(
        submission=SubmissionInfo(
            student_id=submission.submission.student_id,
            archive=submission.submission.archive,
            sha256=submission.submission.sha256,
            files=names,
            ignored=submission.submission.ignored,
        ),
        assignment=submission.assignment.config.id,
        score=round(sum(criterion.points for criterion in criteria), 6),
        max_score=round(sum(criterion.max_points for criterion in criteria), 6),
        criteria=criteria,
        checkpoint=submission.trained.result if submission.trained else CheckpointResult(),
        flags=flags_of(submission, criteria),
        diagnoses=diagnoses,
        needs_person=any(c.verdict is Verdict.BROKEN for c in criteria),
        sandbox=tier,
        grader_version=grader.__version__,
        seconds=round(seconds, 3),
        exhibits=exhibits,
    )
