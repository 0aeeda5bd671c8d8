"""The warm process: torch is imported once, then every worker is a fork of it.

Started as  python -I zygote.py FOLDER CONTROL_FD LIMITS  where FOLDER holds the package `grader`. On the control
socket it takes one-byte commands: S with a descriptor (fork a worker that serves on it; answers the number of the
worker), K with a number (kill that worker; answers a STATUS), W with a number (the same, but its connection has closed:
give it a moment to end by itself, so that what ended it can be told), B with a descriptor (fork a branch: a warm
process like this one, whose control socket that is; it ends with this one). It stays single-threaded, since a process
with threads may neither unshare a user namespace nor fork safely.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the folder that holds these is known to main() alone
    from grader.wire import WorkerLimits
    from grader.worker.home import Home

NUMBER = struct.Struct(">i")
STATUS = struct.Struct(">iidB")  # exit code, signal, seconds of CPU time, why we ended it
ITSELF, ASKED, TOO_FULL = range(3)
LOOK_SECONDS = 0.2  # how often a worker's folder is held against its size
ENDING_SECONDS = 5.0  # a large process on a busy machine closes its connection long before it has ended


def main() -> None:
    folder, control_fd, limits_json = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sys.path.insert(0, folder)
    # The values are checked, not the speed: a compiler would only use up the time limit, and inductor's needs a C++
    # compiler and a folder of its own besides. Torch reads both when it is imported.
    os.environ["PYTORCH_JIT"] = "0"
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    import gc
    import io

    gc.disable()  # what is imported becomes no garbage; to look for it took a tenth of the start
    import msgspec
    import torch

    import grader.torchvision_mend  # noqa: F401 - a notebook's import of torchvision must find it mended
    from grader import wire
    from grader.worker import home, serve, weights  # noqa: F401 - warms what every fork will need

    limits = msgspec.json.decode(limits_json, type=wire.WorkerLimits)
    frame = wire.encode(wire.Value(value=torch.zeros(1)))  # safetensors imports more at its first use, either way
    length = wire.PREFIX.unpack(frame[: wire.PREFIX.size])[1] + wire.PREFIX.size
    wire.decode(frame[wire.PREFIX.size : length], frame[length:], wire.AnyReply)
    saved = io.BytesIO()
    torch.save({"weight": torch.zeros(1)}, saved)  # and so does torch.load
    weights.read(saved.getvalue(), 1)
    torch.zeros(1, dtype=torch.float16).float()  # asks /proc/cpuinfo what the processor can; a worker has none to ask
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trusted side, which then ends this process
    gc.freeze()  # otherwise the first collection in each fork copies every page
    gc.enable()
    gc.set_threshold(10_000, 10, 10)  # a fork that lives for seconds has little to collect
    _serve(socket.socket(fileno=control_fd), limits)
    if limits.scratch:
        home.remove(limits.scratch)


def _serve(control: socket.socket, limits: WorkerLimits) -> None:
    """Do what is asked on the control socket until it closes."""
    control.sendall(b"R")
    workers: dict[int, int] = {}  # pid → read end of its status pipe
    branches: list[int] = []
    while True:
        command, descriptors, _, _ = socket.recv_fds(control, 5, 1)
        if not command:  # the trusted side has closed, or is gone
            for pid, status in workers.items():
                _end(pid, status)
            return
        if command[:1] == b"S":
            pid, status = _fork(descriptors[0], limits)
            os.close(descriptors[0])
            workers[pid] = status
            control.sendall(NUMBER.pack(pid))
        elif command[:1] == b"B":
            branches = [pid for pid in branches if os.waitpid(pid, os.WNOHANG)[0] == 0]
            branches.append(_branch(descriptors[0], limits, [control.fileno(), *workers.values()]))
            os.close(descriptors[0])
        else:
            pid = NUMBER.unpack(command[1:5])[0]
            status = workers.pop(pid)
            if command[:1] == b"W":
                select.select([status], [], [], ENDING_SECONDS)
            control.sendall(STATUS.pack(*_end(pid, status)))


def _branch(descriptor: int, limits: WorkerLimits, left_behind: list[int]) -> int:
    """Fork a process that serves on the descriptor, as this one does on another, without what is this one's."""
    from grader.worker import confine

    pid = os.fork()
    if pid:
        return pid
    try:
        confine.end_with_parent()
        for other in left_behind:
            os.close(other)
        _serve(socket.socket(fileno=descriptor), limits)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)  # the interpreter's own way out takes long, with torch


def _end(pid: int, status: int) -> tuple[int, int, float, int]:
    """Kill a worker if it still runs, and say how it ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    report = os.read(status, STATUS.size)
    os.close(status)
    return STATUS.unpack(report) if len(report) == STATUS.size else (0, signal.SIGKILL, 0.0, ITSELF)


def _fork(descriptor: int, limits: WorkerLimits) -> tuple[int, int]:
    """Fork a keeper, which forks the worker. The keeper outlives the worker and reports how it ended.

    In a pid namespace of its own the worker is process 1: when it ends, all that it started ends with it.
    """
    from grader.worker import confine
    from grader.worker.home import make_home, remove

    reader, writer = os.pipe()
    keeper = os.fork()
    if keeper:
        os.close(writer)
        return keeper, reader
    try:
        os.close(reader)
        os.setsid()
        confine.end_with_parent()
        if limits.confinement == "namespaces":
            confine.unshare(own_pids=not limits.devices)  # a driver looks itself up in /proc by its own number
        home = make_home(f"{limits.scratch}/homes") if limits.confinement == "landlock" else None
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
        worker = os.fork()
        if worker == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
            os.setsid()
            _work(descriptor, limits, home)
        os.write(writer, _keep(worker, writer, limits, home))
        if home is not None:
            remove(home.folder)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _keep(worker: int, writer: int, limits: WorkerLimits, home: Home | None) -> bytes:
    """Wait until the worker has ended, by itself or because it was to. Returns a STATUS."""
    from grader.worker import confine
    from grader.worker.home import too_full

    why = ITSELF

    def kill(*_: object) -> None:
        nonlocal why
        why = why or ASKED
        _kill(worker)

    signal.signal(signal.SIGTERM, kill)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    confine.keep_only({writer})  # the worker's socket must close with the worker
    while home is not None:
        ended, status, usage = os.wait4(worker, os.WNOHANG)
        if ended:
            break
        if not why and too_full(home, worker, limits.tmp_mb):
            why = TOO_FULL
            _kill(worker)
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)
    else:
        _, status, usage = os.wait4(worker, 0)
    how = why
    _kill_group(worker)  # whatever is left of it, where there is no namespace to end it
    code, number = (0, os.WTERMSIG(status)) if os.WIFSIGNALED(status) else (os.WEXITSTATUS(status), 0)
    return STATUS.pack(code, number, usage.ru_utime + usage.ru_stime, how)


def _kill(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(worker, signal.SIGKILL)
    _kill_group(worker)


def _kill_group(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)


def _work(descriptor: int, limits: WorkerLimits, home: Home | None) -> None:
    try:
        from grader.worker import confine, serve

        sock = socket.socket(fileno=os.dup(descriptor))
        confine.run_confined(limits, home, lambda: serve.serve(sock, limits))
    except BaseException:
        traceback.print_exc()  # reaches the sandbox's log only before the descriptors are closed
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
