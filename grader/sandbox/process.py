"""The trusted end: the warm process and its workers."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import IO

import msgspec

from grader import wire
from grader.errors import SandboxError, WireError
from grader.sandbox import Ending, cgroups, clocks

# What of this package a worker needs, and all that it can see.
WORKER_FILES = ("__init__.py", "errors.py", "noise.py", "records.py", "wire.py", "torchvision_mend.py", "worker")
START_SECONDS = 60.0  # a cold disk may take long to give torch's 200 MB
FORK_SECONDS = 20.0
BACKSTOP = 10  # a request takes at most so many times its seconds, however busy the machine
# The kernel ends a worker by a count of whole ticks, and reports the time that it truly had: on a busy machine, where a
# tick is shared, workers were ended after as little as 0.75 of 1 s and 5.2 of 6 s.
CPU_SHARE = 0.7  # of the limit; whoever had that much and was killed, used it up
REMOVE_SECONDS = 5.0
AHEAD = 64 << 10  # bytes of requests that may wait for their answers: a socket holds more, so that sending never waits
QUICK = 0.05  # seconds, in which most answers come; how long a worker waited for a core is looked up after these
LONG = 1.0  # seconds; what it waited is kept of longer requests alone
STATUS = struct.Struct(">iidB")  # exit code, signal, seconds of CPU time, why the keeper ended it
ASKED, TOO_FULL = 1, 2
ROOM_MB = 256  # of memory that the group may hold beside a worker's own: the kernel's, the keeper's, copied pages
OWN_TASKS = 8  # bubblewrap's, the warm process, keepers


@dataclass(frozen=True)
class Launch:
    """How a warm process is started.

    command: argv up to and including the Python interpreter's flags. script, folder: the zygote and the folder that
    holds the package `grader`, as the process will see them. limits.scratch: a folder that ends with it.
    """

    command: list[str]
    script: str
    folder: str
    limits: wire.WorkerLimits
    env: dict[str, str]


@dataclass(frozen=True)
class Branch:
    """A fork of a warm process that is another process's to use: hand it on, and `JoinedProcess` takes it."""

    tier: str
    limits: wire.WorkerLimits
    control: socket.socket


