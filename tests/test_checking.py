"""Equality, probes and the search for roles, on the trusted side alone: a fake worker answers in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from grader import bank, wire
from grader.assignment import Assignment
from grader.checking import (
    adopt,
    assert_close,
    assert_shape,
    assert_tensor,
    at_once,
    fail,
    moved,
    randomise,
    variations,
)
from grader.checking.oracle import Oracle
from grader.checking.promises import Promise
from grader.checking.roles import trying
from grader.checking.student import ClassProxy, ObjectProxy, Student
from grader.errors import Died, Failed, OutOfMemory, Raised, SandboxError, TimedOut, WireError
from grader.sandbox import Ending
from grader.worker import objects, serve


class FakeWorker:
    """Answers as a real one would for one module, without a process."""

    waited = 0.0

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def ask(self, request: wire.AnyRequest, seconds: float, caps: wire.Caps | None = None) -> wire.AnyReply:
        if isinstance(request, wire.GetState | wire.Randomise):
            state = serve.State()
            state.made[request.handle] = self.module
            with torch.no_grad():
                return serve.HANDLERS[type(request)](state, request)
        assert isinstance(request, wire.Call)
        return wire.Value(value=self.module(*request.args).detach())

    def ask_each(self, requests: Sequence[wire.AnyRequest], *arguments: Any) -> Iterator[wire.AnyReply]:
        return (self.ask(request, *arguments) for request in requests)

    def kill(self) -> Ending:
        return Ending(0, 9)


class FakeSandbox:
    tier = "fake"
    threads = 1

    def __init__(self, worker: object) -> None:
        self.worker = worker

    def start(self) -> object:
        return self.worker

    def close(self) -> None: ...


def proxy(module: nn.Module, assignment: Assignment) -> ObjectProxy:
    student = Student(FakeSandbox(FakeWorker(module)), assignment, {}, {})  # type: ignore[arg-type]
    student._live()
    modules, tensors = objects.describe(module)
    described = wire.Made(modules=modules, tensors=tensors)
    made = Promise(student, wire.Forget(handle=1), "EncoderLayer", lambda _: described, lambda fault: fault)
    made.take(wire.Value())
    return ObjectProxy(student, "EncoderLayer", 1, made)


# ---- equality -------------------------------------------------------------------------------------------------------


def test_equal_within_noise_passes_and_a_mistake_carries_its_evidence() -> None:
    expected = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert_close(expected + 1e-6, expected)
    wrong = expected.clone()
    wrong[1, 0] += 0.5
    with pytest.raises(Failed) as failed:
        assert_close(wrong, expected, "the sum")
    assert "the sum is wrong: 1 of 4 values differ" in failed.value.message
    assert failed.value.evidence["at"] == [1, 0]
    assert failed.value.evidence["largest_difference"] == pytest.approx(0.5)


@pytest.mark.parametrize("value", [None, [torch.ones(1)], 3.0, {"a": 1}])
def test_what_is_no_tensor_is_named(value: object) -> None:
    with pytest.raises(Failed, match="must be a tensor"):
        assert_tensor(value)


def test_nan_is_not_equal_and_is_counted() -> None:
    with pytest.raises(Failed, match="1 of its values are NaN"):
        assert_close(torch.tensor([float("nan"), 1.0]), torch.tensor([1.0, 1.0]))


def test_another_shape_says_both() -> None:
    with pytest.raises(Failed, match=r"has shape \(2, 3\), expected \(3, 2\)"):
        assert_shape(torch.ones(2, 3), (3, 2))


def test_a_share_of_a_failed_check_can_be_earned() -> None:
    with pytest.raises(Failed) as failed:
        fail("three of five", share=0.6)
    assert failed.value.share == 0.6


# ---- probes ---------------------------------------------------------------------------------------------------------


def found(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return moved(map(function, variations(x)))


def test_an_output_without_positions_has_none_that_move() -> None:
    assert found(lambda t: t[:, :0], torch.randn(2, 4, 3)).shape == (4, 0)


def test_which_input_moves_which_output_is_seen() -> None:
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found(lambda t: t.cumsum(dim=1), x), torch.ones(4, 4, dtype=torch.bool).triu())
    assert torch.equal(found(lambda t: t.flip(1), x), torch.eye(4, dtype=torch.bool).flip(1))


class Asked:
    """Answers, and remembers how many rows came with each question."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        self.function = function
        self.rows: list[int] = []

    def __call__(self, inputs: list[tuple[torch.Tensor, ...]]) -> Iterator[torch.Tensor]:
        for one in inputs:
            self.rows.append(len(one[0]))
            yield self.function(*one)


