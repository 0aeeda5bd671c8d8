"""Graders with one wall taken away. An attack that can do nothing against these proves nothing against the real one.

Each runs in a process of its own, since some attacks rewrite, hang or end the process that judges them:
    python -m attacks.weakened RECORDS WEAKENING ATTACK ASSIGNMENT FIELD
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from attacks.attack import Attack
from attacks.catalogue import ATTACKS
from attacks.field import Field, canary
from attacks.judging import LIMITS, aftermath, gains, honest, judged, limited, profits
from grader import wire
from grader.assignment import Assignment, load_assignment
from grader.checking import student
from grader.records import Record, from_json, to_json
from grader.sandbox import Ending, Sandbox, Worker, tiers
from grader.sandbox.tiers import open_sandbox
from grader.worker import objects, serve

Weakened = Iterator[tuple[Assignment, Sandbox]]
PATIENCE = 60.0  # seconds; a judge that takes longer is one that was stopped


# ---- the walls ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_walls(assignment: Assignment) -> Weakened:
    """A worker that is an ordinary process of the teacher's, with the teacher's environment."""
    scrubbed = tiers._environment
    with (
        mock.patch.object(tiers, "_environment", lambda limits: dict(os.environ) | scrubbed(limits)),
        open_sandbox("none", LIMITS) as warm,
    ):
        yield assignment, warm


@contextlib.contextmanager
def no_limits(assignment: Assignment) -> Weakened:
    """A sandbox without limits worth the name."""
    wide = wire.WorkerLimits(
        memory_mb=64 << 10, cpu_seconds=600, file_mb=1 << 22, tmp_mb=1024, open_files=4096, processes=4096, threads=1
    )
    with open_sandbox("auto", wide) as warm:
        yield assignment, warm


@contextlib.contextmanager
def no_deadlines(assignment: Assignment) -> Weakened:
    """A grader that waits for as long as it takes."""

    class Patient(student.Student):
        def __init__(self, sandbox: Sandbox, assignment: Assignment, *rest: Any) -> None:
            super().__init__(sandbox, limited(assignment, {"ask_seconds": 60.0, "program_seconds": 60.0}), *rest)

    with open_sandbox("auto", LIMITS) as warm, mock.patch("grader.submission.Student", Patient):
        yield assignment, warm


@contextlib.contextmanager
def no_inode_limit(assignment: Assignment) -> Weakened:
    """A sandbox whose folders hold as many files as one likes."""
    with open_sandbox("none", LIMITS) as warm:
        yield assignment, warm


# ---- the process ----------------------------------------------------------------------------------------------------


class Inside:
    """No worker at all: the student's code runs in the process that judges it."""

    tier = "inside"

    def start(self) -> Worker:
        return _InsideWorker()

    def revive(self) -> None: ...

    def close(self) -> None: ...


class _InsideWorker:
    waited = 0.0

    def __init__(self) -> None:
        self._state = serve.State()

    def ask(self, request: wire.AnyRequest, seconds: float, caps: wire.Caps | None = None) -> wire.AnyReply:
        try:
            return serve._attempt(self._state, request)
        except Exception as error:  # noqa: BLE001 - whatever student code raises, as the worker does
            return objects.raised(error)

    def kill(self) -> Ending:
        return Ending(0, 9)


@contextlib.contextmanager
def judged_inside(assignment: Assignment) -> Weakened:
    """As common graders do: student code, checks and reference share one process and one torch."""
    yield assignment, Inside()


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
def one_worker_for_stand_ins(assignment: Assignment) -> Weakened:
    """A worker that lives on after it has seen the grader's stand-ins."""
    with open_sandbox("auto", LIMITS) as warm, mock.patch.object(student.Student, "_retire"):
        yield assignment, warm


# ---- the wire -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _wire(assignment: Assignment, **patches: Any) -> Weakened:
    with open_sandbox("auto", LIMITS) as warm, contextlib.ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(mock.patch.object(wire, name, value))
        yield assignment, warm


