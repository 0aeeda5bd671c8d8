"""A worker in an ordinary process: no walls, no fork, on any system. It runs a student's own code for that student.

The trusted end, `grader.sandbox.plain`, starts it and listens on the loopback interface; a token says who is calling.
"""

from __future__ import annotations

import os
import signal
import socket

PORT, TOKEN = "GRADER_PLAIN_PORT", "GRADER_PLAIN_TOKEN"


def main() -> None:
    """Call back, then answer requests until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trusted side, which then ends this process
    import torch

    import grader.torchvision_mend  # noqa: F401 - a notebook's import of torchvision must find it mended
    from grader.worker import serve

    torch.backends.mps.is_available = lambda: False  # type: ignore[assignment]  # as on the grader's machine, there is no GPU
    sock = socket.create_connection(("127.0.0.1", int(os.environ.pop(PORT))))
    sock.sendall(os.environ.pop(TOKEN).encode())
    serve.answer_all(sock)