def raising(x: torch.Tensor) -> torch.Tensor:
    if len(x) > 2:
        raise Raised("RuntimeError: shape '[2, 4, 3]' is invalid", {})
    return x.cumsum(dim=1)


@pytest.mark.parametrize(
    ("function", "rows"),
    [
        (lambda x: x.cumsum(dim=1), [2, 10]),
        (lambda x: x.cumsum(dim=1) + x.sum(0, keepdim=True).cumsum(dim=1), [2, 10, 2, 2, 2, 2, 2]),  # rows meet
        (lambda x: x.view(-1, 4, 3)[:2].cumsum(dim=1), [2, 10, 2, 2, 2, 2, 2]),  # for two rows alone
        (raising, [2, 10, 2, 2, 2, 2, 2]),
    ],
)
def test_what_one_batch_cannot_show_is_asked_one_by_one(
    function: Callable[[torch.Tensor], torch.Tensor], rows: list[int]
) -> None:
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    ask = Asked(function)
    assert torch.equal(
        at_once(ask, [(one,) for one in variations(x)], moved), torch.ones(4, 4, dtype=torch.bool).triu()
    )
    assert ask.rows == rows


def test_a_fault_counts_where_each_was_asked_alone_and_what_is_not_usual_is_looked_at_again() -> None:
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    inputs = [(one, torch.ones(1, 4, 1)) for one in variations(x)]  # a mask of one row goes with each

    def judge(outputs: Iterator[object]) -> torch.Tensor:
        matrix = moved(outputs)
        if matrix[1, 0]:
            fail("the second moves the first")
        return matrix

    ask = Asked(lambda x, mask: x.flip(1) * mask)
    assert at_once(ask, inputs, judge).equal(torch.eye(4, dtype=torch.bool).flip(1))
    assert ask.rows == [2, 10]
    with pytest.raises(Failed, match="the second moves the first"):
        at_once(ask := Asked(lambda x, mask: x.roll(-1, 1) * mask), inputs, judge)
    assert ask.rows == [2, 10, 2, 2, 2, 2, 2]
    at_once(ask := Asked(lambda x, mask: x.flip(1) * mask), inputs, judge, lambda matrix: bool(matrix[0, 0]))
    assert ask.rows == [2, 10, 2, 2, 2, 2, 2]


# ---- roles ----------------------------------------------------------------------------------------------------------


