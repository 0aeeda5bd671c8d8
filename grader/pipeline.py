"""The road as one function: from an archive to a record."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import grader
from grader.assignment import Assignment
from grader.checkpoint import Evaluations
from grader.errors import AssignmentError, NotGraded, SandboxError
from grader.flags import flags_of
from grader.judging import GRADING, Grading
from grader.records import CheckpointResult, CriterionResult, Diagnosis, Record, SubmissionInfo, Verdict
from grader.rubric import CriterionSpec, score
from grader.sandbox import Sandbox
from grader.submission import Opened, Progress, opened, silent

# What judging needs of pytest, and nothing that happens to be installed beside it.
PYTEST_ARGUMENTS = (
    "-p", "grader.pytest_plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider", "-p", "no:terminal",
    "-p", "no:faulthandler", "-p", "no:logging", "-p", "no:unraisableexception", "-p", "no:threadexception",
    "--import-mode=importlib",
)  # fmt: skip


COLLECT_AFTER = 20_000  # objects more than there were; Python's own 700 look through all of them hundreds of times


def settle() -> None:
    """For a process that grades: what it has by now, it keeps, and the garbage collector need not look at it again."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)


@dataclass(frozen=True)
class Options:
    """What a caller may choose about one grading run."""

    accuracy: bool = True
    criteria: frozenset[str] | None = None  # these alone
    owner: str = ""  # whose it is by its place, where its name may not tell
    evaluations: Evaluations | None = None  # those of other submissions, by fingerprints of code and weights


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
    with opened(path, assignment, sandbox, progress, options.owner, options.evaluations) as submission:
        grading = Grading(submission)
        _run_checks(grading, options, progress)
        criteria = score(_rubric(assignment, options), grading.outcomes)
        return _record(submission, criteria, tuple(grading.diagnoses), sandbox.tier, time.monotonic() - started)


def _rubric(assignment: Assignment, options: Options) -> dict[str, CriterionSpec]:
    return {
        name: spec
        for name, spec in assignment.config.criteria.items()
        if (options.accuracy or not spec.slow) and (options.criteria is None or name in options.criteria)
    }


def _run_checks(grading: Grading, options: Options, progress: Progress) -> None:
    assignment = grading.opened.assignment
    files = [str(assignment.checks / f"test_{name}.py") for name in _rubric(assignment, options)]
    errors = _CollectionErrors(progress, len(files))
    arguments = [*PYTEST_ARGUMENTS, "-c", os.devnull, f"--rootdir={assignment.folder}"]
    arguments += ["-o", f"pythonpath={assignment.checks}"]  # for what several files of checks share
    arguments += [f"--timeout={assignment.config.limits.check_seconds}", *files]
    _forget_other_checks(assignment.checks)
    with _quiet_pytest(), contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main(arguments, plugins=[_Given(grading), errors])
    if grading.sandbox_gone is not None:
        raise grading.sandbox_gone
    if errors.found or code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        if code == pytest.ExitCode.INTERRUPTED and not errors.found:
            raise KeyboardInterrupt
        detail = errors.found[0] if errors.found else f"pytest ended with exit code {int(code)}"
        raise AssignmentError(f"the checks in {assignment.checks} cannot be run: {detail}")


def _forget_other_checks(checks: Path) -> None:
    """Drop modules of the same name that another assignment, or a test run around this one, has imported.

    pytest takes a module that it finds under its name as the one it is looking for, wherever it came from.
    """
    for path in checks.glob("*.py"):
        names = [f"{checks.name}.{path.stem}"] + [path.stem] * (not path.stem.startswith("test_"))
        for name in names:
            if name in sys.modules and getattr(sys.modules[name], "__file__", None) != str(path):
                del sys.modules[name]


@contextlib.contextmanager
def _quiet_pytest() -> Iterator[None]:
    """Neither PYTEST_ADDOPTS nor an installed plugin may change how a submission is judged."""
    wanted = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "PYTEST_PLUGINS": ""}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Given:
    """Hands the opened submission to the plugin."""

    def __init__(self, grading: Grading) -> None:
        self._grading = grading

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[GRADING] = self._grading


class _CollectionErrors:
    """Notes what could not be collected, and tells how far the checks are."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.found: list[str] = []
        self._progress = progress
        self._total = total
        self._done = 0

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.found.append(str(report.longrepr).strip().splitlines()[-1])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)

    def pytest_runtest_logfinish(self) -> None:
        self._done += 1
        self._progress("checks", self._done, self._total)


def _record(
    submission: Opened,
    criteria: tuple[CriterionResult, ...],
    diagnoses: tuple[Diagnosis, ...],
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
    )
