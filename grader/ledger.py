"""The journal of a class: what was handed in, and how each came out, one transaction a submission.

It is an SQLite file in the folder of the results. Killed at any moment, a run leaves whole transactions alone, so that
the next one goes on where it stopped. A submission is known by everything that its record hangs on: its name and its
content, the assignment, the grader, the options. When one of these changes, it is graded again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

import grader
from grader.errors import UsageError
from grader.gather import HandIn
from grader.language import FOLDER
from grader.marks import Mark, Marks, is_earlier, says_the_same
from grader.records import Frozen
from grader.work import Outcome

NAME = "ledger.sqlite"
BUSY_SECONDS = 30.0
# What each version of the journal added; an older one is brought up to date when it is opened.
TABLES = (
    """
CREATE TABLE outcomes (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, outcome BLOB NOT NULL, final INTEGER NOT NULL, at REAL NOT NULL
);
CREATE TABLE listed (name TEXT PRIMARY KEY, position INTEGER NOT NULL, key TEXT NOT NULL, hand_in BLOB NOT NULL);
CREATE TABLE evaluations (key TEXT PRIMARY KEY, result BLOB NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
""",
    """
CREATE TABLE marks (
    student_id TEXT NOT NULL, criterion TEXT NOT NULL, mark BLOB NOT NULL, taken REAL NOT NULL,
    PRIMARY KEY (student_id, criterion)
);
CREATE TABLE earlier_marks (student_id TEXT NOT NULL, criterion TEXT NOT NULL, mark BLOB NOT NULL, taken REAL NOT NULL);
""",
)
VERSION = len(TABLES)


def ground(assignment: Path, options: str) -> str:
    """What all records of a run hang on: the assignment's files, the grader's, its libraries, the options.

    Translations are left out: records are English.
    """
    digest = hashlib.sha256(f"{grader.__version__} {sys.version_info[:2]} {options}".encode())
    digest.update(importlib.metadata.version("torch").encode())
    for folder, pattern in ((assignment, "*"), (Path(grader.__file__).parent, "*.py")):
        for path in sorted(folder.rglob(pattern)):
            place = path.relative_to(folder)
            if (
                path.is_file()
                and place.parts[0] != FOLDER
                and not any(part.startswith((".", "__pycache__")) for part in place.parts)
            ):
                digest.update(f"{place}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
                digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(hand_in: HandIn, sha256: str, ground: str) -> str:
    """By what a graded submission is known."""
    return hashlib.sha256("\0".join((hand_in.name, hand_in.owner, sha256, ground)).encode()).hexdigest()


class Listed(Frozen, frozen=True):
    """A submission that was there, in its place, and how it came out; None while it is not graded."""

    position: int
    hand_in: HandIn
    key: str
    outcome: Outcome | None


class MarkChange(Frozen, frozen=True):
    """Two marks for one criterion of a student: which one counts, and which is kept as an earlier one."""

    student_id: str
    criterion: str
    counts: Mark
    gave_way: Mark


class Ledger:
    """An open journal. Only one process writes to it at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _explained(path):
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def _prepare(self) -> None:
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        is_new = not self._database.execute("SELECT name FROM sqlite_master").fetchone()
        if not (is_new if version == 0 else 0 < version <= VERSION):
            raise UsageError(
                f"{self._path} was written by another version of the grader; name another folder with --out"
            )
        if version < VERSION:
            with self._transaction():
                for statement in ";".join(TABLES[version:]).split(";"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _explained(self._path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise

    # ---- what is there ------------------------------------------------------------------------------------------

    def note_all(self, rows: Iterable[tuple[int, HandIn, str]], facts: dict[str, str]) -> None:
        """What this run sees: place, hand-in and key of each submission. Replaces what the last run saw."""
        encoded = [(hand_in.name, position, key, msgspec.json.encode(hand_in)) for position, hand_in, key in rows]
        with self._transaction():
            self._database.execute("DELETE FROM listed")
            self._database.executemany("INSERT INTO listed VALUES (?, ?, ?, ?)", encoded)
            self._database.execute("DELETE FROM facts")
            self._database.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())

    def listed(self) -> list[Listed]:
        """Every submission that the last run saw, in its order."""
        query = "SELECT position, hand_in, key, outcome FROM listed LEFT JOIN outcomes USING (key) ORDER BY position"
        with _explained(self._path):
            return [
                Listed(
                    position=position,
                    hand_in=msgspec.json.decode(hand_in, type=HandIn),
                    key=key,
                    outcome=msgspec.json.decode(outcome, type=Outcome) if outcome else None,
                )
                for position, hand_in, key, outcome in self._database.execute(query)
            ]

    def facts(self) -> dict[str, str]:
        """What else was noted about the last run."""
        with _explained(self._path):
            return dict(self._database.execute("SELECT name, value FROM facts"))

    def take(self, other: Path) -> None:
        """Copy the outcomes and evaluations of another journal; what is here already stays."""
        with _explained(other):
            self._database.execute("ATTACH ? AS other", (str(other),))
            try:
                with self._transaction():
                    # A final outcome is better than one that asks for a second try.
                    self._database.execute(
                        "INSERT OR REPLACE INTO outcomes SELECT * FROM other.outcomes AS new WHERE NOT EXISTS "
                        "(SELECT 1 FROM main.outcomes AS old WHERE old.key = new.key AND old.final >= new.final)"
                    )
                    self._database.execute("INSERT OR IGNORE INTO evaluations SELECT * FROM other.evaluations")
            finally:
                self._database.execute("DETACH other")

    # ---- how it came out ----------------------------------------------------------------------------------------

    def settled(self) -> set[str]:
        """The keys of the submissions that need not be graded again."""
        with _explained(self._path):
            return {key for (key,) in self._database.execute("SELECT key FROM outcomes WHERE final")}

    def settle(self, key: str, name: str, outcome: Outcome) -> None:
        """Note how a submission came out."""
        row = (key, name, msgspec.json.encode(outcome), int(outcome.final), time.time())
        with self._transaction():
            self._database.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?)", row)

    def evaluation(self, key: str) -> bytes | None:
        """What was noted of these weights in this code, if anything was."""
        with _explained(self._path):
            row = self._database.execute("SELECT result FROM evaluations WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def evaluated(self, key: str, result: bytes) -> None:
        """Note how good these weights are in this code."""
        with self._transaction():
            self._database.execute("INSERT OR REPLACE INTO evaluations VALUES (?, ?)", (key, result))

    # ---- what a person gave -------------------------------------------------------------------------------------

    def marks(self) -> Marks:
        """The marks that count, withdrawn ones (points of None) among them."""
        return {pair: mark for pair, (mark, _) in self._marks().items()}

    def take_marks(self, marks: Marks) -> list[MarkChange]:
        """Note marks, and return those that met another one. The new one counts, unless both say when, and it is older.

        What gives way is kept as an earlier mark.
        """
        changes = []
        known = self._marks()
        with self._transaction():
            for pair, new in marks.items():
                old = known[pair][0] if pair in known else None
                if old is None and new.points is not None:
                    self._put_mark(pair, new, time.time())
                elif old is not None and not says_the_same(old, new):
                    counts, gave_way = (old, new) if is_earlier(new, old) else (new, old)
                    self._give_way(pair, gave_way, known[pair][1] if gave_way is old else time.time())
                    if counts is new:
                        self._put_mark(pair, new, time.time())
                    changes.append(MarkChange(student_id=pair[0], criterion=pair[1], counts=counts, gave_way=gave_way))
        return changes

    def merge_marks(self, other: Ledger) -> list[MarkChange]:
        """Note the marks of another journal, the earlier ones too; return those of which not both say when.

        Of two, the one given later counts; where that is not said, the one that its journal took in later.
        """
        doubtful = []
        known, earlier, theirs = self._marks(), self._earlier_marks(), other._earlier_marks()
        with self._transaction():
            for pair, many in theirs.items():
                for mark, taken in many:
                    self._give_way(pair, mark, taken)
            for pair, (new, taken) in other._marks().items():
                old, since = known.get(pair, (None, 0.0))
                if old is None:
                    self._put_mark(pair, new, taken)
                    continue
                if says_the_same(old, new) or _holds(earlier.get(pair, ()), new):
                    continue
                replaced = _holds(theirs.get(pair, ()), old)  # the other journal knew it
                certain = replaced or is_earlier(old, new) or is_earlier(new, old)
                counts_new = replaced or is_earlier(old, new) or (not is_earlier(new, old) and taken >= since)
                counts, gave_way = (new, old) if counts_new else (old, new)
                self._give_way(pair, gave_way, since if counts_new else taken)
                if counts_new:
                    self._put_mark(pair, new, taken)
                if not certain:
                    change = MarkChange(student_id=pair[0], criterion=pair[1], counts=counts, gave_way=gave_way)
                    doubtful.append(change)
        return doubtful

    def _marks(self) -> dict[tuple[str, str], tuple[Mark, float]]:
        with _explained(self._path):
            rows = self._database.execute("SELECT student_id, criterion, mark, taken FROM marks ORDER BY rowid")
            return {
                (student, name): (msgspec.json.decode(mark, type=Mark), taken) for student, name, mark, taken in rows
            }

    def _earlier_marks(self) -> dict[tuple[str, str], list[tuple[Mark, float]]]:
        found: dict[tuple[str, str], list[tuple[Mark, float]]] = {}
        with _explained(self._path):
            rows = self._database.execute("SELECT student_id, criterion, mark, taken FROM earlier_marks ORDER BY taken")
            for student, name, mark, taken in rows:
                found.setdefault((student, name), []).append((msgspec.json.decode(mark, type=Mark), taken))
        return found

    def _put_mark(self, pair: tuple[str, str], mark: Mark, taken: float) -> None:
        row = (*pair, msgspec.json.encode(mark), taken)
        self._database.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", row)

    def _give_way(self, pair: tuple[str, str], mark: Mark, taken: float) -> None:
        """Keep a mark as an earlier one, once."""
        row = (*pair, msgspec.json.encode(mark))
        there = "SELECT 1 FROM earlier_marks WHERE student_id = ? AND criterion = ? AND mark = ?"
        if not self._database.execute(there, row).fetchone():
            self._database.execute("INSERT INTO earlier_marks VALUES (?, ?, ?, ?)", (*row, taken))


def _holds(many: Sequence[tuple[Mark, float]], mark: Mark) -> bool:
    return any(says_the_same(one, mark) for one, _ in many)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What sqlite or the decoder says about a file that is none of ours, or that cannot be written, as a UsageError."""
    try:
        yield
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise UsageError(f"the journal {path}: {error}; move it away, or name another folder with --out") from None
