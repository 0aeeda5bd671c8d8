"""A worker's own folder and own user, where no namespace gives it a private /tmp and private numbers."""

from __future__ import annotations

import errno
import os
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
    if end > MANY + (1 << 22):  # the largest process number
        return MANY + os.getpid()
    if end <= 2 * SPARE:
        return None
    return end - SPARE - 1_000 + os.getpid() % SPARE


def take_home(home: Home) -> None:
    """Work in the folder, and have Python and its libraries put there what they would put into /tmp."""
    os.chdir(home.folder)
    os.environ.update(HOME=home.folder, TMPDIR=home.folder)
    tempfile.tempdir = None


def too_full(home: Home, megabytes: int) -> bool:
    """Whether the folder holds more than it may, in bytes on the disk or in entries."""
    size = entries = 0
    waiting = [home.folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    entries += 1
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entries > MAX_ENTRIES or size > megabytes << 20:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # folders in folders, thousands deep
                return True  # else it was removed meanwhile
    return False


def remove(folder: str) -> None:
    """Remove a folder with whatever a worker put there; rm copes with depth, and follows no link."""
    os.waitpid(os.posix_spawnp("rm", ["rm", "-rf", "--", folder], {}), 0)
