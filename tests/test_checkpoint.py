"""What may be wrong with a .pth, and what is said about it."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
import torch
from conftest import PART2, HandIn, criterion, lost

from grader import wire
from grader.assignment import Assignment
from grader.pipeline import Options, grade
from grader.records import CheckResult, Record, Verdict
from grader.sandbox.process import SocketWorker, WarmProcess

Graded = Callable[..., Record]


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def weights(hand_in: HandIn) -> dict[str, torch.Tensor]:
    return torch.load(io.BytesIO(hand_in.files["vit.pth"]), weights_only=True)  # type: ignore[no-any-return]


def loads(record: Record) -> CheckResult:
    return criterion(record, "checkpoint").checks[0]


WRAPPINGS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "a dict around the weights": lambda w: {"model_state_dict": w, "epoch": 3},
    "a module. prefix": lambda w: {f"module.{name}": tensor for name, tensor in w.items()},
    "both": lambda w: {"state_dict": {f"module.{name}": tensor for name, tensor in w.items()}},
    "half precision": lambda w: {name: tensor.half() for name, tensor in w.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_known_wrappings_are_taken_off(wrapping: str, hand_in: HandIn, graded: Graded) -> None:
    hand_in.files["vit.pth"] = saved(WRAPPINGS[wrapping](weights(hand_in)))
    assert lost(graded(hand_in)) == {}


def bomb() -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("archive/data/0", "w", force_zip64=True) as member,
    ):
        for _ in range(3 << 10):
            member.write(b"\0" * (1 << 20))
    return buffer.getvalue()


FOOTPRINT = Path("/tmp/gadget-of-the-tests")


class Gadget:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"__import__('os').system('touch {FOOTPRINT}')",)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"version https://git-lfs", "begins with “version https://git-lfs”"),
    "a list": (lambda: saved([1, 2]), "type list, not a state_dict"),
    "nothing in it": (lambda: saved({}), "no state_dict"),
    "a stride of zero": (lambda: saved({"x": torch.zeros(1).expand(10**6, 10**6)}), "stores fewer"),
    "sparse": (lambda: saved({"x": torch.eye(3).to_sparse()}), "not a plain dense tensor"),
    "a zip bomb": (bomb, "expands to"),
    "a gadget": (lambda: saved(Gadget()), "type int, not a state_dict"),
    "a bare pickle": (lambda: pickle.dumps({"x": 1}), "refuses the file: Unsupported operand"),
    "cut short": (lambda: saved({"x": torch.zeros(1000)})[:2000], "damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_set_of_weights_is_told_why(name: str, hand_in: HandIn, graded: Graded) -> None:
    make, words = BAD[name]
    hand_in.files["vit.pth"] = make()
    record = graded(hand_in)
    assert set(lost(record)) == {"checkpoint"}
    assert loads(record).verdict is Verdict.FAILED
    assert words in loads(record).message
    assert not FOOTPRINT.exists()  # the gadget runs inside the sandbox, if at all


def test_a_missing_tensor_is_named(hand_in: HandIn, graded: Graded) -> None:
    state = weights(hand_in)
    del state["norm.bias"]
    hand_in.files["vit.pth"] = saved(state)
    assert "the model has “norm.bias”, the .pth has not" in loads(graded(hand_in)).message


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[wire.AnyRequest]:
    """All that workers are asked."""
    seen: list[wire.AnyRequest] = []

    def noted(worker: SocketWorker, requests: Sequence[wire.AnyRequest], *rest: object) -> Iterator[wire.AnyReply]:
        seen.extend(requests)
        return ask_each(worker, requests, *rest)  # type: ignore[arg-type]

    ask_each = SocketWorker.ask_each
    monkeypatch.setattr(SocketWorker, "ask_each", noted)
    return seen


def made(asked: Sequence[wire.AnyRequest]) -> list[dict[str, object]]:
    """The settings of each model that was built, and not only outlined."""
    return [one.kwargs for one in asked if type(one) is wire.Make and one.name == "VisionTransformer"]


LOADS = Options(accuracy=False, criteria=frozenset({"checkpoint"}))


def test_weights_that_fit_no_settings_have_no_model_built_for_them(
    hand_in: HandIn, assignment: Assignment, sandbox: WarmProcess, tmp_path: Path, asked: list[wire.AnyRequest]
) -> None:
    hand_in.edit("kernel_size=patch_size, stride=patch_size)", "kernel_size=1, stride=patch_size)")
    record = grade(hand_in.pack(tmp_path), assignment, sandbox, LOADS)
    assert "is (96, 1, 4, 4) in the .pth and (96, 1, 1, 1) in the model" in loads(record).message
    assert 768 in [one.kwargs.get("embed_dim") for one in asked if isinstance(one, wire.Outline)]  # of 85 million
    assert made(asked) == []


def test_a_model_that_cannot_be_outlined_is_built_as_ever(
    hand_in: HandIn, assignment: Assignment, sandbox: WarmProcess, tmp_path: Path, asked: list[wire.AnyRequest]
) -> None:
    hand_in.edit("class VisionTransformer(nn.Module):", "DRAW = nn.init.uniform_\nclass VisionTransformer(nn.Module):")
    ends = "import os; nn.init.uniform_ is DRAW or os._exit(3)\n        self.cls_token = nn.Parameter("
    hand_in.edit("self.cls_token = nn.Parameter(", ends)
    record = grade(hand_in.pack(tmp_path), assignment, sandbox, LOADS)
    assert lost(record) == {}
    assert len(made(asked)) == 2  # the second beside the weights, which went with the worker


def test_an_outline_takes_no_memory(sandbox: WarmProcess) -> None:
    code = "import resource\nfrom torch import nn\nclass Wide(nn.Linear):\n    pass\n"
    code += "def peak():\n    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
    source = wire.Source(text=code, filename="cell 1", line=1, names=("Wide", "peak"))
    arguments = {"in_features": 8192, "out_features": 8192}
    worker = sandbox.start()
    try:
        worker.ask(wire.LoadProgram(program="p", sources=(source,)), 30.0)
        peaks = []
        for request in (wire.Outline, wire.Outline, wire.Make):
            before = worker.ask(wire.CallFunction(program="p", name="peak"), 30.0)
            outline = worker.ask(request(handle=1, program="p", name="Wide", kwargs=arguments), 30.0)
            after = worker.ask(wire.CallFunction(program="p", name="peak"), 30.0)
            assert isinstance(outline, wire.Made)
            assert [info.shape for info in outline.tensors] == [(8192, 8192), (8192,)]
            peaks.append(after.value - before.value)  # type: ignore[union-attr]
    finally:
        worker.kill()
    assert peaks[0] < 32
    assert peaks[1] < 32
    assert peaks[2] > 200  # 256 MiB, drawn at random as ever


def test_settings_that_stand_nowhere_are_said_to_be_missing(hand_in: HandIn, graded: Graded) -> None:
    cells = hand_in.notebooks[PART2]["cells"]
    keep = []
    for cell in cells:
        source = "".join(cell["source"])
        if "num_heads=" not in source.replace(" ", "") or "class " in source:
            keep.append(cell)
    hand_in.notebooks[PART2]["cells"] = keep
    check = loads(graded(hand_in))
    assert check.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_heads = 6", "num_heads = HEADS"),
        ("num_heads = 6", "num_heads = cfg['num_heads']"),
    ],
)
def test_settings_are_found_wherever_they_stand(old: str, new: str, hand_in: HandIn, graded: Graded) -> None:
    hand_in.edit(old, new)
    hand_in.cell(PART2, "HEADS = 6\ncfg = {'num_heads': 6}", at=2)
    record = graded(hand_in)
    assert lost(record) == {}
    assert record.checkpoint.settings["num_heads"] == 6


@pytest.mark.parametrize(
    ("answer", "words"),
    [("y if len(x) != 100 else y[:5]", "expected (100, 10)"), ("y if len(x) != 100 else y > 0", "expected are logits")],
)
def test_what_are_no_logits_fails_the_accuracy_alone(answer: str, words: str, hand_in: HandIn, graded: Graded) -> None:
    hand_in.edit("class VisionTransformer(nn.Module):", "class _Base(nn.Module):")
    hand_in.cell(
        PART2,
        "class VisionTransformer(_Base):\n    def forward(self, x):\n        y = super().forward(x)\n"
        f"        return {answer}",
    )
    record = graded(hand_in, accuracy=True)
    assert set(lost(record)) == {"accuracy"}
    assert words in criterion(record, "accuracy").checks[0].message


def test_a_model_too_slow_for_its_limit_is_told_so_after_a_few_batches_with_the_estimate(
    hand_in: HandIn, assignment: Assignment, sandbox: WarmProcess, tmp_path: Path
) -> None:
    limits = msgspec.structs.replace(assignment.config.limits, accuracy_seconds=5.0)
    hurried = Assignment(assignment.folder, msgspec.structs.replace(assignment.config, limits=limits))
    hand_in.edit("class VisionTransformer(nn.Module):", "class _Base(nn.Module):")
    slow = "import time\nclass VisionTransformer(_Base):\n    def forward(self, x):\n        time.sleep(0.25)\n"
    hand_in.cell(PART2, slow + "        return super().forward(x)")
    record = grade(hand_in.pack(tmp_path), hurried, sandbox, Options(criteria=frozenset({"accuracy"})))
    (check,) = criterion(record, "accuracy").checks
    assert check.verdict is Verdict.TIMEOUT
    assert "the model is too slow: 300 of 10000 images took" in check.message  # of batches of 100
    assert "allowed are 5" in check.message
    assert check.evidence["estimate"] >= 25  # 100 times a quarter of a second
