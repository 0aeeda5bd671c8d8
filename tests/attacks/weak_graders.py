"""Graders whose trusted side is weak: it shares a process with student code, or reads and judges carelessly."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import resource
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from unittest import mock

import torch

from attacks.judging import LIMITS
from attacks.weak_workers import Weakened, lets_descriptors_pass, sends_all_it_has
from grader import wire
from grader.assignment import Assignment
from grader.checking import roles, student
from grader.sandbox import Ending, Sandbox, Worker
from grader.sandbox.process import SocketWorker, WarmProcess
from grader.sandbox.tiers import open_sandbox
from grader.worker import confine, objects, serve

# ---- the process ----------------------------------------------------------------------------------------------------


class _InsideWorker:
    waited = 0.0

    def __init__(self) -> None:
        self._state = serve.State()

    def ask(self, request: wire.AnyRequest, seconds: float, caps: wire.Caps | None = None) -> wire.AnyReply:
        try:
            return serve._attempt(self._state, request)
        except Exception as error:  # noqa: BLE001 - whatever student code raises, as the worker does
            return objects.raised(error)

    def ask_each(self, requests: Sequence[wire.AnyRequest], *arguments: Any) -> Iterator[wire.AnyReply]:
        return (self.ask(request, *arguments) for request in requests)

    def kill(self) -> Ending:
        return Ending(0, 9)


class Inside:
    """No worker at all: the student's code runs in the process that judges it."""

    tier = "inside"
    worker = _InsideWorker

    def start(self) -> Worker:
        return self.worker()

    def revive(self) -> None: ...

    def close(self) -> None: ...


@contextlib.contextmanager
def judged_inside(assignment: Assignment) -> Weakened:
    """As common graders do: student code, checks and reference share one process and one torch."""
    yield assignment, Inside()


class _Credulous(_InsideWorker):
    def ask(self, *arguments: Any) -> wire.AnyReply:
        try:
            return serve._attempt(self._state, arguments[0])
        except Exception as error:  # noqa: BLE001 - as above
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt from None  # the teacher has pressed Ctrl-C
            return objects.raised(error)


class _InsideCredulous(Inside):
    worker = _Credulous


@contextlib.contextmanager
def believes_exceptions(assignment: Assignment) -> Weakened:
    """A judge in the same process that believes what an exception says of itself: its class, and its cell."""

    def line(self: student.Student, role: str, cell: int, line: int) -> str:
        return self.notebooks[role].cells[cell - 1].source.splitlines()[line - 1]  # type: ignore[union-attr]

    cell = re.compile("cell ([0-9]+)")
    with mock.patch.object(objects, "CELL", cell), mock.patch.object(student.Student, "line", line):
        yield assignment, _InsideCredulous()


class _Shared:
    """One worker for all, which is never ended."""

    tier = "shared"
    waited = 0.0

    def __init__(self, sandbox: Sandbox) -> None:
        self._worker = sandbox.start()

    def start(self) -> Worker:
        return self

    def ask(self, *arguments: Any) -> wire.AnyReply:
        return self._worker.ask(*arguments)

    def ask_each(self, *arguments: Any) -> Iterator[wire.AnyReply]:
        return self._worker.ask_each(*arguments)

    def kill(self) -> Ending:
        return Ending(0, 9)

    def revive(self) -> None: ...

    def close(self) -> None: ...


@contextlib.contextmanager
def shared_worker(assignment: Assignment) -> Weakened:
    """A sandbox that serves one submission after another in the same process."""
    with open_sandbox("auto", LIMITS) as warm:
        yield assignment, _Shared(warm)


@contextlib.contextmanager
def answers_pile_up(assignment: Assignment) -> Weakened:
    """One worker for all submissions, and a reader that takes whatever comes first for the answer."""
    with shared_worker(assignment) as shared, mock.patch.object(SocketWorker, "_refuse_surplus"):
        yield shared


@contextlib.contextmanager
def kills_nobody(assignment: Assignment) -> Weakened:
    """A grader that takes a closed connection for the end of the process."""
    end = WarmProcess.end

    def ended(self: WarmProcess, number: int, closed: bool) -> Ending:
        return Ending(0, 0) if closed else end(self, number, closed)

    with open_sandbox("auto", LIMITS) as warm, mock.patch.object(WarmProcess, "end", ended):
        yield assignment, warm


@contextlib.contextmanager
def one_worker_for_stand_ins(assignment: Assignment) -> Weakened:
    """One worker for what is built upon the grader's stand-ins and for all else."""

    def use_standins(self: student.Student, names: Iterable[str]) -> None:
        self.standins = frozenset(names)

    with open_sandbox("auto", LIMITS) as warm, mock.patch.object(student.Student, "use_standins", use_standins):
        yield assignment, warm


# ---- the wire -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _wire(assignment: Assignment, **patches: Any) -> Weakened:
    with open_sandbox("auto", LIMITS) as warm, contextlib.ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(mock.patch.object(wire, name, value))
        yield assignment, warm


