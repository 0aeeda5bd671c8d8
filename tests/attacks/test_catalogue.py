"""Every attack gets exactly the mark of the same submission without it, or loses what it breaks itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from conftest import ROOT

from attacks import weak_workers
from attacks.attack import Work
from attacks.catalogue import ATTACKS
from attacks.field import Field
from attacks.judging import aftermath, deviations, gains, judged, points
from attacks.table import HONEST, page
from attacks.weakened import OFFERED, WEAKENINGS, control, success
from grader.assignment import Assignment
from grader.records import Blame, Record
from grader.sandbox.process import WarmProcess

Without = Callable[[Work], Record]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_the_honest_mark(
    name: str, target: Assignment, walls: WarmProcess, place: Field, without: Without, tmp_path: Path
) -> None:
    attack = ATTACKS[name]
    if attack.granted and walls.tier == "landlock":
        pytest.skip(f"not defended there: {attack.granted}")
    record = judged(attack, target, walls, tmp_path, place.told)
    assert deviations(attack, record, without(attack.work)) == []
    assert all(criterion.blame is not Blame.GRADER for criterion in record.criteria)
    if attack.then:
        assert gains(after := aftermath(attack, target, walls, tmp_path, place.told)) == []
        assert after.score == without("right").score
    assert place.signs() == []


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_succeeds_against_a_weakened_grader(
    name: str, request: pytest.FixtureRequest, place: Field, target: Assignment, without: Without, tmp_path: Path
) -> None:
    if not request.config.getoption("--weakened", default=False):
        pytest.skip("on demand: pytest tests/attacks --weakened")
    attack = ATTACKS[name]
    if not OFFERED[attack.needs]():
        pytest.skip(f"there it needs {attack.needs}")
    reached = success(attack, target, place, without(attack.work), tmp_path)
    print(f"\n{name} against {attack.weakened}: {'; '.join(reached)}")
    assert reached


@pytest.mark.parametrize("weakening", WEAKENINGS)
def test_a_weakened_grader_is_right_about_those_who_do_not_attack(
    weakening: str, request: pytest.FixtureRequest, place: Field, target: Assignment, without: Without, tmp_path: Path
) -> None:
    if not request.config.getoption("--weakened", default=False):
        pytest.skip("on demand: pytest tests/attacks --weakened")
    right, wrong = control(weakening, target, place, tmp_path)
    assert [points(right), points(wrong)] == [points(without("right")), points(without("wrong"))]
    assert gains(right) == gains(wrong) == place.signs() == []


@pytest.mark.parametrize("weakening", [n for n, make in WEAKENINGS.items() if make.__module__ == weak_workers.__name__])
def test_a_weakened_worker_can_be_made(weakening: str, target: Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each of them changes still stands in the worker's files: told here, not when all are run, on demand."""
    opened = mock.MagicMock()
    monkeypatch.setattr(weak_workers, "open_sandbox", opened)
    with WEAKENINGS[weakening](target):
        opened.assert_called_once()


def test_each_attack_names_a_grader_against_which_it_succeeds() -> None:
    for attack in ATTACKS.values():
        assert attack.weakened in WEAKENINGS, attack.name
        assert attack.needs in OFFERED, attack.name
        assert bool(attack.costs) or not attack.verdict, attack.name


def test_the_published_table_lists_each_attack_with_its_mark() -> None:
    assert (ROOT / "docs/attacks.md").read_text(encoding="utf-8") == page()


def test_the_table_knows_the_honest_marks(without: Without) -> None:
    assert {work: without(work).score for work in ("right", "wrong")} == HONEST