class Two(nn.Module):
    """Two norms around a layer; the names say nothing about which comes first."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__()
        self.order = (first, second)
        for name in sorted(self.order):
            setattr(self, name, nn.LayerNorm(4))
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = (getattr(self, name) for name in self.order)
        return second(self.linear(first(x)))  # type: ignore[no-any-return]


def test_roles_are_found_by_trying_whatever_the_names_are(assignment: Assignment) -> None:
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    theirs, ours = proxy(Two("zulu", "alpha"), assignment), Two("norm1", "norm2")
    randomise(theirs)
    adopt(theirs, ours, lambda: assert_close(theirs(x), ours(x).detach()))
    assert_close(ours(x).detach(), theirs(x))


def test_equal_names_are_not_trusted_when_they_mislead(assignment: Assignment) -> None:
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    theirs, ours = proxy(Two("norm2", "norm1"), assignment), Two("norm1", "norm2")
    randomise(theirs)
    adopt(theirs, ours, lambda: assert_close(theirs(x), ours(x).detach()))


def test_no_pairing_makes_a_wrong_layer_right(assignment: Assignment) -> None:
    class Wrong(Two):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + x

    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    theirs, ours = proxy(Wrong("a", "b"), assignment), Two("norm1", "norm2")
    randomise(theirs)
    with pytest.raises(Failed, match=r"is wrong.*by [0-9.]+$"):  # all ways were tried
        adopt(theirs, ours, lambda: assert_close(theirs(x), ours(x).detach()))
    with trying(2), pytest.raises(Failed, match="could not be settled: 2 ways were tried, there are more") as caught:
        adopt(theirs, ours, lambda: assert_close(theirs(x), ours(x).detach()))
    assert caught.value.evidence["ways_tried"] == 2


def test_a_layer_that_is_not_there_is_counted(assignment: Assignment) -> None:
    theirs = proxy(nn.Sequential(nn.Linear(4, 4)), assignment)
    with pytest.raises(Failed, match="found 0"):
        adopt(theirs, Two("norm1", "norm2"), lambda: None)


def test_what_a_class_was_found_to_be_is_known_where_another_holds_it(assignment: Assignment) -> None:
    """Its tensors, which fit nothing by shape, are ours by the places that its own pairing has shown."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Linear(4, 8, bias=False)  # of the second, then of the first

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            second, first = self.rows.weight.split(4)
            return x @ first.T @ second.T

    class Linears(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4, bias=False)
            self.second = nn.Linear(4, 4, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x))  # type: ignore[no-any-return]

    class Holder(nn.Module):
        def __init__(self, part: nn.Module) -> None:
            super().__init__()
            self.part = part

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.part(x)  # type: ignore[no-any-return]

    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    Both.__name__ = Linears.__name__ = "Part"
    alone = proxy(Both(), assignment)
    alone.class_name = "Part"
    randomise(alone)
    holder, ours = proxy(Holder(Both()), assignment), Holder(Linears())
    randomise(holder)
    with pytest.raises(Failed, match="expected 1 Part, found 0"):
        adopt(holder, ours, lambda: assert_close(holder(x), ours(x).detach()), units=["Part"])
    of_its_own = Linears()
    adopt(alone, of_its_own, lambda: assert_close(alone(x), of_its_own(x).detach()))
    holder.readings.update(alone.readings)  # two students' in here, one's in earnest
    adopt(holder, ours, lambda: assert_close(holder(x), ours(x).detach()), units=["Part"])
    held = holder.weights
    assert held is not None
    assert torch.equal(ours.part.get_parameter("second.weight"), held["part.rows.weight"][:4])


def test_a_class_is_known_by_its_other_names_too_and_is_not_taken_for_torchs() -> None:
    class Own(nn.Module):
        pass

    class Odd(type):
        __hash__ = None  # type: ignore[assignment]
        __name__ = property(lambda _: 1 / 0)  # type: ignore[assignment]

    names = objects.other_names({"Own": Own, "Linear": Own, "odd": Odd("Odd", (), {}), "nn": nn, "three": 3})
    (_, module), _ = objects.describe(nn.Sequential(Own()), names)
    assert (module.bases, module.known_as) == (("Own",), ("Linear",))
    assert module.names == ("Own", "Linear")


# ---- the reference ---------------------------------------------------------------------------------------------------


@pytest.fixture
def oracle(assignment: Assignment) -> Oracle:
    solved = bank.solutions(assignment)
    return Oracle(assignment, {role: bank.as_read(role, notebook) for role, notebook in solved.items()}, keeps=True)


def test_what_was_built_is_given_again_as_it_was_and_not_before_it_is_free(oracle: Oracle) -> None:
    first = oracle.EncoderLayer(16, 4, 24, 0.1)
    before = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    assert oracle.EncoderLayer(16, 4, 24, 0.1) is not first
    first.train().requires_grad_(False)
    for parameter in first.parameters():
        parameter.zero_()  # as `adopt` does it
    oracle.release()
    again = {oracle.EncoderLayer(16, 4, 24, 0.1) for _ in range(3)}
    assert first in again
    assert len(again) == 3
    assert {name for name, tensor in first.state_dict().items() if not torch.equal(tensor, before[name])} == set()
    assert all(parameter.requires_grad for parameter in first.parameters())
    assert not any(module.training for module in first.modules())


def test_what_is_asked_for_otherwise_or_was_rebuilt_is_not_given_again(oracle: Oracle) -> None:
    first, layer = oracle.Mlp(8, 16), oracle.EncoderLayer(16, 4, 24, 0.0)
    oracle.release()
    assert oracle.EncoderLayer(16, 4, 24, 0) is not layer  # though 0 == 0.0
    assert oracle.Mlp(8, 16, seed=1) is not first
    assert oracle.Mlp(8, hidden_features=16) is not first
    oracle.use_standins(["Attention"])
    assert oracle.Mlp(8, 16) is not first
    oracle.use_standins(())
    assert oracle.Mlp(8, 16) is first
    first.fc1 = nn.Linear(8, 16)
    oracle.release()
    assert oracle.Mlp(8, 16) is not first


