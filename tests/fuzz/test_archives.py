"""Archives and folders with anything wrong: a submission, or one sentence."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from random import Random

import pytest
from conftest import PART1, PART2

from fuzz.conftest import Fuzz, check_sentence
from fuzz.mutation import HOSTILE_NUMBERS, HOSTILE_TEXT, broken_bytes
from grader.assignment import Assignment
from grader.errors import IntakeError
from grader.intake import IntakeLimits, Role, read_submission

LIMITS = IntakeLimits(members=60, total_bytes=8 << 20, ratio_from=1 << 20, cpu_seconds=5)
NAMES = (
    PART1, PART2, "vit.pth", f"1102444016/{PART1}", f"../{PART2}", f"/{PART1}", f"C:\\{PART2}", "a/./b//vit.pth",
    PART1.upper(), PART2.lower(), f"{PART2[:-6]} (1).ipynb", "Vit.PTH", f"__MACOSX/._{PART1}", "._x", ".DS_Store",
    "1102444016.tar.gz", "x.zip", "a/", "/", "//", ".", "..", "...", "과제2-1.ipynb", "notebook.ipynb",
    "x" * 150 + ".pt",
)  # fmt: skip
FORMATS = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)
TYPES = (tarfile.REGTYPE,) * 8 + (
    tarfile.AREGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE,
    tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, b"Z",
)  # fmt: skip


def roles(assignment: Assignment) -> list[Role]:
    return [
        Role(id=name, kind=spec.kind, patterns=spec.patterns, max_bytes=1 << 20, title=spec.title)
        for name, spec in assignment.config.files.items()
    ]


def a_name(random: Random) -> str:
    name = random.choice(NAMES) if random.random() < 0.8 else random.choice(HOSTILE_TEXT)
    return f"{random.choice(HOSTILE_TEXT)}/{name}" if random.random() < 0.1 else name


def some_data(random: Random) -> bytes:
    return random.choice(
        (b"", b"{}", b'{"cells": []}', random.randbytes(random.choice((1, 511, 512, 3000))), b"\0" * 2000)
    )


def a_tar(random: Random) -> bytes:
    buffer = io.BytesIO()
    encoding = random.choice(("utf-8", "utf-8", "utf-8", "cp949"))
    with tarfile.open(
        fileobj=buffer, mode="w", format=random.choice(FORMATS), encoding=encoding, errors="surrogateescape"
    ) as tar:
        for _ in range(random.randint(0, 8)):
            info = tarfile.TarInfo(a_name(random))
            info.type, info.linkname = random.choice(TYPES), random.choice(("", PART1, "/etc/passwd", "\0"))
            data = some_data(random)
            info.size = len(data) if random.random() < 0.9 else random.choice(HOSTILE_NUMBERS)
            if random.random() < 0.1:
                key = random.choice(("size", "path", "GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.name", "mtime"))
                info.pax_headers = {key: random.choice(("1", "-1", "9" * 30, "1,2,3", "", "x", "1.5e400", "../x"))}
            try:
                tar.addfile(info, io.BytesIO(data))
            except (ValueError, UnicodeError, OSError, OverflowError):
                continue  # tarfile cannot write this one
    return buffer.getvalue()


def a_zip(random: Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for _ in range(random.randint(0, 8)):
            info = zipfile.ZipInfo(a_name(random).replace("\0", "0"))
            info.compress_type = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            info.external_attr = random.choice((0, 0o100644, 0o120777, 0o020666, 0o040755, 0o177777)) << 16
            info.extra = random.choice((b"", b"", b"\x01\0\x08\0" + random.randbytes(8), b"up"))
            try:
                archive.writestr(info, some_data(random))
            except (ValueError, UnicodeError, zipfile.LargeZipFile):
                continue
        archive.comment = random.choice((b"", b"PK\x05\x06" * 8))
    return buffer.getvalue()


def an_archive(random: Random) -> bytes:
    """A tar or a zip with odd members, broken or not; in gzip, broken before, behind or not at all."""
    data = random.choice((a_tar, a_zip))(random)
    if random.random() < 0.6:
        data = broken_bytes(random, data)
    if random.random() < 0.4:
        data = gzip.compress(data, compresslevel=1, mtime=0)
        if random.random() < 0.3:
            data = broken_bytes(random, data)
    return data


def judge(path: Path, wanted: list[Role]) -> None:
    try:
        submission = read_submission(path, wanted, LIMITS)
    except IntakeError as error:
        check_sentence(str(error))
        return
    assert submission.files
    assert submission.student_id
    said = [submission.student_id, submission.archive, *submission.ignored, *submission.notes]
    said += [file.name for file in submission.files.values()]
    for text in said:
        check_sentence(text)
    assert all(len(file.data) <= 1 << 20 for file in submission.files.values())


@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile, of a zip that it writes for us
def test_archives_end_in_a_submission_or_in_one_sentence(fuzz: Fuzz, assignment: Assignment) -> None:
    wanted, path = roles(assignment), fuzz.folder / "1102444016.tar.gz"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        judge(path, wanted)
        assert os.listdir(fuzz.folder) == [path.name]  # nothing was extracted, nothing half written

    fuzz.run(an_archive, read)


def fill(folder: Path, random: Random, depth: int = 0) -> None:
    """Files, links, pipes and folders under any name that a file system takes."""
    for _ in range(random.randint(0, 6)):
        name = a_name(random).replace("/", "_").replace("\0", "")[:60].encode("utf-8", "surrogatepass")
        name = random.choice((name, random.randbytes(5).replace(b"/", b"_").replace(b"\0", b"")))
        path = os.path.join(os.fsencode(folder), name)
        if name in (b"", b".", b"..") or os.path.lexists(path) or len(name) > 200:
            continue
        kind = random.randrange(8)
        if kind == 0:
            os.symlink(random.choice(("/etc/passwd", ".", "nowhere", path)), path)
        elif kind == 1:
            os.mkfifo(path)
        elif kind == 2 and depth < 3:
            os.mkdir(path)
            fill(Path(os.fsdecode(path)), random, depth + 1)
        else:
            Path(os.fsdecode(path)).write_bytes(some_data(random))


def test_folders_end_in_a_submission_or_in_one_sentence(fuzz: Fuzz, assignment: Assignment) -> None:
    wanted, folder = roles(assignment), fuzz.folder / "1102444016"
    for number, random in fuzz.numbers():
        folder.mkdir()
        fill(folder, random)
        try:
            judge(folder, wanted)
        except Exception as error:
            raise fuzz.found(number, repr(sorted(folder.rglob("*"))).encode(errors="replace"), error) from error
        shutil.rmtree(folder)
