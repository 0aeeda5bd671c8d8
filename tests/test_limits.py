"""The limits of a worker, tried from inside it, and how its end is told; in each tier that isolates."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import INSIDE_LIMITS, ROOT, run

from grader import wire
from grader.errors import SandboxError, WireError
from grader.sandbox import WALLED, Ending, Worker, cgroups, clocks, process
from grader.sandbox.process import SocketWorker, WarmProcess

# ---- limits, and how an end is told ---------------------------------------------------------------------------------


def test_a_worker_that_closes_its_connection_is_not_told_as_cpu_time(worker: Worker) -> None:
    with pytest.raises(EOFError):
        run(worker, "import time\nos.closerange(3, 200)\ntime.sleep(600)")
    assert worker.kill() == Ending(0, 9, killed=True)


def test_a_worker_that_is_killed_from_outside_is_not_the_students_doing(worker: Worker) -> None:
    assert isinstance(worker, SocketWorker)
    os.kill(worker.pid, 9)
    with pytest.raises(EOFError):
        run(worker, "return 1")
    assert worker.kill().from_outside


def test_memory_that_rlimits_do_not_count_is_bound_by_the_group(warm: WarmProcess) -> None:
    if warm._group is None:
        pytest.skip("no control group can be made here")
    worker = warm.start()
    warm._group.limit(memory=400 << 20, tasks=100)
    try:
        with pytest.raises(EOFError):
            run(worker, "return [torch.ones(900 << 20, dtype=torch.uint8).sum().item()]")
        assert worker.kill() == Ending(0, 9, "memory")
    finally:
        worker.kill()
        warm.revive()


def test_threads_are_bound_and_the_refusal_is_told_as_such(warm: WarmProcess, worker: Worker) -> None:
    if warm._group is None and (os.getuid() == 0 or warm.tier == "landlock"):  # there the user's own processes count
        pytest.skip("neither a control group nor RLIMIT_NPROC binds here")
    body = """
import threading
threading.stack_size(65536)
started = 0
try:
    for _ in range(400):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        started += 1
except RuntimeError as error:
    return [started < LIMIT, str(error)]
return [False, str(started)]
""".replace("LIMIT", str(INSIDE_LIMITS.processes + 8))
    assert run(worker, body) == [True, "can't start new thread"]


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_temporary_files_are_bound_in_size_and_number(warm: WarmProcess, worker: Worker, folder: str) -> None:
    if warm.tier != "bwrap":
        pytest.skip("there is no private /tmp in this tier; its folder has a test of its own")
    body = f"""
sizes, numbers = 0, 0
try:
    for index in range(100):
        with open(f"{folder}/big{{index}}", "wb") as file:
            file.write(bytes(1 << 20))
        sizes += 1
except OSError as error:
    first = error.strerror
for index in range(sizes):
    os.unlink(f"{folder}/big{{index}}")
try:
    for index in range(10000):
        open(f"{folder}/{{index}}", "w").close()
        numbers += 1
except OSError as error:
    return [first, 60 <= sizes <= 64, error.strerror, numbers < 4096]
