"""Integrity: copies are found in any dress, independent work is left alone, and hostile files cost nothing."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import PART2, ROOT, HandIn, small_assignment
from copies import WAYS, Notebooks, independent, the_assignment, the_ground, written

from grader.assignment import Assignment, load_assignment
from grader.bank import solutions
from grader.cli import main
from grader.errors import NotGraded
from grader.integrity import claims, readers, weights, words
from grader.integrity.chance import EVERYTHING, Chance, Drawn
from grader.integrity.dataflow import statements
from grader.integrity.exhibit import Exhibit
from grader.integrity.expressions import imports
from grader.integrity.facts import RATE, compared
from grader.integrity.findings import Finding, Passage, Place, Review, from_json, grouped, sheet, to_json
from grader.integrity.likeness import ClassCode
from grader.integrity.printed import epochs_in, foreign_label
from grader.integrity.review import review
from grader.integrity.sketch import sketch
from grader.integrity.writing import writing
from grader.notebook import Cell, Notebook, read_notebook
from grader.records import (
    Blame,
    CheckpointResult,
    CheckResult,
    Counted,
    CriterionResult,
    Curve,
    Exhibits,
    Flag,
    Record,
    SampleResult,
    SubmissionInfo,
    Verdict,
)
from grader.sample import Norm

PLAIN = """
def attend(q, k, v, mask):
    scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(16)
    count = v.size(1)
    weights = F.softmax(scores.masked_fill(mask == 0, -1e9), dim=-1)
    return torch.matmul(weights, v) + count
