"""Ctrl-C, held back for a moment."""

from __future__ import annotations

import signal
import subprocess
import sys

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


def test_what_is_started_in_the_block_never_hears_one() -> None:
    line = "import signal; signal.raise_signal(signal.SIGINT); print('went on')"
    with interrupts_held():
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout == "went on\n"
