"""What a fork does to itself before it runs student code."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import sys
from collections.abc import Callable

from grader.wire import WorkerLimits
from grader.worker import gpu, landlock, syscalls
from grader.worker.home import Home, take_home

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV = 1, 2, 4
MS_BIND, MS_REC = 4096, 16384
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 8, 24, 38
CAP_DAC_READ_SEARCH = 2
KEYCTL, KEYCTL_JOIN_SESSION_KEYRING = {"x86_64": 250, "aarch64": 219}, 1  # the system call's numbers
SIGKILL = 9
LAST_CAPABILITY = 63  # asking for one that the kernel does not know is refused, harmlessly
CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(own_pids: bool = True) -> None:
    """Leave for fresh user, pid, mount, network and IPC namespaces, keeping the same uid and gid inside.

    The next fork is process 1 of the new pid namespace. Must be called while the process has a single thread.
    """
    uid, gid = os.getuid(), os.getgid()
    flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | (CLONE_NEWPID if own_pids else 0)
    _check(_libc.unshare(flags), "unshare namespaces")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _tmpfs(path: str, options: str, flags: int) -> None:
    _check(_libc.mount(b"tmpfs", path.encode(), b"tmpfs", flags, options.encode()), f"mount a tmpfs on {path}")


def private_folders(limits: WorkerLimits) -> None:
    """Fresh, small /tmp and /dev/shm, and nothing under /proc.

    A new /proc may not be mounted inside a nested user namespace, and the old one shows the processes next door:
    so it is hidden. Both folders are capped in size and in inodes, since a tmpfs without a cap takes all memory.
    For a GPU's driver there is a little under /proc; see `grader.worker.gpu`.
    """
    flags = MS_NOSUID | MS_NODEV
    kept = {path: os.open(path, os.O_PATH) for path in _python_below("/tmp")}
    _tmpfs("/tmp", f"size={limits.tmp_mb}m,nr_inodes=4096,mode=1777", flags)
    if os.path.isdir("/dev/shm"):
        _tmpfs("/dev/shm", f"size={limits.tmp_mb}m,nr_inodes=1024,mode=1777", flags)
    for path, descriptor in kept.items():
        os.makedirs(path)
        source = f"/proc/self/fd/{descriptor}".encode()
        _check(_libc.mount(source, path.encode(), None, MS_BIND | MS_REC, None), f"bind {path}")
        os.close(descriptor)
    if limits.devices:
        _proc_for_driver(flags)
    else:
        _tmpfs("/proc", "size=4k,nr_inodes=2,mode=555", flags | MS_RDONLY)
    os.chdir("/tmp")


def _proc_for_driver(flags: int) -> None:
    """Of /proc this process itself, and what the driver says of the GPU."""
    made, own = "/tmp/proc", str(os.getpid())
    os.mkdir(made)
    _tmpfs(made, "size=16k,nr_inodes=16,mode=555", flags)
    for name in (own, *gpu.DRIVER_READS):
        if os.path.isdir(f"/proc/{name}"):
            os.makedirs(f"{made}/{name}")
        elif os.path.exists(f"/proc/{name}"):
            os.close(os.open(f"{made}/{name}", os.O_CREAT | os.O_WRONLY))
        else:
            continue
        _check(
            _libc.mount(f"/proc/{name}".encode(), f"{made}/{name}".encode(), None, MS_BIND | MS_REC, None),
            f"bind /proc/{name}",
        )
    os.symlink(own, f"{made}/self")
    _check(_libc.mount(made.encode(), b"/proc", None, MS_BIND | MS_REC, None), "bind /proc")
    _check(_libc.umount2(made.encode(), MNT_DETACH), f"unmount {made}")
    os.rmdir(made)


def _python_below(folder: str) -> list[str]:
    """Where Python itself lives, if it lives below `folder`: modules may still have to be imported from there."""
    prefixes = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)}
    return sorted(prefix for prefix in prefixes if prefix.startswith(folder + "/"))


def address_space() -> int:
    """This process's size in bytes: torch reserves gigabytes at import, so that a limit must be relative to it."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def set_limits(limits: WorkerLimits, size: int, alone: bool) -> None:
    """rlimits. `size` is the address space that the process has before it runs student code, in bytes.

    alone: the worker's user is its own. Else RLIMIT_NPROC would count what the same user runs beside it.
    """
    wanted = {
        # CUDA reserves sixteen gigabytes of addresses and uses one: there the limit is on what can be written to.
        resource.RLIMIT_DATA if limits.devices else resource.RLIMIT_AS: size + limits.memory_mb * 2**20,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: limits.file_mb * 2**20,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":
        wanted[resource.RLIMIT_MSGQUEUE] = 0
    if alone:
        wanted[resource.RLIMIT_NPROC] = limits.processes
    for which, value in wanted.items():
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def go_first() -> None:
    """Where memory runs out on the machine, a worker goes before the warm process that it was forked from."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def drop_privileges(user: int | None = None) -> None:
    """No capability is left and none can come back. user: the uid and gid to take first; only root can.

    Root's Python may lie in a home folder that no other user may enter. Then the one capability is left to pass through
    there: Landlock, and not the folder's mode, says what may be read.
    """
    for capability in range(LAST_CAPABILITY + 1):
        _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    leave_keyring()
    kept = 0
    if user is not None:
        _check(_libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities for another user")
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        kept = 0 if _may_read_python() else 1 << CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    what = "drop capabilities"
    if kept:
        what = f"let other users pass into the folders above {sys.base_prefix} and {sys.prefix} (chmod o+x)"
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept)), what)
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")
    end_with_parent()  # again: another uid has undone it


def _may_read_python() -> bool:
    """Whether this user may, and may find its way to its own folder."""
    files = [getattr(sys.modules.get(module), "__file__", None) for module in ("os", "torch", "torchvision")]
    try:
        for path in [os.getcwd(), *files]:
            if path is not None:
                os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        return False
    return True


def end_with_parent() -> None:
    """Have the kernel end this process when the one that forked it ends."""
    if sys.platform == "linux":
        _check(_libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "set the parent-death signal")


def leave_keyring() -> None:
    """Join a fresh session keyring: the caller's holds secrets, and what is left there outlives the worker."""
    number = KEYCTL.get(platform.machine())
    if number is not None:
        _libc.syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None)  # refused where there are no keyrings to leave