"""


NEWLINE = "\n"


def fingerprints(source: str) -> frozenset[int]:
    body = ast.parse("import torch, math\nimport torch.nn.functional as F\n" + source).body
    return frozenset().union(*(one.fingerprints for one in statements(body, imports(body, (), ()))))


# ---- what counts as the same code -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        PLAIN.replace("scores", "점수").replace("weights", "w"),
        PLAIN.replace("    return", "    # 값을 더한다\n    print('결과')\n    return"),
        PLAIN.replace("    count = v.size(1)\n", "").replace("mask):", "mask):\n    count = v.size(1)"),
        PLAIN.replace("torch.matmul(weights, v) + count", "count + weights @ v"),
        PLAIN.replace("F.softmax(", "step = ").replace(", dim=-1)", "\n    weights = step.softmax(-1)"),
        PLAIN.replace("    count", "    idle = [3] * 4\n    idle = len(idle)\n    count"),
    ],
    ids=["renamed", "commented", "reordered", "commuted", "in steps", "padded"],
)  # fmt: skip
def test_the_same_computation_has_the_same_fingerprints(other: str) -> None:
    ast.parse(other)
    assert fingerprints(other) == fingerprints(PLAIN)


@pytest.mark.parametrize(("old", "new"), [("/ math.sqrt(16)", "* 0.25"), ("-1e9", "-1e4"), ("-2, -1", "2, 3")])
def test_another_computation_has_others(old: str, new: str) -> None:
    assert fingerprints(PLAIN.replace(old, new)) != fingerprints(PLAIN)


def test_a_method_that_is_put_into_its_class_later_is_the_same_method() -> None:
    method = "def forward(self, x):\n    return x * self.scale - 1\n"
    inside = f"class A(Mlp):\n    {method.replace(NEWLINE, NEWLINE + '    ')}"
    assert fingerprints(f"class A(Mlp):\n    pass\n{method}A.forward = forward") == fingerprints(inside)


def test_an_untouched_template_and_given_code_are_nothing_that_a_student_wrote() -> None:
    for role, hand in the_ground().handouts.items():
        assert writing(the_ground().stubs[role], hand) == {}


def deep(source: str) -> Notebook:
    return Notebook(name="x.ipynb", cells=(Cell(index=0, kind="code", source=source),))


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "+".join(["1"] * 50_000),
        "class Mlp:\n    def f(self, x):\n" + "".join(f"        x = x * {n}\n" for n in range(4_000)),
        "x = " + "(" * 150 + "1" + ")" * 150,
        "class Mlp(Mlp): pass\n" * 500,
        "x = '" + "a" * 199_000 + "'",
        "def f(:\n",
    ],
)
def test_hostile_code_neither_hangs_nor_raises(source: str) -> None:
    assert isinstance(writing(deep(source), the_ground().handouts["part2"]), dict)


# ---- a class --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def class_() -> list[Notebooks]:
    lot = random.Random(3)
    return [independent(lot) for _ in range(12)]


def test_copies_are_found_and_independent_work_is_not(class_: list[Notebooks]) -> None:
    texts = [written(notebooks) for notebooks in class_]
    known = the_ground().known
    assert ClassCode(texts, len(texts), known, 0).findings(RATE) == []
    for donor, way in ((2, "all of these together"), (4, "split over cells")):
        copied = [*texts, written(WAYS[way](class_[donor], random.Random(donor)))]
        ground = ClassCode(copied, len(copied), known, 0)
        found = ground.findings(RATE)
        assert [one.pair for one in found] == [(donor, len(texts))], way
        passages = ground.passages(found[0])
        assert passages
        assert any(passage.seen == 2 for passage in passages)
        assert passages[0].left.text


@pytest.mark.parametrize("way", list(WAYS)[1:7])
def test_a_copy_of_the_solution_says_the_same_in_every_class_however_it_is_dressed(way: str) -> None:
    solved = solutions(the_assignment())
    copied = written(WAYS[way](solved, random.Random(way)))
    for slot, text in written(solved).items():
        assert copied[slot].fingerprints == text.fingerprints, slot


def test_a_part_of_the_classes_is_enough_and_two_of_them_are_not() -> None:
    drawn = np.random.default_rng(0)
    scores = drawn.random((10, 5_000))
    shares = scores**3
    chance = Chance([Drawn(f"part{n % 2}", scores[n], shares[n], ()) for n in range(10)])
    copied = [np.where(np.arange(10) < most, 0.995, 0.2) for most in (10, 7, 2)]
    found, where = chance.looked_at(np.array(copied).T, np.array(copied).T)
    assert (found < 1e-7).tolist() == [True, True, False]
    assert where[0] == EVERYTHING
    below_half, _ = chance.looked_at(np.full((10, 1), 0.995), np.full((10, 1), 0.4))
    assert below_half[0] == 1


def test_slots_that_go_together_are_one() -> None:
    one, other, last = np.random.default_rng(0).random((3, 5_000))

    def found(*slots: npt.NDArray[np.float64]) -> float:
        copied = np.full((len(slots), 1), 0.999)
        return float(Chance([Drawn("part1", slot, slot, ()) for slot in slots]).looked_at(copied, copied)[0][0])

    assert found(one, one, last) == pytest.approx(found(one, last), rel=0.2)
    assert found(one, other, last) < 0.1 * found(one, last)


def test_last_years_are_held_against_this_years_and_not_against_each_other(class_: list[Notebooks]) -> None:
    texts = [written(notebooks) for notebooks in class_]
    older = written(independent(random.Random(77)))
    found = ClassCode([*texts, texts[4], older, older], len(texts), the_ground().known, 0).findings(RATE)
    assert [one.pair for one in found] == [(4, 12)]


def test_two_who_write_the_obvious_are_no_finding() -> None:
    hand = the_ground().handouts["part2"]
    obvious = [writing(the_ground_solution(), hand)] * 9
    assert ClassCode(obvious, 9, the_ground().known, 0).findings(RATE) == []


def the_ground_solution() -> Notebook:
    path = Path(__file__).resolve().parents[1] / "reference/notebooks/solved" / PART2
    return read_notebook(PART2, path.read_bytes())


# ---- weights --------------------------------------------------------------------------------------------------------


def state(seed: int) -> dict[str, torch.Tensor]:
    random_ = torch.Generator().manual_seed(seed)
    found = {
        f"{n}.{name}": torch.randn(*shape, generator=random_)
        for n in range(3)
        for name, shape in (("weight", (48, 16)), ("bias", (48,)))
    }
    found["positions"] = torch.randn(1, 17, 32, generator=random_)
    return found | {f"norm{n}.weight": 1 + 0.1 * torch.randn(32, generator=random_) for n in range(3)}


def saved(value: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **how)
    return file.getvalue()


def permuted(original: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    return {name: (-tensor[order] if len(tensor) == 48 else tensor) for name, tensor in original.items()}


def channels_permuted(original: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The norms' channels in another order, and what adds to them."""
    order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
    return {name: tensor[..., order] if tensor.shape[-1] == 32 else tensor for name, tensor in original.items()}


