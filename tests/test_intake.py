"""Archives as students and strangers make them: found by role, bounded, never extracted."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import stat
import struct
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from grader import archives
from grader.errors import AssignmentError, IntakeError
from grader.intake import IntakeLimits, Role, Submission, read_submission

ROLES = (
    Role(
        id="part1",
        kind="notebook",
        patterns=(r"assignment2-1_transformer_from_scratch\.ipynb", r"assignment2-1.*\.ipynb"),
    ),
    Role(id="part2", kind="notebook", patterns=(r"assignment2-2_vit\.ipynb", r"assignment2-2.*\.ipynb")),
    Role(id="weights", kind="weights", patterns=(r"vit\.pth", r".*\.pth")),
)
PART1, PART2, WEIGHTS = "Assignment2-1_Transformer_from_scratch.ipynb", "Assignment2-2_Vit.ipynb", "vit.pth"
USUAL = {PART1: b"one", PART2: b"two", WEIGHTS: b"weights"}
MIB = 1024 * 1024


def words_alone(value: str | bytes) -> str:
    """A test's id without its archive: gzip writes the time into it, and two workers would collect other tests."""
    return value if isinstance(value, str) else "data"


Pack = Callable[[Mapping[str, bytes]], bytes]


def tar_bytes(files: Mapping[str, bytes], mode: str = "w:gz", file_format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=file_format) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_bytes(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def tar_gz(folder: Path, files: Mapping[str, bytes]) -> Path:
    return write(folder / "1102444016.tar.gz", tar_bytes(files))


def odd_tar(path: Path, *infos: tarfile.TarInfo) -> Path:
    """A tar of special members, without data, in front of the usual part 1."""
    with tarfile.open(path, "w") as tar:
        for info in infos:
            tar.addfile(info)
        usual = tarfile.TarInfo(PART1)
        usual.size = 3
        tar.addfile(usual, io.BytesIO(b"one"))
    return path


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def contents(submission: Submission) -> dict[str, bytes]:
    return {role: file.data for role, file in submission.files.items()}


FULL = {"part1": b"one", "part2": b"two", "weights": b"weights"}


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("1102444016.tar.gz", tar_bytes(USUAL)),
            ("1102444016.tgz", tar_bytes(USUAL)),
            ("1102444016.tar", tar_bytes(USUAL, "w")),
            ("1102444016.tar", tar_bytes(USUAL, "w", tarfile.GNU_FORMAT)),
            ("1102444016.tar", tar_bytes(USUAL, "w", tarfile.USTAR_FORMAT)),
            ("1102444016.zip", zip_bytes(USUAL)),
            ("1102444016.zip", zip_bytes(USUAL, zipfile.ZIP_STORED)),
            ("1102444016.zip", tar_bytes(USUAL)),  # the content counts, not the name
            ("1102444016.tar.gz", zip_bytes(USUAL)),
            ("1102444016.tar.gz", tar_bytes(USUAL, "w")),
            ("1102444016", tar_bytes(USUAL)),
        ],
        ids=words_alone,
    )
    def test_is_known_by_its_content(self, tmp_path: Path, name: str, data: bytes) -> None:
        submission = read_submission(write(tmp_path / name, data), ROLES)
        assert contents(submission) == FULL
        assert submission.student_id == "1102444016"
        assert submission.archive == name
        assert submission.notes == ()
        assert submission.ignored == ()

    @pytest.mark.parametrize("prefix", ["./", "1102444016/", "a/b/c/"])
    @pytest.mark.parametrize("pack", [tar_bytes, zip_bytes])
    def test_reads_through_folders(self, tmp_path: Path, prefix: str, pack: Pack) -> None:
        data = pack({prefix + name: data for name, data in USUAL.items()})
        assert contents(read_submission(write(tmp_path / "x.bin", data), ROLES)) == FULL

    @pytest.mark.parametrize(("kept", "again"), [(archives.KEPT, []), (5, [{1, 2}]), (0, [{0, 1, 2}])])
    def test_expands_a_tar_once_where_its_files_are_small(
        self, tmp_path: Path, kept: int, again: list[set[int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[set[int]] = []

        def second_reading(path: Path, limits: IntakeLimits, places: set[int]) -> dict[int, bytes]:
            asked.append(places)
            return archives.contents(path, limits, places)

        monkeypatch.setattr("grader.intake.contents", second_reading)
        monkeypatch.setattr(archives, "KEPT", kept)
        assert contents(read_submission(write(tmp_path / "x.tar.gz", tar_bytes(USUAL)), ROLES)) == FULL
        assert asked == again

    def test_reads_a_plain_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "1102444016"
        (folder / "inner").mkdir(parents=True)
        for name, data in USUAL.items():
            (folder / "inner" / name).write_bytes(data)
        submission = read_submission(folder, ROLES)
        assert contents(submission) == FULL
        assert submission.student_id == submission.archive == "1102444016"

    def test_names_the_archive_by_the_hash_of_its_bytes(self, tmp_path: Path) -> None:
        data = tar_bytes(USUAL)
        assert read_submission(write(tmp_path / "a.tgz", data), ROLES).sha256 == hashlib.sha256(data).hexdigest()

    def test_names_a_folder_by_the_hash_of_its_names_and_contents(self, tmp_path: Path) -> None:
        def digest(folder: str, files: Mapping[str, bytes]) -> str:
            (tmp_path / folder).mkdir()
            for name, data in files.items():
                (tmp_path / folder / name).write_bytes(data)
            return read_submission(tmp_path / folder, ROLES).sha256

        first = digest("a", USUAL)
        assert digest("b", dict(reversed(USUAL.items()))) == first
        assert digest("c", {**USUAL, WEIGHTS: b"others"}) != first
        assert digest("d", {**USUAL, "extra": b""}) != first
        # what leaves one file and enters the next must not cancel out
        assert digest("e", {PART1: b"xy", "z": b""}) != digest("f", {PART1: b"x", "yz": b""})

    def test_writes_nothing(self, tmp_path: Path) -> None:
        tar_gz(tmp_path, {"../out.ipynb": b"", **USUAL})
        before = sorted(tmp_path.parent.rglob("*"))
        read_submission(tmp_path / "1102444016.tar.gz", ROLES)
        assert sorted(tmp_path.parent.rglob("*")) == before


class TestRoles:
    @pytest.mark.parametrize(
        "name",
        [
            "Assignment2-2_ViT.ipynb",
            "ASSIGNMENT2-2_VIT.IPYNB",
            "Assignment2-2_Vit (1).ipynb",
            "Assignment2-2_Vit - Copy.ipynb",
            "Assignment2-2_Vit-Copy1.ipynb",
            "Assignment2-2_Vit의 사본.ipynb",
            "Copy of Assignment2-2_Vit.ipynb",
            "Assignment2-2_final_final.ipynb",
        ],
    )
    def test_are_found_under_many_names(self, tmp_path: Path, name: str) -> None:
        submission = read_submission(tar_gz(tmp_path, {PART1: b"one", name: b"two", "My.PTH": b"weights"}), ROLES)
        assert contents(submission) == FULL
        assert submission.files["part2"].name == name
        assert submission.notes == ()

    def test_are_found_under_a_decomposed_korean_name(self, tmp_path: Path) -> None:
        composed = "과제2-2.ipynb"
        role = Role(id="part2", kind="notebook", patterns=("과제2-2\\.ipynb",))
        submission = read_submission(tar_gz(tmp_path, {unicodedata.normalize("NFD", composed): b"two"}), [role])
        assert submission.files["part2"].name == composed
        assert submission.notes == ()

    @pytest.mark.parametrize(
        ("best", "worse"),
        [
            (PART2, "Assignment2-2_Vit (1).ipynb"),
            (PART2, "Assignment2-2_old.ipynb"),
            ("Assignment2-2_Vit (1).ipynb", "Assignment2-2_old.ipynb"),
            (PART2, f"backup/{PART2}"),
        ],
    )
    @pytest.mark.parametrize("best_first", [True, False])
    def test_take_the_best_fit_and_say_so(self, tmp_path: Path, best: str, worse: str, best_first: bool) -> None:
        files = {best: b"two", worse: b"other"}
        ordered = files if best_first else dict(reversed(files.items()))
        submission = read_submission(tar_gz(tmp_path, {PART1: b"one", **ordered, WEIGHTS: b"weights"}), ROLES)
        assert contents(submission) == FULL
        assert submission.notes == (f"more than one file fits part2: took {best}, left {worse}",)
        assert submission.ignored == (worse,)

    def test_do_not_take_each_others_file_by_a_loose_pattern(self, tmp_path: Path) -> None:
        roles = (
            Role(id="part1", kind="notebook", patterns=(r"one\.ipynb", r".*\.ipynb")),
            Role(id="part2", kind="notebook", patterns=(r"two\.ipynb", r".*\.ipynb")),
        )
        submission = read_submission(tar_gz(tmp_path, {"two.ipynb": b"two", "uno.ipynb": b"one"}), roles)
        assert contents(submission) == {"part1": b"one", "part2": b"two"}

    def test_leave_an_extra_notebook_aside_with_a_note(self, tmp_path: Path) -> None:
        submission = read_submission(tar_gz(tmp_path, {"Practice.ipynb": b"", **USUAL}), ROLES)
        assert contents(submission) == FULL
        assert submission.ignored == ("Practice.ipynb",)
        assert submission.notes == ("not a name that the assignment knows, left aside: Practice.ipynb",)

    def test_take_the_only_notebook_left_for_the_only_role_left(self, tmp_path: Path) -> None:
        submission = read_submission(tar_gz(tmp_path, {PART1: b"one", "hw.ipynb": b"two", WEIGHTS: b"weights"}), ROLES)
        assert contents(submission) == FULL
        assert submission.notes == ("took hw.ipynb for part2: not by its name, but as the only one left",)

    def test_guess_nothing_where_two_notebooks_are_left(self, tmp_path: Path) -> None:
        files = {"a.ipynb": b"", "b.ipynb": b"", PART1: b"one", WEIGHTS: b"weights"}
        submission = read_submission(tar_gz(tmp_path, files), ROLES)
        assert contents(submission) == {"part1": b"one", "weights": b"weights"}
        assert "no file fits part2" in submission.notes

    def test_guess_nothing_where_two_roles_are_left(self, tmp_path: Path) -> None:
        submission = read_submission(tar_gz(tmp_path, {"a.ipynb": b"", WEIGHTS: b"weights"}), ROLES)
        assert contents(submission) == {"weights": b"weights"}

    def test_may_stay_without_a_file(self, tmp_path: Path) -> None:
        submission = read_submission(tar_gz(tmp_path, {PART1: b"one"}), ROLES)
        assert contents(submission) == {"part1": b"one"}
        assert submission.notes == ("no file fits part2", "no file fits weights")

    def test_may_be_optional(self, tmp_path: Path) -> None:
        optional = Role(id="weights", kind="weights", patterns=(r".*\.pth",), required=False)
        assert read_submission(tar_gz(tmp_path, {PART1: b"one"}), (ROLES[0], optional)).notes == ()

    def test_keep_an_empty_file_for_the_criteria_to_judge(self, tmp_path: Path) -> None:
        assert contents(read_submission(tar_gz(tmp_path, {**USUAL, PART2: b""}), ROLES)) == {**FULL, "part2": b""}

    def test_with_a_broken_pattern_are_the_assignments_fault(self, tmp_path: Path) -> None:
        with pytest.raises(AssignmentError, match=r"files\.part1"):
            read_submission(tar_gz(tmp_path, USUAL), [Role(id="part1", kind="notebook", patterns=("(",))])

    @pytest.mark.parametrize("pack", ["tar", "folder"])
    def test_skip_what_file_managers_leave(self, tmp_path: Path, pack: str) -> None:
        junk = [
            f"._{PART1}",
            f"__MACOSX/._{PART2}",
            f"__MACOSX/{PART2}",
            ".DS_Store",
            "Thumbs.db",
            f".ipynb_checkpoints/{PART2}",
            f"deep/.ipynb_checkpoints/{WEIGHTS}",
        ]
        files = dict.fromkeys(junk, b"junk") | USUAL
        if pack == "tar":
            path = tar_gz(tmp_path, files)
        else:
            path = tmp_path / "1102444016"
            for name, data in files.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(data)
        submission = read_submission(path, ROLES)
        assert contents(submission) == FULL
        assert submission.notes == submission.ignored == ()

    def test_name_no_more_than_a_few_of_many_ignored_members(self, tmp_path: Path) -> None:
        files = {**USUAL, **{f"data/{number}.png": b"" for number in range(80)}}
        ignored = read_submission(tar_gz(tmp_path, files), ROLES).ignored
        assert len(ignored) == 51
        assert ignored[-1] == "and 30 more"


class TestNames:
    def test_of_a_zip_without_the_utf8_flag_are_read_as_cp949(self, tmp_path: Path) -> None:
        role = Role(id="part1", kind="notebook", patterns=("과제1\\.ipynb",))
        placeholder = "x" * len("과제1.ipynb".encode("cp949"))
        data = zip_bytes({placeholder: b"one"}).replace(placeholder.encode(), "과제1.ipynb".encode("cp949"))
        assert read_submission(write(tmp_path / "a.zip", data), [role]).files["part1"].name == "과제1.ipynb"

    def test_of_a_zip_without_the_utf8_flag_may_be_utf8_all_the_same(self, tmp_path: Path) -> None:
        role = Role(id="part1", kind="notebook", patterns=("과제1\\.ipynb",))
        placeholder = "x" * len("과제1.ipynb".encode())
        data = zip_bytes({placeholder: b"one"}).replace(placeholder.encode(), "과제1.ipynb".encode())
        assert read_submission(write(tmp_path / "a.zip", data), [role]).files["part1"].name == "과제1.ipynb"

    def test_of_a_tar_in_cp949_are_read_too(self, tmp_path: Path) -> None:
        role = Role(id="part1", kind="notebook", patterns=("과제1\\.ipynb",))
        with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="cp949") as tar:
            tar.addfile(tarfile.TarInfo("과제1.ipynb"))
        assert read_submission(tmp_path / "a.tar", [role]).files["part1"].name == "과제1.ipynb"

    def test_with_backslashes_are_paths(self, tmp_path: Path) -> None:
        data = zip_bytes({f"1102444016\\{name}": data for name, data in USUAL.items()})
        assert contents(read_submission(write(tmp_path / "hw.zip", data), ROLES)) == FULL

    def test_cannot_speak_to_a_terminal(self, tmp_path: Path) -> None:
        submission = read_submission(tar_gz(tmp_path, {**USUAL, "\x1b[2J\u202egpj\n.png": b""}), ROLES)
        assert submission.ignored == ("\ufffd[2J\ufffdgpj\ufffd.png",)


class TestStudentId:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("1102444016.tar.gz", "1102444016"),
            ("1102444016.tar (1).gz", "1102444016"),
            ("1102444016 (2).zip", "1102444016"),
            ("1102444016.tar.gz.zip", "1102444016"),
            ("name_12345_678_1102444016.tar.gz", "1102444016"),
            ("kim_654321_7654321_1102444016.tar.gz", "1102444016"),
            ("kim_654321_7654321_1102444016-1.tar.gz", "1102444016"),
            ("1102444016_홍길동.zip", "1102444016"),
            ("kim_chulsoo.zip", "kim_chulsoo"),
            ("a-1_b.tgz", "a-1_b"),
            ("name_12345.tgz", "name_12345"),
        ],
    )
    def test_comes_from_the_archives_name(self, tmp_path: Path, name: str, expected: str) -> None:
        submission = read_submission(write(tmp_path / name, tar_bytes(USUAL)), ROLES)
        assert (submission.student_id, submission.notes) == (expected, ())

    @pytest.mark.parametrize("name", ["제출.zip", "download.zip"])
    def test_comes_from_the_one_folder_else(self, tmp_path: Path, name: str) -> None:
        files = {f"1102444016/{name}": data for name, data in USUAL.items()}
        submission = read_submission(write(tmp_path / name, zip_bytes({"__MACOSX/x": b"", **files})), ROLES)
        assert (submission.student_id, submission.notes) == ("1102444016", ())

    def test_does_not_come_from_one_of_two_folders(self, tmp_path: Path) -> None:
        files = {"1102444016/a.txt": b"", **{f"1102444017/{name}": data for name, data in USUAL.items()}}
        submission = read_submission(write(tmp_path / "제출.zip", zip_bytes(files)), ROLES)
        assert submission.student_id == "제출"
        assert submission.notes == ("no student id was recognised in the name 제출.zip",)

    @pytest.mark.parametrize("name", ["김철수 1102444016.tar.gz", "[AI] HW2 1102444016.tar.gz"])
    @pytest.mark.parametrize("top", ["", "hw2/"])
    def test_is_the_only_long_number_of_a_name_with_a_doubt(self, tmp_path: Path, name: str, top: str) -> None:
        data = tar_bytes({top + member: data for member, data in USUAL.items()})
        submission = read_submission(write(tmp_path / name, data), ROLES)
        assert submission.student_id == "1102444016"
        assert [note.partition(":")[0] for note in submission.notes] == [
            f"no student id was recognised in the name {name}"
        ]

    def test_is_none_of_two_long_numbers(self, tmp_path: Path) -> None:
        path = write(tmp_path / "김 1102444016 1102444017.zip", tar_bytes(USUAL))
        assert read_submission(path, ROLES).student_id == "김 1102444016 1102444017"

    def test_can_be_a_pattern_of_the_course(self, tmp_path: Path) -> None:
        path = write(tmp_path / "2024_s1234567_hw2_s7654321.tar.gz", tar_bytes(USUAL))
        assert read_submission(path, ROLES, id_pattern=r"s\d{7}").student_id == "s7654321"

    def test_by_a_pattern_of_the_course_can_stand_in_the_folder(self, tmp_path: Path) -> None:
        path = write(tmp_path / "hw.zip", zip_bytes({f"s7654321/{name}": data for name, data in USUAL.items()}))
        assert read_submission(path, ROLES, id_pattern=r"s\d{7}").student_id == "s7654321"


