"""Theory of operation.

    grade.py (trusted)                         bubblewrap: no network, read-only system, nothing of ours but the worker
    ┌────────────────────┐  control socket   ┌───────────────────────────────────────────────────────────────┐
    │ WarmProcess        │ ────────────────▶ │ zygote: torch imported, single thread, runs no student code   │
    │                    │  S fd / K number  │   └ keeper: forks the worker, reports how it ended            │
    │                    │                   │       └ worker: own user, pid, mount, net, ipc namespaces;    │
    │ Worker.ask(…)      │ ◀───────────────▶ │         small private /tmp; limits; no capabilities;          │
    └────────────────────┘   socketpair      │         the student's code                                    │
                                             └───────────────────────────────────────────────────────────────┘

A worker can reach three things: its end of one socketpair, its private /tmp, and the read-only files of the system
and of Python. It cannot see the repository, the reference, another submission or another worker. A system-call filter
keeps it from starting processes, and killing the keeper kills it. If the trusted side dies, bubblewrap dies with it,
and the rest with bubblewrap.

In a batch all grading processes share one bubblewrap: each has a branch, a fork of the zygote with a control socket of
its own, and its workers are forks of that. A branch ends with the zygote, or when its control socket closes.

Where namespaces are refused, the same processes run without bubblewrap, and the worker's walls are Landlock, the
filter, and as root a user of its own. docs/sandbox.md says what each tier defends, and what it does not.

How a worker's end reads:   exit code 0..255   it left by itself (os._exit)                   the student's
                            SIGSEGV, SIGABRT   it crashed                                     the student's
                            SIGKILL            CPU time used up: so says the keeper's clock   the student's
                                               memory used up: so says the control group      the student's
                                               by us, after it closed its connection          the student's
                                               else the machine ended it                      the grader's: SandboxError
                            the zygote is gone                                                the grader's: SandboxError

The seam is small, so that a fake for tests is trivial: a `Sandbox` starts workers; a `Worker` is asked, or killed.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from grader.wire import AnyReply, AnyRequest, Caps

# Bytes, for the glibc of whoever computes again and again what takes megabytes: what is larger is asked of the system
# (glibc takes no more than this), and so much of what is given back is kept. One alone ends the adapting of the other.
HEAP_MMAP, HEAP_TRIM = 32 << 20, 256 << 20
SIGKILL = 9  # the signal module of Windows has none
WALLED = ("bwrap", "landlock")  # strongest first
TIERS = ("auto", *WALLED, "none")


class Worker(Protocol):
    """One isolated process that serves one submission. `waited`: seconds so far in which it had no core to run on."""

    waited: float

    def ask(self, request: AnyRequest, seconds: float, caps: Caps = ...) -> AnyReply:
        """Send a request and wait for its reply, at most `seconds`; those in which it had no core do not count.

        Raises TimeoutError, EOFError (the process ended), WireError (it answered with something else, or before it was
        asked) or SandboxError (the machine is too busy to tell how long it takes).
        """
        ...

    def ask_each(self, requests: Sequence[AnyRequest], seconds: float, caps: Caps = ...) -> Iterator[AnyReply]:
        """Send several requests at once, and give each reply as it is asked for, as `ask` does, in their order.

        Each reply has its own `seconds`. Nothing else may be asked before all are taken.
        """
        ...

    def kill(self) -> Ending:
        """End the process and all that it started, and say how it ended. May be called twice."""
        ...


class Sandbox(Protocol):
    """Starts workers. `tier` names what isolates them, and stands in every record. `threads`: what a worker may use."""

    tier: str

    @property
    def threads(self) -> int: ...

    def start(self) -> Worker: ...

    def revive(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Ending:
    """How a worker's process ended: by itself with `code`, or by `signal`.

    limit: the limit that ended it. killed: we ended it, while it still ran.
    """

    code: int
    signal: int
    limit: Literal["", "cpu", "memory", "files"] = ""
    killed: bool = False

    @property
    def from_outside(self) -> bool:
        """Neither the limits, nor we, nor (behind the walls) its own code: the machine ended it."""
        return self.signal == SIGKILL and not self.limit and not self.killed

    def __str__(self) -> str:
        if self.killed:
            return "it closed its connection, and was ended"
        if self.signal:
            known = {number.value: number.name for number in signal.Signals}  # a real-time one has no name
            return f"the process was ended by {known.get(self.signal, f'signal {self.signal}')}"
        return f"the process ended itself with exit code {self.code}"
