"""Ctrl-C, held back for a moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def start_fork_server() -> None:
    """Start multiprocessing's server of forks, which never hears a Ctrl-C, not even in what it imports first.

    Where it runs already, it stays as it is. Only where there is such a thing.
    """
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # when it starts, it lets go of the signals that are held
    with interrupts_held():
        forkserver.ensure_running()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A Ctrl-C in here is heard at the end of the block; a process that is started in here never hears one.

    The mask is what a process that is started inherits. In this one a thread of numpy's may hear it in place of the one
    that has the mask, and Python would tell the main thread all the same: there it is noted meanwhile.
    Where a system has no masks of signals, it is heard at once, as ever.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    heard: list[int] = []
    main = threading.current_thread() is threading.main_thread()  # it alone may set what hears a signal
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number)) if main else None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if main:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)  # None: what C set, and Python cannot set again
        if heard:
            signal.raise_signal(signal.SIGINT)
