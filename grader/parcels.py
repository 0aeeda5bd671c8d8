"""Files on their way to another machine: an archive by its bytes, a folder as a tar of what lies in it."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from grader.archives import IntakeLimits, fingerprint, members
from grader.records import Frozen


class Parcel(Frozen, frozen=True):
    """A submission on its way. name: its own, as the file system has it, since the record tells it."""

    name: bytes
    content: bytes
    is_folder: bool = False
    owner: str = ""


def packed(path: Path, limits: IntakeLimits, owner: str = "") -> Parcel:
    """A submission with all that a record tells of it. Raises IntakeError where it cannot be read or is too large."""
    path = path.resolve()  # of a link, the record tells where it leads
    name = os.fsencode(path.name)
    if path.is_dir():
        fingerprint(path, limits)  # before it is taken into memory
        return Parcel(name=name, content=folder_packed(path), is_folder=True, owner=owner)
    try:
        small = path.stat().st_size <= limits.archive_bytes
        content = path.read_bytes() if small else None
    except OSError:
        content = None
    if content is None:
        for _ in members(path, limits):  # raises, in the words of whoever would have read it
            pass
        fingerprint(path, limits)
        content = path.read_bytes()
    return Parcel(name=name, content=content, owner=owner)


def unpacked(parcel: Parcel, folder: Path) -> Path:
    """Where the submission lies now: below a folder of the caller's."""
    path = folder / os.fsdecode(parcel.name)
    if parcel.is_folder:
        folder_unpacked(parcel.content, path)
    else:
        path.write_bytes(parcel.content)
    return path


def folder_packed(folder: Path) -> bytes:
    """A tar of what lies in a folder; links stay links. Hidden folders and caches are left out: nobody reads them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder, arcname=".", filter=_plain)
    return buffer.getvalue()


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = os.path.basename(info.name)
    if info.isdir() and info.name != "." and (name.startswith(".") or name == "__pycache__"):
        return None
    info.uid = info.gid = 0  # whose they are there, whoever unpacks them can read them
    info.uname = info.gname = ""
    info.mode = 0o700 if info.isdir() else 0o600
    return info


def folder_unpacked(content: bytes, folder: Path) -> None:
    """Write what `folder_packed` made. Only for what our own side packed: a stranger's tar is never extracted."""
    folder.mkdir(mode=0o700)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        # A link out of the folder must stay one, as intake names it. An attribute, since Python 3.11.2 has no argument.
        tar.extraction_filter = lambda member, _folder: member
        tar.extractall(folder)
