"""Submissions that reach for points they did not earn: each gets the honest mark, and the blame."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import PART1, PART2, HandIn, criterion, lost

from grader.assignment import Assignment
from grader.errors import NotGraded
from grader.pipeline import Options, grade
from grader.records import Blame, Record, Verdict
from grader.sandbox.process import WarmProcess

Graded = Callable[..., Record]

FFN_IN_ENCODER = "output = self.norm2(X + self.dropout(self.ffn(X)))"
ZERO_ALL = "for p in self.parameters(): p.data.zero_()"

# What stands before the encoder's last statement, or takes its place.
CHEATS = {
    "a traceback with a forged place": "exec(compile('raise ValueError(0)', 'cell x', 'exec'))",
    "a traceback with an endless place": "exec(compile('raise ValueError(0)', 'cell ' + '9' * 5000, 'exec'))",
    "weights rewritten to fit the answer": f"{ZERO_ALL}\n        return X * 0",
    "weights rewritten to NaN": "[p.data.fill_(float('nan')) for p in self.parameters()]; return X * float('nan')",
    "no answer at all": "return None",
    "an answer without dimensions": "return X.sum()",
    "an answer of another length": "return X[:, :2]",
    "a tensor that claims to be equal": ("return type('T', (torch.Tensor,), {'__eq__': lambda *_: True})(X.shape)"),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_in_one_class_costs_that_class_and_breaks_no_check(cheat: str, hand_in: HandIn, graded: Graded) -> None:
    record = graded(hand_in.edit(FFN_IN_ENCODER, f"{CHEATS[cheat]}\n        {FFN_IN_ENCODER}"))
    assert set(lost(record)) == {"encoder"}
    assert criterion(record, "encoder").blame is Blame.STUDENT
    assert {check.id for check in criterion(record, "encoder").checks if check.points} <= {
        "encoder.shape",
        "encoder.structure",
    }


def test_weights_of_whole_numbers_stand_for_no_layer(hand_in: HandIn, graded: Graded) -> None:
    hand_in.edit("self.W_o = nn.Linear(dim, dim)", "self.W_o = Nothing()")
    hand_in.cell(
        PART1,
        "class Nothing(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.weight = nn.Parameter(torch.zeros(16, 16, dtype=torch.int32), requires_grad=False)\n"
        "        self.bias = nn.Parameter(torch.zeros(16, dtype=torch.int32), requires_grad=False)\n"
        "    def forward(self, x):\n        return x * 0\n",
        at=4,
    )
    record = graded(hand_in)
    assert criterion(record, "attention").points < 15
    assert criterion(record, "attention").checks[2].verdict is Verdict.FAILED


def test_identities_earn_nothing_where_a_layer_is_wanted(hand_in: HandIn, graded: Graded) -> None:
    hand_in.cell(
        PART2,
        "class Block(Block):\n    def forward(self, x):\n        return x\n"
        "class Attention(Attention):\n    def forward(self, x):\n        return x\n",
    )
    record = graded(hand_in)
    assert criterion(record, "block").points == 0
    assert criterion(record, "vit_attention").points == 1  # the shape


class Kill:
    """Ends the warm process while a submission is graded, as a machine without memory might."""

    def __init__(self, sandbox: WarmProcess, times: int) -> None:
        self.sandbox, self.left = sandbox, times

    def __call__(self, what: str, done: int, total: int) -> None:
        if done == 5 and self.left:
            self.left -= 1
            self.sandbox._process.kill()
            self.sandbox._process.wait()


def test_a_sandbox_that_ends_is_started_anew_and_costs_nobody(
    hand_in: HandIn, assignment: Assignment, sandbox: WarmProcess, tmp_path: object
) -> None:
    archive = hand_in.pack(tmp_path)  # type: ignore[arg-type]
    record = grade(archive, assignment, sandbox, Options(accuracy=False), Kill(sandbox, 1))
    assert lost(record) == {}
    assert record.score == 90


def test_a_submission_during_which_the_sandbox_ends_again_gets_no_mark(
    hand_in: HandIn, assignment: Assignment, sandbox: WarmProcess, tmp_path: object
) -> None:
    archive = hand_in.pack(tmp_path)  # type: ignore[arg-type]
    with pytest.raises(NotGraded, match="the sandbox ended twice"):
        grade(archive, assignment, sandbox, Options(accuracy=False), Kill(sandbox, 2))
    assert grade(archive, assignment, sandbox, Options(accuracy=False)).score == 90
