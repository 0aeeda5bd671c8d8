"""How many cases, under which seed, and what becomes of one that ends as none may."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

CASES = 6_000  # in all, in `make test`
# The share of each test. What is cheap, and what strangers write, gets more.
SHARES = {
    "archives": 0.26,
    "folders": 0.02,
    "notebooks": 0.14,
    "code": 0.06,
    "frames": 0.26,
    "weights": 0.10,
    "assignments": 0.08,
    "marks": 0.079,
    "roads": 0.001,
}


@dataclass(frozen=True)
class Fuzz:
    """The cases of one test. `seed` and a case's number make the case."""

    share: str
    cases: int
    seed: int
    folder: Path

    def numbers(self) -> Iterator[tuple[int, Random]]:
        for number in range(max(1, round(self.cases * SHARES[self.share]))):
            yield number, self.random(number)

    def random(self, number: int) -> Random:
        return Random(f"{self.seed} {self.share} {number}")

    def run(self, make: Callable[[Random], bytes], judge: Callable[[bytes], object]) -> None:
        """Make and judge every case. Raises AssertionError at the first that ends in an error of its own kind."""
        for number, random in self.numbers():
            data = make(random)
            try:
                judge(data)
            except Exception as error:
                raise self.found(number, data, error) from error

    def found(self, number: int, data: bytes, why: object) -> AssertionError:
        """Keeps the input of a case that ended as none may."""
        kept = self.folder / f"{self.share}-{self.seed}-{number}"
        kept.write_bytes(data)
        what = f"{type(why).__name__}: {why}" if isinstance(why, BaseException) else why
        return AssertionError(f"{self.share}, case {number} of seed {self.seed}: {what}; its input is in {kept}")


def check_sentence(text: str, begins: str = "") -> None:
    """What people read of a refusal: one line, that can do nothing where it is shown, and no more than they read."""
    assert text.startswith(begins), text
    assert text.isprintable(), text
    assert 0 < len(text) < 1_000, text


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fuzz", "bad input by the thousand")
    group.addoption("--fuzz-cases", type=int, metavar="N", help=f"cases in all (default: {CASES:,}, always the same)")
    group.addoption(
        "--fuzz-seed", type=int, metavar="SEED", help="the seed; else a new one where --fuzz-cases is given"
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"fuzz: {_cases(config):,} cases, seed {_seed(config)}"


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, tmp_path: Path) -> Fuzz:
    """The cases of a test that is named test_<share>_…"""
    share = request.function.__name__.split("_")[1]
    return Fuzz(share, _cases(request.config), _seed(request.config), tmp_path)


# `pytest` alone meets this file too late to learn the options from it.


def _cases(config: pytest.Config) -> int:
    return config.getoption("--fuzz-cases", None) or CASES


def _seed(config: pytest.Config) -> int:
    given: int | None = config.getoption("--fuzz-seed", None)
    if given is None:
        given = secrets.randbits(32) if config.getoption("--fuzz-cases", None) else 0
        if config.getoption("--fuzz-cases", None):
            config.option.fuzz_seed = given  # drawn once, for all tests
    return given