def trained_on(original: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    random_ = torch.Generator().manual_seed(9)
    return {name: tensor + 0.005 * torch.randn(tensor.shape, generator=random_) for name, tensor in original.items()}


@pytest.mark.parametrize(
    ("changed", "how"),
    [
        (lambda s: s, weights.FILE),
        (lambda s: {"model": {f"module.{name}": t for name, t in s.items()}, "epoch": 7}, weights.SAME),
        (lambda s: {**s, "0.weight": s["0.weight"] + 1}, weights.SAME),
        (lambda s: {name: t.half() for name, t in s.items()}, weights.REORDERED),
        (permuted, weights.REORDERED),
        (trained_on, weights.LEARNED),
        (lambda s: trained_on(permuted(s)), weights.LEARNED),
        (lambda s: trained_on(channels_permuted(s)), weights.MOVED),
    ],
    ids=[
        "same file",
        "wrapped",
        "one tensor changed",
        "float16",
        "permuted",
        "trained on",
        "permuted, trained on",
        "channels permuted, trained on",
    ],
)
def test_weights_made_from_anothers_are_found(changed: Any, how: str) -> None:
    others = {place: sketch(saved(state(place))) for place in range(4)}
    copy = sketch(saved(changed(state(2))))
    assert copy.fault == ""
    found = weights.alike({**others, 4: copy}, 5)
    assert [(one.places, one.how) for one in found] == [((2, 4), how)]


def with_weights(*files: bytes) -> list[Exhibit]:
    """A submission of each; every fifth trains in another way."""
    return [
        Exhibit(
            student=f"{n:02}", writing={}, weights=sketch(data), training=str(n % 5 == 4), runs=frozenset(), claims=()
        )
        for n, data in enumerate(files)
    ]


@pytest.mark.parametrize(
    ("file", "figure"),
    [
        (lambda n: saved(state(0)), "100% of the first one's numbers, 4 tensors; 64 submissions, one file"),
        (lambda n: saved({"epoch": n, **state(0)}), "100% of the first one's numbers, 4 tensors; 64 submissions, 64"),
        (
            lambda n: saved({**state(0), "0.weight": state(n + 1)["0.weight"]}),
            "at least 73% of the first one's numbers, 3",
        ),
        (lambda n: b"no checkpoint", "100% of the first one's numbers; 64 submissions, one file"),
    ],
    ids=["one file", "equal numbers", "one tensor of one's own", "a file that is none"],
)
def test_all_who_hold_one_set_of_numbers_are_one_finding(file: Any, figure: str) -> None:
    class_ = with_weights(*map(file, range(64)))
    (found,) = compared(class_, 64, {}, 0)
    assert found.students == found.group == tuple(f"{n:02}" for n in range(64))
    assert found.figure.startswith(figure)
    assert "the 64 notebooks build or train in 2 ways" in found.what
    assert "; and" not in next(iter(csv.DictReader(io.StringIO(sheet([found])))))["students"]


def test_who_went_on_from_a_shared_file_is_held_against_one_of_those_who_share_it() -> None:
    shared = saved(state(0))
    found = compared(with_weights(shared, shared, saved(trained_on(state(0))), shared, saved(state(1))), 5, {}, 0)
    assert [(one.students, one.group) for one in found] == [
        (("00", "01", "03"), ("00", "01", "02", "03")),
        (("00", "02"), ("00", "01", "02", "03")),
    ]
    assert "00 stands for the 3 that hold its numbers" in found[1].what


def test_last_years_file_names_this_years_holders_with_it() -> None:
    class_ = with_weights(saved(state(1)), *[saved(state(0))] * 3)
    assert [one.students for one in compared(class_, 2, {}, 0)] == [("01", "02", "03")]
    assert compared(class_, 1, {}, 0) == []


def archive(pickled: bytes, storage: bytes = b"\0" * 4096) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a/data.pkl", pickled)
        zipped.writestr("a/data/0", storage)
    return file.getvalue()


class Gadget:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("/tmp/integrity-gadget"), "ran"))


