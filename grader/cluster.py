"""Other machines: the same unit of work on the workers of a dask.distributed cluster.

    Cluster ──tcp or tls──▶ scheduler ──▶ dask worker: Desk ──▶ Pool of one ──pipe──▶ process: Bench ──▶ sandbox

The assignment goes to each worker once, as a plugin: dask gives it to workers that come later too. So no folder need
be shared, and what is graded by is what lies where the command was typed: a rubric that was changed a minute ago is
the same everywhere. The grader, torch and Python themselves must be there in the same version, which is compared.
Submissions go by content, a few for each worker at a time, and outcomes come back as they are done.

Where a worker dies, dask gives its submissions to another; one that every worker dies of is given up, alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from multiprocessing import current_process
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, Worker, WorkerPlugin, get_worker, wait
from distributed.comm.addressing import parse_address, parse_host_port
from msgspec.structs import replace

import grader
from grader.assignment import Assignment
from grader.errors import ClusterError, GraderError, IntakeError
from grader.gather import intake_limits
from grader.ledger import ground
from grader.parcels import Parcel, folder_packed, folder_unpacked, packed, unpacked
from grader.pool import Pool
from grader.records import Blame
from grader.work import Outcome, Setup, Work

CONNECT_SECONDS = 10
LOOK_SECONDS = 5.0  # between looks whether any worker is left
PATIENCE_SECONDS = 60.0  # without any worker
IN_FLIGHT = 2  # for each thread of a worker: one is graded, one waits beside it
OURS = "grader-"  # the plugin's name, before that of its client
_LOST = (CancelledError, OSError)


class Cluster:
    """Grades on the cluster at `address`. seconds: after so many on one submission, a process is taken to hang."""

    def __init__(self, address: str, setup: Setup, assignment: Assignment, seconds: float) -> None:
        self._address = address
        self._setup = setup
        self._assignment = assignment
        self._seconds = seconds
        self._limits = intake_limits(assignment.config)
        self._flying: dict[Future[Outcome], Work] = {}
        self._left = ExitStack()
        self._seen = time.monotonic()  # when there was a worker

    def __enter__(self) -> Cluster:
        logging.disable()  # dask logs pages where a connection ends; we say it in one sentence
        self._left.callback(logging.disable, logging.NOTSET)
        # Its warning is for data that belongs in files on the workers; an archive has nowhere else to be.
        self._left.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "2 GiB"}))
        try:
            self._client = self._left.enter_context(
                Client(  # type: ignore[no-untyped-call]  # dask is typed in part
                    self._address, timeout=CONNECT_SECONDS, direct_to_workers=False
                )
            )
        except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:  # TypeError: TLS without its files
            self._left.close()
            why = str(error).partition("\n")[0] or type(error).__name__
            raise ClusterError(
                f"--dask {self._address}: no scheduler can be reached there ({why}); "
                "start one with `dask scheduler`, and name the address that it prints"
            ) from None
        try:
            self._name = OURS + self._client.id
            self._open_desks()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _open_desks(self) -> None:
        folder = self._assignment.folder
        desk = Desk(self._setup, folder_packed(folder), ground(folder, ""), self._seconds)
        try:
            for name in self._client.run_on_scheduler(forsaken):
                self._client.unregister_worker_plugin(name)
            self._client.register_plugin(desk, name=self._name)
        except ModuleNotFoundError as error:
            raise ClusterError(
                f"--dask {self._address}: {error.name} is missing on the scheduler or on a worker; "
                "the grader must be installed on each, in this version"
            ) from None
        except _LOST:
            raise self._lost() from None

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # where the scheduler is gone, all of this is done
            self._client.cancel(list(self._flying), force=True)
            if self._client.status == "running":
                self._client.unregister_worker_plugin(self._name)  # which ends what is being graded
        self._left.close()

    def grade(self, works: Sequence[Work]) -> Iterator[tuple[Work, Outcome]]:
        """Grade them all, and give each when it is done. Raises ClusterError, SandboxError, AssignmentError."""
        todo = deque(works)
        while todo or self._flying:
            room = IN_FLIGHT * max(self._threads(), 1)  # a cluster that adapts starts its first worker for a task
            while todo and len(self._flying) < room:
                work = todo.popleft()
                try:
                    parcel = packed(Path(work.path), self._limits, work.owner)
                except IntakeError as error:
                    yield work, Outcome(reason=str(error), blame=Blame.STUDENT)
                    continue
                self._flying[self._client.submit(grade_parcel, self._name, parcel, pure=False)] = work
            for future in self._landed():
                yield self._flying.pop(future), self._outcome(future)

    def _threads(self) -> int:
        """How many submissions the cluster grades at a time. Raises ClusterError where it is, or stays, empty."""
        try:
            threads: int = sum(self._client.nthreads().values())
        except _LOST:
            raise self._lost() from None
        if threads:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > PATIENCE_SECONDS:
            raise ClusterError(
                f"--dask {self._address}: there has been no worker for {PATIENCE_SECONDS:.0f} s; "
                f"start some with `dask worker {self._address}`; what was graded is kept"
            )
        return threads

    def _landed(self) -> set[Future[Outcome]]:
        """Those that are done; none where that takes long."""
        if not self._flying:
            return set()
        try:
            waited = wait(list(self._flying), LOOK_SECONDS, "FIRST_COMPLETED")  # type: ignore[no-untyped-call]
            done: set[Future[Outcome]] = waited.done
        except TimeoutError:
            return set()
        except _LOST:
            raise self._lost() from None
        return done

    def _outcome(self, future: Future[Outcome]) -> Outcome:
        try:
            return future.result()
        except GraderError:
            raise
        except KilledWorker as error:
            reason = f"{error.allowed_failures + 1} workers of the cluster died while they graded it"
            return Outcome(reason=reason, blame=Blame.GRADER)
        except _LOST:
            raise self._lost() from None
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop three hundred others
            reason = f"the grader is at fault on the cluster: {type(error).__name__}: {error}"
            return Outcome(reason=reason, blame=Blame.GRADER, trace=traceback.format_exc())

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"--dask {self._address}: the scheduler was lost; what was graded is kept: "
            "start it again, and the same command goes on from there"
        )


def is_open(address: str) -> bool:
    """Whether archives and marks would travel in clear, to a scheduler that anybody on the network can command."""
    scheme, place = parse_address(address)
    if scheme in ("tls", "wss"):
        return False
    with suppress(ValueError):
        host = parse_host_port(place, 0)[0]
        return host != "localhost" and not (_is_number(host) and ipaddress.ip_address(host).is_loopback)
    return True


def _is_number(host: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


# ---- on the scheduler -----------------------------------------------------------------------------------------------


def forsaken(dask_scheduler: Any) -> list[str]:
    """The plugins of runs that were killed, and could not take theirs back."""
    there = {OURS + client for client in dask_scheduler.clients}
    return [name for name in dask_scheduler.worker_plugins if name.startswith(OURS) and name not in there]


# ---- on a worker ----------------------------------------------------------------------------------------------------


class Desk(WorkerPlugin):
    """What a worker needs for one run: the assignment in a private folder, and a pool of one for each of its threads.

    The grading goes on in processes of their own: pytest's time limits need a main thread, and one that crashes costs
    its submission alone. ground: what the records of this run hang on, by `grader.ledger.ground`.
    """

    def __init__(self, setup: Setup, assignment: bytes, ground: str, seconds: float) -> None:
        self._setup = setup
        self._assignment = assignment
        self._ground = ground
        self._seconds = seconds
        self._versions = versions()

    def setup(self, worker: Worker) -> None:
        """Raises ClusterError, naming the worker, where another grader is there."""
        self._where = f"the worker {worker.address}"
        self._lock = threading.Lock()
        self._pools: list[Pool] = []
        self._idle: list[Pool] = []
        self._evaluations = _Evaluations()
        self._closed = False
        # In dask's own scratch folder, which the next worker clears of what a killed one left.
        self._folder = Path(tempfile.mkdtemp(prefix=OURS, dir=worker.local_directory))
        assignment = self._folder / "assignment"
        folder_unpacked(self._assignment, assignment)
        self._assignment = b""
        self._setup = replace(self._setup, assignment=str(assignment), hidden=(str(self._folder),))
        self._refusal = ""
        if ground(assignment, "") != self._ground:
            there, here = versions(), self._versions
            other = there if there != here else "other files of the grader"
            self._refusal = f"{self._where} has {other}, this machine {here}; install the same there"
            raise ClusterError(self._refusal)

    async def teardown(self, worker: Worker) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            pools = list(self._pools)
        for pool in pools:
            pool.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def grade(self, parcel: Parcel) -> Outcome:
        if self._refusal:
            raise ClusterError(self._refusal)
        with tempfile.TemporaryDirectory(dir=self._folder) as private, self._pool() as pool:
            path = unpacked(parcel, Path(private))
            try:
                ((_, outcome),) = pool.grade([Work(position=0, path=str(path), owner=parcel.owner)])
            except GraderError as error:
                raise type(error)(f"{self._where}: {error}") from None
        return outcome

    @contextmanager
    def _pool(self) -> Iterator[Pool]:
        """One that is free, with its sandbox open, or a new one."""
        with self._lock:
            if self._closed:
                raise ClusterError("the run was ended")
            pool = self._idle.pop() if self._idle else self._new_pool()
        try:
            yield pool
        except BaseException:
            with self._lock:
                self._pools.remove(pool)
            pool.close()
            raise
        with self._lock:
            self._idle.append(pool)

    def _new_pool(self) -> Pool:
        process: Any = current_process()
        # A nanny marks its worker as a daemon, and multiprocessing grants a daemon no children, lest they outlive it.
        # Ours end with it by themselves.
        process._config["daemon"] = False
        pool = Pool(self._setup, 1, self._seconds, self._evaluations)
        self._pools.append(pool)
        return pool


def grade_parcel(run: str, parcel: Parcel) -> Outcome:
    """The task: grade a submission at the desk of this run on whatever worker it is."""
    desk: Desk = get_worker().plugins[run]  # type: ignore[assignment]
    return desk.grade(parcel)


def versions() -> str:
    """What must be the same on each machine, in words."""
    python = ".".join(map(str, sys.version_info[:2]))
    return f"grader {grader.__version__} with torch {version('torch')} and Python {python}"


class _Evaluations:
    """What this worker knows of weights in code."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def evaluation(self, key: str) -> bytes | None:
        return self._known.get(key)

    def evaluated(self, key: str, result: bytes) -> None:
        self._known[key] = result
