"""The walls, tried from the inside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from conftest import ROOT, with_open_home

from grader import wire
from grader.assignment import Assignment
from grader.errors import SandboxError, UsageError
from grader.sandbox import Ending, Worker, landlock, tiers
from grader.sandbox.process import STATUS, WarmProcess
from grader.sandbox.tiers import join_sandbox, open_sandbox

LIMITS = wire.WorkerLimits(memory_mb=512, cpu_seconds=60, threads=1)
Run = Callable[..., object]


@pytest.fixture
def worker(sandbox: WarmProcess) -> Iterator[Worker]:
    worker = sandbox.start()
    yield worker
    worker.kill()


def run(worker: Worker, code: str, seconds: float = 10.0) -> object:
    """The value of `answer()` after executing `code` in the worker; a RaisedReply if it raises."""
    program = wire.LoadProgram(
        program="p", sources=(wire.Source(text=code, filename="cell 1", line=1, names=("answer",)),)
    )
    loaded = worker.ask(program, seconds)
    assert isinstance(loaded, wire.Loaded)
    assert not loaded.failures, loaded.failures
    reply = worker.ask(wire.CallFunction(program="p", name="answer"), seconds)
    return reply.value if isinstance(reply, wire.Value) else reply


def test_neither_the_repository_nor_home_nor_labels_can_be_seen(worker: Worker) -> None:
    code = f"""
import os
def answer():
    places = [{str(ROOT / "grade.py")!r}, {str(ROOT / "reference")!r}, {str(ROOT / "grader")!r}, "/etc/passwd", "/var"]
    places += ["/usr/share/datasets/fashion-mnist"]
    return [p for p in places if os.path.exists(p)]
"""
    assert run(worker, code) == []


def test_memory_that_was_given_back_is_used_again_without_asking_the_system(worker: Worker) -> None:
    """By glibc's defaults each of these twenty rounds touches 3,000 new pages; so do the first few in any case."""
    code = """
import resource
import torch
def round():
    parts = [torch.zeros(1_000_000) for _ in range(3)]
    return sum(float(part[0]) for part in parts)
def answer():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        round()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""
    faults = run(worker, code)
    assert isinstance(faults, int)
    assert faults < 15_000


ONE = "def answer():\n    return 1"


def test_a_branch_ends_with_the_first_and_leaves_it_alone() -> None:
    def asked_on(worker: Worker) -> None:
        for _ in range(100):  # it is ended a moment later
            worker.ask(wire.Forget(handle=1), 10.0)
            time.sleep(0.05)

    def gone(worker: Worker) -> None:
        with pytest.raises(EOFError):
            asked_on(worker)
        with pytest.raises(SandboxError, match="is gone"):
            worker.kill()

    with open_sandbox("auto", LIMITS) as warm:
        one, other = (join_sandbox(warm.branch(), LIMITS) for _ in range(2))
        worker, beside, first = one.start(), other.start(), warm.start()
        assert [run(worker, ONE), run(beside, ONE)] == [1, 1]
        other.close()
        gone(beside)
        assert [run(worker, ONE), run(first, ONE)] == [1, 1]
        first.kill()
    gone(worker)
    one.revive()  # now it is one of its own
    try:
        worker = one.start()
        assert run(worker, ONE) == 1
        worker.kill()
    finally:
        one.close()


def test_data_sets_are_hidden_where_the_interpreter_is_the_systems_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's python3 has all of /usr for its prefix, which is shown once more for it."""
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(tiers, "HIDDEN_FOLDERS", ("/usr/share",))
    command = tiers._bubblewrap(LIMITS, ()).command
    shown = [place for place, word in enumerate(command) if word == "/usr"]
    assert len(shown) == 4  # from where to where, twice
    assert command.index("/usr/share") > max(shown)


def test_no_process_next_door_can_be_seen(worker: Worker) -> None:
    assert run(worker, "import os\ndef answer():\n    return os.listdir('/proc')") == []


