"""Other processes on this machine: how many are of use, who starts them, and work that is done to each of many things.

`do_each` forks this process: a fork has all that was read, and begins in a few milliseconds; it is for what starts no
thread and loads no torch. `served` is for what does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_all_start_methods, get_context
from typing import TYPE_CHECKING, TypeVar

from grader.interrupts import interrupts_held

if TYPE_CHECKING:  # Windows has no server of forks
    from multiprocessing.context import ForkServerContext, SpawnContext

WORTH = 16  # things for each process

Thing = TypeVar("Thing")


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def served(preload: str) -> ForkServerContext | SpawnContext:
    """Processes forked by a server that has imported `preload` once; where there is no such thing, spawned."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([preload])
    return context


def do_each(things: Sequence[Thing], do: Callable[[Thing], None], processes: int) -> None:
    """Do it to each, in up to so many processes. What goes wrong in another one is done again, and raised, here."""
    if things:
        do(things[0])  # what is read at the first is there for all who come after
    things = things[1:]
    count = min(processes, len(things) // WORTH) if sys.platform == "linux" else 1
    parts = [things[number::count] for number in range(count)] if count > 1 else [things]
    with interrupts_held():  # Ctrl-C is for the process that one sees
        children = [get_context("fork").Process(target=_do_all, args=(part, do)) for part in parts[1:]]
        for child in children:
            child.start()
    try:
        _do_all_here(parts[0], do)
        for part, child in zip(parts[1:], children, strict=True):
            child.join()
            if child.exitcode != 0:
                _do_all_here(part, do)
    finally:
        for child in children:
            child.kill()
            child.join()


def _do_all_here(things: Sequence[Thing], do: Callable[[Thing], None]) -> None:
    for thing in things:
        do(thing)


def _do_all(things: Sequence[Thing], do: Callable[[Thing], None]) -> None:
    code = 1
    try:
        _do_all_here(things, do)
        code = 0
    finally:
        os._exit(code)  # whatever it was, the other process comes to the same, and says it
