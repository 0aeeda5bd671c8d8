"""A handful go the whole road: what was handed in is broken somewhere, and a record or one sentence comes out."""

from __future__ import annotations

import json
from random import Random

import pytest
from conftest import PART1, PART2, HandIn

from fuzz.conftest import Fuzz, check_sentence
from fuzz.mutation import broken_bytes, broken_json, broken_text
from fuzz.test_notebooks import CODE
from fuzz.test_weights import a_file
from grader import exhibits
from grader.assignment import Assignment
from grader.errors import IntakeError
from grader.pipeline import Options, grade
from grader.records import from_json, to_json
from grader.report.pages.student import student_page
from grader.sandbox.process import WarmProcess

CRITERIA = frozenset({"positional_encoding", "mlp", "checkpoint", "experiments"})  # one of each kind


def a_hand_in(random: Random, folder: Fuzz) -> bytes:
    """A solved hand-in with one of its three files broken, or the archive around them."""
    hand_in = HandIn()
    kind = random.randrange(4)
    name = random.choice((PART1, PART2))
    if kind == 0:
        notebook = hand_in.notebooks.pop(name)
        hand_in.files[name] = broken_json(random, notebook).encode(errors="surrogatepass")
    elif kind == 1:
        cell = random.choice([cell for cell in hand_in.notebooks[name]["cells"] if cell["cell_type"] == "code"])
        cell["source"] = broken_text(random, "".join(cell["source"]), CODE)
    elif kind == 2:
        own = hand_in.files["vit.pth"]
        hand_in.files["vit.pth"] = broken_bytes(random, own) if random.random() < 0.5 else a_file(random)
    packed = hand_in.pack(folder.folder).read_bytes()
    return broken_bytes(random, packed) if kind == 3 else packed


def test_roads_end_in_a_record_without_a_fault_of_ours_or_in_one_sentence(
    fuzz: Fuzz, assignment: Assignment, sandbox: WarmProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhibits, "_unless_broken", lambda make, _otherwise: make())  # here a slip is to be seen
    path = fuzz.folder / "1102444016.tar.gz"

    def travel(data: bytes) -> None:
        path.write_bytes(data)
        try:
            record = grade(path, assignment, sandbox, Options(accuracy=False, criteria=CRITERIA, exhibits=True))
        except IntakeError as error:
            check_sentence(str(error), path.name)
            return
        written = to_json(record)
        assert json.loads(written)["score"] == record.score <= record.max_score
        assert to_json(from_json(written)) == written
        for audience in ("student", "instructor"):
            assert len(student_page(record, audience)) < 1_500_000
        assert not record.needs_person, [c for c in record.criteria if c.verdict == "broken"]

    fuzz.run(lambda random: a_hand_in(random, fuzz), travel)
