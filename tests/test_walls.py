"""What student code tries from inside a real worker, in each tier that isolates."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from grader import wire
from grader.errors import SandboxError, WireError
from grader.sandbox import Ending, Worker, cgroups, clocks, process
from grader.sandbox.process import SocketWorker, WarmProcess
from grader.sandbox.tiers import open_sandbox
from grader.worker import syscalls

LIMITS = wire.WorkerLimits(memory_mb=1024, cpu_seconds=120, threads=2)
MACHINE = platform.machine()
COLUMN = syscalls.MACHINES[MACHINE][0]


@pytest.fixture(scope="module", params=["bwrap"])
def warm(request: pytest.FixtureRequest) -> Iterator[WarmProcess]:
    with open_sandbox(request.param, LIMITS) as warm:
        yield warm


@pytest.fixture
def worker(warm: WarmProcess) -> Iterator[Worker]:
    worker = warm.start()
    yield worker
    worker.kill()


def run(worker: Worker, body: str, seconds: float = 30.0) -> object:
    """What the body of `answer()` returns in the worker; a RaisedReply if it raises."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    code = f"import ctypes, os, torch\nlibc = ctypes.CDLL(None, use_errno=True)\ndef answer():\n{lines}"
    source = wire.Source(text=code, filename="cell 1", line=1, names=("answer",))
    loaded = worker.ask(wire.LoadProgram(program="p", sources=(source,)), seconds)
    assert isinstance(loaded, wire.Loaded)
    assert not loaded.failures, loaded.failures
    reply = worker.ask(wire.CallFunction(program="p", name="answer"), seconds)
    return reply.value if isinstance(reply, wire.Value) else reply