def tensor_pickle(size: int, stride: int = 1) -> bytes:
    """What torch.save writes for {"w": a tensor}, with a size and a stride of one's own."""
    long = b"\x8a\x08" + struct.pack("<q", size)
    inner = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu" + long + b"tQK\0" + long + b"\x85"
    inner += b"\x8a\x08" + struct.pack("<q", stride) + b"\x85\x89}t"
    return b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(" + inner + b"Rs."


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04junk",
        saved(state(0), _use_new_zipfile_serialization=False),
        archive(pickle.dumps({"w": Gadget()}, protocol=2)),
        archive(tensor_pickle(10**12)),
        archive(tensor_pickle(10**6, stride=0)),
        archive(tensor_pickle(1000), b"\0" * 10),
        archive(b"\x80\x02" + b"(" * 500_000 + b"."),
        archive(b"\x80\x02h\x05."),
        archive(b"\x80\x02t."),
        archive(b""),
    ],
)
def test_hostile_weights_neither_raise_nor_run(data: bytes) -> None:
    assert sketch(data).tensors == ()
    assert not Path("/tmp/integrity-gadget").exists()


def test_a_tensor_is_read_where_the_file_describes_one() -> None:
    numbers = struct.pack("<1000f", *range(1000))
    assert [t.shape for t in sketch(archive(tensor_pickle(1000), numbers)).tensors] == [(1000,)]


# ---- claims ---------------------------------------------------------------------------------------------------------

SETTINGS = ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio")


def claimed(hand_in: HandIn, record: Record | None = None) -> list[str]:
    notebook = read_notebook(PART2, json.dumps(hand_in.notebooks[PART2]).encode())
    stub = the_ground().stubs["part2"]
    return [claim.kind for claim in claims.claims(notebook, stub, SETTINGS, "VisionTransformer", record)]


def a_record(**settings: float) -> Record:
    return Record(
        submission=SubmissionInfo(student_id="1", archive="1.zip", sha256=""), assignment="a", score=0, max_score=0,
        criteria=(), checkpoint=CheckpointResult(settings=settings, settings_source="a comment in cell 3"),
    )  # fmt: skip


def test_the_reference_claims_nothing_that_does_not_hold(hand_in: HandIn) -> None:
    assert claimed(hand_in, a_record(patch_size=4, embed_dim=96, depth=5, num_heads=6, mlp_ratio=2.0)) == []


