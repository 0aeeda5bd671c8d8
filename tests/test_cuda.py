"""Code that was written for a GPU is run on the CPU; what it asks of a compiler is not compiled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from grader import wire
from grader.sandbox import Worker
from grader.sandbox.process import WarmProcess


@pytest.fixture
def worker(sandbox: WarmProcess) -> Iterator[Worker]:
    worker = sandbox.start()
    yield worker
    worker.kill()


def answer(worker: Worker, *cells: str) -> object:
    """The value of `answer()` after loading the cells, each on its own."""
    sources = tuple(
        wire.Source(text=text, filename=f"cell {number}", line=1, names=()) for number, text in enumerate(cells, 1)
    )
    loaded = worker.ask(wire.LoadProgram(program="p", sources=sources), 20)
    assert isinstance(loaded, wire.Loaded)
    assert not loaded.failures, loaded.failures
    reply = worker.ask(wire.CallFunction(program="p", name="answer"), 20)
    assert isinstance(reply, wire.Value), reply
    return reply.value


@pytest.mark.parametrize(
    "cells",
    [
        ("x = torch.tensor(3.0, device='cuda')",),
        ("x = torch.tensor(3.0).cuda()",),
        ("d = torch.device('cuda', torch.cuda.current_device())", "x = torch.tensor(3.0, device=d)"),
        ("torch.tensor(1.0).cuda()", "d = torch.device('cuda', 0)", "x = torch.tensor(3.0).to(d)"),
        ("d = torch.device(type='cuda', index=0)", "x = torch.tensor(3.0, device=d)"),
        ("x = torch.tensor(3.0).to(0)",),
        ("x = torch.tensor(3.0, device=0)",),
        ("d = torch.device(0)", "x = torch.tensor(3.0, device=d)"),
        ("x = torch.cuda.FloatTensor([3.0])[0]",),
        ("x = torch.tensor(3.0).type('torch.cuda.FloatTensor')",),
        ("x = torch.tensor(3).type(torch.cuda.FloatTensor)",),
        ("torch.cuda.synchronize(); torch.cuda.set_device(0); torch.cuda.empty_cache()", "x = torch.tensor(3.0)"),
        ("name = torch.cuda.get_device_name(0).upper()", "x = torch.tensor(3.0 * torch.cuda.device_count())"),
        ("torch.cuda.reset_peak_memory_stats()", "x = torch.tensor(3.0 + torch.cuda.max_memory_allocated())"),
        ("start = torch.cuda.Event(enable_timing=True); start.record()", "x = torch.tensor(3.0)"),
        ("with torch.cuda.stream(torch.cuda.Stream()):\n    x = torch.tensor(3.0)",),
        ("with torch.cuda.device(0), torch.random.fork_rng():\n    x = torch.tensor(3.0)",),
        ("torch.cuda.synchronize()", "with torch.random.fork_rng():\n    x = torch.tensor(3.0)"),
    ],
)
def test_what_asks_for_a_gpu_at_module_level_gets_the_cpu(worker: Worker, cells: tuple[str, ...]) -> None:
    value = answer(worker, "import torch", *cells, "def answer():\n    return x")
    assert isinstance(value, torch.Tensor)
    assert (value.device.type, value.dtype, value.item()) == ("cpu", torch.float32, 3.0)


@pytest.mark.parametrize(
    "line",
    [
        "torch.cuda.synchronize()",
        "torch.cuda.set_device(0)",
        "torch.cuda.FloatTensor([1])",
        "torch.zeros(1).to(0)",
        "torch.cuda.Event()",
        "torch.nn.Linear(1, 1).to(torch.device('cuda', 0))",
    ],
)
def test_what_asks_for_a_gpu_when_it_is_called_gets_the_cpu(worker: Worker, line: str) -> None:
    assert answer(worker, f"import torch\ndef answer():\n    {line}\n    return 3") == 3


def test_other_failures_are_reported_once_the_program_is_on_the_cpu(worker: Worker) -> None:
    sources = ("import torch", "torch.zeros(1).cuda()", "1 / 0", "raise ValueError('CUDA')")
    program = wire.LoadProgram(
        program="p", sources=tuple(wire.Source(text=s, filename="cell 1", line=1, names=()) for s in sources)
    )
    loaded = worker.ask(program, 20)
    assert isinstance(loaded, wire.Loaded)
    assert [failure.kind for failure in loaded.failures] == ["ZeroDivisionError", "ValueError"]


@pytest.mark.parametrize("decorator", ["torch.jit.script", "torch.compile", "torch.compile(mode='max-autotune')"])
def test_nothing_is_compiled(worker: Worker, decorator: str) -> None:
    """It holds what a compiler would not take, or would take long to take."""
    code = f"import torch\n@{decorator}\ndef double(x):\n    return type('T', (), {{'y': x * 2}})().y"
    value = answer(worker, code, "def answer():\n    return double(torch.ones(1))")
    assert isinstance(value, torch.Tensor)
    assert value.item() == 2.0


def test_a_compiled_model_is_itself_and_imports_no_compiler(worker: Worker) -> None:
    made = (
        "import torch\nclass Net(torch.nn.Linear): pass\nnet = torch.compile(Net(2, 2), fullgraph=True)\nnet.compile()"
    )
    asked = "return [type(net).__name__, len(net(torch.zeros(1, 2))), 'torch._dynamo' in sys.modules]"
    assert answer(worker, made, f"import sys\ndef answer():\n    {asked}") == ["Net", 1, False]