def keep_only(descriptors: set[int]) -> None:
    """Close every other descriptor; standard input, output and error lead nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    keep = sorted(descriptors | {0, 1, 2})
    for low, high in zip(keep, [*keep[1:], 65536], strict=True):
        os.closerange(low + 1, high)


def run_confined(limits: WorkerLimits, home: Home | None, serve: Callable[[], None]) -> None:
    """Confine this process, then serve. The memory limit counts from the moment before the first request.

    home: its folder and its user, where there are no namespaces. Raises OSError where a wall cannot be put up.
    """
    size = address_space() if os.path.exists("/proc/self/statm") else 2**34
    go_first()
    end_with_parent()
    if limits.confinement == "namespaces":
        private_folders(limits)
    alone = limits.confinement == "namespaces" or (home is not None and home.user is not None)
    if not limits.devices:
        set_limits(limits, size, alone)
    if limits.confinement == "namespaces":
        drop_privileges()
        if limits.devices:  # it opens sockets that the filter refuses, and reserves what the limits forbid
            gpu.start()
            set_limits(limits, gpu.writable_memory(), alone)
        syscalls.install()
    elif home is not None:
        take_home(home)
        rules = landlock.ruleset(limits.readable, (home.folder, os.devnull))
        drop_privileges(home.user)
        landlock.restrict(rules)
        syscalls.install(namespaces=False)
    serve()
