"""How long a worker has really run: on a busy machine an honest one waits for a core, and that is not its doing."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from dataclasses import dataclass

CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
PROCESS_CLOCK = 2  # in a clock's number, the CPU time of all threads of a process (clock_getcpuclockid(3))


@dataclass(frozen=True)
class Times:
    """Seconds. cpu: used by all threads together. waited: in which the first thread could run, and had no core."""

    cpu: float = 0.0
    waited: float = 0.0


def times(pid: int) -> Times:
    """The times of a process; zeros where it is gone or the machine does not tell."""
    if pid <= 0 or sys.platform != "linux":
        return Times()
    try:
        file = os.open(
            f"/proc/{pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC
        )  # read at each request: no Path, no decoder
        try:
            waited = int(os.read(file, 128).split()[1]) / 1e9
        finally:
            os.close(file)
        return Times(time.clock_gettime((~pid << 3) | PROCESS_CLOCK), waited)
    except (OSError, IndexError, ValueError):
        return Times()


def tell_sender(sock: socket.socket, on: bool) -> None:
    """Have the kernel say who sends on a socket's other end."""
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, on)


def sender(sock: socket.socket, seconds: float) -> int:
    """The number, as this process sees it, of the process that sent what lies next in the socket; 0 if unknown.

    Waits for something to lie there. Raises TimeoutError.
    """
    if sys.platform != "linux":
        return 0
    sock.settimeout(seconds)
    _, ancillary, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(CREDENTIALS.size), socket.MSG_PEEK)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid: int = CREDENTIALS.unpack(data[: CREDENTIALS.size])[0]
            return pid
    return 0
