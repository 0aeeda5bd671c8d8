"""One warm sandbox with small limits, one planted assignment, one field, for all attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from attacks.attack import Work
from attacks.field import Field, canary, open_field, plant_key, planted
from attacks.judging import LIMITS, honest
from grader.assignment import Assignment, load_assignment
from grader.records import Record
from grader.sandbox.process import WarmProcess
from grader.sandbox.tiers import open_sandbox

HELP_WEAKENED = "also run each attack against the grader of weakened.py that it succeeds against (minutes)"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--weakened", action="store_true", help=HELP_WEAKENED)
    parser.addoption("--tier", default="auto", help="the sandbox that is attacked (default: auto, the strongest here)")


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """The assignment with canaries in it."""
    return load_assignment(planted(tmp_path_factory.mktemp("assignment")))


@pytest.fixture(scope="session")
def walls(target: Assignment, request: pytest.FixtureRequest) -> Iterator[WarmProcess]:
    """The sandbox of --tier, with small limits; secrets in the caller's environment and keyring."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADER_SECRET", canary())
        plant_key()
        with open_sandbox(request.config.getoption("--tier", default="auto"), LIMITS, [target.folder]) as warm:
            yield warm


@pytest.fixture(scope="session")
def session_field(target: Assignment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with open_field(tmp_path_factory.mktemp("field"), target.folder) as place:
        yield place


@pytest.fixture
def place(session_field: Field) -> Iterator[Field]:
    """What stands around the sandbox, untouched so far."""
    yield session_field
    session_field.restore()


@pytest.fixture(scope="session")
def without(
    target: Assignment, walls: WarmProcess, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Work], Record]:
    """The record of the same submission without the attack."""
    known: dict[Work, Record] = {}

    def record(work: Work) -> Record:
        if work not in known:
            known[work] = honest(work, target, walls, tmp_path_factory.mktemp("honest"))
        return known[work]

    return record
