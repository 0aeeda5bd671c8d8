"""What this machine offers for grading, what is missing, and the one command that mends it.

`look` gathers facts, each with one small function; `advice` and `ready` are pure functions of them, so that tests can
describe machines that are not at hand. Nothing here needs torch: where it is missing, that is what is found.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from grader.assignment import Assignment, load_assignment
from grader.errors import GraderError
from grader.forks import cores

TIERS = ("bwrap", "landlock")  # strongest first; grader.sandbox.WALLED, which torch comes with
PACKAGES = ("torch", "torchvision", "pytest", "safetensors", "msgspec")
INSTALLERS = {
    "apt-get": "apt-get install -y bubblewrap",
    "dnf": "dnf install -y bubblewrap",
    "pacman": "pacman -S --noconfirm bubblewrap",
    "zypper": "zypper install -y bubblewrap",
    "apk": "apk add bubblewrap",
}
SELF_CHECK = "python grade.py --self-check HAND-IN"
TRY_BUBBLEWRAP = "bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev true"
CONTAINER_WALLS = ("seccomp", "apparmor", "systempaths")
KNOWN_MACHINES = ("x86_64", "aarch64")  # those that the system-call filter has numbers for
PROBE_SECONDS = 20
LANDLOCK_VERSION = (444, 1)  # landlock_create_ruleset, LANDLOCK_CREATE_RULESET_VERSION


@dataclass(frozen=True)
class Facts:
    """What was found. An empty text stands for “works” in `tiers`, `nested`, `gpu`, `held_out`, else for “none”."""

    system: str = "Linux"
    release: str = ""
    distribution: str = ""
    machine: str = "x86_64"
    python: str = ""
    cores: int = 1
    memory_mb: int = 0
    root: bool = False
    container: str = ""
    colab: bool = False
    packages: Mapping[str, str] = field(default_factory=dict)  # name → version, "" where it is missing
    bwrap: str = ""
    nested: str = ""  # why user namespaces do not nest
    settings: Mapping[str, str] = field(default_factory=dict)  # kernel settings that bear on namespaces
    landlock: int = 0  # its version
    filters: bool = True  # system-call filters
    cgroups: str = ""
    installer: str = ""
    tiers: Mapping[str, str] = field(default_factory=dict)  # tier → why it did not come up
    held_out: str = ""  # what is wrong with it
    gpu: str | None = None  # why it cannot be used in the sandbox; None where there is none


# ---- looking --------------------------------------------------------------------------------------------------------


def look(assignment: Path) -> Facts:
    """All facts about this machine. Starts every tier once, which takes some seconds."""
    return Facts(
        system=platform.system(),
        release=platform.release(),
        distribution=_distribution(),
        machine=platform.machine(),
        python=platform.python_version(),
        cores=cores(),
        memory_mb=_memory_mb(),
        root=hasattr(os, "getuid") and os.getuid() == 0,
        container=_container(),
        colab="COLAB_RELEASE_TAG" in os.environ,
        packages={name: _version(name) for name in PACKAGES},
        bwrap=_first_line("bwrap", "--version").removeprefix("bubblewrap").strip(),
        nested=_nested(),
        settings=dict(_settings()),
        landlock=_landlock(),
        filters=Path("/proc/sys/kernel/seccomp").is_dir(),
        cgroups=_cgroups(),
        installer=next((name for name in INSTALLERS if shutil.which(name)), ""),
        tiers={tier: _came_up(tier) for tier in TIERS},
        held_out=_held_out(assignment),
        gpu=_gpu(),
    )


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _memory_mb() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (AttributeError, ValueError, OSError):
        return 0


def _container() -> str:
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    return os.environ.get("container", "")  # noqa: SIM112 - so systemd, podman and lxc spell it


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """None where the program is not there, or hangs."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None


def _first_line(*command: str) -> str:
    done = _run(*command)
    return done.stdout.strip().partition("\n")[0] if done is not None and done.returncode == 0 else ""


def _nested() -> str:
    if sys.platform != "linux":
        return "there are none on this system"
    done = _run("unshare", "--user", "--map-root-user", "unshare", "--user", "--map-root-user", "true")
    if done is None:
        return "not known: there is no unshare(1)"
    return "" if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2] or "refused"


def _settings() -> Iterator[tuple[str, str]]:
    names = ("kernel.apparmor_restrict_unprivileged_userns", "kernel.unprivileged_userns_clone")
    for name in (*names, "user.max_user_namespaces"):
        with contextlib.suppress(OSError):
            yield name, Path("/proc/sys", *name.split(".")).read_text().strip()


def _landlock() -> int:
    if sys.platform != "linux":
        return 0
    number, flag = LANDLOCK_VERSION
    version: int = ctypes.CDLL(None).syscall(ctypes.c_long(number), None, ctypes.c_size_t(0), ctypes.c_uint32(flag))
    return max(version, 0)