class WarmProcess:
    """The process in which torch is already imported. Raises SandboxError when it does not come up."""

    def __init__(self, tier: str, prepare: Callable[[], Launch], meanwhile: Callable[[], None] | None = None) -> None:
        self.tier = tier
        self._prepare = prepare
        self._launch(meanwhile)

    def _launch(self, meanwhile: Callable[[], None] | None = None) -> None:
        self._group: cgroups.Group | None = None
        launch = self._prepare()
        self._limits = launch.limits
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process, closed with it
        arguments = [launch.script, launch.folder, str(theirs.fileno()), msgspec.json.encode(launch.limits).decode()]
        try:
            self._process = subprocess.Popen(
                [*launch.command, *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env=launch.env,
                start_new_session=True,  # Ctrl-C reaches the trusted side alone, which then closes this
            )
        except OSError as error:
            self._control.close()
            self._remove_scratch()
            raise SandboxError(f"{launch.command[0]} cannot be started: {error}") from None
        finally:
            theirs.close()
        try:
            with contextlib.suppress(OSError):  # where memory runs out on the machine, this is what has to go
                Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("900")  # a worker: 1000
            if meanwhile is not None:
                meanwhile()
            self._await_ready()
            if self.tier != "none":
                self._group = self._grouped(self._process.pid)
        except BaseException:  # Ctrl-C among them: nothing may be left running
            self.close()
            raise

    def _await_ready(self) -> None:
        try:
            self._read(1, START_SECONDS)
        except (TimeoutError, EOFError, OSError) as error:
            raise SandboxError(f"the sandbox ({self.tier}) did not come up: {self._log_tail() or error!r}") from None

    def _grouped(self, pid: int) -> cgroups.Group | None:
        """Put the warm process, which is idle now, into a control group; its workers are born there."""
        limits = self._limits
        memory = (limits.memory_mb + 2 * limits.tmp_mb + ROOM_MB) << 20
        group = cgroups.make_group(memory, limits.processes + OWN_TASKS)
        if group is not None:
            try:
                group.add(cgroups.family(pid))
            except OSError:
                group.close()
                return None
            self._memory_kills = group.memory_kills()
        return group

    def start(self) -> SocketWorker:
        """Fork a worker. Raises SandboxError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        clocks.tell_sender(ours, True)
        try:
            socket.send_fds(self._control, [b"S"], [theirs.fileno()])
            number = int.from_bytes(self._read(4, FORK_SECONDS), "big")
        except (TimeoutError, EOFError, OSError) as error:
            ours.close()
            raise SandboxError(f"the sandbox ({self.tier}) is gone: {self._log_tail() or error!r}") from None
        finally:
            theirs.close()
        worker = SocketWorker(self, ours, number)
        try:
            worker.pid = clocks.sender(ours, FORK_SECONDS)
            clocks.tell_sender(ours, False)
            wire.receive(ours, wire.Value, wire.Caps(), time.monotonic() + FORK_SECONDS)
        except (TimeoutError, EOFError, OSError) as error:
            worker.kill()
            raise SandboxError(
                f"the sandbox ({self.tier}) cannot isolate a worker: {self._log_tail() or error!r}"
            ) from None
        return worker

    def end(self, number: int, closed: bool) -> Ending:
        """Kill the worker and everything below it; say how it ended. closed: it has closed its connection."""
        try:
            self._control.sendall((b"W" if closed else b"K") + number.to_bytes(4, "big"))
            code, signal, cpu_seconds, why = STATUS.unpack(self._read(STATUS.size, FORK_SECONDS))
        except (TimeoutError, EOFError, OSError) as error:
            raise SandboxError(f"the sandbox ({self.tier}) is gone: {self._log_tail() or error!r}") from None
        if signal != SIGKILL:
            return Ending(code, signal)
        if why == TOO_FULL:
            return Ending(code, signal, "files")
        if cpu_seconds >= CPU_SHARE * self._limits.cpu_seconds:
            return Ending(code, signal, "cpu")
        if self._group is not None and self._group.memory_kills() > self._memory_kills:
            self._memory_kills = self._group.memory_kills()
            return Ending(code, signal, "memory")
        return Ending(code, signal, killed=why == ASKED)

    @property
    def threads(self) -> int:
        """How many threads a worker may use for its arithmetic."""
        return self._limits.threads

    def revive(self) -> None:
        """End the warm process and start another one; workers of the old one are gone. Raises SandboxError."""
        self.close()
        self._launch()

    def close(self) -> None:
        """End the warm process and all its workers."""
        self._control.close()
        self._end_process()
        self._log.close()
        if self._group is not None:
            self._group.close()
            self._group = None
        self._remove_scratch()

    def _end_process(self) -> None:
        if self._process.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, SIGKILL)
            self._process.wait()

    def branch(self) -> Branch:
        """Fork the warm process, for another process to use. It ends with this one. Raises SandboxError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            socket.send_fds(self._control, [b"B"], [theirs.fileno()])
        except OSError as error:
            ours.close()
            raise SandboxError(f"the sandbox ({self.tier}) is gone: {self._log_tail() or error!r}") from None
        finally:
            theirs.close()
        return Branch(self.tier, self._limits, ours)

    def _remove_scratch(self) -> None:
        scratch, deadline = self._limits.scratch, time.monotonic() + REMOVE_SECONDS
        while scratch and os.path.isdir(scratch) and time.monotonic() < deadline:  # a worker may end a moment later
            command, env = ["rm", "-rf", "--", scratch], {"PATH": "/usr/bin:/bin"}  # rm copes with any depth
            subprocess.run(command, env=env, check=False, stderr=subprocess.DEVNULL)

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, length: int, seconds: float) -> bytes:
        return bytes(wire.exactly(self._control, length, time.monotonic() + seconds))

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.wait(0.2)
        self._log.seek(0)
        lines = self._log.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


class JoinedProcess(WarmProcess):
    """A branch of a warm process that another process holds. Revived, it is one of its own."""

    def __init__(self, branch: Branch, prepare: Callable[[], Launch]) -> None:
        self._offered: Branch | None = branch
        self._is_branch = True
        super().__init__(branch.tier, prepare)

    def _launch(self, meanwhile: Callable[[], None] | None = None) -> None:
        branch, self._offered = self._offered, None
        if branch is None:
            self._is_branch = False
            super()._launch(meanwhile)
            return
        self._limits, self._control, self._group = branch.limits, branch.control, None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as above; what it says, it says in the first one's
        try:
            clocks.tell_sender(self._control, True)
            pid = clocks.sender(self._control, START_SECONDS)
            clocks.tell_sender(self._control, False)
            self._await_ready()
            if self.tier != "none" and pid:
                self._group = self._grouped(pid)
        except OSError as error:
            self.close()
            raise SandboxError(f"the sandbox ({self.tier}) did not come up: {error!r}") from None
        except BaseException:
            self.close()
            raise

    def _end_process(self) -> None:
        if not self._is_branch:
            super()._end_process()  # else its end of the control socket tells it

    def _remove_scratch(self) -> None:
        if not self._is_branch:
            super()._remove_scratch()  # else it is the first one's

    def _log_tail(self) -> str:
        return "" if self._is_branch else super()._log_tail()