def test_an_output_that_no_code_printed_is_a_claim(hand_in: HandIn) -> None:
    training = next(c for c in hand_in.notebooks[PART2]["cells"] if "Test accuracy" in str(c.get("outputs")))
    text = "Validation accuracy: 95.10%\nEpoch 33/777 loss 0.1\n"
    training["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]
    assert claimed(hand_in) == [claims.OUTPUT, claims.EPOCHS]


def test_weights_of_another_setting_are_a_claim(hand_in: HandIn) -> None:
    assert claimed(hand_in, a_record(embed_dim=48)) == [claims.SETTINGS]


def test_a_flag_on_the_accuracy_is_a_claim(hand_in: HandIn) -> None:
    flag = Flag(id="accuracy_claimed", message="m", evidence={"printed": 95.0, "measured": 80.0, "cell": 4})
    record = msgspec.structs.replace(a_record(), flags=(flag,))
    assert claimed(hand_in, record) == [claims.ACCURACY]


@pytest.mark.parametrize("evidence", [{"saved": [64], "model": [96]}, {}], ids=["of another shape", "in one alone"])
def test_weights_that_fit_no_settings_are_a_claim(evidence: dict[str, Any]) -> None:
    check = CheckResult(
        id="loads", title="", verdict=Verdict.FAILED, blame=Blame.STUDENT, message="the .pth has not “norm.bias”",
        evidence={"tensor": "norm.bias", **evidence},
    )  # fmt: skip
    lost = CriterionResult(
        id="checkpoint", title="", points=0, max_points=5, verdict=Verdict.FAILED, blame=Blame.STUDENT, checks=(check,)
    )
    record = msgspec.structs.replace(a_record(), criteria=(lost,))
    found = claims.claims(None, None, SETTINGS, "VisionTransformer", record)
    assert [claim.kind for claim in found] == [claims.SHAPES]


@pytest.mark.parametrize(("printed", "kinds"), [(93.0, []), (99.0, [claims.TRAINING])])
def test_a_training_accuracy_that_the_weights_do_not_reach_is_a_claim(printed: float, kinds: list[str]) -> None:
    counts = Counted(right=90, total=100)
    sample = SampleResult(hard_test=counts, hard=counts, other=counts, hard_moved=counts, other_moved=counts)
    curves = [
        Curve(file="part2", run=name, what="training accuracy", cell=4, steps=(1, 2), values=(50.0, value))
        for name, value in (("final", printed), ("other", 99.5))
    ]
    record = msgspec.structs.replace(
        a_record(), checkpoint=CheckpointResult(sample=sample), exhibits=Exhibits(curves=tuple(curves))
    )
    norm = Norm(hard_test=(0,), hard=1, share=0.1, models=9, coefficients=(), inverse=(), spread=1.0)
    found = claims.claims(None, None, SETTINGS, "VisionTransformer", record, norm)
    assert [claim.kind for claim in found] == kinds


@pytest.mark.parametrize(
    ("printing", "is_one"),
    [
        ("print(f'{name}  loss {x:.2f}')", False),
        ("print('loss', x)", False),
        ("print('loss: %.2f' % x)", False),
        ("print({'loss': x})", False),
        ("print(f'{loss=:.2f}')", False),
        ("print('mean loss', x)", True),
        ("print('loss of', x)", True),
        ("print(classification_report(x))  # loss of", False),
    ],
)
def test_a_number_under_words_that_no_text_ends_with_is_told(printing: str, is_one: bool) -> None:
    assert (foreign_label(deep(printing), ["final  loss 0.53"]) is not None) == is_one


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("for e in range(20): pass\nwidth = 8", {20}),
        ("EPOCHS = 12\nfor e in range(EPOCHS): pass", {12}),
        ("n = 7\nfor e in range(n): pass", {7}),
        ("fit(model, epochs=9)", {9}),
        ("def fit(model, epochs): pass\nfit(None, 15)", {15}),
        ("width = 8", set()),
    ],
)
def test_the_epochs_of_the_code_are_read(source: str, count: set[int]) -> None:
    assert epochs_in(deep(source)) == count


