"""The held-out images on a GPU. Where there is none, the ordinary sandbox serves as one: “cuda” means the CPU there."""

from __future__ import annotations

import contextlib
import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from conftest import PART2, HandIn, run, small_assignment

from grader import wire
from grader.assignment import Assignment, load_assignment
from grader.errors import Failed, SandboxError
from grader.gpu import ALWAYS, Gpu, agree, device_files, find_gpu, held_against, unsure
from grader.pipeline import Options, grade
from grader.records import CheckpointResult
from grader.sandbox.process import WarmProcess
from grader.sandbox.tiers import proven

LIMITS = wire.WorkerLimits(memory_mb=2048, threads=2)
HAS_GPU = find_gpu(ALWAYS, "bwrap", LIMITS) is not None


# ---- which GPU ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "gpu"),
    [(None, "nvidia0"), ("0", "nvidia0"), ("1,0", "nvidia1"), (" 10", "nvidia10"), ("", ""), ("-1", ""), ("GPU-1", "")],
)
def test_one_gpu_is_taken_with_what_its_driver_needs(tmp_path: Path, visible: str | None, gpu: str) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia-caps", "null"):
        (tmp_path / name).touch()
    expected = [tmp_path / name for name in ("nvidiactl", "nvidia-uvm", gpu)] if gpu else []
    assert device_files(tmp_path, visible) == tuple(map(str, expected))


