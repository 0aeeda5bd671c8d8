"""Processes on this machine, each with a sandbox of its own, that grade side by side.

    Pool ──pipe──▶ process: Bench ──▶ sandbox        "work" there, "outcome" back; in between it may ask whether
         ──pipe──▶ process: Bench ──▶ sandbox        the same weights in the same code were evaluated before

A process that ends in the middle costs the submission that it was at a second try, in a new process, and nobody else
anything. All end with the process that started them, however that one ends.

Why not concurrent.futures: there one process that ends breaks the pool, and nobody says at which submission.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from grader.assignment import load_assignment
from grader.errors import AssignmentError, GraderError, SandboxError, UsageError
from grader.forks import served
from grader.interrupts import interrupts_held, start_fork_server
from grader.limits import walls_of
from grader.records import Blame
from grader.sandbox.process import Branch, WarmProcess
from grader.sandbox.tiers import open_sandbox
from grader.work import Outcome, Setup, Work

TRIES = 2
LEAVE_SECONDS = 5.0  # to end its sandbox and remove what that has on disk
_FAILURES: dict[str, type[GraderError]] = {e.__name__: e for e in (AssignmentError, SandboxError, UsageError)}


class Evaluations(Protocol):
    """What is known of weights in code, by a fingerprint of both."""

    def evaluation(self, key: str) -> bytes | None: ...

    def evaluated(self, key: str, result: bytes) -> None: ...


@dataclass
class _Seat:
    """A process and what it is at. evaluating: the fingerprint that others wait for."""

    process: BaseProcess
    pipe: Connection
    ready: bool = False
    work: Work | None = None
    until: float = float("inf")
    evaluating: str = ""
    waiting_for: str = ""


PRELOAD = "grader.preloaded"  # with torch, once: a second process costs neither the time nor the memory again


def start_early() -> None:
    """Where a pool is certain to come: its server imports torch meanwhile."""
    if isinstance(served(PRELOAD), ForkServerContext):
        start_fork_server()


class Pool:
    """Starts `jobs` processes at once. seconds: after so many on one submission, a process is taken to hang."""

    def __init__(self, setup: Setup, jobs: int, seconds: float, evaluations: Evaluations) -> None:
        self._setup = setup
        self._seconds = seconds
        self._evaluations = evaluations
        self._context = served(PRELOAD)
        self._closed = False
        self._seats: list[_Seat] = []
        self._sandbox: WarmProcess | None = None
        try:
            self._sandbox = self._opened()
            for _ in range(jobs):
                self._seats.append(self._seat())
        except BaseException:
            self.close()
            raise

    def _opened(self) -> WarmProcess:
        """The sandbox that all have a branch of: it imports torch at the same time as the server does, once."""
        limits, hidden = walls_of(self._setup, load_assignment(Path(self._setup.assignment)))
        return open_sandbox(self._setup.tier, limits, hidden, self._start_server)

    def _start_server(self) -> None:
        if isinstance(self._context, ForkServerContext):
            start_fork_server()

    def _seat(self) -> _Seat:
        assert self._sandbox is not None
        ours, theirs = self._context.Pipe()
        try:
            branch = self._sandbox.branch()
        except SandboxError:  # it has ended, and all that used it open one of their own
            self._sandbox.revive()
            branch = self._sandbox.branch()
        process = self._context.Process(target=_serve, args=(theirs, self._setup, branch), daemon=False)
        with interrupts_held():  # not even in its first instructions: Ctrl-C is for the process that one sees
            process.start()
        theirs.close()
        branch.control.close()
        return _Seat(process, ours)

    def grade(self, works: Sequence[Work]) -> Iterator[tuple[Work, Outcome]]:
        """Grade them all, and give each when it is done. Raises SandboxError, AssignmentError, UsageError."""
        todo, tries, left = deque(works), Counter[int](), len(works)
        while left:
            for seat in self._seats:
                if seat.ready and seat.work is None and todo:
                    self._begin(seat, todo.popleft())
            for seat in self._next_to_speak():
                work = seat.work
                try:
                    outcome = self._heard(seat, seat.pipe.recv())
                except (EOFError, OSError):
                    self._seats[self._seats.index(seat)] = self._replaced(seat)
                    if work is None:
                        continue
                    tries[work.position] += 1
                    if tries[work.position] < TRIES:
                        todo.appendleft(work)
                        continue
                    outcome = Outcome(reason="the grader's own process ended twice meanwhile", blame=Blame.GRADER)
                else:
                    if outcome is not None and todo:  # it need not wait until this one is written down
                        self._begin(seat, todo.popleft())
                if outcome is not None and work is not None:
                    left -= 1
                    yield work, outcome

    def _begin(self, seat: _Seat, work: Work) -> None:
        seat.work, seat.until = work, time.monotonic() + self._seconds
        with suppress(OSError):  # it has ended: it will be heard of at once
            seat.pipe.send(work)

    def _next_to_speak(self) -> list[_Seat]:
        """Wait until a process has something to say, or has ended. One that hangs is ended here."""
        now = time.monotonic()
        for seat in self._seats:
            if now > seat.until:
                seat.process.kill()
        first = min(seat.until for seat in self._seats)
        speaking = wait([seat.pipe for seat in self._seats], None if first == float("inf") else max(first - now, 0.1))
        return [seat for seat in self._seats if seat.pipe in speaking]

    def _heard(self, seat: _Seat, message: tuple[str, Any]) -> Outcome | None:
        """Take in what a process says; the outcome, if that is it. Raises what kept it from starting."""
        kind, what = message
        if kind == "ready":
            seat.ready = True
        elif kind == "failed":
            name, sentence = what
            raise _FAILURES[name](sentence)
        elif kind == "find":
            seat.waiting_for = what
            self._tell(what)
        elif kind == "keep":
            self._evaluations.evaluated(seat.evaluating, what)
        elif kind == "outcome":
            seat.work, seat.until = None, float("inf")
            self._release(seat)
            outcome: Outcome = what
            return outcome
        return None

    def _tell(self, key: str) -> None:
        """Answer those who ask for an evaluation: with it, or one of them with None, so that it makes it."""
        for seat in [seat for seat in self._seats if seat.waiting_for == key]:
            known = self._evaluations.evaluation(key)
            if known is None:
                if any(other.evaluating == key for other in self._seats):
                    return
                seat.evaluating = key
            seat.waiting_for = ""
            with suppress(OSError):
                seat.pipe.send(known)

    def _release(self, seat: _Seat) -> None:
        key, seat.evaluating, seat.waiting_for = seat.evaluating, "", ""
        if key:
            self._tell(key)

    def _replaced(self, seat: _Seat) -> _Seat:
        if self._closed:
            raise SandboxError("the pool was closed meanwhile")
        seat.process.kill()
        seat.process.join()
        seat.pipe.close()
        if not seat.ready:
            raise SandboxError("a grading process ended before it could start; memory may be short: try --jobs 1")
        self._release(seat)
        return self._seat()

    def close(self) -> None:
        """End all processes, whatever they are at; another thread may be grading."""
        self._closed = True
        for seat in self._seats:
            seat.process.terminate()
        until = time.monotonic() + LEAVE_SECONDS
        for seat in self._seats:
            seat.process.join(max(until - time.monotonic(), 0.0))
            seat.process.kill()
            seat.process.join()
            seat.pipe.close()
        if self._sandbox is not None:
            self._sandbox.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---- in a process of its own ----------------------------------------------------------------------------------------


def _serve(pipe: Connection, setup: Setup, branch: Branch) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with suppress(KeyboardInterrupt):
        try:
            # pytest lets a KeyboardInterrupt alone pass through. Nothing may raise it outside this block.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            _grade_until_closed(pipe, setup, branch)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _grade_until_closed(pipe: Connection, setup: Setup, branch: Branch) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from grader.unit import Bench  # with torch, which the process that the user sees never needs

    with suppress(EOFError, OSError):
        try:
            bench = Bench(setup, _Remembered(pipe), branch)
        except GraderError as error:
            pipe.send(("failed", (type(error).__name__, str(error))))
            return
        with closing(bench):
            pipe.send(("ready", None))
            while True:
                try:
                    outcome = bench.grade(pipe.recv())
                except SandboxError as error:
                    pipe.send(("failed", (type(error).__name__, str(error))))
                    return
                pipe.send(("outcome", outcome))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LEAVE_SECONDS)
        os._exit(1)


class _Remembered:
    """Asks the pool for evaluations, and tells it of them."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def find(self, key: str) -> bytes | None:
        """Waits while another process is at the same evaluation."""
        self._pipe.send(("find", key))
        known: bytes | None = self._pipe.recv()
        return known

    def keep(self, result: bytes) -> None:
        self._pipe.send(("keep", result))
