"""What student code tries from inside a real worker, in each tier that isolates."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import INSIDE_LIMITS, ROOT, run, with_open_home

from grader import wire
from grader.sandbox import WALLED, Worker, landlock
from grader.sandbox.process import WarmProcess
from grader.sandbox.tiers import open_sandbox
from grader.worker import home, syscalls

MACHINE = platform.machine()
COLUMN = syscalls.MACHINES[MACHINE][0]


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
        "outlive its keeper": (number["prctl"], syscalls.PR_SET_PDEATHSIG, 0, 0, 0, 0),
        "have a signal sent": (number["fcntl"], 0, syscalls.F_SETOWN, 1),
        "have another signal sent": (number["fcntl"], 0, syscalls.F_SETSIG, 9),
        "have a signal sent by ioctl": (number["ioctl"], 0, syscalls.FIOSETOWN, 0),
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


# ---- files ----------------------------------------------------------------------------------------------------------

READ = """
def read(path):
    try:
        return os.listdir(path) if os.path.isdir(path) else len(open(path, "rb").read())
    except OSError:
        return "refused"
return [read(path) for path in PATHS]
"""


def test_neither_the_repository_nor_home_nor_labels_nor_processes_can_be_read(
    worker: Worker, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "1102444016.zip").write_text("another submission")
    paths = [ROOT, ROOT / "grade.py", ROOT / "grader/cli.py", ROOT / "reference", ROOT / "reference/assignment.toml"]
    paths += [tmp_path, tmp_path / "1102444016.zip", Path.home(), "/etc/passwd", "/etc/hostname", "/var", "/home"]
    paths += [
        "/usr/share/datasets/fashion-mnist",
        "/sys",
        "/proc/self/environ",
        "/proc/1/environ",
        "/proc/2/maps",
        f"/proc/{os.getpid()}/maps",
        "/dev/tty",
    ]
    found = run(worker, READ.replace("PATHS", repr([str(path) for path in paths])))
    assert isinstance(found, list)
    readable = {path: what for path, what in zip(map(str, paths), found, strict=True) if what not in ("refused", [])}
    for prefix in map(Path, (sys.prefix, sys.base_prefix)):  # bubblewrap shows the folders on the way to Python, alone
        for above in prefix.parents:
            if readable.get(str(above)) == [prefix.relative_to(above).parts[0]]:
                del readable[str(above)]
    if "[gpu]" in request.node.name:  # a driver reads of its own process
        del readable["/proc/self/environ"]
    assert readable == {}


@pytest.mark.parametrize("tier", WALLED)
def test_what_is_hidden_stays_hidden_below_a_folder_that_is_shown(tier: str) -> None:
    shown = Path(json.__file__).resolve().parent
    hidden = shown.parent / "ensurepip"
    assert hidden.is_dir()
    with open_sandbox(tier, INSIDE_LIMITS, [hidden]) as warm:
        worker = warm.start()
        found = run(worker, READ.replace("PATHS", repr([str(hidden / "__init__.py"), str(shown / "__init__.py")])))
        worker.kill()
    assert found == ["refused", (shown / "__init__.py").stat().st_size]


def test_what_is_left_of_a_folder_leaves_out_what_is_hidden_and_links_to_it(tmp_path: Path) -> None:
    for name in ("python/lib/torch", "python/share/data", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "python/link").symlink_to(tmp_path / "python/share/data")
    hidden = [tmp_path / "python/share/data"]
    assert list(landlock.without(tmp_path / "python", hidden)) == [tmp_path / "python/lib"]
    assert list(landlock.without(tmp_path / "other", hidden)) == [tmp_path / "other"]


def test_modes_owners_and_times_cannot_be_changed_where_nothing_else_forbids_it(
    warm: WarmProcess, worker: Worker
) -> None:
    if warm.tier != "landlock":
        pytest.skip("everything but a private /tmp is read-only in this tier")
    numbers = syscalls.table(syscalls.REFUSED_WITHOUT_NAMESPACES, COLUMN)
    assert set(errors(worker, {name: (number, -1, -1, -1) for name, number in numbers.items()}).values()) == {"EPERM"}


def test_a_worker_may_write_to_its_own_folder_alone(warm: WarmProcess, worker: Worker) -> None:
    other = warm.start()
    body = """
