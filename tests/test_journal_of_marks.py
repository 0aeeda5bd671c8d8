"""A person's marks in the journal: what counts, what is kept of earlier ones, and what two journals make together."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from grader.errors import UsageError
from grader.ledger import TABLES, Ledger
from grader.marks import Mark

PAIR = ("7", "mlp")
JUNE, JULY = "2026-06-12T14:30:05+09:00", "2026-07-01"


def mark(points: float | None, marker: str = "", when: str = "", file: str = "marks.csv") -> Mark:
    return Mark(points=points, marker=marker, when=when, file=file)


def journal(folder: Path, *files: Mark) -> Path:
    """A journal that took these marks of one student, file by file."""
    folder.mkdir(exist_ok=True)
    with Ledger(folder / "ledger.sqlite") as ledger:
        for one in files:
            ledger.take_marks({PAIR: one})
    return folder / "ledger.sqlite"


def counting(path: Path) -> Mark | None:
    with Ledger(path) as ledger:
        return ledger.marks().get(PAIR)


def earlier(path: Path) -> list[Mark]:
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT CAST(mark AS TEXT) FROM earlier_marks").fetchall()
    database.close()
    return [msgspec.json.decode(row[0], type=Mark) for row in rows]


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        (mark(1, "kim"), mark(2, "lee"), 2),  # neither says when: the later file
        (mark(1, "kim", JUNE), mark(2, "lee", JULY), 2),
        (mark(1, "kim", JULY), mark(2, "lee", JUNE), 1),  # an old file, given once more
        (mark(1, "kim", JULY), mark(2, "kim", JULY), 2),  # a mended one
        (mark(1, "kim", "2026-06-12 23:00"), mark(2, "lee", "2026-06-12 08:30:00-08:00"), 1),  # zones are reckoned
        (mark(1, "kim", JULY), mark(2, "lee"), 2),
        (mark(1, "kim"), mark(None, "lee"), None),
    ],
)
def test_a_later_mark_counts_and_the_other_is_kept(first: Mark, second: Mark, counts: float, tmp_path: Path) -> None:
    path = journal(tmp_path, first, second)
    found = counting(path)
    assert found is not None
    assert found.points == counts
    assert earlier(path) == [second if found == first else first]


def test_the_same_file_once_more_changes_nothing(tmp_path: Path) -> None:
    path = journal(tmp_path, mark(1, "kim"), mark(1, "kim", file="copy.csv"))
    assert counting(path) == mark(1, "kim")
    assert earlier(path) == []


def test_to_withdraw_what_was_never_given_is_nothing(tmp_path: Path) -> None:
    assert counting(journal(tmp_path, mark(None))) is None


def merged(tmp_path: Path, one: Path, other: Path) -> tuple[Path, list[str]]:
    doubts = []
    with Ledger(tmp_path / "merged.sqlite") as ledger:
        for part in (one, other):
            with Ledger(part) as source:
                doubts += [f"{d.counts.points:g} not {d.gave_way.points:g}" for d in ledger.merge_marks(source)]
    return tmp_path / "merged.sqlite", doubts


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("when", "counts", "doubts"), [((JUNE, JULY), 2, []), ((JULY, JUNE), 1, []), (("", JULY), 2, ["2 not 1"])]
)
def test_of_two_journals_the_mark_given_later_counts_and_doubt_is_told(
    swapped: bool, when: tuple[str, str], counts: float, doubts: list[str], tmp_path: Path
) -> None:
    parts = [
        journal(tmp_path / "a", mark(1, "kim", when[0])),
        journal(tmp_path / "b", mark(2, "lee", when[1])),
    ]
    path, said = merged(tmp_path, *(reversed(parts) if swapped else parts))
    found = counting(path)
    assert found is not None
    assert found.points == counts
    assert said == doubts
    assert [one.points for one in earlier(path)] == [3 - counts]
    assert merged(tmp_path, *parts) == (path, [])  # it is all known


def test_a_journal_that_knew_the_other_mark_leaves_no_doubt(tmp_path: Path) -> None:
    old = journal(tmp_path / "a", mark(1, "kim"))
    both = journal(tmp_path / "b", mark(1, "kim"), mark(2, "lee"))
    for parts in ((old, both), (both, old)):
        path, said = merged(tmp_path, *parts)
        assert (counting(path), said) == (mark(2, "lee"), [])
        path.unlink()


def test_a_journal_from_before_there_were_marks_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(f"{TABLES[0]} PRAGMA user_version = 1; INSERT INTO facts VALUES ('total', '3');")
    database.close()
    with Ledger(path) as ledger:
        assert ledger.facts() == {"total": "3"}
    assert counting(journal(tmp_path, mark(1))) == mark(1)


def test_a_journal_from_the_future_is_refused(tmp_path: Path) -> None:
    path = journal(tmp_path)
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {len(TABLES) + 1}")
    database.close()
    with pytest.raises(UsageError, match="written by another version of the grader"):
        Ledger(path)