def _cgroups() -> str:
    try:
        from grader.sandbox.cgroups import make_group
    except ImportError:
        return ""
    group = make_group(1 << 30, 100)
    if group is None:
        return ""
    group.close()
    return f"version {group.version}"


def _came_up(tier: str) -> str:
    """Prove a tier as `--sandbox auto` does: with a real worker behind all its walls."""
    try:
        from grader.sandbox.tiers import proven
        from grader.wire import WorkerLimits
    except ImportError as error:
        return str(error)
    try:
        proven(tier, WorkerLimits()).close()
    except GraderError as error:
        return str(error)
    return ""


def _gpu() -> str | None:
    try:
        from grader.gpu import ALWAYS, find_gpu
        from grader.wire import WorkerLimits
    except ImportError:
        return None
    gpu = find_gpu(ALWAYS, TIERS[0], WorkerLimits())
    if gpu is None:
        return None
    try:
        gpu.sandbox()
    except GraderError as error:
        return str(error)
    finally:
        gpu.close()
    return ""


def _held_out(folder: Path) -> str:
    try:
        assignment: Assignment = load_assignment(folder)
    except GraderError as error:
        return str(error)
    digests = assignment.config.checkpoint.digests if assignment.config.checkpoint is not None else {}
    for name, digest in digests.items():
        try:
            data = (assignment.folder / name).read_bytes()
        except OSError as error:
            return f"{assignment.folder / name} cannot be read: {error.strerror}"
        if hashlib.sha256(data).hexdigest() != digest:
            return f"{assignment.folder / name} is not the file that assignment.toml names"
    return ""


# ---- judging --------------------------------------------------------------------------------------------------------


def tier_of(facts: Facts) -> str:
    """The tier that `--sandbox auto` takes here, or ""."""
    return next((tier for tier in TIERS if facts.tiers.get(tier) == ""), "")


def ready(facts: Facts) -> bool:
    """Whether submissions can be graded here."""
    return bool(tier_of(facts)) and not facts.held_out


def advice(facts: Facts) -> tuple[str, str]:
    """One sentence on what to do, and the one command that does it; ("", "") where nothing is missing.

    The cause that lies deepest comes first: its mending may be all that is needed.
    """
    as_root = "" if facts.root else "sudo "
    missing = [name for name, version in facts.packages.items() if not version]
    if missing:
        return f"{', '.join(missing)} cannot be imported by this Python.", "make demo"
    if facts.held_out:
        return f"The assignment is not whole: {facts.held_out}.", "git checkout HEAD -- reference"
    if facts.system == "Windows":
        return (
            f"Windows has no sandbox for this: grade in WSL, or check your own work with {SELF_CHECK}.",
            "wsl --install",
        )
    if facts.system != "Linux":
        return f"{facts.system} has no sandbox for this: grade on Linux, or check your own work.", SELF_CHECK
    if tier_of(facts) == TIERS[0]:
        return "", ""
    if facts.machine not in KNOWN_MACHINES:
        known = " and ".join(KNOWN_MACHINES)
        return f"The system-call filter is written for {known}, not {facts.machine}: check your own work.", SELF_CHECK
    sentence, command = _for_namespaces(facts, as_root)
    if tier_of(facts):
        return f"Landlock isolates here; bubblewrap does it more strongly. {sentence}", command
    if facts.colab:
        return "Colab allows no sandbox: it serves to check your own work.", SELF_CHECK
    return sentence, command


def _for_namespaces(facts: Facts, as_root: str) -> tuple[str, str]:
    """What bubblewrap lacks."""
    if not facts.bwrap:
        install = INSTALLERS.get(facts.installer, "")
        if not install:
            return "Install bubblewrap with this system's package manager, then look again.", "python grade.py doctor"
        return "bubblewrap is not installed.", as_root + install
    if facts.settings.get("kernel.apparmor_restrict_unprivileged_userns") == "1" and not facts.root:
        setting = "kernel.apparmor_restrict_unprivileged_userns=0"
        return "AppArmor keeps namespaces from ordinary users (Ubuntu 23.10 and later).", f"sudo sysctl -w {setting}"
    if facts.settings.get("kernel.unprivileged_userns_clone") == "0" and not facts.root:
        return "The kernel keeps namespaces from ordinary users.", "sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if facts.settings.get("user.max_user_namespaces") == "0":
        return "The kernel allows no user namespaces.", f"{as_root}sysctl -w user.max_user_namespaces=15000"
    if facts.container:
        options = " ".join(f"--security-opt {name}=unconfined" for name in CONTAINER_WALLS)
        where = f"This container ({facts.container})"
        return f"{where} refuses namespaces, or a new /proc in them; start it with both.", f"docker run {options} IMAGE"
    reason = facts.tiers.get("bwrap")
    return f"bubblewrap is here and does not come up ({reason}); bubblewrap itself says why.", TRY_BUBBLEWRAP