@contextlib.contextmanager
def _reading(exactly: Callable[[Any, int, float | None], bytearray]) -> Iterator[None]:
    """Take bytes out of sockets so, whoever takes them."""

    def from_inbox(inbox: Any, length: int, deadline: float | None) -> bytearray:
        return exactly(inbox._sock, length, deadline)

    with mock.patch.object(wire, "exactly", exactly), mock.patch.object(wire.Inbox, "exactly", from_inbox):
        yield


@contextlib.contextmanager
def boundless_wire(assignment: Assignment) -> Weakened:
    """A reader that takes memory for as many bytes as a frame claims, on a machine that has 160 MiB to give."""

    def exactly(sock: Any, length: int, deadline: float | None) -> bytearray:
        data = bytearray(length)
        view, at = memoryview(data), 0
        while at < length:
            wire._arm(sock, deadline)
            count = sock.recv_into(view[at:], min(length - at, 1 << 20))
            if not count:
                raise EOFError
            at += count
        return data

    receive = wire.receive
    boundless = wire.Caps(header=1 << 62, payload=1 << 62)
    patches = {"receive": lambda source, kind, _, deadline=None: receive(source, kind, boundless, deadline)}
    with _wire(assignment, **patches) as weak, _reading(exactly):
        _lower(resource.RLIMIT_AS, confine.address_space() + (160 << 20))
        yield weak


def _lower(limit: int, value: int) -> None:
    """Let this process have no more than that."""
    resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


def deadline_for_each_byte(assignment: Assignment) -> Any:
    """A reader whose deadline begins anew with each piece that comes in."""
    return _wire(assignment, _arm=lambda sock, deadline: sock.settimeout(deadline and 1.0))


def unchecked_wire(assignment: Assignment) -> Any:
    """A reader whose own exceptions are not caught: what cannot be decoded ends in whatever it ends in."""

    class Unchecked(Exception):
        pass

    return _wire(assignment, WireError=Unchecked)


def pickles_on_the_wire(assignment: Assignment) -> Any:
    """A reader that takes pickles, as multiprocessing and most graders do."""
    decode = wire.decode

    def careless(header: bytes, payload: bytes, kind: Any) -> Any:
        return pickle.loads(header) if header[:1] == b"\x80" and not payload else decode(header, payload, kind)

    return _wire(assignment, decode=careless)


@contextlib.contextmanager
def takes_descriptors(assignment: Assignment) -> Weakened:
    """A filter without sendmsg, and a reader that takes what comes with a frame, with 64 descriptors to spare."""
    taken: list[int] = []

    def exactly(sock: Any, length: int, deadline: float | None) -> bytearray:
        data = bytearray()
        while len(data) < length:
            wire._arm(sock, deadline)
            piece, descriptors, _, _ = socket.recv_fds(sock, length - len(data), 250)
            taken.extend(descriptors)
            if not piece:
                raise EOFError
            data += piece
        return data

    with lets_descriptors_pass(assignment) as weak, _reading(exactly):
        _lower(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + 64)
        yield weak


@contextlib.contextmanager
def cuts_nothing(assignment: Assignment) -> Weakened:
    """A worker that sends whole texts, and a reader that takes them."""
    receive, boundless = wire.receive, wire.Caps(header=1 << 31)
    patches = {"receive": lambda sock, kind, _, deadline=None: receive(sock, kind, boundless, deadline)}
    with (
        sends_all_it_has(assignment) as weak,
        mock.patch.multiple(wire, **patches),
        mock.patch.object(student, "MAX_MESSAGE", 1 << 40),
    ):
        yield weak


@contextlib.contextmanager
def any_reply_will_do(assignment: Assignment) -> Weakened:
    """A grader that takes every reply for what it expects."""
    with open_sandbox("auto", LIMITS) as warm, mock.patch.object(student, "expect", lambda reply, kind: reply):
        yield assignment, warm


@contextlib.contextmanager
def any_answer_will_do(assignment: Assignment) -> Weakened:
    """A grader that takes every answer for a tensor."""
    with open_sandbox("auto", LIMITS) as warm, contextlib.ExitStack() as stack:
        for module in ("grader.checking.student", "grader.checking.compare"):
            stack.enter_context(mock.patch(f"{module}.assert_tensor", lambda value, what="": value))
        yield assignment, warm


# ---- the judge ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def trusting_judge(assignment: Assignment) -> Weakened:
    """A judge that compares with the weights that the student's code says it has, after it has answered."""

    def randomise(theirs: student.ObjectProxy, seed: int, _: Any) -> None:
        theirs.load(roles._drawn(theirs, seed))

    said = property(lambda theirs: theirs.state())
    with (
        open_sandbox("auto", LIMITS) as warm,
        mock.patch.multiple(student.ObjectProxy, randomise=randomise, weights=said),
    ):
        yield assignment, warm


@contextlib.contextmanager
def nan_is_no_difference(assignment: Assignment) -> Weakened:
    """A judge that looks for values which are too far away, as NaN never is."""

    def isclose(a: torch.Tensor, b: torch.Tensor, rtol: float, atol: float, **_: Any) -> torch.Tensor:
        return ~((a - b).abs() > atol + rtol * b.abs())

    with open_sandbox("auto", LIMITS) as warm, mock.patch.object(torch, "isclose", isclose):
        yield assignment, warm
