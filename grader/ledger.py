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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

import grader
from grader.errors import UsageError
from grader.gather import HandIn
from grader.language import FOLDER
from grader.records import Frozen
from grader.work import Outcome

NAME = "ledger.sqlite"
VERSION = 1  # of the tables below
BUSY_SECONDS = 30.0
TABLES = """
CREATE TABLE outcomes (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, outcome BLOB NOT NULL, final INTEGER NOT NULL, at REAL NOT NULL
);
CREATE TABLE listed (name TEXT PRIMARY KEY, position INTEGER NOT NULL, key TEXT NOT NULL, hand_in BLOB NOT NULL);
CREATE TABLE evaluations (key TEXT PRIMARY KEY, result BLOB NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


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
        if version == 0 and not self._database.execute("SELECT name FROM sqlite_master").fetchone():
            with self._transaction():
                for statement in TABLES.split(";"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise UsageError(
                f"{self._path} was written by another version of the grader; name another folder with --out"
            )

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


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What sqlite or the decoder says about a file that is none of ours, or that cannot be written, as a UsageError."""
    try:
        yield
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise UsageError(f"the journal {path}: {error}; move it away, or name another folder with --out") from None
