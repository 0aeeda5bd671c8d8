"""Archives that attack, on the whole road: what the student reads, and what the others' points are afterwards.

How each is read, member by member, stands in tests/test_intake.py.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PART1, ROOT, HandIn, lost

from grader.errors import IntakeError
from grader.records import Record

MIB = 1 << 20
REFERENCE = ROOT / "reference/data/vit.pth"

Quick = Callable[[Path], Record]


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def many_members() -> bytes:
    return gzip.compress(tarfile.TarInfo("x").tobuf() * 20_000 + bytes(1024), 1)


def a_million_members() -> bytes:
    """A zip that is almost nothing but its directory, of 48 bytes an entry."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0) + b"xx"
    directory = entry * 1_000_000
    sixty_four = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, len(directory), 0
    ) + struct.pack("<4sLQL", b"PK\x06\x07", 0, len(directory), 1)
    return (
        b"PK\x03\x04"
        + bytes(26)
        + directory
        + sixty_four
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    )


def nested(depth: int) -> bytes:
    data = zipped({"zeros": bytes(4 * MIB)})
    for _ in range(depth):
        data = zipped({f"{number}.zip": data for number in range(4)}, zipfile.ZIP_STORED)
    return data


def overlapping(name: str) -> bytes:
    """Four hundred members that share one kernel of zeros; the directory alone tells them apart."""
    one = zipped({name: bytes(20 * MIB)})
    start, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    directory = one[start:end] * 400
    return one[:start] + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 400, 400, len(directory), start, 0)