def test_a_log_in_two_notebooks_that_train_apart_is_a_finding_and_one_that_is_equal_is_not() -> None:
    runs = frozenset(f"{n}.123 0.4567 0.3456 0.2345" for n in range(5))

    def exhibit(student: str, training: str) -> Exhibit:
        return Exhibit(student=student, writing={}, weights=None, training=training, runs=runs, claims=())

    found = compared([exhibit("1", "a"), exhibit("2", "a"), exhibit("3", "b")], 3, {}, 0)
    assert [(one.kind, one.students) for one in found] == [("log", ("1", "2", "3"))]
    assert compared([exhibit("1", "a"), exhibit("2", "a")], 2, {}, 0) == []
    last_year = [exhibit("1 (last year)", "b"), exhibit("2 (last year)", "c")]
    assert [one.students for one in compared([exhibit("1", "a"), *last_year], 1, {}, 0)] == [
        ("1", "1 (last year)", "2 (last year)")
    ]
    assert compared(last_year, 0, {}, 0) == []


# ---- words ----------------------------------------------------------------------------------------------------------


def said_in(*lines: str, kind: Literal["code", "markdown"] = "code") -> dict[str, Place]:
    cells = tuple(Cell(index=n, kind=kind, source=line) for n, line in enumerate(lines))
    return words.said(Notebook(name="x", cells=cells), "part1", {"this line was handed out to all"})


OWN = [f"x = {n}  # the {n}th thing that I do beacuse I like it" for n in range(3)]


def test_words_that_two_share_and_nobody_else_has_are_found() -> None:
    common = "# split the heads as the lecture says"
    others = [said_in(common, f"# my {n}th own remark on all of this") for n in range(5)]
    pair = [said_in(*OWN, common), said_in(*(line.replace("I LIKE", "i like") for line in OWN), common)]
    assert [(one.pair, one.lines) for one in words.alike([*others, *pair], 7)] == [((5, 6), 3)]
    assert words.alike([*others, said_in(*OWN[:2]), said_in(*OWN[:2])], 7) == []
    assert words.alike([*others, *pair, *pair], 9) == []
    assert words.alike([*others, *pair], 5) == []


def test_short_lines_code_and_what_was_handed_out_are_not_words_of_ones_own() -> None:
    assert said_in("# This line was handed out, to all!", "# compute", "scores = matmul(one, two, three, four)") == {}
    assert list(said_in("I see that it is better. So I kept it", kind="markdown")) == ["i see that it is better"]


@pytest.mark.parametrize("line", ["# " + " " * 300_000, "#" * 300_000, " #" * 150_000, "a b c d " * 40_000])
def test_hostile_words_cost_nothing(line: str) -> None:
    begun = time.process_time()
    said_in(line)
    said_in(line, kind="markdown")
    assert time.process_time() - begun < 2


# ---- findings and the verb ------------------------------------------------------------------------------------------


def a_finding(*students: str, kind: str = "code", text: str = "") -> Finding:
    place = Place(role="part1", cell=1, line=2, text=text)
    passage = Passage(left=place, right=place, seen=2)
    return Finding(kind=kind, students=students, compared="", figure="", chance="", what="", passages=(passage,))


def test_pairs_that_hang_together_are_one_group() -> None:
    found = grouped([a_finding("1", "2"), a_finding("3", "2"), a_finding("4", "5"), a_finding("1", "5", kind="log")])
    assert [one.group for one in found] == [("1", "2", "3"), ("1", "2", "3"), ("4", "5"), ("1", "5")]


def test_a_cell_of_the_sheet_names_a_hundred() -> None:
    (row,) = csv.DictReader(io.StringIO(sheet([a_finding(*map(str, range(130)))])))
    assert row["students"].endswith("; 98; 99; and 30 others")


def test_a_review_that_an_earlier_version_kept_is_read() -> None:
    pairs = Review(findings=tuple(a_finding("1", other) for other in "234"), submissions=4, pairs=6)
    kept = json.loads(to_json(pairs))
    for finding in kept["findings"]:
        del finding["group"]  # as before there were groups
    assert from_json(json.dumps(kept).encode()) == pairs
    assert from_json(b"{}") is None