class SocketWorker:
    """A worker at the other end of a socketpair."""

    def __init__(self, warm: WarmProcess, sock: socket.socket, number: int) -> None:
        self._warm = warm
        self._sock = sock
        self._inbox = wire.Inbox(sock)
        self._poll = select.poll()  # select() takes no descriptor above 1023
        self._poll.register(sock, select.POLLIN)
        self._number = number
        self._ending: Ending | None = None
        self._closed = False
        self.pid = 0  # as this process sees it; 0 where that is not told
        self.waited = 0.0

    def ask(self, request: wire.AnyRequest, seconds: float, caps: wire.Caps = wire.Caps()) -> wire.AnyReply:  # noqa: B008 - frozen
        return next(self.ask_each((request,), seconds, caps))

    def ask_each(
        self,
        requests: Sequence[wire.AnyRequest],
        seconds: float,
        caps: wire.Caps = wire.Caps(),  # noqa: B008 - frozen
    ) -> Iterator[wire.AnyReply]:
        """Each switch between two processes costs more than a tiny layer's answer: so many questions go at once."""
        unsent, unanswered = deque(requests), deque[int]()
        frame, count = _next_frame(unsent)
        ended = False
        while frame or unanswered:
            started, large = time.monotonic(), len(frame) > AHEAD
            before = clocks.times(self.pid) if large else None  # sending it may take long
            try:
                if not unanswered:
                    self._refuse_surplus()
                while frame and (not unanswered or sum(unanswered) + len(frame) <= AHEAD):
                    try:
                        wire.send_frame(self._sock, frame, started + seconds)
                    except (BrokenPipeError, ConnectionResetError):
                        if not unanswered:
                            raise
                        ended, frame = True, b""  # at one of those before, and what it answered before that counts
                        break
                    unanswered.extend([0] * (count - 1))  # its last answer tells that all of it was read
                    unanswered.append(len(frame))
                    frame, count = _next_frame(unsent)
                if not self._readable(0.0 if large else min(QUICK, seconds)):
                    before = before or clocks.times(self.pid)
                    self._await_reply(seconds, started, before)
                reply: wire.AnyReply = wire.receive(self._inbox, wire.AnyReply, caps, time.monotonic() + seconds)
                unanswered.popleft()
            except (EOFError, BrokenPipeError, ConnectionResetError):
                self._closed = True
                raise EOFError from None
            finally:
                if before is not None and time.monotonic() - started > LONG:
                    self.waited += max(clocks.times(self.pid).waited - before.waited, 0.0)
            yield reply
        if ended:
            self._closed = True
            raise EOFError

    def _refuse_surplus(self) -> None:
        """What was sent before it was asked for would be taken for the answer to another question."""
        if self._readable(0.0):
            if not self._inbox.holds_more and not self._sock.recv(1, socket.MSG_PEEK):
                raise EOFError
            raise WireError("it sent an answer that nobody had asked for")

    def _await_reply(self, seconds: float, started: float, before: clocks.Times) -> None:
        """Until a reply begins. Raises TimeoutError when the worker has had its seconds.

        Time that it waited for a core does not count, unless its own threads kept it waiting: their CPU time does.
        """
        left = seconds - (time.monotonic() - started)
        while not self._readable(max(left, 0.0)):
            now, elapsed = clocks.times(self.pid), time.monotonic() - started
            had = max(elapsed - (now.waited - before.waited), (now.cpu - before.cpu) / self._warm.threads)
            left = seconds - had
            if left <= 0.0:
                raise TimeoutError
            if elapsed > BACKSTOP * seconds:
                raise SandboxError(
                    f"the machine is too busy to grade on: in {elapsed:.0f} seconds a worker could run for {had:.0f}"
                )

    def _readable(self, seconds: float) -> bool:
        if self._inbox.holds_more:
            return True
        return bool(self._poll.poll(seconds * 1000))

    def kill(self) -> Ending:
        if self._ending is None:
            try:
                self._ending = self._warm.end(self._number, self._closed)
            finally:
                self._sock.close()  # not before: at the end of the file an idle worker leaves by itself
        return self._ending


def _next_frame(unsent: deque[wire.AnyRequest]) -> tuple[bytes, int]:
    """The next requests, as many as may wait for their answers, in one frame; and how many they are."""
    if not unsent:
        return b"", 0
    together = [unsent.popleft()]
    size = wire.payload_of(together[0])
    while unsent and (size := size + wire.payload_of(unsent[0])) <= AHEAD:
        together.append(unsent.popleft())
    return wire.encode(together[0] if len(together) == 1 else wire.Several(requests=tuple(together))), len(together)


def python_folder() -> Path:
    """The folder that holds the package `grader`."""
    return Path(__file__).resolve().parents[2]
