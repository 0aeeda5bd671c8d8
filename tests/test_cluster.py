"""A class on a cluster: a real scheduler and two real workers, over TCP on loopback."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, HandIn, small_assignment, timeless_records
from distributed import KilledWorker

from grader import cluster
from grader.archives import IntakeLimits, fingerprint, members
from grader.assignment import Assignment
from grader.cli import main
from grader.cluster import Cluster, Desk, is_open
from grader.errors import ClusterError, IntakeError
from grader.ledger import ground
from grader.parcels import folder_packed, packed, unpacked
from grader.work import Outcome, Setup

WITH_IMAGES = [sys.executable, str(ROOT / "grade.py")]
GRADE = [*WITH_IMAGES, "--no-accuracy"]
IMAGES = 200  # of the held-out set: enough to be told apart by, and a moment
MANY = IntakeLimits()
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def children(pid: int) -> list[int]:
    """Of all its threads: a nanny starts its worker from one beside."""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


@contextlib.contextmanager
def begun(command: list[str]) -> Iterator[Any]:
    """A process whose output is read; it ends with the test."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last, "it did not happen"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def address() -> str:
    return free_address()


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


DASK = [sys.executable, "-m", "dask"]


def scheduler_at(address: str) -> list[str]:
    port = address.rpartition(":")[2]
    return [*DASK, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]


