"""A model that knows the test images by heart gets its points, and a flag for a person to look at."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import zlib
from pathlib import Path

import pytest
from conftest import PART2, HandIn, criterion

from grader.assignment import Assignment, load_assignment
from grader.checkpoint import held_out
from grader.integrity import testset
from grader.pipeline import Options, grade
from grader.records import Record
from grader.sample import load_norm
from grader.sandbox.process import WarmProcess

SAMPLE = 40  # of the training images
COUNT = 200  # of the held-out images, so that it is quick
OPTIONS = Options(criteria=frozenset({"accuracy"}))


@pytest.fixture(scope="module")
def few(assignment: Assignment, tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """The assignment with the first few held-out images."""
    copy = tmp_path_factory.mktemp("few") / "reference"
    shutil.copytree(assignment.folder, copy, ignore=shutil.ignore_patterns("imgs", "__pycache__"))
    spec = assignment.config.checkpoint
    assert spec is not None
    assert spec.sample is not None
    for images, labels, count in ((spec.images, spec.labels, COUNT), (spec.sample.images, spec.sample.labels, SAMPLE)):
        for name, size in ((images, 28 * 28), (labels, 1)):
            data = gzip.decompress((assignment.folder / name).read_bytes())
            head = 4 + 4 * data[3]
            short = data[:4] + struct.pack(">I", count) + data[8:head] + data[head : head + count * size]
            (copy / name).write_bytes(gzip.compress(short))
    norm = json.loads((copy / spec.sample.norm).read_bytes())
    norm["hard_test"] = [place for place in norm["hard_test"] if place < COUNT]
    norm["hard"] = SAMPLE // 2
    (copy / spec.sample.norm).write_text(json.dumps(norm))
    return load_assignment(copy)


def judged(hand_in: HandIn, assignment: Assignment, sandbox: WarmProcess, folder: Path) -> Record:
    return grade(hand_in.without_figures().pack(folder), assignment, sandbox, OPTIONS)


def findings_on(record: Record, assignment: Assignment) -> list[str]:
    spec = assignment.config.checkpoint
    assert spec is not None
    assert spec.sample is not None
    assert record.checkpoint.sample is not None
    norm = load_norm(assignment.folder / spec.sample.norm)
    return [finding.kind for finding in testset.findings([("1", record.checkpoint.sample)], norm)]


def test_an_honest_model_raises_no_flag(hand_in: HandIn, few: Assignment, sandbox: WarmProcess, tmp_path: Path) -> None:
    record = judged(hand_in, few, sandbox, tmp_path)
    noise = record.checkpoint.noise
    assert noise is not None
    assert noise.total == COUNT
    assert noise.exact == record.checkpoint.correct
    assert "recognises_images" not in {flag.id for flag in record.flags}
    sample = record.checkpoint.sample
    assert sample is not None
    assert {one.total for one in (sample.hard, sample.other, sample.hard_moved, sample.other_moved)} == {SAMPLE // 2}
    assert 0 < sample.hard_test.share < 0.7  # it is right on 91% of all


def test_a_table_of_the_test_images_is_flagged_and_moves_no_mark(
    hand_in: HandIn, few: Assignment, sandbox: WarmProcess, tmp_path: Path
) -> None:
    spec = few.config.checkpoint
    assert spec is not None
    images, labels = held_out(few.folder, spec.images, spec.labels)
    table = {zlib.crc32(i.numpy().tobytes()): int(label) for i, label in zip(images, labels, strict=True)}
    hand_in.cell(PART2, f"import zlib\nTABLE = {table}", at=0)
    hand_in.edit(
        "x = self.head(x[:, 0])",
        "x = self.head(x[:, 0]) * 0\n"
        "        for row, image in zip(x, pixels):\n"
        "            label = TABLE.get(zlib.crc32((image * 255).round().byte().numpy().tobytes()))\n"
        "            if label is not None:\n"
        "                row[label] = 1.0\n",
    )
    hand_in.edit("x = self.patch_embed(x)", "pixels = x\n        x = self.patch_embed(x)")
    record = judged(hand_in, few, sandbox, tmp_path)
    assert criterion(record, "accuracy").points == 10
    assert record.checkpoint.correct == COUNT
    (flag,) = [flag for flag in record.flags if flag.id == "recognises_images"]
    assert flag.evidence["noisy"] < COUNT / 2
    assert findings_on(record, few) == ["test set"]