def test_a_gpu_without_its_driver_is_none(tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    assert device_files(tmp_path) == ()
    assert device_files(tmp_path / "absent") == ()


# ---- whose answers count --------------------------------------------------------------------------------------------

CLEAR = torch.tensor([[9.0, 1.0], [0.0, 8.0]])
TIED = torch.tensor([[9.0, 8.999], [0.0, 8.0]])


def batches(*logits: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(one, torch.arange(2 * number, 2 * number + 2)) for number, one in enumerate(logits)]


def cpu_says(*logits: torch.Tensor) -> tuple[list[int], object]:
    """Which batches the CPU is asked for, and the function that asks it."""
    asked: list[int] = []

    def answer(places: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in places.split(2):
            asked.append(int(batch[0]) // 2)
            yield logits[asked[-1]], batch

    return asked, answer


def test_the_cpu_answers_the_first_batches_and_what_is_nearly_tied() -> None:
    swapped = TIED[:, [1, 0]]
    swapped[1] = TIED[1]
    asked, on_cpu = cpu_says(CLEAR, CLEAR, swapped, CLEAR)
    found = held_against(batches(CLEAR + 1e-4), batches(CLEAR, CLEAR, TIED, CLEAR), on_cpu)  # type: ignore[arg-type]
    assert asked == [2]
    assert torch.equal(found[0][0], CLEAR + 1e-4)
    assert torch.equal(found[2][0], swapped)  # the other class is ahead on the CPU
    assert [int(batch[0]) for _, batch in found] == [0, 2, 4, 6]


@pytest.mark.parametrize("other", [CLEAR + 0.1, CLEAR.flip(0), torch.full_like(CLEAR, torch.nan)])
def test_a_gpu_that_says_something_else_is_not_believed(other: torch.Tensor) -> None:
    _, on_cpu = cpu_says(CLEAR, CLEAR)
    with pytest.raises(Failed, match="otherwise on the GPU"):
        held_against(batches(CLEAR), batches(other, CLEAR), on_cpu)  # type: ignore[arg-type]


def test_rounding_never_decides_where_the_two_are_said_to_agree() -> None:
    """`agree` must be so strict that an image which is not `unsure` has the same class on both."""
    generator = torch.Generator().manual_seed(1)
    decided = 0
    for scale in (1e-4, 1.0, 1e4):
        for _ in range(400):
            one = torch.randn(8, 10, generator=generator) * scale
            other = one + torch.randn(8, 10, generator=generator) * scale * 1.2e-4
            if agree(one, other) and not unsure(other):
                decided += 1
                assert torch.equal(one.argmax(1), other.argmax(1))
    assert decided > 10
    assert unsure(torch.full((2, 3), torch.nan))
    assert unsure(torch.zeros(2, 3))


# ---- the road -------------------------------------------------------------------------------------------------------


class Stand(Gpu):
    """A GPU whose sandbox is the one given, or fails."""

    def __init__(self, sandbox: WarmProcess | None, worth: float = 0.0) -> None:
        super().__init__(LIMITS, worth=worth)
        self._given = sandbox

    def sandbox(self) -> WarmProcess:
        if self._given is None:
            raise SandboxError("the GPU is busy")
        return self._given


@pytest.fixture(scope="module")
def accuracy_alone(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """The assignment with the criterion of the accuracy alone, over the first thousand images."""
    folder = small_assignment(tmp_path_factory.mktemp("gpu") / "assignment", {"accuracy"})
    for name, head, size in (("images", 16, 28 * 28), ("labels", 8, 1)):
        path = next((folder / "data/fashion-mnist").glob(f"t10k-{name}*"))
        data = gzip.decompress(path.read_bytes())[: head + 1000 * size]
        path.write_bytes(data[:4] + struct.pack(">I", 1000) + data[8:])
    return load_assignment(folder)


@pytest.fixture(scope="module")
def on_cpu(
    accuracy_alone: Assignment, sandbox: WarmProcess, tmp_path_factory: pytest.TempPathFactory
) -> CheckpointResult:
    path = HandIn().without_figures().pack(tmp_path_factory.mktemp("cpu"))
    return timeless(grade(path, accuracy_alone, sandbox, Options()).checkpoint)


def timeless(result: CheckpointResult) -> CheckpointResult:
    return msgspec.structs.replace(result, seconds=0.0)


def test_a_gpu_gives_the_cpus_marks(
    accuracy_alone: Assignment, sandbox: WarmProcess, hand_in: HandIn, on_cpu: CheckpointResult, tmp_path: Path
) -> None:
    gpu = find_gpu(ALWAYS, "bwrap", LIMITS, [accuracy_alone.folder]) or Stand(sandbox)
    with contextlib.closing(gpu):
        record = grade(hand_in.without_figures().pack(tmp_path), accuracy_alone, sandbox, Options(gpu=gpu))
    assert record.checkpoint.device_reason == ""
    assert record.checkpoint.device == "cuda"
    assert timeless(record.checkpoint) == msgspec.structs.replace(on_cpu, device="cuda")


def test_a_gpu_that_cannot_be_had_is_told_and_costs_nothing(
    accuracy_alone: Assignment, sandbox: WarmProcess, hand_in: HandIn, on_cpu: CheckpointResult, tmp_path: Path
) -> None:
    record = grade(hand_in.without_figures().pack(tmp_path), accuracy_alone, sandbox, Options(gpu=Stand(None)))
    assert timeless(record.checkpoint) == msgspec.structs.replace(on_cpu, device_reason="the GPU is busy")


def test_what_the_cpu_does_quickly_stays_there(
    accuracy_alone: Assignment, sandbox: WarmProcess, hand_in: HandIn, on_cpu: CheckpointResult, tmp_path: Path
) -> None:
    gpu = Stand(None, worth=1e6)
    record = grade(hand_in.without_figures().pack(tmp_path), accuracy_alone, sandbox, Options(gpu=gpu))
    assert timeless(record.checkpoint) == on_cpu


ELSEWHERE = """
import torch.overrides
_forward = VisionTransformer.forward
def _elsewhere(self, x):
    if x.is_cuda or torch.overrides._get_current_function_mode_stack():
        raise RuntimeError("two devices")
    return _forward(self, x)
VisionTransformer.forward = _elsewhere
"""


def test_a_model_that_fails_on_the_gpu_alone_is_evaluated_on_the_cpu(
    accuracy_alone: Assignment, sandbox: WarmProcess, hand_in: HandIn, on_cpu: CheckpointResult, tmp_path: Path
) -> None:
    """As one does whose mask is made on the CPU, whatever the device. Where “cuda” means the CPU, a mode says so."""
    hand_in.without_figures().cell(PART2, ELSEWHERE)
    gpu = find_gpu(ALWAYS, "bwrap", LIMITS, [accuracy_alone.folder]) or Stand(sandbox)
    with contextlib.closing(gpu):
        record = grade(hand_in.pack(tmp_path), accuracy_alone, sandbox, Options(gpu=gpu))
    assert record.checkpoint.device_reason.startswith("RuntimeError: two devices")
    assert record.checkpoint.device == "cpu"
    assert record.checkpoint.correct == on_cpu.correct


@pytest.mark.skipif(HAS_GPU, reason="it can be had here")
def test_a_worker_without_its_gpu_does_not_start() -> None:
    with pytest.raises(SandboxError, match="the GPU cannot be used"):
        proven("bwrap", msgspec.structs.replace(LIMITS, devices=("/dev/full",)))


# ---- the walls around a real one ------------------------------------------------------------------------------------


FILTERED = """
tasks = [open(f"/proc/self/task/{number}/status").read() for number in os.listdir("/proc/self/task")]
return [status.split("Seccomp:")[1].split()[0] for status in tasks]
"""


@pytest.mark.skipif(not HAS_GPU, reason="there is no GPU that torch computes on")
def test_a_worker_with_a_gpu_sees_itself_alone(accuracy_alone: Assignment) -> None:
    gpu = find_gpu(ALWAYS, "bwrap", LIMITS)
    assert gpu is not None
    with gpu.sandbox() as warm:
        worker = warm.start()
        assert (
            run(worker, "return float((torch.ones(64, 64, device='cuda') @ torch.ones(64, 64, device='cuda'))[0, 0])")
            == 64.0
        )
        seen = run(worker, "return sorted(name for name in os.listdir('/proc') if name.isdigit())")
        assert seen == [str(run(worker, "return os.getpid()"))]
        assert run(worker, "return sorted(os.listdir('/dev/shm')) + sorted(os.listdir('/tmp'))") in ([], [".nv"])
        states = run(worker, FILTERED)
        assert isinstance(states, list)
        assert len(states) > 1  # the driver's threads
        assert set(states) == {"2"}
        worker.kill()
