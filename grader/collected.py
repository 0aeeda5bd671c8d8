"""The checks of an assignment, collected by pytest once and run for one submission after the other.

Starting and collecting take pytest as long as half of the checks do. Its items may be run again (plugins that repeat
what failed do so); whatever a run leaves on them is taken off before the next. A run that did not come to its end is
followed by a fresh collection.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.config import _prepareconfig  # pytest.main is this, one session, and its end

from grader.assignment import Assignment
from grader.errors import AssignmentError
from grader.judging import GRADING, Grading
from grader.submission import Progress

# What judging needs of pytest, and nothing that happens to be installed beside it.
PYTEST_ARGUMENTS = (
    "-p", "grader.pytest_plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider", "-p", "no:terminal",
    "-p", "no:faulthandler", "-p", "no:logging", "-p", "no:unraisableexception", "-p", "no:threadexception",
    # Each of these has a word to say before and after every check.
    "-p", "no:warnings", "-p", "no:unittest", "-p", "no:doctest", "-p", "no:junitxml", "-p", "no:pastebin",
    "-p", "no:setuponly", "-p", "no:setupplan", "-p", "no:stepwise",
    "--import-mode=importlib", "--capture=no",
)  # fmt: skip
MAX_KEPT = 4

_KEPT: dict[tuple[Assignment, tuple[str, ...]], Collected] = {}


def collected(grading: Grading, criteria: tuple[str, ...]) -> Collected:
    """The checks of these criteria. Raises AssignmentError where they cannot be collected."""
    key = (grading.opened.assignment, criteria)
    if key not in _KEPT:
        while len(_KEPT) >= MAX_KEPT:
            _KEPT.pop(next(iter(_KEPT))).close()
        _KEPT[key] = Collected(grading, criteria)
    return _KEPT[key]


class Collected:
    """One pytest session that stays open."""

    def __init__(self, grading: Grading, criteria: tuple[str, ...]) -> None:
        assignment = grading.opened.assignment
        self._checks = assignment.checks
        files = [str(self._checks / f"test_{name}.py") for name in criteria]
        arguments = [*PYTEST_ARGUMENTS, "-c", os.devnull, f"--rootdir={assignment.folder}"]
        arguments += [f"--timeout={assignment.config.limits.check_seconds}", *files]
        errors = _CollectionErrors()
        with _quiet_pytest(), self._importable(), _refused(self._checks):
            self._config = _prepareconfig(arguments, [errors])
            self._config.stash[GRADING] = grading
            self._session = pytest.Session.from_config(self._config)
            try:
                self._config._do_configure()
                self._config.hook.pytest_sessionstart(session=self._session)
                self._config.hook.pytest_collection(session=self._session)
                if errors.found or not self._session.items:
                    raise _refusal(self._checks, errors.found[0] if errors.found else "there are none")
            except BaseException:
                self._config._ensure_unconfigure()
                raise

    def run(self, grading: Grading, progress: Progress) -> None:
        """Judge a submission. Raises AssignmentError where pytest itself breaks."""
        self._config.stash[GRADING] = grading
        self._session.testsfailed = 0
        items = self._session.items
        try:
            with _quiet_pytest(), self._importable(), _refused(self._checks):
                for item in items:
                    item.stash = pytest.Stash()
                    item.user_properties.clear()
                    item._report_sections.clear()
                for done, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True), start=1):
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                    if self._session.shouldstop:  # the sandbox is gone; pytest lets nobody take that back
                        forget(self)
                        break
                    progress("checks", done, len(items))
        except BaseException:
            forget(self)
            raise
        finally:
            del self._config.stash[GRADING]

    def close(self) -> None:
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            self._config.hook.pytest_sessionfinish(session=self._session, exitstatus=pytest.ExitCode.OK)
        self._config._ensure_unconfigure()

    @contextlib.contextmanager
    def _importable(self) -> Iterator[None]:
        """What several files of checks share lies beside them."""
        _forget_other_checks(self._checks)
        sys.path.insert(0, str(self._checks))
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):
                sys.path.remove(str(self._checks))


def forget(one: Collected) -> None:
    """A session that was left in the middle is used no more."""
    for key in [key for key, kept in _KEPT.items() if kept is one]:
        del _KEPT[key]
    one.close()


def _refusal(checks: Path, detail: str) -> AssignmentError:
    return AssignmentError(f"the checks in {checks} cannot be run: {detail}")


@contextlib.contextmanager
def _refused(checks: Path) -> Iterator[None]:
    """What breaks outside of any check is the assignment's or pytest's, and nobody's mark."""
    try:
        yield
    except AssignmentError:
        raise
    except pytest.exit.Exception:
        raise KeyboardInterrupt from None
    except Exception as error:
        raise _refusal(checks, f"{type(error).__name__}: {error}") from error


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
    """Neither PYTEST_ADDOPTS nor an installed plugin may change how a submission is judged; and nothing is printed."""
    wanted = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "PYTEST_PLUGINS": ""}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _CollectionErrors:
    """Notes what could not be collected."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.found.append(str(report.longrepr).strip().splitlines()[-1])