def errors(worker: Worker, calls: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """The name of the error that each raw system call gets in the worker; "0" where it is let through."""
    body = f"""
import errno
found = {{}}
for name, call in {calls!r}.items():
    ctypes.set_errno(0)
    libc.syscall(*[ctypes.c_long(value) for value in call])
    found[name] = errno.errorcode.get(ctypes.get_errno(), "0")
return found
"""
    found = run(worker, body)
    assert isinstance(found, dict)
    return found


# ---- the system-call filter -----------------------------------------------------------------------------------------


@pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="libseccomp is not here to compare with")
@pytest.mark.parametrize("machine", [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_the_numbers_of_system_calls_are_those_that_libseccomp_knows(machine: tuple[str, int]) -> None:
    resolve = ctypes.CDLL(ctypes.util.find_library("seccomp")).seccomp_syscall_resolve_name_arch
    column, architecture = syscalls.MACHINES[machine[0]]
    assert architecture == machine[1]
    wrong = {}
    for text in (*syscalls.REFUSED.values(), syscalls.REFUSED_WITHOUT_NAMESPACES, syscalls.DEPENDS):
        for row in text.split(","):
            name = row.split()[0]
            ours = syscalls.table(text, column).get(name, -1)
            theirs = resolve(ctypes.c_uint32(architecture), name.encode())
            if ours != theirs and not (ours == -1 and theirs < 0) and theirs != -1:  # -1: newer than that libseccomp
                wrong[name] = (ours, theirs)
    assert wrong == {}


def test_every_refused_system_call_gets_eperm(worker: Worker) -> None:
    calls = {n: (k, -1, -1, -1) for t in syscalls.REFUSED.values() for n, k in syscalls.table(t, COLUMN).items()}
    assert set(errors(worker, calls).values()) == {"EPERM"}


def test_what_depends_on_its_arguments_is_refused_by_them(worker: Worker) -> None:
    number = syscalls.table(syscalls.DEPENDS, COLUMN)
    own = run(worker, "return os.getpid()")
    assert isinstance(own, int)
    refused = {
        "fork": (number["clone"], 17, 0, 0, 0, 0),
        "a thread in a namespace of its own": (number["clone"], 0x10000 | 0x20000 | 0x900, 0, 0, 0, 0),
        "kill its parent": (number["kill"], 0, 15),
        "kill all": (number["kill"], -1, 9),
        "kill another": (number["kill"], own + 1, 0),
        "kill itself for no reason": (number["kill"], own, 9),
        "kill itself by its thread": (number["tgkill"], own, own, 9),
        "type into a terminal": (number["ioctl"], 0, syscalls.TIOCSTI, 0),
        "type into a terminal, with high bits": (number["ioctl"], 0, 1 << 32 | syscalls.TIOCSTI, 0),
        "strict mode": (number["prctl"], syscalls.PR_SET_SECCOMP, 1, 0, 0, 0),
        "set a limit": (number["prlimit64"], 0, 0, 1 << 40, 0),
        "set another's processor": (number["sched_setaffinity"], own + 1, 8, 0),
    }
    assert set(errors(worker, refused).values()) == {"EPERM"}
    assert errors(worker, {"clone3": (number["clone3"], 0, 0), "tomorrow": (1000, 0), "x32": (1 << 30 | 39, 0)}) == {
        "clone3": "ENOSYS", "tomorrow": "ENOSYS", "x32": "ENOSYS",
    }  # fmt: skip
    assert errors(worker, {"signal 0 to itself": (number["kill"], own, 0)}) == {"signal 0 to itself": "0"}


@pytest.mark.skipif(MACHINE != "x86_64", reason="int 0x80 is x86's")
def test_a_32_bit_system_call_is_refused(worker: Worker) -> None:
    body = """
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("53 b8 14 00 00 00 cd 80 5b c3"))  # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    assert run(worker, body) == -errno.EPERM


@pytest.mark.parametrize(
    "attempt",
    [
        "os.fork()",
        "__import__('subprocess').run(['/bin/true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "__import__('multiprocessing').get_context('fork').Process(target=print).start()",
        "next(iter(torch.utils.data.DataLoader([1, 2], num_workers=2)))",
        "__import__('socket').socketpair()",
        "__import__('socket').create_connection(('127.0.0.1', 9))",
        "os.memfd_create('x')",
    ],
)
def test_a_refusal_reads_as_a_permission_error(worker: Worker, attempt: str) -> None:
    reply = run(worker, f"{attempt}\nreturn 'done'")
    assert isinstance(reply, wire.RaisedReply), reply
    assert reply.kind == "PermissionError", reply


def test_torch_threads_pictures_and_files_in_memory_work_behind_the_walls(worker: Worker) -> None:
    body = """
import io, tempfile, threading
import matplotlib.pyplot as plt
from PIL import Image
from torchvision import transforms
torch.set_num_threads(2)
model = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.Flatten(), torch.nn.LazyLinear(10))
with torch.enable_grad():
    loss = model(torch.randn(64, 1, 28, 28)).square().mean()
    loss.backward()
torch.optim.Adam(model.parameters()).step()
saved = io.BytesIO()
torch.save(model.state_dict(), saved)
saved.seek(0)
torch.load(saved, weights_only=True)
thread = threading.Thread(target=lambda: torch.randn(512, 512) @ torch.randn(512, 512))
thread.start()
thread.join()
pixels = transforms.ToTensor()(Image.new("L", (28, 28), 255))
plt.plot([1, 2])
picture = io.BytesIO()
plt.savefig(picture)
with tempfile.TemporaryDirectory() as folder, open(folder + "/x", "w") as file:
    file.write("x")
return [pixels.sum().item(), picture.tell() > 1000, torch.get_num_threads()]
"""
    assert run(worker, body, 120) == [784.0, True, 2]


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
    if warm._group is None and os.getuid() == 0:
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
""".replace("LIMIT", str(LIMITS.processes + 8))
    assert run(worker, body) == [True, "can't start new thread"]


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_temporary_files_are_bound_in_size_and_number(worker: Worker, folder: str) -> None:
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
