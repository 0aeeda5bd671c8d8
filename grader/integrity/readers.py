"""The submissions of a class, read side by side in processes of this machine, and given in their order.

Few are read in this process: to start others takes as long as to read some submissions.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, SpawnContext

from grader.assignment import Assignment
from grader.errors import IntakeError, NotGraded
from grader.forks import served
from grader.gather import HandIn
from grader.integrity.exhibit import Exhibit, taken
from grader.integrity.ground import Ground
from grader.interrupts import interrupts_held, start_fork_server
from grader.records import Record

MANY = 16  # submissions

Read = Exhibit | str  # or why it cannot be read


def read_all(
    hand_ins: Sequence[HandIn],
    assignment: Assignment,
    ground: Ground,
    records: Mapping[str, Record],
    mark: str,
    jobs: int,
) -> Generator[Read, None, None]:
    """What is kept of each, in up to `jobs` processes. records: by the name of the hand-in.

    Raises NotGraded where such a process ends by itself.
    """
    if jobs < 2 or len(hand_ins) < MANY:
        for hand_in in hand_ins:
            yield _read(hand_in, assignment, ground, records.get(hand_in.name), mark)
        return
    pool = ProcessPoolExecutor(min(jobs, len(hand_ins)), _context(), initializer=_begin, initargs=(assignment, ground))
    try:
        with interrupts_held():  # Ctrl-C is for the process that one sees; with the first of these all others start
            futures = [pool.submit(_read_here, one, records.get(one.name), mark) for one in hand_ins]
        for future in futures:
            yield future.result()
    except BrokenProcessPool:
        raise NotGraded("a process that read submissions ended; memory may be short: try --jobs 1") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _context() -> ForkServerContext | SpawnContext:
    context = served(__name__)  # after grading there is a server already, and it stays
    if isinstance(context, ForkServerContext):
        start_fork_server()
    return context


def _read(hand_in: HandIn, assignment: Assignment, ground: Ground, record: Record | None, mark: str) -> Read:
    try:
        return taken(hand_in, assignment, ground, record, mark)
    except IntakeError as error:
        return str(error)


# ---- in a process of its own ----------------------------------------------------------------------------------------

_known: tuple[Assignment, Ground] | None = None  # one for each process, given to its initializer


def _begin(assignment: Assignment, ground: Ground) -> None:
    global _known
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _known = assignment, ground


def _end_with_parent() -> None:
    """An executor's processes wait for work for ever, also where the one that gave it was killed."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _read_here(hand_in: HandIn, record: Record | None, mark: str) -> Read:
    assert _known is not None
    return _read(hand_in, *_known, record, mark)