class TestOddMembers:
    @pytest.mark.parametrize("name", [f"../../{PART1}", f"/etc/{PART1}", f"a/../../{PART1}", f"C:\\{PART1}"])
    @pytest.mark.parametrize("pack", [tar_bytes, zip_bytes])
    def test_with_climbing_paths_count_by_their_name_alone(self, tmp_path: Path, name: str, pack: Pack) -> None:
        submission = read_submission(write(tmp_path / "1102444016.tar", pack({name: b"one"})), ROLES[:1])
        assert contents(submission) == {"part1": b"one"}
        assert submission.files["part1"].name == PART1
        assert len(submission.notes) == 1
        assert "leads out of the archive" in submission.notes[0]

    @pytest.mark.parametrize(
        ("info", "what"),
        [
            (member(WEIGHTS, tarfile.SYMTYPE, "/etc/passwd"), "a link"),
            (member(WEIGHTS, tarfile.LNKTYPE, PART1), "a link"),
            (member(WEIGHTS, tarfile.FIFOTYPE), "a device or pipe"),
            (member(WEIGHTS, tarfile.CHRTYPE), "a device or pipe"),
            (member(WEIGHTS, tarfile.BLKTYPE), "a device or pipe"),
            (member(WEIGHTS, tarfile.GNUTYPE_SPARSE), "a sparse file"),
        ],
    )
    def test_that_are_no_regular_files_are_not_read(self, tmp_path: Path, info: tarfile.TarInfo, what: str) -> None:
        submission = read_submission(odd_tar(tmp_path / "1102444016.tar", info), ROLES)
        assert contents(submission) == {"part1": b"one"}
        assert f"not a regular file, so not read: {WEIGHTS} ({what})" in submission.notes
        assert submission.ignored == (f"{WEIGHTS} ({what})",)

    @pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR])
    def test_of_a_zip_that_are_no_regular_files_are_not_read(self, tmp_path: Path, mode: int) -> None:
        with zipfile.ZipFile(tmp_path / "1.zip", "w") as archive:
            info = zipfile.ZipInfo(WEIGHTS)
            info.external_attr = (mode | 0o644) << 16
            archive.writestr(info, "/etc/passwd")
            archive.writestr(PART1, "one")
        assert contents(read_submission(tmp_path / "1.zip", ROLES)) == {"part1": b"one"}

    def test_of_a_folder_that_are_no_regular_files_are_not_read(self, tmp_path: Path) -> None:
        folder = tmp_path / "1102444016"
        folder.mkdir()
        (folder / PART1).write_bytes(b"one")
        (tmp_path / "secret").write_bytes(b"secret")
        (folder / WEIGHTS).symlink_to(tmp_path / "secret")
        os.mkfifo(folder / PART2)
        (folder / "loop").symlink_to(folder)
        submission = read_submission(folder, ROLES)
        assert contents(submission) == {"part1": b"one"}
        assert f"{WEIGHTS} (a link)" in submission.ignored

    def test_of_the_same_path_count_once_the_last(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "1102444016.tar", "w") as tar:
            for data in (b"old", b"new"):
                info = tarfile.TarInfo(PART1)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        submission = read_submission(tmp_path / "1102444016.tar", ROLES[:1])
        assert contents(submission) == {"part1": b"new"}
        assert submission.notes == (f"more than once in the archive, the last one counts: {PART1}",)

    def test_that_are_too_large_are_left_and_named(self, tmp_path: Path) -> None:
        roles = (*ROLES[:2], Role(id="weights", kind="weights", patterns=(r".*\.pth",), max_bytes=MIB))
        files = {**USUAL, "huge.pth": b"\0" * (MIB + 1)}
        submission = read_submission(tar_gz(tmp_path, files), roles)
        assert contents(submission) == FULL
        assert submission.notes == ("huge.pth has 1.0 MiB, more than the 1.0 MiB allowed for weights: it was not read",)


