"""What a student is told of a mistake: its name where it is a known one, else where it begins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import HandIn, lost

from grader import bank
from grader.checking.diagnosis import most_specific
from grader.checking.following import read_steps
from grader.records import Diagnosis, Record

Graded = Callable[..., Record]

ATTEND = "attended = self.self_attn(X, X, X, mask)"
FFN = "output = self.norm2(X + self.dropout(self.ffn(X)))"
SCALE = "math.sqrt(self.word_dim)"
FUSED = {
    "self.W_q = nn.Linear(dim, dim)": "self.in_proj = nn.Linear(dim, 3 * dim)",
    "        self.W_k = nn.Linear(dim, dim)\n": "",
    "        self.W_v = nn.Linear(dim, dim)\n": "",
    "self.W_q(X_Q)": "self.in_proj(X_Q)[..., :self.dim]",
    "self.W_k(X_K)": "self.in_proj(X_K)[..., self.dim:2 * self.dim]",
    "self.W_v(X_V)": "self.in_proj(X_V)[..., 2 * self.dim:]",
}


def told(record: Record, criterion: str) -> list[Diagnosis]:
    return [diagnosis for diagnosis in record.diagnoses if diagnosis.criterion == criterion]


def test_a_mistake_without_a_name_is_told_where_it_begins(hand_in: HandIn, graded: Graded) -> None:
    record = graded(hand_in.edit(ATTEND, "attended = self.self_attn(X, 2 * X, X, mask)"))
    assert list(lost(record)) == ["encoder"]
    [diagnosis] = told(record, "encoder")
    assert diagnosis.id == "encoder.departure"
    place = f"what goes into self.self_attn (cell {diagnosis.cell}, line {diagnosis.line}: "
    assert place in diagnosis.message  # where a page marks it
    assert ": attended = self.self_attn(X, 2 * X, X, mask)) is something else" in diagnosis.message


def test_the_place_is_in_the_students_own_terms(hand_in: HandIn, graded: Graded) -> None:
    hand_in.edit(
        "self.norm2 = nn.LayerNorm(dim)\n        self.dropout", "self.마지막 = nn.LayerNorm(dim)\n        self.dropout"
    )
    record = graded(hand_in.edit(FFN, "output = self.마지막(X + 3 * X * self.dropout(self.ffn(X)))"))
    assert "what goes into self.마지막 (cell" in told(record, "encoder")[0].message


def test_layers_that_are_fused_are_no_departure(hand_in: HandIn, graded: Graded) -> None:
    for old, new in FUSED.items():
        hand_in.edit(old, new)
    record = graded(hand_in.edit(SCALE, "3.7"))
    [diagnosis] = told(record, "attention")
    assert diagnosis.id == "attention.departure"
    assert "what goes into self.W_o (cell" in diagnosis.message


def test_what_goes_wrong_behind_the_last_layer_is_told_so(hand_in: HandIn, graded: Graded) -> None:
    record = graded(hand_in.edit(FFN, f"{FFN}.tanh()"))
    assert told(record, "encoder")[0].message.startswith("Each layer gets what it should")


def test_two_known_mistakes_are_both_named(hand_in: HandIn, graded: Graded) -> None:
    hand_in.edit(SCALE, "self.dim").edit("heads = self.W_o(self.combine(heads))", "heads = self.combine(heads)")
    record = graded(hand_in)
    assert {diagnosis.id for diagnosis in told(record, "attention")} == {"scale_by_whole_dim", "w_o_left_out"}


def test_a_known_mistake_beside_an_unknown_one_is_named_as_a_part(hand_in: HandIn, graded: Graded) -> None:
    hand_in.edit(ATTEND, "attended = self.self_attn(X, X, X)")  # the mask is left out
    record = graded(hand_in.edit(FFN, "output = self.norm2(X + 3 * X * self.dropout(self.ffn(X)))"))
    [diagnosis] = told(record, "encoder")
    assert diagnosis.id == "enc_mask_left_out"
    assert "That is not all: what goes into self.norm2 (cell" in diagnosis.message


def test_the_most_specific_of_several_mistakes_changes_least() -> None:
    def mutant(name: str, *edits: tuple[str, str]) -> bank.Mutant:
        return bank.Mutant(id=name, criterion="c", file="f", message="", edits=edits)

    small, large = mutant("small", ("a", "b")), mutant("large", ("a", "b"), ("c", "d"))
    assert most_specific([large, small]) is small
    assert most_specific([large, mutant("other", ("x", "y"))]) is None
    assert most_specific([]) is None


@pytest.mark.parametrize("claimed", [None, 3, [], [1, 2, 3], {"a": 1}])
def test_an_answer_without_steps_is_taken_as_it_is(claimed: object) -> None:
    assert read_steps(claimed, ()) == (claimed, [])


def test_whatever_is_no_step_is_left_out() -> None:
    tensor = torch.zeros(1)
    good = ["norm1", 3, 4, tensor]
    forged = [["norm1", "3", 4, tensor], ["norm1", 3, 4], [3, 3, 4, tensor], "step", ["norm1", 3, 4, [1.0]]]
    value, steps = read_steps([tensor, [*forged, good]], (tensor,))
    assert value is tensor
    assert [(step.path, step.cell, step.line) for step in steps] == [("", 0, 0), ("norm1", 3, 4)]