"""
    assert run(worker, body) == ["No space left on device", True, "No space left on device", True]


FILL = {
    "size": "[open(f'{index}', 'wb').write(bytes(1 << 20)) for index in range(200)]",
    "no name": "t = __import__('tempfile').TemporaryFile; kept = [t() for _ in range(50)]; "
    "[file.write(bytes(4 << 20)) for file in kept]",
    "number": "[open(f'{index}', 'w').close() for index in range(5000)]",
    "depth": "[(os.mkdir('x'), os.chdir('x')) for index in range(5000)]",
}


@pytest.mark.parametrize("way", FILL)
def test_a_folder_on_the_disk_that_grows_too_large_ends_its_worker(warm: WarmProcess, way: str) -> None:
    if warm.tier != "landlock":
        pytest.skip("a tmpfs refuses to grow in this tier")
    worker = warm.start()
    try:
        with pytest.raises(EOFError):
            run(worker, f"import time\n{FILL[way]}\ntime.sleep(20)")
    finally:
        ending = worker.kill()
    assert ending == Ending(0, 9, "files")
    assert os.listdir(warm._limits.scratch + "/homes") == []


def test_a_group_is_removed_with_its_process_and_after_a_grader_that_was_killed() -> None:
    group = cgroups.make_group(1 << 30, 100)
    if group is None:
        pytest.skip("no control group can be made here")
    folders = set(group._folders.values())
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = [folder.with_name(f"grader-{int(ended.stdout)}-1") for folder in folders]
    for folder in left:
        folder.mkdir()
    with subprocess.Popen(["sleep", "600"]) as process:
        group.add([process.pid])
        process.kill()
    group.close()
    assert not any(folder.exists() for folder in folders)
    other = cgroups.make_group(1 << 30, 100)
    assert other is not None
    other.close()
    assert not any(folder.exists() for folder in left)


def test_a_group_of_version_2_is_told_by_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("cpu")
    assert cgroups.make_group(1 << 30, 100) is None  # nothing is handed down
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids")
    folder = tmp_path / "group"
    folder.mkdir()
    (folder / "memory.max").write_text("max")
    group = cgroups.Group(dict.fromkeys(cgroups.CONTROLLERS, folder))
    group.limit(memory=1 << 30, tasks=100)
    group.add([17])
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == {
        "memory.max": str(1 << 30), "memory.swap.max": "0", "pids.max": "100", "cgroup.procs": "17",
    }  # fmt: skip
    assert group.memory_kills() == 0
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert group.memory_kills() == 2


HANGING = """
import threading
from grader import wire
from grader.sandbox.tiers import open_sandbox
warm = open_sandbox(TIER, wire.WorkerLimits(memory_mb=512, threads=1))
worker = warm.start()
source = wire.Source(text="while True: pass", filename="cell 1", line=1, names=())
asking = threading.Thread(target=worker.ask, args=(wire.LoadProgram(program="p", sources=(source,)), 600), daemon=True)
asking.start()
print(warm._process.pid, worker.pid, warm._limits.scratch, flush=True)
asking.join()
"""


@pytest.mark.parametrize("tier", WALLED)
def test_nothing_is_left_of_a_grader_that_was_killed(tier: str) -> None:
    code = HANGING.replace("TIER", repr(tier))
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as grader:
        assert grader.stdout is not None
        warm, worker, *scratch = grader.stdout.readline().split()
        grader.kill()
    deadline = time.monotonic() + 10
    traces = [Path("/proc", warm), Path("/proc", worker), *map(Path, scratch)]
    while any(trace.exists() for trace in traces) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [trace for trace in traces if trace.exists()] == []


# ---- time -----------------------------------------------------------------------------------------------------------

NAP = "import time\ntime.sleep(0.6)\nreturn 'awake'"


def _starved(monkeypatch: pytest.MonkeyPatch, cpu: float = 0.0) -> None:
    """As if the worker waited for a core ever since, and its threads had used `cpu` seconds for each that passes."""
    monkeypatch.setattr(clocks, "times", lambda _: clocks.Times(cpu * time.monotonic(), time.monotonic()))


def test_seconds_in_which_a_worker_has_no_core_do_not_count(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    _starved(monkeypatch)
    assert run(worker, NAP, seconds=0.3) == "awake"


def test_a_worker_whose_own_threads_take_the_cores_has_had_its_time(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _starved(monkeypatch, cpu=2.0)
    with pytest.raises(TimeoutError):
        run(worker, NAP, seconds=0.3)


def test_a_machine_that_is_too_busy_is_not_the_students_doing(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    _starved(monkeypatch)
    monkeypatch.setattr(process, "BACKSTOP", 1)
    with pytest.raises(SandboxError, match="too busy"):
        run(worker, NAP, seconds=0.3)


def test_the_times_of_a_worker_can_be_read(worker: Worker) -> None:
    assert isinstance(worker, SocketWorker)
    before = clocks.times(worker.pid)
    run(worker, "return [torch.randn(400, 400).matmul(torch.randn(400, 400)).sum().item() for _ in range(20)]")
    assert clocks.times(worker.pid).cpu > before.cpu > 0.0


# ---- the connection -------------------------------------------------------------------------------------------------


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(worker: Worker) -> None:
    body = """
import stat, threading, time
from grader import wire
def is_socket(number):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False
number = next(filter(is_socket, range(3, 200)))
def forge():
    time.sleep(0.2)
    os.write(number, wire.encode(wire.Value(value="forged")))
threading.Thread(target=forge).start()
return "first"
"""
    assert run(worker, body) == "first"
    assert isinstance(worker, SocketWorker)
    assert worker._readable(10.0)
    with pytest.raises(WireError, match="nobody had asked"):
        worker.ask(wire.Forget(handle=1), 10.0)