import tempfile
def write(path):
    try:
        with open(path, "w") as file:
            file.write("x")
        return "written"
    except OSError:
        return "refused"
own = tempfile.gettempdir()
return [write(own + "/x"), write("x"), own]
"""
    found, neighbour = run(worker, body), run(other, body)
    assert isinstance(found, list)
    assert isinstance(neighbour, list)
    assert found[:2] == neighbour[:2] == ["written", "written"]
    tried = ["/usr/x", "/var/tmp/x", "/x", "/dev/x", f"{ROOT}/x", str(Path(json.__file__).parent / "x")]
    if warm.tier == "landlock":  # elsewhere both see a /tmp of their own
        tried += [f"{neighbour[2]}/y", f"{neighbour[2]}/x", "/tmp/x", "/dev/shm/x"]
        tried += [f"{warm._limits.scratch}/code/grader/wire.py"]
    refused = run(worker, body.replace('write(own + "/x"), write("x"), own', f"write(p) for p in {tried!r}"))
    other.kill()
    if warm.tier == "bwrap" and ROOT.is_relative_to("/tmp"):  # the way to Python leads through the worker's own /tmp
        refused[tried.index(f"{ROOT}/x")] = "written" if (ROOT / "x").exists() else "refused"
    assert refused == ["refused"] * len(tried)


# ---- users ----------------------------------------------------------------------------------------------------------


def test_without_namespaces_each_worker_of_root_has_a_user_of_its_own(warm: WarmProcess) -> None:
    if warm.tier != "landlock" or os.getuid() != 0:
        pytest.skip("for root, and where there are no namespaces")
    workers = [warm.start() for _ in range(2)]
    users = [run(worker, "return [*os.getresuid(), *os.getresgid(), len(os.getgroups())]") for worker in workers]
    for worker in workers:
        worker.kill()
    assert all(isinstance(user, list) and len(set(user[:6])) == 1 and user[6] == 0 for user in users)
    assert len({0, 65534, *(user[0] for user in users if isinstance(user, list))}) == 4


@pytest.mark.parametrize(
    ("end", "number"),
    [(1 << 32, (1 << 30) + 4321), (65536, 63857), (1, None)],  # a machine, a rootless container, `unshare -r`
)
def test_the_number_of_a_worker_of_root_is_nobody_elses(end: int, number: int | None) -> None:
    assert home.free_number(end, 4321) == number


ORDINARY = """
import os
from grader import wire
from grader.sandbox.tiers import open_sandbox
CODE = '''
import os
def attempt(do):
    try:
        do()
        return "done"
    except OSError as error:
        return type(error).__name__
def answer():
    return [attempt(os.fork), attempt(lambda: open("x", "w")), attempt(lambda: os.listdir("/var")), os.getuid() != 0]
'''
with open_sandbox(TIER, wire.WorkerLimits(memory_mb=512, threads=1)) as warm:
    worker = warm.start()
    source = wire.Source(text=CODE, filename="cell 1", line=1, names=("answer",))
    worker.ask(wire.LoadProgram(program="p", sources=(source,)), 30)
    print(os.getuid(), warm.tier, worker.ask(wire.CallFunction(program="p", name="answer"), 30).value)
    worker.kill()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="the other tests run as an ordinary user then")
@pytest.mark.parametrize("tier", WALLED)
def test_the_walls_stand_for_an_ordinary_user_as_well(tier: str) -> None:
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", "HOME=/tmp"]
    command = with_open_home([*user, sys.executable, "-c", ORDINARY.replace("TIER", repr(tier))])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    kind = "FileNotFoundError" if tier == "bwrap" else "PermissionError"
    assert done.stdout == f"65534 {tier} ['PermissionError', 'done', '{kind}', True]\n", done.stderr
