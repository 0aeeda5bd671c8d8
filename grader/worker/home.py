"""A worker's own folder and own user, where no namespace gives it a private /tmp and private numbers."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from dataclasses import dataclass

MANY = 1 << 30  # user numbers from here on are nobody's: distributions hand out at most 65,536 and ranges below this
SPARE = 5_000  # where there are only 65,536, those just below `nobody` are
MAX_ENTRIES = 4_096


@dataclass(frozen=True)
class Home:
    """user: the number that the worker takes as its uid and gid; None where it stays who it is."""

    folder: str
    user: int | None


def make_home(parent: str) -> Home:
    """A folder of its own below `parent`, and as root a user of its own: one worker cannot touch another."""
    folder, user = tempfile.mkdtemp(dir=parent), unused_user()
    if user is not None:
        os.chown(folder, user, user)
    return Home(folder, user)


def unused_user() -> int | None:
    """A user number that nothing else has, for root alone; None where this process may not change to another."""
    if os.getuid() != 0:
        return None
    with open("/proc/self/uid_map") as file:
        end = max(int(first) + int(count) for first, _, count in map(str.split, file))
    return free_number(end, os.getpid())


def free_number(end: int, pid: int) -> int | None:
    """A user number below `end` for the process `pid` alone; None where there are too few to have one to spare."""
    if end > MANY + (1 << 22):  # the largest process number
        return MANY + pid
    if end <= 2 * SPARE:
        return None
    return end - SPARE - 1_000 + pid % SPARE  # leaves out `nobody`, and what lies above it


def take_home(home: Home) -> None:
    """Work in the folder, and have Python and its libraries put there what they would put into /tmp."""
    os.chdir(home.folder)
    os.environ.update(HOME=home.folder, TMPDIR=home.folder)
    tempfile.tempdir = None


def too_full(home: Home, worker: int, megabytes: int) -> bool:
    """Whether the folder, with the removed files that the worker still has open, holds more than it may.

    Counted are bytes on the disk and entries.
    """
    size, entries = _held_open(worker), 0
    waiting = [home.folder]
    while waiting and entries <= MAX_ENTRIES and size <= megabytes << 20:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    entries += 1
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # folders in folders, thousands deep
                return True  # else it was removed meanwhile
    return entries > MAX_ENTRIES or size > megabytes << 20


def _held_open(worker: int) -> int:
    """Bytes on the disk of files that have no name any more: descriptors are all that leads to them."""
    sizes: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{worker}/fd"):
            with contextlib.suppress(OSError):
                file = os.stat(f"/proc/{worker}/fd/{name}")
                if stat.S_ISREG(file.st_mode) and file.st_nlink == 0:
                    sizes[file.st_ino] = file.st_blocks * 512
    return sum(sizes.values())


def remove(folder: str) -> None:
    """Remove a folder with whatever a worker put there; rm copes with depth, and follows no link."""
    os.waitpid(os.posix_spawnp("rm", ["rm", "-rf", "--", folder], {}), 0)