def spread(tmp_path: Path, files: Mapping[str, bytes]) -> Path:
    """A folder with these files."""
    folder = tmp_path / "folder"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def refusal(path: Path, limits: IntakeLimits | None = None) -> str:
    with pytest.raises(IntakeError) as caught:
        read_submission(path, ROLES, limits)
    message = str(caught.value)
    assert message.startswith(f"{path.name}: ")
    assert "\n" not in message
    return message


class TestUnreadable:
    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"", "empty"),
            (b"hello", "no archive"),
            (b'{"cells": []}' * 100, "no archive"),
            (tar_bytes(USUAL)[:-20], "ends too early"),
            (tar_bytes(USUAL)[:30], "ends too early"),
            (tar_bytes(USUAL, "w")[:700], "damaged or cut off"),
            (zip_bytes(USUAL)[:-30], "damaged or cut off"),
            (gzip.compress(b"no tar" * 200), "no tar archive is in it"),
            (gzip.compress(tar_bytes(USUAL)), "archive within an archive (gzip in gzip)"),
            (gzip.compress(zip_bytes(USUAL)), "archive within an archive (zip in gzip)"),
            (zip_bytes({"1102444016.tar.gz": tar_bytes(USUAL)}), "but 1102444016.tar.gz; hand in that archive itself"),
            (tar_bytes({"a/1102444016.ZIP": zip_bytes(USUAL)}), "but a/1102444016.ZIP; hand in that archive itself"),
            (zip_bytes({}), "without a file"),
            (tar_bytes({}, "w"), "without a file"),
            (tar_bytes({".DS_Store": b"", "readme.txt": b""}), "none of the files asked for (part1, part2, weights)"),
            (tar_bytes({"a.ipynb": b"", "b.ipynb": b""}), "left aside: a.ipynb, b.ipynb"),
            (b"BZh91AY" + b"\0" * 600, "packed as bzip2"),
            (b"7z\xbc\xaf\x27\x1c" + b"\0" * 600, "packed as 7z"),
            (b"Rar!\x1a\x07\x01\0", "packed as rar"),
            (zip_bytes(USUAL, zipfile.ZIP_LZMA), "compressed in a way"),
        ],
        ids=words_alone,
    )
    def test_archives_are_refused_in_one_sentence(self, tmp_path: Path, data: bytes, why: str) -> None:
        assert why in refusal(write(tmp_path / "1102444016.zip", data))

    def test_path_that_is_not_there(self, tmp_path: Path) -> None:
        assert "no such file" in refusal(tmp_path / "nothing.zip")

    def test_path_that_is_a_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert "neither a file nor a folder" in refusal(tmp_path / "pipe")

    def test_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "none").mkdir()
        assert "it is a folder without a file in it" in refusal(tmp_path / "none")

    def test_one_of_the_files_themselves(self, tmp_path: Path) -> None:
        path = write(tmp_path / WEIGHTS, zip_bytes({"archive/data.pkl": b""}))  # as torch.save writes it
        assert "an archive or a folder is wanted" in refusal(path)

    @pytest.mark.parametrize("above", ["", "week 2/"])
    def test_folder_of_several_submissions(self, tmp_path: Path, above: str) -> None:
        folder = spread(tmp_path, {f"{above}{number}/{name}": b"" for number in "12" for name in USUAL})
        assert refusal(folder).endswith(f"with --out: {above}1, {above}2")

    def test_folder_of_several_archives(self, tmp_path: Path) -> None:
        folder = spread(tmp_path, {"1.tar.gz": b"", "2.zip": b"", "marks.csv": b""})
        assert refusal(folder).endswith("with --out: 1.tar.gz, 2.zip")

    @pytest.mark.parametrize(
        "names",
        [
            [f"code/{PART1}", f"code/{PART2}", f"weights/{WEIGHTS}", "runs/other.pth"],
            [*USUAL, *(f"backup/{name}" for name in USUAL)],
            [f"1102444016/{name}" for name in USUAL],
        ],
    )
    def test_but_not_one_students_own_folders(self, tmp_path: Path, names: list[str]) -> None:
        assert set(read_submission(spread(tmp_path, dict.fromkeys(names, b"")), ROLES).files) == set(FULL)

    def test_what_is_wanted_is_named_as_people_know_it(self, tmp_path: Path) -> None:
        role = Role(id="part1", kind="notebook", patterns=("x",), title="the notebook of part 1")
        path = write(tmp_path / "1102444016.zip", zip_bytes({"readme.txt": b""}))
        with pytest.raises(IntakeError, match=r"asked for \(the notebook of part 1\).* no file fits the notebook"):
            read_submission(path, [role])

    def test_encrypted_zip(self, tmp_path: Path) -> None:
        data = bytearray(zip_bytes(USUAL))
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = -1
            while (place := data.find(signature, place + 1)) >= 0:
                data[place + offset] |= 1
        assert "encrypted" in refusal(write(tmp_path / "1.zip", bytes(data)))

    def test_zip_whose_data_rotted(self, tmp_path: Path) -> None:
        data = zip_bytes(USUAL, zipfile.ZIP_STORED).replace(b"weights", b"weighty", 1)
        assert "damaged" in refusal(write(tmp_path / "1.zip", data))

    def test_gzip_whose_checksum_is_wrong(self, tmp_path: Path) -> None:
        data = bytearray(tar_bytes(USUAL))
        data[-6] ^= 1
        assert "damaged" in refusal(write(tmp_path / "1.tgz", bytes(data)))

    def test_tar_with_a_broken_header_in_the_middle_does_not_pass_for_a_short_one(self, tmp_path: Path) -> None:
        data = tar_bytes(USUAL, "w").replace(PART2.encode(), b"X" + PART2.encode()[1:])
        assert "broken header in the middle" in refusal(write(tmp_path / "1.tar", data))