# ---- a worker that misbehaves ---------------------------------------------------------------------------------------


class Misbehaving:
    waited = 0.0

    def __init__(self, error: BaseException | wire.AnyReply, ending: Ending = Ending(3, 0)) -> None:  # noqa: B008
        self.error = error
        self.ending = ending
        self.asked = 0

    def ask(self, request: wire.AnyRequest, seconds: float, caps: wire.Caps | None = None) -> wire.AnyReply:
        self.asked += 1
        if isinstance(self.error, BaseException):
            raise self.error
        return self.error

    def ask_each(self, requests: Sequence[wire.AnyRequest], *arguments: Any) -> Iterator[wire.AnyReply]:
        return (self.ask(request, *arguments) for request in requests)

    def kill(self) -> Ending:
        return self.ending


@pytest.mark.parametrize(
    ("ending", "fault", "words"),
    [
        (Ending(0, 9, "cpu"), TimedOut, "used up its 900 seconds of CPU time"),
        (Ending(0, 9, "memory"), OutOfMemory, "used more than the allowed 2048 MiB"),
        (Ending(0, 9, killed=True), Died, "it closed its connection, and was ended"),
        (Ending(0, 11), Died, "ended by SIGSEGV"),
    ],
)
def test_the_end_of_a_worker_is_told_by_what_ended_it(
    ending: Ending, fault: type[Exception], words: str, assignment: Assignment
) -> None:
    student = Student(FakeSandbox(Misbehaving(EOFError(), ending)), assignment, {}, {})  # type: ignore[arg-type]
    with pytest.raises(fault, match=words):
        student.ask(wire.Forget(handle=1), "Mlp")


def test_a_worker_that_the_machine_ended_is_nobodys_fault(assignment: Assignment) -> None:
    student = Student(FakeSandbox(Misbehaving(EOFError(), Ending(0, 9))), assignment, {}, {})  # type: ignore[arg-type]
    with pytest.raises(SandboxError, match="may have run out of memory"):
        student.ask(wire.Forget(handle=1), "Mlp")


@pytest.mark.parametrize(
    ("kind", "message", "words"),
    [
        ("PermissionError", "[Errno 1] Operation not permitted", "no process and no program, and has no network"),
        ("RuntimeError", "can't start new thread", "at most 64 threads"),
        ("OSError", "[Errno 24] Too many open files: 'x'", "at most 128 files"),
        ("OSError", "[Errno 27] File too large", "at most 64 MiB"),
        ("OSError", "[Errno 28] No space left on device", "64 MiB for temporary files"),
        ("OSError", "[Errno 30] Read-only file system: '/x'", "write to its temporary folder alone"),
    ],
)
def test_a_refusal_says_which_limit_it_was(kind: str, message: str, words: str, assignment: Assignment) -> None:
    reply = wire.RaisedReply(kind=kind, message=message, frames=())
    student = Student(FakeSandbox(Misbehaving(reply)), assignment, {}, {})  # type: ignore[arg-type]
    with pytest.raises(Raised, match=words):
        student.ask(wire.Forget(handle=1), "Mlp")


@pytest.mark.parametrize(
    ("error", "fault", "words"),
    [
        (TimeoutError(), TimedOut, "no answer within"),
        (EOFError(), Died, "exit code 3"),
        (WireError("a frame claims too much"), Died, "a frame claims too much"),
        (wire.Value(value=1), Died, "out of turn"),
        (wire.RaisedReply(kind="KeyError", message="'x'", frames=()), Raised, "KeyError: 'x'"),
    ],
)
def test_whatever_a_worker_does_is_a_fault_of_the_students(
    error: BaseException | wire.AnyReply, fault: type[Exception], words: str, assignment: Assignment
) -> None:
    student = Student(FakeSandbox(Misbehaving(error)), assignment, {}, {})  # type: ignore[arg-type]
    student._line.loaded["EncoderLayer"] = ()
    student._line.worker = Misbehaving(error)  # type: ignore[assignment]
    with pytest.raises(fault, match=words):
        _ = ClassProxy(student, "EncoderLayer")(1, 2).modules


