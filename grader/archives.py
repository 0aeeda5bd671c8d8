"""Reading what strangers packed: the members of an archive or a folder, one after another, under caps.

Nothing is extracted: a member is a name, a size and a way to its bytes. Python's own readers do the parsing. Around
them stand a meter (bytes as they expand, processor time) and two guards, because tarfile takes an extended header into
memory whole, skips a claimed exabyte in small reads, and both readers believe sizes that a file only claims.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import stat
import struct
import tarfile
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Protocol

from grader.errors import IntakeError
from grader.records import Frozen

MIB = 1024 * 1024
KEPT = 32 * MIB  # of members that pass by before it is known which of them are taken
_CHUNK = MIB
_EXTENDED_HEADER = 64 * 1024  # of a tar member: a long path and macOS attributes take a few KiB
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_DIRECTORY_ENTRY = 1024  # bytes of a zip's directory for each allowed member; 46 and the name are usual
_TAR_BLOCKS = 128 * 1024  # are read at once; tarfile's own 10 KiB are for tapes
_READS_PAST_THE_END = 16  # tarfile needs two
_MAX_NAME = 200
_ENCRYPTED, _UTF8_NAME = 0x1, 0x800  # bits of a zip member's flags
_FOLDER = "a folder"
_DRIVE = re.compile(r"[A-Za-z]:")
_MAGICS = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
}


class IntakeLimits(Frozen, frozen=True):
    """What an archive may cost. Beyond `ratio_from` bytes it may not expand to more than `ratio` times its size."""

    archive_bytes: int = 512 * MIB
    members: int = 5000
    total_bytes: int = 1024 * MIB
    ratio: float = 200.0  # notebooks and weights reach 20, a bomb of zeros 1000
    ratio_from: int = 32 * MIB
    cpu_seconds: float = 30.0  # for each of the two readings; a gigabyte of gzip takes about 5


@dataclass(frozen=True, slots=True)
class Member:
    """A member as surveyed. `read` holds only until the next member is asked for, and gives at most `size` bytes."""

    parts: tuple[str, ...]  # of its path: NFC, printable, without "." and empty parts
    size: int
    odd: str  # "" for a regular file, else what it is
    climbs: bool  # whether the path is absolute or has ".."
    read: Callable[[], bytes]
    modified: float = 0.0  # seconds since 1970; 0 where that is not told
    passes: bool = False  # whether its bytes pass by on the way to the next member, read or not

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def path(self) -> str:
        return "/".join(self.parts)

    @property
    def is_junk(self) -> bool:
        """Whether a file manager, an editor or Jupyter left it there."""
        return _is_junk(self.parts)


class _Source(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def printable(name: str) -> str:
    """A name fit for reports: NFC, one line, no control or direction characters, bytes that are no UTF-8 as cp949."""
    try:
        name.encode()
    except UnicodeEncodeError:
        name = _decoded(name.encode("utf-8", "surrogateescape"))
    name = unicodedata.normalize("NFC", name)
    name = "".join(c if c.isprintable() else " " if unicodedata.category(c) == "Zs" else "\ufffd" for c in name)
    half = _MAX_NAME // 2  # cut in the middle: its end says what it is
    return name if len(name) <= _MAX_NAME else f"{name[:half]}…{name[1 - half :]}"


def fingerprint(path: Path, limits: IntakeLimits) -> str:
    """SHA-256 of an archive's bytes; for a folder, of its names and contents in order."""
    if path.is_dir():
        digest = hashlib.sha256()
        for member in members(path, limits):
            for piece in (member.path.encode(), b"" if member.odd else member.read()):
                digest.update(struct.pack("<Q", len(piece)))
                digest.update(piece)
        return digest.hexdigest()
    with _blamed(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def members(path: Path, limits: IntakeLimits) -> Iterator[Member]:
    """Every file, link and device in an archive or a folder; its own folders are left out.

    Raises IntakeError, in one sentence with the archive's name, when it cannot be read or breaks a limit.
    """
    with _blamed(path):
        for member in _listing(path, limits):
            if member.odd != _FOLDER and member.parts:
                yield member


def looks_packed(path: Path) -> bool:
    """Whether a file is an archive of some kind, by its first bytes. Raises IntakeError if it cannot be read."""
    with _blamed(path), path.open("rb") as file:
        return bool(_kind(file.read(tarfile.BLOCKSIZE)))


def surveyed(
    path: Path, limits: IntakeLimits, wanted: Callable[[Member], bool]
) -> tuple[list[Member], dict[int, bytes]]:
    """All `members`, and by their places the bytes of those wanted that passed by: no more than KEPT in all.

    Most of what reading a tar.gz costs is its expanding, and whoever chooses among its members need not do that again.
    """
    found: list[Member] = []
    kept: dict[int, bytes] = {}
    left = KEPT
    with _blamed(path):
        for place, member in enumerate(members(path, limits)):
            found.append(member)
            if member.passes and not member.odd and member.size <= left and wanted(member):
                kept[place] = member.read()
                left -= len(kept[place])
    return found, kept


def contents(path: Path, limits: IntakeLimits, places: Collection[int]) -> dict[int, bytes]:
    """The bytes of the members at these places of `members`. Raises IntakeError likewise."""
    found: dict[int, bytes] = {}
    with _blamed(path):
        for place, member in enumerate(members(path, limits)):
            if len(found) == len(places):
                break
            if place in places:
                found[place] = member.read()
    return found


def _listing(path: Path, limits: IntakeLimits) -> Iterator[Member]:
    meter = _Meter(path, limits)
    read = _folder_members if path.is_dir() else _file_members
    for count, member in enumerate(read(path, meter), start=1):
        if count > limits.members:
            meter.refuse(f"it holds more than {limits.members} files; hand in only those that the assignment asks for")
        yield member


class _Meter:
    """Counts what one reading costs, and ends it at a limit."""

    def __init__(self, path: Path, limits: IntakeLimits) -> None:
        self.name = printable(path.resolve().name)
        self.limits = limits
        self.size: float = float("inf")  # of the archive; a folder does not expand
        self.spent = 0
        self.until = time.thread_time() + limits.cpu_seconds

    def refuse(self, sentence: str) -> None:
        raise IntakeError(f"{self.name}: {sentence}")

    def check_clock(self) -> None:
        if time.thread_time() > self.until:
            self.refuse("reading it takes too long; it is not a usual archive; pack it again")

    def spend(self, size: int) -> None:
        self.spent += size
        self.check_clock()
        if self.spent > self.limits.total_bytes:
            self.refuse(f"it expands to more than {self.limits.total_bytes // MIB} MiB; pack only the files asked for")
        if self.spent > self.limits.ratio_from and self.spent > self.limits.ratio * self.size:
            self.refuse(
                f"it expands to more than {self.limits.ratio:g} times its size, as no notebook does; pack it anew"
            )


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Whatever the readers raise on broken bytes, as one IntakeError."""
    name = printable(path.resolve().name)
    try:
        yield
    except EOFError:
        raise IntakeError(f"{name}: it ends too early, as after a broken upload; pack and hand it in again") from None
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        gzip.BadGzipFile,
        zlib.error,
        struct.error,
        LookupError,  # zipfile, of odd names
        ValueError,  # includes UnicodeError
        OverflowError,
        NotImplementedError,  # a zip of a version or compression unknown to zipfile
        RecursionError,  # extended tar headers nested in each other
    ) as error:
        why = printable(str(error)) or type(error).__name__
        raise IntakeError(f"{name}: it is damaged or cut off ({why}); pack and hand it in again") from None
    except OSError as error:
        raise IntakeError(f"{name}: it cannot be read ({error.strerror or error}); check its access rights") from None


def _file_members(path: Path, meter: _Meter) -> Iterator[Member]:
    if not path.exists():
        meter.refuse("there is no such file or folder; check the path")
    if not path.is_file():
        meter.refuse("it is neither a file nor a folder; name an archive or a folder")
    size = path.stat().st_size
    if size == 0:
        meter.refuse("the file is empty, as after a broken upload; pack and hand it in again")
    if size > meter.limits.archive_bytes:
        most = meter.limits.archive_bytes / MIB
        meter.refuse(f"it has {size / MIB:.1f} MiB, more than the {most:.1f} allowed; pack only the files asked for")
    meter.size = size
    with path.open("rb") as raw:
        kind = _kind(raw.read(tarfile.BLOCKSIZE))
        raw.seek(0)
        file = _Watched(raw, meter)
        if kind == "tar":
            yield from _tar_members(_Counted(file, meter))
        elif kind == "zip":
            yield from _zip_members(file, meter)
        elif kind == "gzip":
            yield from _gzip_members(file, meter)
        elif kind:
            meter.refuse(f"it is packed as {kind}, which is not read here; pack it as .tar.gz or .zip")
        else:
            meter.refuse("it is no archive; hand in a .tar.gz or .zip, or name the folder that the file lies in")


def _kind(head: bytes) -> str:
    """What a file is, by its first 512 bytes; "" for no archive."""
    for magic, kind in _MAGICS.items():
        if head.startswith(magic):
            return kind
    if len(head) == tarfile.BLOCKSIZE:
        try:
            tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.TarError:
            return "tar" if not any(head) else ""  # an empty archive is all zeros
        return "tar"
    return ""


class _Watched(io.RawIOBase):
    """The archive's file: processor time is watched, and no reader may swallow it in one bite."""

    def __init__(self, file: IO[bytes], meter: _Meter) -> None:
        self._file, self._meter = file, meter
        self._bite = max(_CHUNK, meter.limits.members * _DIRECTORY_ENTRY)

    def read(self, size: int | None = -1, /) -> bytes:
        self._meter.check_clock()
        if size is not None and size > self._bite:
            self._meter.refuse("its directory has too many entries; pack only the files asked for")
        return self._file.read(self._bite if size is None or size < 0 else size)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


class _Counted:
    """A tar stream on its way to tarfile: every expanded byte is counted, and reading on past the end stops."""

    def __init__(self, stream: _Source, meter: _Meter) -> None:
        self._stream, self._meter, self._reads_past_the_end = stream, meter, 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._meter.spend(len(data))
        if not data:
            self._reads_past_the_end += 1
            if self._reads_past_the_end > _READS_PAST_THE_END:
                raise EOFError
        return data


class _Header(tarfile.TarInfo):
    """A header that refuses what would send tarfile far ahead: negative sizes, extended headers of many megabytes."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _EXTENDED and header.size > _EXTENDED_HEADER):
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def _gzip_members(file: _Watched, meter: _Meter) -> Iterator[Member]:
    inner = _kind(gzip.GzipFile(fileobj=file).read(tarfile.BLOCKSIZE))
    if inner and inner != "tar":
        meter.refuse(f"it is an archive within an archive ({inner} in gzip); unpack it once and hand in the inner one")
    if not inner:
        meter.refuse("it is compressed with gzip, but no tar archive is in it; pack the files with tar -czf")
    file.seek(0)
    yield from _tar_members(_Counted(gzip.GzipFile(fileobj=file), meter))


def _tar_members(stream: _Counted) -> Iterator[Member]:
    with tarfile.open(  # type: ignore[call-overload]  # its stub wants a whole file object; this mode calls read alone
        fileobj=stream,
        mode="r|",
        bufsize=_TAR_BLOCKS,
        tarinfo=_Header,
        encoding="utf-8",
        errors="surrogateescape",
    ) as tar:
        for info in tar:
            if info.isdir():
                yield _folder(info.name)
            else:
                read = partial(_tar_bytes, tar, info)
                yield _member(info.name, info.size, _tar_oddity(info), read, info.mtime, passes=True)
        while tail := tar.fileobj.read(_CHUNK):  # to the end, where gzip's checksum stands
            if any(tail):
                raise tarfile.ReadError("a broken header in the middle")


def _tar_oddity(info: tarfile.TarInfo) -> str:
    if info.issparse():
        return "a sparse file"
    if info.isreg():
        return ""
    return "a link" if info.issym() or info.islnk() else "a device or pipe"


def _tar_bytes(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(info)
    return _taken(stream, info.size) if stream else b""


def _zip_members(file: _Watched, meter: _Meter) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.orig_filename
            if not info.flag_bits & _UTF8_NAME:  # zipfile took the bytes for cp437, which keeps each of them
                name = _decoded(name.encode("cp437"))
            if name.endswith("/"):  # is_dir() trips over an empty name
                yield _folder(name)
            else:
                odd = _oddity(info.external_attr >> 16)
                read = partial(_zip_bytes, archive, info, meter)
                yield _member(name, info.file_size, odd, read, _zip_time(info))


def _zip_time(info: zipfile.ZipInfo) -> float:
    """When a member was changed, by the clock of the place where it was packed."""
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):  # the 31st of month 15
        return 0.0


def _zip_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: _Meter) -> bytes:
    if info.flag_bits & _ENCRYPTED:
        meter.refuse("it is encrypted; pack it again without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        meter.refuse("it is compressed in a way that is not read here; pack it again with the system's own zip")
    with archive.open(info) as stream:
        return _taken(stream, info.file_size, meter)


def _folder_members(path: Path, meter: _Meter) -> Iterator[Member]:
    folders: list[tuple[str, ...]] = [()]
    while folders:
        above = folders.pop()
        with os.scandir(path.joinpath(*above)) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            parts = (*above, entry.name)
            facts = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(facts.st_mode):
                read = partial(_file_bytes, Path(entry.path), facts.st_size, meter)
                yield _member("/".join(parts), facts.st_size, _oddity(facts.st_mode), read, facts.st_mtime)
            elif not _is_junk((*parts, "")):
                folders.append(parts)
                yield _folder("/".join(parts))


def _file_bytes(path: Path, size: int, meter: _Meter) -> bytes:
    with path.open("rb") as stream:
        return _taken(stream, size, meter)


def _oddity(mode: int) -> str:
    kind = stat.S_IFMT(mode)  # 0 in a zip that was packed on Windows
    return "" if kind in (0, stat.S_IFREG) else "a link" if kind == stat.S_IFLNK else "a device or pipe"


def _taken(stream: IO[bytes], size: int, meter: _Meter | None = None) -> bytes:
    """At most `size` bytes, counted as they expand. (A tar's were counted on their way to tarfile.)"""
    chunks = []
    while size > 0 and (chunk := stream.read(min(size, _CHUNK))):
        if meter:
            meter.spend(len(chunk))
        size -= len(chunk)
        chunks.append(chunk)
    return b"".join(chunks)


def _folder(name: str) -> Member:
    return _member(name, 0, _FOLDER, bytes)


def _member(
    name: str, size: int, odd: str, read: Callable[[], bytes], modified: float = 0.0, passes: bool = False
) -> Member:
    pieces = [piece for piece in name.replace("\\", "/").split("/") if piece not in ("", ".")]
    parts = tuple(printable(piece) for piece in pieces if piece != "..")
    climbs = name.startswith("/") or ".." in pieces or bool(pieces and _DRIVE.fullmatch(pieces[0]))
    return Member(parts=parts, size=size, odd=odd, climbs=climbs, read=read, modified=modified, passes=passes)


def _decoded(name: bytes) -> str:
    """A name whose encoding nobody wrote down: UTF-8 (macOS, Colab), else cp949 (Korean Windows), else each byte."""
    for encoding in ("utf-8", "cp949"):
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name.decode("latin-1")


def _is_junk(parts: tuple[str, ...]) -> bool:
    *folders, name = (part.casefold() for part in parts)
    return (
        name.startswith("._")
        or name in (".ds_store", "thumbs.db", "desktop.ini")
        or any(folder == "__macosx" or folder.startswith(".") for folder in folders)
    )