def boundless_wire(assignment: Assignment) -> Any:
    """A reader that takes memory for as many bytes as a frame claims."""

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
    return _wire(
        assignment,
        exactly=exactly,
        receive=lambda sock, kind, caps, deadline=None: receive(sock, kind, boundless, deadline),
    )


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


def takes_descriptors(assignment: Assignment) -> Any:
    """A reader that takes the descriptors which come along with a frame."""

    def exactly(sock: Any, length: int, deadline: float | None) -> bytearray:
        data = bytearray()
        while len(data) < length:
            wire._arm(sock, deadline)
            piece, descriptors, _, _ = socket.recv_fds(sock, length - len(data), 250)
            if descriptors:
                raise AssertionError(f"{len(descriptors)} descriptors came in")
            if not piece:
                raise EOFError
            data += piece
        return data

    return _wire(assignment, exactly=exactly)


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

    def randomise(theirs: Any, seed: int = 0) -> Any:
        return theirs.state()

    with open_sandbox("auto", LIMITS) as warm, contextlib.ExitStack() as stack:
        for place in ("grader.checking.randomise", "grader.checking.roles.randomise"):
            stack.enter_context(mock.patch(place, randomise))
        yield assignment, warm


_ALL = (no_walls, no_limits, no_inode_limit, no_deadlines, judged_inside, shared_worker, one_worker_for_stand_ins)
_ALL += (boundless_wire, unchecked_wire, pickles_on_the_wire, takes_descriptors, any_reply_will_do, any_answer_will_do)
_ALL += (trusting_judge,)
WEAKENINGS: dict[str, Callable[[Assignment], Any]] = {weakening.__name__: weakening for weakening in _ALL}


# ---- running one ----------------------------------------------------------------------------------------------------


def success(attack: Attack, assignment: Assignment, place: Field, without: Record, folder: Path) -> list[str]:
    """What the attack reaches against the weakened grader, in words; empty where even there it can do nothing."""
    ended, records = _run(attack.weakened, attack.name, assignment, place, folder)
    if ended:
        return [ended, *place.signs()]
    first, *later = records
    return [*profits(attack, first, without), *(gain for record in later for gain in gains(record)), *place.signs()]


def control(weakening: str, assignment: Assignment, place: Field, folder: Path) -> list[Record]:
    """The records of the right and of the wrong submission without an attack, as the weakened grader judges them."""
    ended, records = _run(weakening, "", assignment, place, folder)
    assert not ended, ended
    return records


def _run(weakening: str, name: str, assignment: Assignment, place: Field, folder: Path) -> tuple[str, list[Record]]:
    """How the judging process ended, if it gave no records; else these."""
    written, tests = folder / "records.json", Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "attacks.weakened", str(written), weakening, name, str(assignment.folder)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tests), str(tests.parent)]), GRADER_SECRET=canary())
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    told = json.dumps(place.told)
    with subprocess.Popen([*command, told], env=environment, start_new_session=True, **streams) as process:  # type: ignore[call-overload]
        try:
            errors = process.communicate(timeout=PATIENCE)[1].decode()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "the grader hung", []
    if not written.exists() or process.returncode:
        return f"the grader itself ended ({process.returncode}): {errors.strip()[-300:]}", []
    return "", [from_json(record.encode()) for record in json.loads(written.read_text())]


def main(written: str, weakening: str, name: str, folder: str, told: str) -> None:
    assignment, place, archives = load_assignment(Path(folder)), json.loads(told), Path(written).parent
    with WEAKENINGS[weakening](assignment) as (weak, sandbox):
        if not name:
            records = [honest("right", weak, sandbox, archives), honest("wrong", weak, sandbox, archives)]
        else:
            records = [judged(ATTACKS[name], weak, sandbox, archives, place)]
            if ATTACKS[name].then:
                records.append(aftermath(ATTACKS[name], weak, sandbox, archives, place))
    Path(written).write_text(json.dumps([to_json(record).decode() for record in records]))


if __name__ == "__main__":
    main(*sys.argv[1:])