class Recording(FakeWorker):
    """Notes which requests came together. What it is to build, it has; building `fails`, or does not."""

    def __init__(self, module: nn.Module, fails: bool = False) -> None:
        super().__init__(module)
        self.batches: list[list[str]] = []
        self.fails = fails
        self.killed = False

    def ask(self, request: wire.AnyRequest, seconds: float, caps: wire.Caps | None = None) -> wire.AnyReply:
        if isinstance(request, wire.Make):
            modules, tensors = objects.describe(self.module)
            failure = wire.RaisedReply(kind="KeyError", message="'x'", frames=())
            return failure if self.fails else wire.Made(modules=modules, tensors=tensors)
        return super().ask(request, seconds, caps)

    def ask_each(self, requests: Sequence[wire.AnyRequest], *arguments: Any) -> Iterator[wire.AnyReply]:
        self.batches.append([type(request).__name__ for request in requests])
        return super().ask_each(requests, *arguments)

    def kill(self) -> Ending:
        self.killed = True
        return super().kill()


def asking(worker: Recording, assignment: Assignment) -> tuple[Student, ClassProxy]:
    student = Student(FakeSandbox(worker), assignment, {}, {})  # type: ignore[arg-type]
    student._live()
    student._line.loaded["EncoderLayer"] = ()
    return student, ClassProxy(student, "EncoderLayer")


def test_an_object_is_built_with_what_is_asked_of_it(assignment: Assignment) -> None:
    worker = Recording(nn.Linear(4, 4))
    _, build = asking(worker, assignment)
    first, second = build(4), build(4)
    assert worker.batches == []
    second(torch.zeros(1, 4))
    assert worker.batches == [["Make", "Make", "Call"]]
    randomise(first)
    first(torch.zeros(1, 4))
    assert worker.batches[1:] == [["Randomise", "Call"]]
    assert first.weights is not None
    assert first.weights.keys() == {"weight", "bias"}


def test_an_object_that_cannot_be_built_costs_what_is_asked_of_it_and_nothing_later(assignment: Assignment) -> None:
    worker = Recording(nn.Linear(4, 4), fails=True)
    student, build = asking(worker, assignment)
    broken = build(4)
    with pytest.raises(Raised, match="KeyError"):
        broken(torch.zeros(1, 4))
    with pytest.raises(Raised, match="KeyError"):
        _ = broken.tensors
    build(4)
    with pytest.raises(Raised, match="KeyError"):
        student.keep_promises()  # as at the end of a check that asked it nothing
    build(4)
    student.use_standins(())  # what another check had left
    asked = len(worker.batches)
    student.keep_promises()
    assert len(worker.batches) == asked


def test_a_check_upon_standins_has_a_worker_of_its_own_and_leaves_the_students(assignment: Assignment) -> None:
    workers: list[Recording] = []
    sandbox = FakeSandbox(None)

    def start() -> Recording:
        workers.append(Recording(nn.Linear(4, 4)))
        return workers[-1]

    sandbox.start = start  # type: ignore[method-assign]
    student = Student(sandbox, assignment, {}, {})  # type: ignore[arg-type]
    question = wire.GetState(handle=1)
    student.ask(question, "Mlp")
    own = student.generation
    for _ in range(2):
        student.use_standins(["MultiHeadAttention"])
        student.ask(question, "Mlp")
        assert student.generation != own  # what was made upon the student's own is not there
        student.use_standins(())
        assert student.generation == own
    assert [worker.killed for worker in workers] == [False, True, True]
    student.close()
    assert all(worker.killed for worker in workers)


def test_weights_that_do_not_stay_as_they_were_set_are_told_by_the_next_question(assignment: Assignment) -> None:
    worker = Recording(nn.Linear(4, 4))
    worker.ask = lambda request, *rest: (  # type: ignore[method-assign]
        Recording.ask(worker, wire.GetState(handle=1) if isinstance(request, wire.Randomise) else request, *rest)
    )
    _, build = asking(worker, assignment)
    theirs = build(4)
    randomise(theirs)
    with pytest.raises(Failed, match="cannot be set"):
        theirs(torch.zeros(1, 4))


def test_a_class_that_hangs_again_and_again_is_not_tried_forever(assignment: Assignment) -> None:
    worker = Misbehaving(TimeoutError())
    student = Student(FakeSandbox(worker), assignment, {}, {})  # type: ignore[arg-type]
    for _ in range(5):
        with pytest.raises(TimedOut):
            student.ask(wire.Forget(handle=1), "EncoderLayer")
    assert worker.asked == 2
    with pytest.raises(TimedOut):
        student.ask(wire.Forget(handle=1), "DecoderLayer")
    assert worker.asked == 3
