"""A control group around a warm process and its workers, where the machine lets one be made.

It counts what rlimits do not: memory in a tmpfs, in pipes and in the kernel, and the threads of root, whom
RLIMIT_NPROC does not bind. It is the second line. Where there is none (an ordinary user without a delegated group, most
containers) the rlimits and the system-call filter hold alone; `grade.py doctor` says so.

Version 1 (a folder for each controller) is used as root, version 2 where `memory` and `pids` are handed down.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids")
NAME = re.compile(r"grader-(\d+)-\d+")
REMOVE_SECONDS = 2.0  # a killed process leaves its group a moment after it has ended
_numbers = count(1)


class Group:
    """A group that exists: its folders by controller (one and the same in version 2)."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders
        self.version = 2 if (folders["memory"] / "memory.max").exists() else 1

    def limit(self, memory: int, tasks: int) -> None:
        """At most `memory` bytes, and `tasks` threads of all processes together. Raises OSError."""
        names = ("memory.max", "memory.swap.max") if self.version == 2 else ("memory.limit_in_bytes", "")
        (self._folders["memory"] / names[0]).write_text(str(memory))
        with contextlib.suppress(OSError):  # a kernel without swap has no such file
            (self._folders["memory"] / names[1]).write_text("0")
        (self._folders["pids"] / "pids.max").write_text(str(tasks))

    def add(self, pids: Iterable[int]) -> None:
        """Move processes into the group, children of theirs not included. Raises OSError."""
        for pid in pids:
            for folder in set(self._folders.values()):
                (folder / "cgroup.procs").write_text(str(pid))

    def memory_kills(self) -> int:
        """How many processes of the group the kernel has ended for want of memory."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        try:
            for line in (self._folders["memory"] / name).read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        except OSError:
            pass
        return 0

    def close(self) -> None:
        """Remove the group, whose processes have been killed."""
        deadline = time.monotonic() + REMOVE_SECONDS
        for folder in set(self._folders.values()):
            while not _removed(folder) and time.monotonic() < deadline:
                time.sleep(0.01)


def make_group(memory: int, tasks: int) -> Group | None:
    """A new group with these limits, or None where none can be made. Removes what a killed grader left."""
    for parents in _parents():
        _sweep(parents)
        name = f"grader-{os.getpid()}-{next(_numbers)}"
        folders = {controller: parent / name for controller, parent in parents.items()}
        try:
            for folder in set(folders.values()):
                folder.mkdir()
            group = Group(folders)
            group.limit(memory, tasks)
        except OSError:
            for folder in set(folders.values()):
                _removed(folder)
            continue
        return group
    return None


def family(pid: int) -> list[int]:
    """A process and all that descend from it, as far as they can be seen."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def _parents() -> Iterable[dict[str, Path]]:
    """Where a group may be made: below this process's own, or else below the topmost that is visible."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    own = {
        controller: path for _, names, path in (line.split(":", 2) for line in lines) for controller in names.split(",")
    }
    if (ROOT / "cgroup.controllers").exists():
        for folder in dict.fromkeys((ROOT / own.get("", "/").lstrip("/"), ROOT)):
            if _hands_down(folder):
                yield dict.fromkeys(CONTROLLERS, folder)
    elif all((ROOT / controller).is_dir() for controller in CONTROLLERS):
        yield {controller: ROOT / controller / own.get(controller, "/").lstrip("/") for controller in CONTROLLERS}
        yield {controller: ROOT / controller for controller in CONTROLLERS}


def _hands_down(folder: Path) -> bool:
    try:
        return set(CONTROLLERS) <= set((folder / "cgroup.subtree_control").read_text().split())
    except OSError:
        return False


def _sweep(parents: dict[str, Path]) -> None:
    for parent in set(parents.values()):
        with contextlib.suppress(OSError):
            for folder in parent.iterdir():
                name = NAME.fullmatch(folder.name)
                if name and not Path("/proc", name[1]).exists():
                    _removed(folder)


def _removed(folder: Path) -> bool:
    """Remove an empty group; False while it still has processes."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
