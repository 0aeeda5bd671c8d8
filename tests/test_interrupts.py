"""Ctrl-C, held back for a moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from conftest import ROOT

from grader.interrupts import interrupts_held


def test_an_interrupt_in_the_block_is_heard_at_its_end() -> None:
    heard: list[str] = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("interrupt"))
    try:
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            heard.append("last line")
        signal.raise_signal(signal.SIGINT)  # and afterwards at once
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == ["last line", "interrupt", "interrupt"]


def test_an_interrupt_that_another_thread_hears_waits_as_well() -> None:
    """A thread that was there before has no mask, as numpy's have none: the kernel gives it the signal."""
    heard: list[str] = []
    before, done = signal.signal(signal.SIGINT, lambda *_: heard.append("interrupt")), threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
            heard.append("last line")
    finally:
        signal.signal(signal.SIGINT, before)
        done.set()
        other.join()
    assert heard == ["last line", "interrupt"]


def test_what_is_started_in_the_block_never_hears_one() -> None:
    line = "import signal; signal.raise_signal(signal.SIGINT); print('went on')"
    with interrupts_held():
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout == "went on\n"


def test_the_server_of_forks_hears_none_in_what_it_imports_first(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(
        "import signal; signal.raise_signal(signal.SIGINT); print('went on', flush=True)"
    )
    lines = (
        "import multiprocessing, os",
        "from grader.interrupts import start_fork_server",
        "context = multiprocessing.get_context('forkserver')",
        "context.set_forkserver_preload(['first'])",
        "start_fork_server()",
        "process = context.Process(target=os.getpid)",
        "process.start(), process.join()",
    )
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert (ended.stdout, ended.stderr) == ("went on\n", "")


def test_what_forks_the_grading_processes_ends_at_once() -> None:
    """A pipe behind `grade.py` is open until then, and torch takes long to be put away."""
    lines = "import atexit; atexit.register(print, 'put away'); import grader.preloaded"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
