"""Workers that are ordinary processes, for students who check their own work: any system, and no walls at all.

Neither fork nor descriptors that are passed on: Windows has neither. The connection is TCP on the loopback interface.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from grader import wire
from grader.errors import SandboxError
from grader.sandbox import Ending

PACKAGE = Path(__file__).resolve().parents[2]  # the folder, or the zip, that holds the package `grader`
BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from grader.worker.plain import main; main()"
START_SECONDS = 120.0  # torch from a cold disk, with a virus scanner beside it
END_SECONDS = 2.0  # a process that closes its connection is about to end
POLL_SECONDS = 0.2
TOKEN_BYTES = 32


class PlainSandbox:
    """Starts workers without any isolation."""

    tier = "none"

    @property
    def threads(self) -> int:
        return os.cpu_count() or 1

    def start(self) -> PlainWorker:
        """Start a process. Raises SandboxError where it does not call back."""
        place = contextlib.ExitStack()
        folder = place.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        log: IO[bytes] = place.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - `place` closes it
        token = secrets.token_hex(TOKEN_BYTES // 2)
        with place, socket.create_server(("127.0.0.1", 0)) as listener:
            process = subprocess.Popen(
                [sys.executable, "-c", BOOT, str(PACKAGE)],
                cwd=folder,  # one without a torch.py of the student's
                env=_environment(listener.getsockname()[1], token),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            place.callback(process.wait)
            place.callback(process.kill)
            sock = _called(listener, process, token, log)
            return PlainWorker(process, sock, place.pop_all())

    def revive(self) -> None:
        """Nothing is shared between workers."""

    def close(self) -> None:
        """Nothing is left when the workers have ended."""


def _environment(port: int, token: str) -> dict[str, str]:
    from_grader = {"PYTORCH_JIT": "0", "TORCHDYNAMO_DISABLE": "1", "CUDA_VISIBLE_DEVICES": ""}  # as the zygote has it
    return {**os.environ, **from_grader, "GRADER_PLAIN_PORT": str(port), "GRADER_PLAIN_TOKEN": token}


def _called(listener: socket.socket, process: subprocess.Popen[bytes], token: str, log: IO[bytes]) -> socket.socket:
    """The connection of the process that knows the token. Raises SandboxError."""
    deadline = time.monotonic() + START_SECONDS
    listener.settimeout(POLL_SECONDS)
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError, EOFError, OSError):
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if wire.exactly(sock, TOKEN_BYTES, time.monotonic() + POLL_SECONDS) == token.encode():
                wire.receive(sock, wire.Value, wire.Caps(), deadline)
                return sock
            sock.close()
    log.seek(0)
    lines = log.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
    raise SandboxError(f"the process for your code did not come up: {lines[-1] if lines else 'it took too long'}")


class PlainWorker:
    """An ordinary process at the other end of a loopback connection."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket, place: contextlib.ExitStack) -> None:
        self._process = process
        self._sock = sock
        self._place = place
        self._ending: Ending | None = None
        self.waited = 0.0

    def ask(self, request: wire.AnyRequest, seconds: float, caps: wire.Caps = wire.Caps()) -> wire.AnyReply:  # noqa: B008 - frozen
        deadline = time.monotonic() + seconds
        try:
            wire.send(self._sock, request, deadline)
            reply: wire.AnyReply = wire.receive(self._sock, wire.AnyReply, caps, deadline)
        except (EOFError, ConnectionError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
            raise EOFError from None
        return reply

    def kill(self) -> Ending:
        if self._ending is None:
            killed = self._process.poll() is None
            self._process.kill()
            code = self._process.wait()
            self._sock.close()
            self._place.close()
            self._ending = Ending(max(code, 0), max(-code, 0), killed=killed)
        return self._ending
