"""A worker that lies in its answers: whatever it says is the student's doing, and never makes a check break."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import HandIn

from attacks.weak_graders import Inside
from grader import wire
from grader.assignment import Assignment, load_assignment
from grader.pipeline import Options, grade
from grader.records import Blame
from grader.sandbox import Worker

Lie = Callable[[torch.Tensor], Any]

LIES: dict[str, Lie] = {
    "of no length": lambda t: t[:, :0] if t.dim() > 1 else t[:0],
    "of no width": lambda t: t[..., :0] if t.dim() else t,
    "of no sample": lambda t: t[:0] if t.dim() else t,
    "a single number": lambda t: t.sum(),
    "of another rank": lambda t: t.unsqueeze(0),
    "flat": lambda t: t.flatten(),
    "NaN": lambda t: torch.full(t.shape, float("nan")),
    "infinite": lambda t: torch.full(t.shape, float("inf")),
    "huge": lambda t: torch.full(t.shape, 3e38),
    "truth values": lambda t: t > 0,
    "whole numbers": lambda t: (t.nan_to_num() * 9).clamp(-9e9, 9e9).to(torch.int64),
    "the smallest whole number": lambda t: torch.full(t.shape, -(2**63)),
    "of half precision": lambda t: t.to(torch.float16),
    "of double precision": lambda t: t.to(torch.float64),
    "random": lambda t: torch.randn(t.shape),
    "nothing": lambda t: None,
    "a list": lambda t: [t],
    "a nested list": lambda t: [[[]], [t, None, {"a": t}]],
    "a text": lambda t: "tensor",
    "a number": lambda t: 10**18,
    "a dict": lambda t: {"": t},
}


class Liar(Inside):
    """Serves the right solution, and puts a lie in place of some answers: from the `first` on, one in `every`."""

    def __init__(self, lie: Lie, first: int, every: int, whole: bool) -> None:
        self.lie, self.left, self.every, self.whole = lie, first, every, whole

    def start(self) -> Worker:
        honest = super().start()
        ask = honest.ask
        honest.ask = lambda request, *more: self.bent(ask(request, *more))  # type: ignore[method-assign]
        return honest

    def bent(self, reply: wire.AnyReply) -> wire.AnyReply:
        """The reply, or a lie in its place; it crosses the wire as any other does."""
        self.left -= 1
        if self.left < 0 and self.left % self.every == 0:
            if isinstance(reply, wire.Value):
                reply = wire.Value(value=self._lied(reply.value))
            elif isinstance(reply, wire.Made):
                reply = self._made(reply)
        frame = wire.encode(reply)
        header = int.from_bytes(frame[4:8], "big")
        return wire.decode(frame[16 : 16 + header], frame[16 + header :], wire.AnyReply)  # type: ignore[no-any-return]

    def _lied(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self.lie(value)
        if isinstance(value, dict):
            return {name: self._lied(item) for name, item in value.items()} | ({"more": None} if self.whole else {})
        return value

    def _made(self, made: wire.Made) -> wire.Made:
        """Other names, shapes and kinds for what the object is made of."""
        tensors = []
        for number, info in enumerate(made.tensors):
            shape = ((), (0,), (-1, 5), (1 << 40,), info.shape[::-1])[number % 5] if self.whole else info.shape
            name = ("", ".", "weight", info.name * 2, info.name)[number % 5] if self.whole else info.name
            tensors.append(
                wire.TensorInfo(name=name, kind="parameter", shape=shape, dtype="no dtype", learnable=number % 2 == 0)
            )
        modules = tuple(wire.ModuleInfo(path=module.path[::-1], bases=module.bases[:1] * 3) for module in made.modules)
        return wire.Made(modules=modules, tensors=tuple(tensors))


@pytest.fixture(scope="module")
def undiagnosed(assignment: Assignment, tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """The assignment without its bank of mistakes, with each of which a wrong answer would be compared."""
    copy = tmp_path_factory.mktemp("lies") / "reference"
    shutil.copytree(assignment.folder, copy, ignore=shutil.ignore_patterns("mutants", "imgs", "__pycache__"))
    return load_assignment(copy)


CRITERIA = (
    "positional_encoding", "attention", "masking", "encoder", "decoder", "patch_embed", "vit_attention", "mlp", "block",
    "vit", "checkpoint",
)  # fmt: skip


def broken(name: str, liar: Liar, archive: Path, assignment: Assignment) -> list[str]:
    """The checks of one criterion that blame the grader."""
    record = grade(archive, assignment, liar, Options(accuracy=False, criteria=frozenset({name})))
    checks = [check for criterion in record.criteria for check in criterion.checks]
    return [f"{check.id}: {check.message}" for check in checks if check.blame is Blame.GRADER]


@pytest.mark.parametrize("lie", LIES)
def test_a_worker_that_always_lies_breaks_no_check(
    lie: str, hand_in: HandIn, undiagnosed: Assignment, tmp_path: Path
) -> None:
    archive = hand_in.without_figures().pack(tmp_path)
    assert broken("patch_embed", Liar(LIES[lie], first=0, every=1, whole=False), archive, undiagnosed) == []


@pytest.mark.parametrize("seed", range(len(CRITERIA)))
def test_a_worker_that_begins_to_lie_breaks_no_check(
    seed: int, hand_in: HandIn, undiagnosed: Assignment, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    lie = LIES[chance.choice(list(LIES))]
    liar = Liar(lie, chance.choice((0, 1, 2, 3, 5, 8, 13, 20, 30)), chance.choice((1, 1, 2, 5)), seed % 3 == 0)
    archive = hand_in.without_figures().pack(tmp_path)
    assert broken(CRITERIA[seed % len(CRITERIA)], liar, archive, undiagnosed) == []
