"""The pytest plugin, in the order in which pytest calls it: options, session, fixtures, call, verdict, diagnosis.

`pytest reference/checks --submission 1102444016.tar.gz` runs an assignment's checks against a submission. A check is an
ordinary test function, named test_<check> in a file test_<criterion>.py; its docstring is the title that a student
reads. `grader.pipeline` runs the same plugin with an `Opened` submission and a list that collects the outcomes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from grader.inert import one_line
from grader.judging import GRADING, Grading

if TYPE_CHECKING:  # torch comes with these: nothing heavy is imported by a pytest run that grades nothing
    from grader.assignment import Assignment
    from grader.checking import Oracle, Student
    from grader.checkpoint import TrainedModel
    from grader.experiments import Experiments
    from grader.rubric import Outcome
    from grader.submission import Opened

HELP_SUBMISSION = "the archive or folder to run the checks against"
HELP_ASSIGNMENT = "the assignment's folder (default: the one that holds the checks)"
HELP_SANDBOX = "auto, bwrap, landlock or none: what isolates student code (default: auto)"


CLOSE = pytest.StashKey[contextlib.ExitStack]()
DIAGNOSED = ("failed", "partial", "raised")  # the others say nothing about what the code computes
EARNED_WITH = pytest.StashKey[str]()  # a remark on how a check was earned


# ---- options --------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("grader", "grading notebooks")
    group.addoption("--submission", metavar="ARCHIVE", help=HELP_SUBMISSION)
    group.addoption("--assignment", metavar="FOLDER", help=HELP_ASSIGNMENT)
    group.addoption("--sandbox", metavar="TIER", default="auto", help=HELP_SANDBOX)


# ---- session --------------------------------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Checks are run by criterion as the rubric orders them, so that a part comes before what is built upon it."""
    if not items or GRADING not in config.stash:
        return
    order = list(config.stash[GRADING].opened.assignment.config.criteria)
    items.sort(key=lambda item: order.index(criterion_of(item)) if criterion_of(item) in order else len(order))


def criterion_of(item: pytest.Item) -> str:
    return item.path.stem.removeprefix("test_")


def _open_from_options(config: pytest.Config, checks: Path) -> Grading:
    """For a plain pytest run: open what --submission names, and close it with the session."""
    from grader.assignment import load_assignment
    from grader.errors import GraderError
    from grader.limits import worker_limits
    from grader.sandbox.tiers import open_sandbox
    from grader.submission import opened

    archive = config.getoption("--submission")
    if not archive:
        raise pytest.UsageError("these checks judge a submission: name it with --submission ARCHIVE")
    folder = config.getoption("--assignment")
    stack = config.stash.setdefault(CLOSE, contextlib.ExitStack())
    try:
        assignment = load_assignment(Path(folder) if folder else checks.parent)
        limits = worker_limits(assignment)
        sandbox = stack.enter_context(open_sandbox(config.getoption("--sandbox"), limits, [assignment.folder]))
        return Grading(stack.enter_context(opened(Path(archive), assignment, sandbox)))
    except GraderError as error:
        raise pytest.UsageError(one_line(str(error))) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    if CLOSE in config.stash:
        config.stash[CLOSE].close()


# ---- fixtures -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def grading(request: pytest.FixtureRequest) -> Grading:
    """The submission under judgement."""
    stash = request.config.stash
    if GRADING not in stash:
        stash[GRADING] = _open_from_options(request.config, request.session.items[0].path.parent)
    return stash[GRADING]


@pytest.fixture
def assignment(grading: Grading) -> Assignment:
    """The assignment's configuration and folder."""
    return grading.opened.assignment


@pytest.fixture
def student(grading: Grading) -> Iterator[Student]:
    """The student's classes behind the wall: student.SomeClass(...) builds one, calling it runs forward."""
    yield grading.opened.student
    grading.opened.student.use_standins(())


@pytest.fixture
def oracle(grading: Grading) -> Iterator[Oracle]:
    """The reference's classes, in this process. What a check builds is its own until it ends."""
    yield grading.opened.oracle
    grading.opened.oracle.use_standins(())
    grading.opened.oracle.release()


@pytest.fixture
def trained(grading: Grading) -> TrainedModel:
    """The submission's weights in the submission's model; its accuracy on the held-out set."""
    assert grading.opened.trained is not None, "assignment.toml has no [checkpoint]"
    return grading.opened.trained


@pytest.fixture(scope="session")
def experiments(grading: Grading) -> Experiments:
    """The experiments that were found in the notebook."""
    from grader.submission import experiments_of

    return experiments_of(grading.opened)


# ---- the call -------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Before: what a criterion needs must be there. After: where a check fails, it may run again upon stand-ins."""
    from grader.errors import Fault

    if "grading" not in pyfuncitem.fixturenames:
        return (yield)
    opened = cast("Grading", pyfuncitem.funcargs["grading"]).opened
    spec = opened.assignment.config.criteria.get(criterion_of(pyfuncitem))
    if spec is None:
        return (yield)
    for need in spec.needs:
        _require(opened, need)
    try:
        result = yield
        opened.student.keep_promises()  # what goes wrong there is this check's
        return result
    except Fault as fault:
        if fault.verdict == "missing":
            raise
        if spec.standins and _passes_upon_standins(pyfuncitem, opened, spec.standins):
            names = " and ".join(spec.standins)
            remark = f"judged upon a stand-in for {names}, because with your own: {fault.message}"
        elif not (remark := _right_but_for_a_named_mistake(pyfuncitem)):
            raise
        pyfuncitem.stash[EARNED_WITH] = remark
        return True