class TestBombs:
    def test_of_too_many_members(self, tmp_path: Path) -> None:
        files = {str(number): b"" for number in range(10)}
        for data in (tar_bytes(files), zip_bytes(files)):
            path = write(tmp_path / "1102444016.x", data)
            assert "more than 9 files" in refusal(path, IntakeLimits(members=9))
            assert "none of the files" in refusal(path, IntakeLimits(members=10))

    def test_that_are_too_large_themselves(self, tmp_path: Path) -> None:
        assert "more than the 0.0 allowed" in refusal(tar_gz(tmp_path, USUAL), IntakeLimits(archive_bytes=100))

    def test_of_gzip_stop_at_the_expanded_size(self, tmp_path: Path) -> None:
        path = tar_gz(tmp_path, {"zeros": b"\0" * 3 * MIB, **USUAL})
        assert "expands to more than 1 MiB" in refusal(path, IntakeLimits(total_bytes=MIB))

    def test_of_gzip_stop_at_the_ratio(self, tmp_path: Path) -> None:
        path = tar_gz(tmp_path, {"zeros": b"\0" * 3 * MIB, **USUAL})
        assert "times its size" in refusal(path, IntakeLimits(ratio_from=MIB, ratio=100))

    def test_of_zip_stop_at_the_ratio(self, tmp_path: Path) -> None:
        path = write(tmp_path / "1.zip", zip_bytes({WEIGHTS: b"\0" * 3 * MIB}))
        assert "times its size" in refusal(path, IntakeLimits(ratio_from=MIB, ratio=100))

    def test_of_zip_that_nobody_asked_for_are_not_expanded(self, tmp_path: Path) -> None:
        path = write(tmp_path / "1.zip", zip_bytes({"zeros": b"\0" * 3 * MIB, **USUAL}))
        assert contents(read_submission(path, ROLES, IntakeLimits(total_bytes=MIB))) == FULL

    def test_of_a_zip_directory_are_not_loaded(self, tmp_path: Path) -> None:
        path = write(tmp_path / "1.zip", zip_bytes({"n" * 60_000 + str(number): b"" for number in range(20)}))
        assert "too many entries" in refusal(path, IntakeLimits(members=30))

    def test_that_take_too_much_processor_time(self, tmp_path: Path) -> None:
        assert "takes too long" in refusal(tar_gz(tmp_path, USUAL), IntakeLimits(cpu_seconds=0))

    @pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
    @pytest.mark.parametrize("size", [2**62, -512, -(2**40)])
    def test_that_only_claim_a_size(self, tmp_path: Path, kind: bytes, size: int) -> None:
        info = member("zeros", kind)
        info.size = size
        header = info.tobuf(tarfile.GNU_FORMAT)
        path = write(tmp_path / "1.tar", header + tar_bytes(USUAL, "w"))
        if kind == tarfile.SYMTYPE and size > 0:  # a link has no data, whatever it claims
            assert contents(read_submission(path, ROLES)) == FULL
        else:
            why = refusal(path)
            assert "ends too early" in why or "damaged" in why

    def test_that_claim_a_size_in_an_extended_header(self, tmp_path: Path) -> None:
        for size in (2**62, -(2**40)):
            with tarfile.open(tmp_path / "1.tar", "w", format=tarfile.PAX_FORMAT) as tar:
                info = tarfile.TarInfo("zeros")
                info.pax_headers = {"size": str(size)}
                tar.addfile(info)
            refusal(tmp_path / "1.tar")

    @pytest.mark.parametrize("file_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    def test_of_an_extended_header_are_not_loaded(self, tmp_path: Path, file_format: int) -> None:
        data = tar_bytes({"한" * MIB: b"", **USUAL}, "w:gz", file_format)
        assert "a header of 3145" in refusal(write(tmp_path / "1.tgz", data))

    def test_of_extended_headers_within_each_other(self, tmp_path: Path) -> None:
        record = b"8 a=bcd\n"
        header = tarfile.TarInfo("x")
        header.type, header.size = tarfile.XHDTYPE, len(record)
        block = header.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")
        assert "damaged" in refusal(write(tmp_path / "1.tar", block * 5000 + tar_bytes(USUAL, "w")))

    def test_of_a_sparse_map_without_end(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "1.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            info = tarfile.TarInfo(WEIGHTS)
            info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
            info.size = 8 * MIB
            tar.addfile(info, io.BytesIO((b"9999999999\n" + b"0\n" * info.size)[: info.size]))
        assert "takes too long" in refusal(tmp_path / "1.tar", IntakeLimits(cpu_seconds=0.1))

    def test_of_a_sparse_file_take_no_space(self, tmp_path: Path) -> None:
        sparse_map = b"1\n0\n3\n".ljust(512, b"\0")
        with tarfile.open(tmp_path / "1.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            info = tarfile.TarInfo(WEIGHTS)
            info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**13)}
            info.size = 515
            tar.addfile(info, io.BytesIO(sparse_map + b"abc"))
            usual = tarfile.TarInfo(PART1)
            usual.size = 3
            tar.addfile(usual, io.BytesIO(b"one"))
        submission = read_submission(tmp_path / "1.tar", ROLES)
        assert contents(submission) == {"part1": b"one"}
        assert f"not a regular file, so not read: {WEIGHTS} (a sparse file)" in submission.notes

    def test_of_zip_that_lie_about_their_size(self, tmp_path: Path) -> None:
        data = zip_bytes({WEIGHTS: b"\0" * MIB})
        small = data.replace(struct.pack("<L", MIB), struct.pack("<L", 100))
        assert "damaged" in refusal(write(tmp_path / "1.zip", small))


def test_intake_does_not_import_torch() -> None:
    code = "import grader.intake, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


VALID = (tar_bytes(USUAL), tar_bytes(USUAL, "w"), zip_bytes(USUAL), zip_bytes(USUAL, zipfile.ZIP_STORED))


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A good archive with a few bytes changed, cut or put in: that reaches further than noise."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


@given(data=st.binary(max_size=2000) | broken())
@example(data=b"PK\x05\x06")
@example(data=b"\x1f\x8b")
@example(data=b"\0" * 512)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_ends_in_a_submission_or_an_intake_error(tmp_path: Path, data: bytes) -> None:
    path = write(tmp_path / "1102444016.tar.gz", data)
    with contextlib.suppress(IntakeError):
        assert read_submission(path, ROLES, IntakeLimits(cpu_seconds=5)).files


def test_a_zip_member_without_a_name_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "1102444016.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.txt", "x")
        archive.writestr("vit.pth", "weights")
    path.write_bytes(path.read_bytes().replace(struct.pack("<H", 5) + b"\0\0x.txt", b"\0\0\0\0x.txt"))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 28  # the length of the first name in the directory
    data[at : at + 2] = b"\0\0"
    data[at + 18 : at + 23] = b""
    end = data.index(b"PK\x05\x06") + 12
    data[end : end + 4] = struct.pack("<I", struct.unpack("<I", data[end : end + 4])[0] - 5)
    path.write_bytes(data)
    assert zipfile.ZipFile(path).namelist() == ["", "vit.pth"]
    with contextlib.suppress(IntakeError):
        read_submission(path, ROLES, IntakeLimits())
