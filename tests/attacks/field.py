"""What stands around the sandbox to be hit: files of others, listening sockets, processes, canaries."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import pty
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from conftest import ROOT

from grader.worker.confine import leave_keyring

CANARY = re.compile(r"CANARY-[0-9a-f]{16}")
UNTOUCHED = "the result of another student\n"
ADD_KEY, SESSION_KEYRING = {"x86_64": 248, "aarch64": 217}, -3  # the system call's numbers
LINE_OF_THE_SOLUTION = "scores = torch.matmul(Q, K.transpose(-2, -1)) / math.sqrt(self.word_dim)"


def canary() -> str:
    """A word that stands in one hidden place alone."""
    return f"CANARY-{secrets.token_hex(8)}"


def planted(folder: Path) -> Path:
    """A copy of the assignment with canaries in the checks, the solutions, the mutants, the stand-ins and its path."""
    copy = folder / f"reference-{canary()}"
    shutil.copytree(ROOT / "reference", copy, ignore=shutil.ignore_patterns("__pycache__", "imgs"))
    (copy / "mutants/encoder.toml").unlink()  # to compare every wrong encoder with each takes seconds
    for pattern in ("checks/*.py", "mutants/*.toml", "standins/*.py", "assignment.toml"):
        for path in copy.glob(pattern):
            path.write_text(path.read_text(encoding="utf-8") + f"\n# {canary()}\n", encoding="utf-8")
    master = copy / "notebooks/Assignment2-1_Transformer_from_scratch.ipynb"
    notebook = nbformat.read(master, as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and LINE_OF_THE_SOLUTION in cell.source]
    cell.source = cell.source.replace(LINE_OF_THE_SOLUTION, f"{LINE_OF_THE_SOLUTION}  # {canary()}")
    nbformat.write(notebook, master)
    (copy / "data/labels.txt").write_text(canary())
    return copy


def plant_key() -> bool:
    """Put a canary into a fresh session keyring of this process; False where the machine keeps no keys."""
    libc, word = ctypes.CDLL(None), canary().encode()
    if platform.machine() not in ADD_KEY:
        return False
    leave_keyring()
    return libc.syscall(ADD_KEY[platform.machine()], b"user", b"grader", word, len(word), SESSION_KEYRING) > 0


def left(child: str) -> list[int]:
    """Processes that an attack has started, known by the name that they gave themselves."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{name}/comm").read_text().strip() == child:
                found.append(int(name))
    return found


@dataclass
class Field:
    """One place to be attacked. `told` is what an attack gets to know of it, plain data; `signs` says what was hit."""

    folder: Path
    told: dict[str, Any]
    terminal: int  # the end of a terminal at which a teacher would sit
    listening: dict[str, socket.socket] = field(default_factory=dict)

    def signs(self) -> list[str]:
        """What has been touched, in words; empty where the walls held."""
        found = [] if self._victim.read_text() == UNTOUCHED else ["another's result was rewritten"]
        found += [f"{name} appeared" for name in sorted(os.listdir(self.folder)) if name not in self._known]
        for name, server in self.listening.items():
            with contextlib.suppress(BlockingIOError):
                if server.type == socket.SOCK_DGRAM:
                    server.recv(4096)
                else:
                    server.accept()[0].close()
                found.append(f"{name} was reached")
        if self._bystander.poll() is not None:
            found.append("a process next door was ended")
        return found + [f"process {pid} outlived its submission" for pid in left(self.told["child"])]

    def restore(self) -> None:
        """Put back what was hit, for the next attack."""
        for pid in left(self.told["child"]):
            os.kill(pid, signal.SIGKILL)
        for name in os.listdir(self.folder):
            if name not in self._known:
                (self.folder / name).unlink()
        self._victim.write_text(UNTOUCHED)
        if self._bystander.poll() is not None:
            self._bystander.communicate()
            self._put_bystander()

    def _put_bystander(self) -> None:
        self._bystander = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, env={"SECRET": canary()}
        )
        self.told["neighbour"] = self._bystander.pid

    def __post_init__(self) -> None:
        self._victim = Path(self.told["results"])
        self._known = set(os.listdir(self.folder)) | {self._victim.name}
        self._victim.write_text(UNTOUCHED)
        self._put_bystander()
        self.told["child"] = f"left-{self.told['tcp']}"

    def close(self) -> None:
        self._bystander.kill()
        self._bystander.communicate()
        os.close(self.terminal)
        for server in self.listening.values():
            server.close()


@contextlib.contextmanager
def open_field(folder: Path, assignment: Path) -> Iterator[Field]:
    """Plant what can be hit in `folder`; close it with the block."""
    for name in ("home", "other.ipynb"):
        (folder / name).write_text(canary())
    listening = {
        "TCP": socket.create_server(("127.0.0.1", 0)),
        "UDP": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix": socket.socket(socket.AF_UNIX),
        "abstract": socket.socket(socket.AF_UNIX),
    }
    listening["UDP"].bind(("127.0.0.1", 0))
    listening["unix"].bind(str(folder / "socket"))
    listening["abstract"].bind(f"\0attacked-{os.getpid()}")
    for name, server in listening.items():
        if name in ("unix", "abstract"):
            server.listen()
        server.setblocking(False)
    terminal, theirs = pty.openpty()
    told = {
        "results": str(folder / "results.json"),
        "other": str(folder / "other.ipynb"),
        "home": str(folder / "home"),
        "repository": str(ROOT),
        "reference": str(assignment),
        "tcp": listening["TCP"].getsockname()[1],
        "udp": listening["UDP"].getsockname()[1],
        "unix": str(folder / "socket"),
        "abstract": f"attacked-{os.getpid()}",
        "grader": os.getpid(),
        "terminal": os.ttyname(theirs),
        "most": 64,  # processes or threads; twice what the limits of judging.py allow
    }
    os.close(theirs)
    place = Field(folder, told, terminal, listening)
    try:
        yield place
    finally:
        place.close()
