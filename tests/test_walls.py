"""What student code tries from inside a real worker, in each tier that isolates."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import platform
from collections.abc import Iterator

import pytest

from grader import wire
from grader.sandbox import Worker
from grader.sandbox.process import WarmProcess
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