@pytest.fixture(scope="module")
def workers(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """A scheduler and two workers with their nannies, whose process ids it gives."""
    folder = tmp_path_factory.mktemp("cluster")
    worker = [*DASK, "worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    started: list[subprocess.Popen[bytes]] = []
    with (folder / "log").open("wb") as log:
        try:
            for command in (scheduler_at(address), worker, worker):
                started.append(subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=log, stderr=log))
            until(lambda: (folder / "log").read_text().count("Registered to") == 2)
            yield [process.pid for process in started[1:]]
        finally:
            for process in reversed(started):
                process.send_signal(signal.SIGTERM)
            for process in reversed(started):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An assignment with few checks and few images, in a folder that no worker knows of."""
    criteria = ("positional_encoding", "attention", "mlp", "accuracy")
    folder = small_assignment(tmp_path_factory.mktemp("small") / "assignment", criteria)
    for path in (folder / "data/fashion-mnist").glob("t10k-*.gz"):
        whole = gzip.decompress(path.read_bytes())
        sizes = 4 * whole[3]  # big-endian, one for each dimension; the first is how many there are
        item = math.prod(struct.unpack(f">{sizes // 4}I", whole[4 : 4 + sizes])[1:])
        head = whole[:4] + IMAGES.to_bytes(4, "big") + whole[8 : 4 + sizes]
        path.write_bytes(head + whole[4 + sizes : 4 + sizes + IMAGES * item])
    return folder


@pytest.fixture(scope="module")
def class_of_nine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Right ones, wrong ones, a folder, one that is no archive."""
    folder = tmp_path_factory.mktemp("class")
    for number in range(7):
        hand_in = HandIn().without_figures()
        if number % 2:
            hand_in.edit("math.sqrt(self.word_dim)", "math.sqrt(self.dim)")
        hand_in.pack(folder, f"110244{number:04}")
    loose = folder / "1102445000"
    loose.mkdir()
    hand_in = HandIn().without_figures()
    for name, notebook in hand_in.notebooks.items():
        (loose / name).write_text(json.dumps(notebook), encoding="utf-8")
    (loose / "vit.pth").write_bytes(hand_in.files["vit.pth"])
    (loose / "data").symlink_to("/nowhere")
    (folder / "1102446000.zip").write_bytes(b"no archive")
    return folder


@pytest.mark.timeout(180)
def test_a_worker_that_is_killed_in_the_middle_changes_no_record(
    address: str, workers: list[int], small: Path, class_of_nine: Path, tmp_path: Path
) -> None:
    command = [*WITH_IMAGES, str(class_of_nine), "--assignment", str(small), "--out"]
    with begun([*command, str(tmp_path / "far"), "--dask", address]) as far:
        heard = [far.stdout.readline() for _ in range(3)]  # how many there are, and two that are done
        until(lambda: bool(sandboxes(workers[0])))  # it is at work
        (worker,) = (
            child for child in children(workers[0]) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        )
        os.kill(worker, signal.SIGKILL)
        output, errors = far.communicate()
    assert heard[-1].startswith("[2/9]")
    assert far.returncode == 3, errors  # one is no archive
    assert errors == ""
    assert "9 submissions: 8 graded, 1 refused" in output
    near = subprocess.run([*command, str(tmp_path / "near")], capture_output=True, text=True, check=False)
    assert near.returncode == 3, near.stderr
    records = timeless_records(tmp_path / "near")
    assert [record["checkpoint"]["total"] for record in records.values()] == [IMAGES] * 8
    assert timeless_records(tmp_path / "far") == records
    assert (tmp_path / "far/grades.csv").read_text() == (tmp_path / "near/grades.csv").read_text()


@pytest.mark.timeout(120)
def test_after_ctrl_c_nothing_runs_on_the_cluster_and_the_same_command_goes_on(
    address: str, workers: list[int], small: Path, class_of_nine: Path, tmp_path: Path
) -> None:
    command = [*GRADE, str(class_of_nine), "--assignment", str(small), "--out", str(tmp_path), "--dask", address]
    with begun(command) as first:
        for _ in range(2):
            first.stdout.readline()
        assert any(sandboxes(nanny) for nanny in workers)
        first.send_signal(signal.SIGINT)
        output, errors = first.communicate()
    assert first.returncode == 130, output
    assert "the same command goes on" in errors
    until(lambda: not any(sandboxes(nanny) for nanny in workers), 20.0)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "9 submissions, 9 to grade" not in again.stdout
    assert "9 submissions: 8 graded, 1 refused" in again.stdout


def sandboxes(pid: int) -> list[int]:
    """The warm processes of sandboxes below a process, however deep."""
    found = []
    for child in children(pid):
        with contextlib.suppress(OSError):
            if b"zygote" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
            found += sandboxes(child)
    return found


@pytest.mark.timeout(60)
def test_where_no_scheduler_is_one_sentence_and_exit_code_two(
    class_of_nine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    assert main([str(class_of_nine), "--out", str(tmp_path), "--dask", "tcp://127.0.0.1:1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("grade.py: --dask tcp://127.0.0.1:1: no scheduler can be reached there")
    assert error.count("\n") == 1


@pytest.mark.timeout(60)
def test_a_scheduler_without_workers_and_one_that_is_lost_are_one_sentence_each(
    class_of_nine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = free_address()
    command = [str(class_of_nine), "--out", str(tmp_path / "out"), "--dask", address]
    with (tmp_path / "log").open("wb") as log:
        scheduler = subprocess.Popen(scheduler_at(address), cwd=tmp_path, env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "PATIENCE_SECONDS", 0.0)
            assert main(command) == 2
        error = capsys.readouterr().err
        assert f"there has been no worker for 0 s; start some with `dask worker {address}`" in error
        assert error.count("\n") == 1
        with begun([*GRADE, *command]) as lonely:
            until(lambda: (tmp_path / "log").read_text().count("Receive client connection") == 2)
            scheduler.kill()
            error = lonely.communicate()[1]
        assert lonely.returncode == 2
        assert "the scheduler was lost; what was graded is kept" in error
        assert error.count("\n") == 1
    finally:
        scheduler.kill()
        scheduler.wait()


def test_jobs_are_for_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path), "--dask", "127.0.0.1:1", "--jobs", "2"]) == 2
    assert "--nthreads" in capsys.readouterr().err


def test_without_dask_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "grader.cluster")
    monkeypatch.setattr(sys, "meta_path", [NoDask(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] in ("dask", "distributed")]:
        monkeypatch.delitem(sys.modules, name)
    assert main([str(tmp_path), "--out", str(tmp_path), "--dask", "127.0.0.1:1"]) == 2
    assert capsys.readouterr().err.endswith("pip install -e '.[dask]'\n")


class NoDask:
    """An import system that lacks it."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] in ("dask", "distributed"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    ("address", "open_to_all"),
    [
        ("tcp://127.0.0.1:8786", False),
        ("localhost:8786", False),
        ("tcp://[::1]:8786", False),
        ("tls://10.0.0.7:8786", False),
        ("tcp://10.0.0.7:8786", True),
        ("head-node:8786", True),
    ],
)
def test_a_scheduler_that_anybody_can_command_is_known(address: str, open_to_all: bool) -> None:
    assert is_open(address) is open_to_all


class Nearby:
    """As much of a dask worker as a desk sees."""

    address = "tcp://node-7:1234"

    def __init__(self, folder: Path) -> None:
        self.local_directory = str(folder)


@pytest.mark.parametrize("change", ["nothing", "a check"])
def test_a_worker_with_another_grader_is_refused_by_name(change: str, small: Path, tmp_path: Path) -> None:
    key = ground(small, "") if change == "nothing" else "another"
    desk = Desk(Setup(assignment=str(small)), folder_packed(small), key, 60.0)
    worker: Any = Nearby(tmp_path)
    if change == "nothing":
        desk.setup(worker)  # what was unpacked there has the same fingerprint
    else:
        with pytest.raises(ClusterError, match="tcp://node-7:1234 has other files of the grader"):
            desk.setup(worker)
    desk._close()
    assert not list(tmp_path.iterdir())


class Gone:
    """A future whose workers died, each of them."""

    def result(self) -> Outcome:
        worker: Any = Nearby(Path())
        raise KilledWorker("grade-1", worker, 3)


def test_a_submission_that_every_worker_dies_of_is_the_graders_fault_and_ends_no_batch(assignment: Assignment) -> None:
    future: Any = Gone()
    outcome = Cluster("tcp://127.0.0.1:1", Setup(assignment=""), assignment, 60.0)._outcome(future)
    assert outcome.reason == "4 workers of the cluster died while they graded it"
    assert outcome.blame == "grader"
    assert not outcome.final


# ---- parcels --------------------------------------------------------------------------------------------------------


def test_an_archive_arrives_under_its_own_name(tmp_path: Path) -> None:
    name = os.fsdecode("김 민수_1102444016".encode("cp949") + b".zip")
    (tmp_path / name).write_bytes(b"PK")
    (tmp_path / "link.zip").symlink_to(name)
    (tmp_path / "there").mkdir()
    path = unpacked(packed(tmp_path / "link.zip", MANY), tmp_path / "there")
    assert path.name == name  # what the link leads to, as a record says
    assert path.read_bytes() == b"PK"


def test_a_folder_arrives_as_intake_would_have_seen_it(tmp_path: Path) -> None:
    folder = tmp_path / "1102444016"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "notebooks/과제.ipynb").write_text("{}")
    (folder / "notebooks/과제.ipynb").chmod(0)
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("x")
    (folder / "passwords").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    os.utime(folder / "notebooks/과제.ipynb", (1.0, 1.0))
    (tmp_path / "there").mkdir()
    there = unpacked(packed(folder, MANY), tmp_path / "there")

    def seen(path: Path) -> list[tuple[str, int, str, float]]:
        # A link is made anew: its own time is nobody's.
        return [(one.path, one.size, one.odd, 0 if one.odd else int(one.modified)) for one in members(path, MANY)]

    assert seen(there) == seen(folder)
    assert (there / "notebooks/과제.ipynb").stat().st_mode & 0o400  # whoever grades there need not be root
    assert not (there / ".git").exists()  # of any size, and nobody reads it
    assert fingerprint(there, MANY) == fingerprint(folder, MANY)


@pytest.mark.parametrize("shape", ["archive", "folder", "nothing"])
def test_what_is_too_large_or_not_there_is_refused_before_it_is_sent(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "1102444016"
    if shape == "folder":
        path.mkdir()
        (path / "vit.pth").write_bytes(bytes(4096))
    elif shape == "archive":
        path.write_bytes(bytes(4096))
    with pytest.raises(IntakeError, match=r"1102444016: (it|there)"):
        packed(path, IntakeLimits(archive_bytes=1024, total_bytes=1024))