def test_the_environment_is_scrubbed(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.environ.get("PATH")
    names = run(worker, "import os\ndef answer():\n    return sorted(os.environ)")
    assert isinstance(names, list)
    assert set(names) <= {
        "GOMP_SPINCOUNT", "HOME", "LANG", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MPLBACKEND",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE",
        "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "LC_CTYPE", "TORCHINDUCTOR_CACHE_DIR",
        "PYTORCH_JIT", "TORCHDYNAMO_DISABLE",
    }  # fmt: skip


def test_there_is_no_network(worker: Worker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass  # from here it can be reached
        code = f"""
import socket
def answer():
    try:
        socket.create_connection(("127.0.0.1", {port}), timeout=2).close()
        return "connected"
    except OSError as error:
        return "refused"
"""
        assert run(worker, code) == "refused"


def test_the_system_is_read_only_and_tmp_is_small(worker: Worker) -> None:
    code = """
def write(path, size=1):
    try:
        with open(path, "wb") as file:
            for _ in range(size):
                file.write(b"x" * (1 << 20))
        return "written"
    except OSError:
        return "refused"
def answer():
    closed = ["/usr/x", "/x", "/run/grader/grader/wire.py", "/dev/x"]
    return [write(path) for path in closed] + [write("/tmp/a"), write("/tmp/b", 200)]
"""
    assert run(worker, code) == ["refused"] * 4 + ["written", "refused"]


def test_no_capability_is_left(worker: Worker) -> None:
    code = """
import ctypes, os
def answer():
    libc = ctypes.CDLL(None)
    mounted = libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, b"")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(1, 1, 1)
    return [mounted, libc.capset(header, data)]
"""
    assert run(worker, code) == [-1, -1]


def test_one_worker_leaves_nothing_for_the_next(sandbox: WarmProcess) -> None:
    code = """
import os, torch
def answer():
    seen = [os.path.exists("/tmp/mark"), os.path.exists("/dev/shm/mark"), hasattr(torch, "mark")]
    open("/tmp/mark", "w").close()
    open("/dev/shm/mark", "w").close()
    torch.mark = 1
    return seen
"""
    for _ in range(2):
        worker = sandbox.start()
        try:
            assert run(worker, code) == [False, False, False]
        finally:
            worker.kill()


def test_a_killed_worker_takes_its_children_with_it() -> None:
    with open_sandbox("none", LIMITS) as warm:  # the other tiers refuse children to begin with
        worker = warm.start()
        run(worker, "import os, time\ndef answer():\n    if os.fork() == 0:\n        time.sleep(600)\n")
        before = _descendants(warm)
        worker.kill()
        deadline = time.monotonic() + 5
        while len(_descendants(warm)) > len(before) - 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(_descendants(warm)) <= len(before) - 3  # keeper, worker and its child


def _descendants(sandbox: WarmProcess) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = [sandbox._process.pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


def test_a_hanging_worker_meets_its_deadline(worker: Worker) -> None:
    with pytest.raises(TimeoutError):
        run(worker, "def answer():\n    while True: pass", seconds=0.5)
    assert worker.kill().signal == 9


def test_an_exit_is_told_with_its_code(worker: Worker) -> None:
    with pytest.raises(EOFError):
        run(worker, "import os\ndef answer():\n    os._exit(7)")
    ending = worker.kill()
    assert (ending.code, ending.signal) == (7, 0)


def test_system_exit_is_an_answer_not_an_end(worker: Worker) -> None:
    reply = run(worker, "def answer():\n    raise SystemExit(0)")
    assert isinstance(reply, wire.RaisedReply)
    assert reply.kind == "SystemExit"


def test_memory_beyond_the_limit_is_reported_as_such(worker: Worker) -> None:
    for code in ("torch.zeros(20 << 30, dtype=torch.uint8)", "bytearray(20 << 30)"):
        reply = run(worker, f"import torch\ndef answer():\n    {code}")
        assert isinstance(reply, wire.RaisedReply)
        assert reply.memory


def test_cpu_time_beyond_the_limit_ends_the_worker(assignment: Assignment) -> None:
    with open_sandbox("auto", wire.WorkerLimits(cpu_seconds=1, threads=1)) as warm:
        worker = warm.start()
        with pytest.raises(EOFError):
            run(worker, "def answer():\n    while True: pass", seconds=60)
        assert worker.kill() == Ending(0, 9, "cpu")


@pytest.mark.parametrize(("share", "limit"), [(1.0, "cpu"), (0.75, "cpu"), (0.3, "")])
def test_a_kill_is_the_cpu_limit_though_its_clock_runs_ahead_on_a_busy_machine(
    sandbox: WarmProcess, monkeypatch: pytest.MonkeyPatch, share: float, limit: str
) -> None:
    report = STATUS.pack(0, signal.SIGKILL, share * sandbox._limits.cpu_seconds, 0)
    monkeypatch.setattr(sandbox, "_read", lambda *_: report)
    monkeypatch.setattr(sandbox, "_control", Mock())
    ending = sandbox.end(0, closed=True)
    assert ending.limit == limit
    assert ending.from_outside is (limit == "")


def test_torchvision_can_be_imported(worker: Worker) -> None:
    code = "def answer():\n    from torchvision import datasets, transforms\n    return transforms.ToTensor.__name__"
    assert run(worker, code, seconds=60) == "ToTensor"


def test_code_that_asks_for_a_gpu_runs_on_the_cpu(worker: Worker) -> None:
    code = """
import torch
device = torch.device("cuda:0")
def answer():
    return (torch.ones(2).cuda() + torch.zeros(2, device=device)).to("cuda").sum().item()
"""
    assert run(worker, code) == 2.0


def test_an_unknown_tier_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="auto, bwrap, landlock, none"):
        open_sandbox("docker", LIMITS)


def test_without_bubblewrap_auto_takes_landlock_and_a_named_tier_takes_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with open_sandbox("auto", LIMITS) as warm:
        assert warm.tier == "landlock"
    with pytest.raises(SandboxError, match="apt-get install bubblewrap"):
        open_sandbox("bwrap", LIMITS)


# What a container with default rules does to its processes: no namespaces, no mounts, few capabilities.
CONTAINER = """
import ctypes, errno, platform
from grader import wire
from grader.sandbox.tiers import open_sandbox
from grader.worker import syscalls
column, _ = syscalls.MACHINES[platform.machine()]
rules = [(syscalls.LOAD, 0, 0, syscalls.NUMBER)]
for number in syscalls.table(syscalls.REFUSED["namespaces and mounts"], column).values():
    rules += [(syscalls.IF_EQUAL, 0, 1, number), syscalls.refuse(errno.EPERM)]
numbers = syscalls.table(syscalls.DEPENDS, column)
without = syscalls.allow_if([(0, syscalls.CLONE_NAMESPACES, 0, True)])
rules += [(syscalls.IF_EQUAL, 0, len(without), numbers["clone"]), *without]
rules += [(syscalls.IF_EQUAL, 0, 1, numbers["clone3"]), syscalls.refuse(errno.ENOSYS)]
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # no_new_privs
syscalls.apply([*rules, (syscalls.RETURN, 0, 0, syscalls.ALLOW)])
with open_sandbox("auto", wire.WorkerLimits(memory_mb=512, threads=1)) as warm:
    warm.start().kill()
    print(warm.tier)
try:
    open_sandbox("bwrap", wire.WorkerLimits())
except Exception as error:
    print(type(error).__name__)
"""
CAPABILITIES = (
    "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,"
    "+mknod,+audit_write,+setfcap"
)


def test_in_a_container_with_default_rules_auto_takes_landlock() -> None:
    command = [sys.executable, "-c", CONTAINER]
    if os.getuid() == 0:
        command = with_open_home(["setpriv", f"--bounding-set={CAPABILITIES}", "--inh-caps=-all", *command])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["landlock", "SandboxError"], done.stderr


def _without_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a kernel that has none: the worker is refused its rules, and ends."""
    copied = landlock.scratch_folder

    def scratch_folder() -> Path:
        scratch = copied()
        rules = scratch / "code/grader/worker/landlock.py"
        rules.write_text(rules.read_text().replace("= 444, 445, 446", "= 9444, 9445, 9446"))
        return scratch

    monkeypatch.setattr(landlock, "scratch_folder", scratch_folder)


def test_where_no_tier_comes_up_auto_fails_closed_and_says_why_and_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    _without_landlock(monkeypatch)
    with pytest.raises(SandboxError, match=r"No permissions.*this kernel has none.*apt-get install bubblewrap"):
        open_sandbox("auto", LIMITS)
    with pytest.raises(SandboxError, match="Landlock: this kernel has none"):
        open_sandbox("landlock", LIMITS)
    assert list(tmp_path.glob("grader-*")) == []


def test_none_works_and_names_itself() -> None:
    with open_sandbox("none", LIMITS) as warm:
        assert warm.tier == "none"
        worker = warm.start()
        assert run(worker, "def answer():\n    return 1 + 1") == 2
        assert worker.kill().signal == 9


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert str(Ending(0, 9)) == "the process was ended by SIGKILL"
    assert str(Ending(0, 40)) == "the process was ended by signal 40"
