"""The training sample: what is asked, what is counted, and how far from honest a model must be to be a finding."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from copies import the_assignment

from grader.errors import AssignmentError
from grader.integrity.testset import findings, stands_out
from grader.records import Counted, SampleResult
from grader.sample import Norm, Sample, excess, features, load_norm, load_sample, read_idx, tail, training_accuracy

NORM = Norm(
    hard_test=(1, 3), hard=2, share=0.1, models=14, coefficients=(0.1, 0.0, 0.5, 0.0),
    inverse=((0.0,) * 4,) * 4, spread=0.05,
)  # fmt: skip


def a_sample() -> Sample:
    images = np.arange(3 * 2 * 3, dtype=np.uint8).reshape(3, 2, 3)
    return Sample(images, np.array([0, 1, 2], dtype=np.uint8), NORM)


def a_result(hard_test: int, moved: int = 20, total: int = 100) -> SampleResult:
    return SampleResult(
        hard_test=Counted(right=hard_test, total=total), hard=Counted(right=90, total=total),
        other=Counted(right=100, total=total), hard_moved=Counted(right=moved, total=total),
        other_moved=Counted(right=90, total=total),
    )  # fmt: skip


def test_each_image_is_shown_as_it_is_and_moved_to_the_right() -> None:
    shown = a_sample().shown
    assert shown.shape == (6, 2, 3)
    assert shown[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert shown[3].tolist() == [[0, 0, 1], [0, 3, 4]]


def test_right_answers_are_counted_by_what_was_shown() -> None:
    right = np.array([True, True, True, False])
    counted = a_sample().counted(right, np.array([True, False, True, True, True, False]))
    shares = [(one.right, one.total) for one in (counted.hard_test, counted.hard, counted.other)]
    assert shares == [(1, 2), (1, 2), (1, 1)]
    assert (counted.hard_moved.right, counted.other_moved.right) == (2, 0)


def test_a_norm_of_another_held_out_set_is_not_used() -> None:
    assert a_sample().is_about(4)
    assert not a_sample().is_about(3)


@pytest.mark.parametrize(
    ("t", "degrees", "p"), [(0, 5, 0.5), (2.0301, 35, 0.025), (-2.0301, 35, 0.975), (3.169, 10, 0.005)]
)
def test_the_tail_is_students(t: float, degrees: int, p: float) -> None:
    assert tail(t, degrees) == pytest.approx(p, rel=1e-3)


def test_an_excess_is_counted_in_the_norms_deviations() -> None:
    one = excess(a_result(40), NORM)  # expected: 0.1 + 0.5 * 0.2
    assert one.expected == pytest.approx(0.2)
    assert one.deviations == pytest.approx(4.0)
    assert one.p == pytest.approx(tail(4.0, 10))


def test_only_what_a_whole_class_would_hardly_give_is_a_finding() -> None:
    ordinary = [(str(number), a_result(20)) for number in range(10)]
    assert list(findings(ordinary, NORM)) == []
    found = list(findings([*ordinary, ("x", a_result(60))], NORM))
    assert [(one.kind, one.students) for one in found] == [("test set", ("x",))]
    assert "60 of 100 (60%)" in found[0].figure
    assert list(findings([("x", a_result(40))] * 10, NORM)) != []
    assert list(findings([("x", a_result(40))] * 100, NORM)) == []  # of so many, one comes so high by chance


def test_a_model_that_answers_moved_training_images_as_well_is_left_alone() -> None:
    low = json.loads(json.dumps({"coefficients": (0.1, 0.0, 0.0, 0.0)}))
    norm = Norm(**{**{field: getattr(NORM, field) for field in NORM.__struct_fields__}, **low})
    assert list(findings([("x", a_result(60, moved=20))], norm)) != []
    assert list(findings([("x", a_result(60, moved=70))], norm)) == []


def test_the_training_accuracy_weighs_the_hard_images_as_they_are_frequent() -> None:
    assert training_accuracy(a_result(1), NORM) == pytest.approx(0.1 * 0.9 + 0.9 * 1.0)


def test_the_shipped_sample_is_whole_and_leaves_the_reference_alone() -> None:
    spec = the_assignment().config.checkpoint
    assert spec is not None
    assert spec.sample is not None
    folder = the_assignment().folder
    sample = load_sample(folder / spec.sample.images, folder / spec.sample.labels, folder / spec.sample.norm)
    assert sample.images.shape == (500, 28, 28)
    assert sample.norm.models == 39
    reference = SampleResult(  # as graded
        hard_test=Counted(right=350, total=878),
        hard=Counted(right=135, total=300), other=Counted(right=194, total=200),
        hard_moved=Counted(right=140, total=300), other_moved=Counted(right=193, total=200),
    )  # fmt: skip
    assert list(findings([("reference", reference)], sample.norm)) == []


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x08", gzip.compress(b"\0\0\x08\x01\0\0\0\x09abc")[:-9], b"\0\0\x08\x01\0\0\0\x09abc"]
)
def test_a_damaged_file_is_a_fault_of_the_assignment(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(AssignmentError):
        read_idx(tmp_path / "x")
    with pytest.raises(AssignmentError, match="cannot be read"):
        load_norm(tmp_path / "x")


TRAINED = Path(__file__).parents[1] / "benchmarks" / "testset.jsonl"  # what docs/integrity.md has its table from


def trained(*kinds: str) -> list[tuple[str, float, SampleResult]]:
    """The run, the accuracy and the answers of each model of these kinds."""
    lines = map(json.loads, TRAINED.read_text().splitlines())
    return [
        (line["run"], line["accuracy"], msgspec.convert(line["answers"], SampleResult))
        for line in lines
        if line["recipe"]["kind"] in kinds
    ]


def shipped_norm() -> Norm:
    return load_norm(the_assignment().folder / "data/fashion-mnist/train-sample-norm.json")


def test_the_shipped_norm_is_that_of_the_honest_models_that_were_trained_for_it() -> None:
    norm = shipped_norm()
    honest = [answers for run, _, answers in trained("honest", "selected") if run == "norm"]
    x, y = np.array([features(one) for one in honest]), np.array([one.hard_test.share for one in honest])
    np.testing.assert_allclose(np.linalg.lstsq(x, y, rcond=None)[0], norm.coefficients, rtol=1e-6)
    assert norm.models == len(honest)


def test_who_came_to_the_bar_on_the_test_images_is_found_and_no_honest_model_is() -> None:
    norm = shipped_norm()
    cheats = [answers for _, accuracy, answers in trained("to the bar") if accuracy >= 0.9]
    honest = [answers for _, _, answers in trained("honest", "selected", "apart")]
    assert len(cheats) >= 20
    assert all(stands_out(one, excess(one, norm), 200) for one in cheats)
    assert not any(stands_out(one, excess(one, norm), 200) for one in honest)