def encrypted() -> bytes:
    data = bytearray(zipped({PART1: b"{}"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "twenty thousand members": (many_members, "it holds more than 2000 files; hand in only those that the assignment"),
    "a million members of a zip": (a_million_members, "its directory has too many entries; pack only the files asked"),
    "zeros in gzip": (lambda: gzip.compress(bytes(64 * MIB), 1), "it expands to more than 200 times its size"),
    "zeros for weights": (lambda: zipped({"vit.pth": bytes(64 * MIB)}), "it expands to more than 200 times its size"),
    "archives in archives": (lambda: nested(4), "but 0.zip, 1.zip, 2.zip, 3.zip; hand in that archive itself"),
    "gzip in gzip in gzip": (lambda: gzip.compress(gzip.compress(gzip.compress(b""))), "archive within an archive"),
    "a password": (encrypted, "it is encrypted; pack it again without a password"),
    "another packer": (
        lambda: b"\xfd7zXZ\x00" + bytes(600),
        "packed as xz, which is not read here; pack it as .tar.gz",
    ),
    "a page that asks to log in": (
        lambda: b"<!DOCTYPE html><title>Log in</title>",
        "it is no archive; hand in a .tar.gz",
    ),
    "a git-lfs pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "it is no archive",
    ),
    "no byte": (lambda: b"", "the file is empty, as after a broken upload; pack and hand it in again"),
    "a program": (lambda: b"\x7fELF" + bytes(600), "it is no archive"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_sentence_that_says_how_to_mend_it(what: str, quick: Quick, tmp_path: Path) -> None:
    make, words = REFUSED[what]
    path = tmp_path / "1102444016.zip"
    path.write_bytes(make())
    with pytest.raises(IntakeError) as error:
        quick(path)
    assert words in str(error.value)
    assert str(error.value).startswith("1102444016.zip: ")
    assert error.value.exit_code == 3
    assert list(tmp_path.iterdir()) == [path]


def full() -> dict[str, bytes]:
    """What a good student hands in."""
    hand_in = HandIn()
    return {name: json.dumps(book).encode() for name, book in hand_in.notebooks.items()} | hand_in.files


def plain(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.devmajor, info.devminor = kind, target, 1, 5  # /dev/zero
    return info


HARMLESS: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "a path upwards": ([(plain("../../../tmp/evil.py"), b"x")], "a path leads out of the archive"),
    "a path from the root": ([(plain("/etc/cron.d/evil"), b"x")], "a path leads out of the archive"),
    "a link to a folder, and a file in it": (
        [(special("x", tarfile.SYMTYPE, "/tmp"), b""), (plain("x/evil"), b"x")],
        "not a regular file, so not read: x (a link)",
    ),
    "a device": ([(special("zero", tarfile.CHRTYPE), b"")], "zero (a device or pipe)"),
    "an archive beside the files": ([(plain("old.zip"), nested(2))], ""),
    "a name that is no UTF-8": ([(plain("\udcff\udcfe.png"), b"x")], ""),
    "a name for a shell": ([(plain("$(reboot);`id`|x.py"), b"x"), (plain("-rf"), b"")], ""),
    "checks of its own": (
        [(plain("conftest.py"), b"raise SystemExit"), (plain("test_mlp.py"), b"assert 0"), (plain("torch.py"), b"1/0")],
        "",
    ),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_beside_good_files_it_changes_no_mark(what: str, quick: Quick, tmp_path: Path) -> None:
    extra, words = HARMLESS[what]
    path = tmp_path / "1102444016.tar.gz"
    path.write_bytes(gzip.compress(tarred(*extra, *((plain(name), data) for name, data in full().items())), 1))
    record = quick(path)
    assert lost(record) == {}
    assert any(words in flag.message for flag in record.flags) or not words
    assert list(tmp_path.iterdir()) == [path]
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_to_the_references_weights_is_no_weights(kind: bytes, quick: Quick, tmp_path: Path) -> None:
    files = full()
    del files["vit.pth"]
    path = tmp_path / "1102444016.tar"
    link = (special("vit.pth", kind, str(REFERENCE)), b"")
    path.write_bytes(tarred(link, *((plain(name), data) for name, data in files.items())))
    record = quick(path)
    assert set(lost(record)) == {"checkpoint"}
    assert any("not a regular file, so not read: vit.pth (a link)" in flag.message for flag in record.flags)


def test_nor_is_one_in_a_folder_or_a_zip(quick: Quick, tmp_path: Path) -> None:
    folder, packed = tmp_path / "1102444016", tmp_path / "1102444017.zip"
    folder.mkdir()
    files = full()
    del files["vit.pth"]
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            (folder / name).write_bytes(data)
            archive.writestr(name, data)
        link = zipfile.ZipInfo("vit.pth")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(REFERENCE))
    (folder / "vit.pth").symlink_to(REFERENCE)
    os.mkfifo(folder / "other.pth")  # opened, it would wait for ever
    for path in (folder, packed):
        assert set(lost(quick(path))) == {"checkpoint"}


def test_members_that_share_their_bytes_are_read_once_or_refused(quick: Quick, tmp_path: Path) -> None:
    path = tmp_path / "1102444016.zip"
    path.write_bytes(overlapping("vit.pth"))
    try:
        record = quick(path)
    except IntakeError as error:  # Debian's Python refuses them itself
        assert "it is damaged or cut off (Overlapped entries" in str(error)  # noqa: PT017 - one of two right ends
        return
    assert record.score == 0
    assert any("more than once in the archive, the last one counts: vit.pth" in f.message for f in record.flags)


def test_of_two_names_that_differ_in_case_the_report_says_which_was_taken(quick: Quick, tmp_path: Path) -> None:
    path = tmp_path / "1102444016.zip"
    path.write_bytes(zipped(full() | {"Vit.pth": b"x"}))
    record = quick(path)
    assert set(lost(record)) == {"checkpoint"}
    assert any(
        "more than one file fits the .pth" in f.message and "took Vit.pth, left vit.pth" in f.message
        for f in record.flags
    )


def test_weights_beyond_the_limit_cost_the_weights_alone(quick: Quick, tmp_path: Path) -> None:
    path = tmp_path / "1102444016.zip"
    path.write_bytes(zipped(full() | {"vit.pth": bytes(101 * MIB)}))
    record = quick(path)
    assert set(lost(record)) == {"checkpoint"}
    assert any("vit.pth has 101.0 MiB, more than the 100.0 MiB allowed for the .pth" in f.message for f in record.flags)
