"""The trusted end: the warm process and its workers."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

import msgspec

from grader import wire
from grader.errors import SandboxError
from grader.sandbox import Ending

START_SECONDS = 60.0  # a cold disk may take long to give torch's 200 MB
FORK_SECONDS = 20.0


class WarmProcess:
    """The process in which torch is already imported, behind whatever `command` puts around it.

    command: argv up to and including the Python interpreter's flags. script, folder: the zygote and the folder that
    holds the package `grader`, as the process will see them. Raises SandboxError when it does not come up.
    """

    def __init__(
        self, tier: str, command: list[str], script: str, folder: str, limits: wire.WorkerLimits, env: dict[str, str]
    ) -> None:
        self.tier = tier
        self._arguments = (command, script, folder, limits, env)
        self._launch()

    def _launch(self) -> None:
        command, script, folder, limits, env = self._arguments
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process, closed with it
        arguments = [script, folder, str(theirs.fileno()), msgspec.json.encode(limits).decode()]
        try:
            self._process = subprocess.Popen(
                [*command, *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env=env,
                start_new_session=True,  # Ctrl-C reaches the trusted side alone, which then closes this
            )
        except OSError as error:
            self._control.close()
            raise SandboxError(f"{command[0]} cannot be started: {error}") from None
        finally:
            theirs.close()
        with contextlib.suppress(OSError):  # where memory runs out on the machine, this is what has to go
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("1000")
        try:
            self._read(1, START_SECONDS)
        except (TimeoutError, EOFError, OSError) as error:
            tail = self._log_tail()
            self.close()
            raise SandboxError(f"the sandbox ({self.tier}) did not come up: {tail or error!r}") from None

    def start(self) -> SocketWorker:
        """Fork a worker. Raises SandboxError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
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
            wire.receive(ours, wire.Value, wire.Caps(), time.monotonic() + FORK_SECONDS)
        except (TimeoutError, EOFError, OSError) as error:
            worker.kill()
            raise SandboxError(
                f"the sandbox ({self.tier}) cannot isolate a worker: {self._log_tail() or error!r}"
            ) from None
        return worker

    def end(self, number: int) -> Ending:
        """Kill the worker and everything below it; say how it ended."""
        try:
            self._control.sendall(b"K" + number.to_bytes(4, "big"))
            status = self._read(8, FORK_SECONDS)
        except (TimeoutError, EOFError, OSError) as error:
            raise SandboxError(f"the sandbox ({self.tier}) is gone: {self._log_tail() or error!r}") from None
        return Ending(int.from_bytes(status[:4], "big", signed=True), int.from_bytes(status[4:], "big", signed=True))

    def revive(self) -> None:
        """End the warm process and start another one; workers of the old one are gone. Raises SandboxError."""
        self.close()
        self._launch()

    def close(self) -> None:
        """End the warm process and all its workers."""
        self._control.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        self._log.close()

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


class SocketWorker:
    """A worker at the other end of a socketpair."""

    def __init__(self, warm: WarmProcess, sock: socket.socket, number: int) -> None:
        self._warm = warm
        self._sock = sock
        self._number = number
        self._ending: Ending | None = None

    def ask(self, request: wire.AnyRequest, seconds: float, caps: wire.Caps = wire.Caps()) -> wire.AnyReply:  # noqa: B008 - frozen
        deadline = time.monotonic() + seconds
        try:
            wire.send(self._sock, request, deadline)
            reply: wire.AnyReply = wire.receive(self._sock, wire.AnyReply, caps, deadline)
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None
        return reply

    def kill(self) -> Ending:
        if self._ending is None:
            try:
                self._ending = self._warm.end(self._number)
            finally:
                self._sock.close()  # not before: at the end of the file an idle worker leaves by itself
        return self._ending


def python_folder() -> Path:
    """The folder that holds the package `grader`."""
    return Path(__file__).resolve().parents[2]
