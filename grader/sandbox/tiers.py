"""Which isolation a machine can give: bubblewrap, Landlock, or none at all when it is asked for by name."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from grader.errors import SandboxError, UsageError
from grader.sandbox import HEAP_MMAP, HEAP_TRIM, TIERS, WALLED, landlock
from grader.sandbox.process import WORKER_FILES, Branch, JoinedProcess, Launch, WarmProcess, python_folder
from grader.wire import WorkerLimits

INSIDE = "/run/grader"  # where the worker's own files stand inside the sandbox
# Debian's packages put data sets, FashionMNIST's labels among them, where all of /usr would show them.
HIDDEN_FOLDERS = ("/usr/share/datasets", "/usr/local/share/datasets")
MENDING = (
    "install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap; Fedora: dnf install bubblewrap). "
    "Ubuntu 24.04 also needs: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0. "
    "`python grade.py doctor` looks closer. To check your own work without isolation: --sandbox none"
)


def open_sandbox(
    tier: str, limits: WorkerLimits, hidden: Iterable[Path] = (), meanwhile: Callable[[], None] | None = None
) -> WarmProcess:
    """Start the warm process in the named tier; `auto` takes the strongest that works here, and fails closed.

    hidden: folders that must not be visible inside, even if they lie below one that is (the reference, submissions).
    meanwhile: is called while the warm process imports torch; once more, where the next tier has to be tried.
    Raises SandboxError with the mending command; UsageError for a tier that does not exist.
    """
    if tier not in TIERS:
        raise UsageError(f"there is no sandbox “{tier}”; choose one of {', '.join(TIERS)}")
    if tier == "none":
        return WarmProcess("none", lambda: _bare(limits, ()), meanwhile)
    hidden = tuple(hidden)
    reasons = []
    for name in WALLED if tier == "auto" else (tier,):
        try:
            return proven(name, limits, hidden, meanwhile)
        except SandboxError as error:
            reasons.append(str(error))
    raise SandboxError(f"{'; '.join(reasons)}. To mend it: {MENDING}")


def join_sandbox(branch: Branch, limits: WorkerLimits, hidden: Iterable[Path] = ()) -> WarmProcess:
    """Use a branch of a sandbox that another process has opened with the same limits and folders hidden.

    Raises SandboxError.
    """
    launch, closed = _LAUNCHES[branch.tier], tuple(hidden)
    return JoinedProcess(branch, lambda: launch(limits, closed))


def proven(
    tier: str, limits: WorkerLimits, hidden: tuple[Path, ...] = (), meanwhile: Callable[[], None] | None = None
) -> WarmProcess:
    """Start one tier, and prove it by a worker behind all its walls. Raises SandboxError."""
    launch = _LAUNCHES[tier]
    warm = WarmProcess(tier, lambda: launch(limits, hidden), meanwhile)
    try:
        warm.start().kill()
    except BaseException:
        warm.close()
        raise
    return warm


def _environment(limits: WorkerLimits) -> dict[str, str]:
    """Nothing of the caller's environment. One BLAS thread: the parent of forks must stay single-threaded.

    Threads that wait for one another soon sleep. By default (libgomp's) they spin for longer, and where another process
    has a core, that is most of what a worker does: five times the CPU time on two busy cores, all of its 900 s on
    sixteen, some of them busy. To sleep at once costs half as much again on idle ones: docs/speed.md.

    What a forward pass gives back stays with glibc's heap: by its defaults each batch asks the system for the same
    megabytes again, page by page, and an evaluation takes a quarter longer.
    """
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": str(limits.threads),
        "GOMP_SPINCOUNT": "10000",
        "MALLOC_MMAP_THRESHOLD_": str(HEAP_MMAP),
        "MALLOC_TRIM_THRESHOLD_": str(HEAP_TRIM),
        "MPLBACKEND": "Agg",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _bare(limits: WorkerLimits, _hidden: tuple[Path, ...]) -> Launch:
    folder = python_folder()
    return Launch(
        [sys.executable, "-I"],
        str(folder / "grader/worker/zygote.py"),
        str(folder),
        msgspec.structs.replace(limits, confinement="none"),
        _environment(limits),
    )


def _landlock(limits: WorkerLimits, hidden: tuple[Path, ...]) -> Launch:
    if sys.platform != "linux":
        raise SandboxError("Landlock is Linux's")
    try:
        scratch = landlock.scratch_folder()
        readable = landlock.readable(scratch, hidden)
    except OSError as error:
        raise SandboxError(f"the sandbox (landlock) cannot be prepared: {error}") from None
    return Launch(
        [sys.executable, "-I"],
        str(scratch / "code/grader/worker/zygote.py"),
        str(scratch / "code"),
        msgspec.structs.replace(limits, confinement="landlock", readable=readable, scratch=str(scratch)),
        _environment(limits),
    )


def _bubblewrap(limits: WorkerLimits, hidden: tuple[Path, ...]) -> Launch:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise SandboxError("bubblewrap (bwrap) is not on this machine")
    shut = [*map(Path, HIDDEN_FOLDERS), *hidden]  # at last: a system's own Python is in /usr, and shows it once more
    command = [bwrap, *_isolation(limits), *_system(limits), *_python(), *_worker_files(), *_hide(shut)]
    python = os.path.abspath(sys.executable)  # the path may hold a “..” whose folder is not there inside
    command += ["--remount-ro", "/", "--chdir", "/tmp", "--", python, "-I"]
    return Launch(
        command,
        f"{INSIDE}/grader/worker/zygote.py",
        INSIDE,
        msgspec.structs.replace(limits, confinement="namespaces"),
        {"PATH": "/usr/bin:/bin"},
    )


def _isolation(limits: WorkerLimits) -> list[str]:
    flags = ["--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534"]
    flags += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    for name, value in _environment(limits).items():
        flags += ["--setenv", name, value]
    return flags


def _system(limits: WorkerLimits) -> list[str]:
    """A read-only system: /usr, the loader's folders, no /etc but the loader's cache, no /home, no /root."""
    binds = ["--ro-bind", "/usr", "/usr"]
    for name in ("lib", "lib32", "lib64", "libx32", "bin", "sbin"):
        path = Path("/", name)
        if path.is_symlink():
            binds += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            binds += ["--ro-bind", str(path), str(path)]
    binds += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    # /tmp before the binds below it: an interpreter may live there. /proc stays writable until a worker has written
    # its own uid_map; each worker then hides it.
    binds += ["--size", str(16 << 20), "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    for device in limits.devices:
        binds += ["--dev-bind", device, device]
    binds += ["--remount-ro", "/dev"]
    return binds


def _python() -> list[str]:
    """The interpreter's own prefix and the virtual environment: those alone, since they may lie under a home folder."""
    binds: list[str] = []
    for prefix in dict.fromkeys(str(Path(p).resolve()) for p in (sys.base_prefix, sys.prefix)):
        if not prefix.startswith("/usr/") or prefix.startswith("/usr/local/"):
            binds += ["--ro-bind", prefix, prefix]
    if sys.prefix not in binds and sys.prefix != str(Path(sys.prefix).resolve()):
        binds += ["--ro-bind", sys.prefix, sys.prefix]
    return binds


def _worker_files() -> list[str]:
    source = python_folder() / "grader"
    binds: list[str] = []
    for name in WORKER_FILES:
        binds += ["--ro-bind", str(source / name), f"{INSIDE}/grader/{name}"]
    return binds


def _hide(folders: Iterable[Path]) -> list[str]:
    visible = [Path("/usr"), Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()]
    flags: list[str] = []
    for folder in folders:
        folder = folder.resolve()
        if folder.is_dir() and any(folder.is_relative_to(parent) for parent in visible):
            flags += ["--size", "4096", "--tmpfs", str(folder), "--remount-ro", str(folder)]
    return flags


_LAUNCHES = {"bwrap": _bubblewrap, "landlock": _landlock, "none": _bare}