def test_what_students_wrote_is_no_formula_and_no_second_row() -> None:
    written_ = sheet([a_finding("=cmd()", "2", text='=1+1\n"x","y"\x1b[2J')])
    rows = list(csv.reader(io.StringIO(written_)))
    assert len(rows) == 2
    assert all(not cell.startswith("=") for cell in rows[1])
    assert "\x1b" not in written_


def test_the_verb_writes_the_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for student in ("1102444011", "1102444012"):
        HandIn().without_figures().pack(folder, student)
    (folder / "1102444013.zip").write_bytes(b"PK\x03\x04 nothing")
    small = small_assignment(tmp_path / "assignment", ["mlp"])  # without the variants, which take seconds to read
    arguments = ["integrity", str(folder), "--out", str(tmp_path / "results"), "--assignment", str(small)]
    assert main(arguments) == 0
    rows = list(csv.DictReader((tmp_path / "results/integrity.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["kind"], row["students"]) for row in rows] == [("weights", "1102444011; 1102444012")]
    assert "honestly" in rows[0]["what"]
    said = capsys.readouterr()
    assert "2 submissions, 1 pairs: 1 on weights" in said.out
    assert "fewer than 8 submissions" in said.out
    assert "1102444013.zip" in said.err


# ---- side by side ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Assignment, list[Path]]:
    """A small assignment; two who share a model, and an archive that is none."""
    folder = tmp_path_factory.mktemp("three")
    for student in ("1102444011", "1102444012"):
        HandIn().without_figures().pack(folder, student)
    (folder / "1102444013.zip").write_bytes(b"PK\x03\x04 nothing")
    return load_assignment(small_assignment(folder / "assignment", ["mlp"])), sorted(folder.glob("1102*"))


def test_two_processes_find_what_one_finds(
    three: tuple[Assignment, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MANY", 2)
    one, two = (review(*three, last_year=three[1], jobs=jobs) for jobs in (1, 2))
    assert one == two
    assert [(finding.kind, len(finding.students)) for finding in one.findings] == [("weights", 4)]
    assert [line.split(":")[0] for line in one.left_out] == ["1102444013.zip"] * 2


class Deadly:
    def __reduce__(self) -> Any:
        return os._exit, (7,)


def test_a_process_that_ends_is_one_sentence(
    three: tuple[Assignment, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MANY", 2)
    monkeypatch.setattr("grader.integrity.review.handed_out", lambda _: Deadly())
    with pytest.raises(NotGraded, match="a process that read submissions ended; memory may be short: try --jobs 1"):
        review(*three, jobs=2)


def test_ctrl_c_while_several_read_is_clean(three: tuple[Assignment, list[Path]], tmp_path: Path) -> None:
    lines = (
        "import os, signal, sys; from grader.cli import main; from grader.integrity import readers",
        "readers.MANY = 2; begun = readers.ProcessPoolExecutor.submit",
        "def submit(*arguments):",
        "    found = begun(*arguments)",
        "    os.killpg(os.getpgrp(), signal.SIGINT)",
        "    return found",
        "readers.ProcessPoolExecutor.submit = submit",
        "if __name__ == '__main__': sys.exit(main())",
    )
    script = tmp_path / "script.py"
    script.write_text("\n".join(lines))
    assignment, paths = three
    line = ["integrity", *paths, "--out", tmp_path / "out", "--assignment", assignment.folder, "--jobs", "2"]
    ended = subprocess.run(
        [sys.executable, script, *line], capture_output=True, text=True, timeout=60, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (130, "grade.py: interrupted; nothing was written\n")
    assert not (tmp_path / "out/integrity.csv").exists()


@pytest.mark.parametrize("arguments", [["nowhere", "--out", "x"], ["--out", "x"], ["nowhere"]])
def test_the_verb_says_what_is_wrong_in_one_sentence(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["integrity", *arguments]) in (2, 3)
    assert capsys.readouterr().err.count("\n") == 1