def _require(opened: Opened, need: str) -> None:
    from grader.errors import Missing

    if need in opened.assignment.config.classes:
        opened.student.require(need)
    elif need not in opened.submission.files:
        raise Missing(f"{opened.assignment.config.files[need].title} was not handed in")


def _passes_upon_standins(item: pytest.Function, opened: Opened, names: tuple[str, ...]) -> bool:
    from grader.errors import Fault

    opened.student.use_standins(names)
    opened.oracle.use_standins(names)
    try:
        item.obj(**{name: item.funcargs[name] for name in item._fixtureinfo.argnames})
        opened.student.keep_promises()
        return True
    except Fault:
        return False
    finally:
        opened.student.use_standins(())
        opened.oracle.use_standins(())


def _right_but_for_a_named_mistake(item: pytest.Function) -> str:
    """A mistake in the same class that an earlier criterion has paid for, and that explains all that is seen here.

    Where the student's code computes just what the mutant computes, what this criterion looks at is as in the
    reference. Returns a remark, or "".
    """
    from grader.checking.diagnosis import same, suspects

    grading: Grading = item.config.stash[GRADING]
    config, agrees = grading.opened.assignment.config, getattr(item.module, "agrees", None)
    here = criterion_of(item)
    if agrees is None:
        return ""
    for diagnosis in grading.diagnoses:
        shared = set(config.criteria[diagnosis.criterion].needs) & set(config.criteria[here].needs)
        if diagnosis.criterion == here or not shared & set(config.classes):
            continue
        for mutant, oracle in suspects(grading.opened.assignment, diagnosis.criterion):
            if mutant.id == diagnosis.id and same(grading.opened.student, oracle, agrees):
                title = config.criteria[diagnosis.criterion].title
                return f"right but for the mistake that is named under “{title}”: {diagnosis.message}"
    return ""


# ---- the verdict ----------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The one place where what came out of a check becomes a verdict."""
    report = yield
    grading = item.config.stash.get(GRADING, None)
    if grading is None or (call.when != "call" and call.excinfo is None):
        return report
    from grader.errors import SandboxError

    if call.excinfo is not None and isinstance(call.excinfo.value, SandboxError):
        grading.sandbox_gone = call.excinfo.value
        item.session.shouldstop = f"the sandbox is gone: {call.excinfo.value}"
        return report
    outcome = _outcome(item, call)
    grading.outcomes.append(outcome)
    item.user_properties.append(("verdict", outcome.verdict.value))
    if outcome.message and report.failed:
        report.longrepr = f"{outcome.verdict.value}: {one_line(outcome.message)}"
    return report


def _outcome(item: pytest.Item, call: pytest.CallInfo[Any]) -> Outcome:
    from grader.records import Verdict
    from grader.rubric import Outcome

    verdict, share, message, evidence = _judge(item, call)
    return Outcome(
        criterion=criterion_of(item),
        check=item.name.removeprefix("test_"),
        title=_title(item),
        verdict=Verdict(verdict),
        share=share,
        message=message,
        evidence=evidence,
        seconds=round(call.duration, 4),
    )


def _title(item: pytest.Item) -> str:
    text = getattr(getattr(item, "obj", None), "__doc__", None) or item.name
    return " ".join(text.split())


def _judge(item: pytest.Item, call: pytest.CallInfo[Any]) -> tuple[str, float, str, dict[str, Any]]:
    from grader.errors import Fault

    if call.excinfo is None:
        return "passed", 1.0, item.stash.get(EARNED_WITH, ""), {}
    error = call.excinfo.value
    if isinstance(error, Fault):
        verdict = "partial" if 0.0 < error.share < 1.0 else error.verdict
        return verdict, error.share, error.message, error.evidence
    if isinstance(error, pytest.skip.Exception):
        return "skipped", 1.0, str(error), {}
    if isinstance(error, pytest.fail.Exception) and "Timeout" in str(error):  # pytest-timeout, the second line
        return "timeout", 0.0, "the check took too long in all", {}
    if isinstance(error, AssertionError | pytest.fail.Exception) and call.when == "call":
        return "failed", 0.0, str(error).splitlines()[0] if str(error) else "the check's assertion does not hold", {}
    return "broken", 1.0, f"the grader is at fault: {type(error).__name__}: {error}", {}


# ---- the diagnosis --------------------------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last check of a criterion that lost points: which known mistake is it?"""
    grading = item.config.stash.get(GRADING, None)
    if grading is None or (nextitem is not None and nextitem.path == item.path):
        return
    module, criterion = getattr(item, "module", None), criterion_of(item)
    agrees = getattr(module, "agrees", None)
    wrong = [o.check for o in grading.outcomes if o.criterion == criterion and o.verdict in DIAGNOSED]
    if agrees is None or not wrong:
        return
    from grader.checking.diagnosis import diagnose, suspects

    opened = grading.opened
    among = suspects(opened.assignment, criterion)
    standins = opened.assignment.config.criteria[criterion].standins
    failed = [test for name in wrong if (test := getattr(module, f"test_{name}", None)) is not None]
    grading.diagnoses += diagnose(opened.student, opened.oracle, among, agrees, failed, standins)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    grading = terminalreporter.config.stash.get(GRADING, None)
    for diagnosis in grading.diagnoses if grading else ():
        terminalreporter.write_line(f"{diagnosis.criterion}: {diagnosis.message}")
