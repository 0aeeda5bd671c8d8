"""What a teaching assistant has on disk: folders of archives, a course site's bulk download, loose files."""

from __future__ import annotations

import io
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.errors import IntakeError
from grader.gather import Gathered, gather, roles_of

NOTEBOOK1, NOTEBOOK2, WEIGHTS = "Assignment2-1_Transformer_from_scratch.ipynb", "Assignment2-2_Vit.ipynb", "vit.pth"
ALL = (NOTEBOOK1, NOTEBOOK2, WEIGHTS)

Find = Callable[..., Gathered]


@pytest.fixture
def find(assignment: Assignment, tmp_path: Path) -> Find:
    def run(*paths: Path, without: Path | None = None) -> Gathered:
        unpacked = tmp_path / "unpacked"
        unpacked.mkdir(exist_ok=True)
        return gather(paths, roles_of(assignment.config), unpacked, without=without)

    return run


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ALL:
            info = tarfile.TarInfo(name)
            info.size = 2
            tar.addfile(info, io.BytesIO(b"{}"))
    return buffer.getvalue()


def write(folder: Path, *names: str) -> Path:
    """Files in a folder: archives by their names, all else two bytes."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive() if name.endswith((".gz", ".zip")) else b"{}")
    return folder


def found(gathered: Gathered) -> dict[str, str]:
    return {hand_in.name: hand_in.student_id for hand_in in gathered.hand_ins}


def test_a_folder_of_archives(find: Find, tmp_path: Path) -> None:
    subs = write(tmp_path / "subs", "1102444017.tar.gz", "1102444016.tar.gz", "list.csv", ".DS_Store")
    assert found(find(subs)) == {"1102444016.tar.gz": "1102444016", "1102444017.tar.gz": "1102444017"}
    assert list(found(find(subs))) == sorted(found(find(subs)))
    assert find(subs).ignored == ["list.csv"]


def test_a_folder_a_student(find: Find, tmp_path: Path) -> None:
    subs = write(tmp_path / "subs", *(f"1102444016/{name}" for name in ALL), *(f"kim/hw2/{name}" for name in ALL))
    assert found(find(subs)) == {"1102444016": "1102444016", "kim": "kim"}


def test_files_of_one_student_in_several_folders_are_one_submission(find: Find, tmp_path: Path) -> None:
    subs = write(tmp_path / "subs", "1102444016/notebooks/" + NOTEBOOK1, "1102444016/weights/vit.pth", "2.tar.gz")
    assert found(find(subs)) == {"1102444016": "1102444016", "2.tar.gz": "2"}


def test_loose_files_alone_are_one_submission(find: Find, tmp_path: Path) -> None:
    assert found(find(write(tmp_path / "1102444016", *ALL, "data/readme.txt"))) == {"1102444016": "1102444016"}


def test_a_stray_notebook_beside_archives_makes_no_submission_of_the_whole(find: Find, tmp_path: Path) -> None:
    gathered = find(write(tmp_path / "subs", "1102444016.tar.gz", NOTEBOOK2))
    assert list(found(gathered)) == ["1102444016.tar.gz"]
    assert gathered.ignored == [NOTEBOOK2]


def test_archives_called_alike_are_told_apart_by_their_folders(find: Find, tmp_path: Path) -> None:
    moodle = "Kim Minsu_12345_assignsubmission_file_/hw2.zip", "이영희_23456_assignsubmission_file_/hw2.zip"
    assert set(found(find(write(tmp_path / "subs", *moodle))).values()) == {"Kim Minsu_12345", "이영희_23456"}


def test_a_number_in_the_name_counts_more_than_the_folder(find: Find, tmp_path: Path) -> None:
    subs = write(tmp_path / "subs", "first/1102444016.tar.gz", "second/1102444016.tar.gz")
    assert [hand_in.student_id for hand_in in find(subs).hand_ins] == ["1102444016", "1102444016"]


@pytest.mark.parametrize("layout", ["archives", "folders"])
def test_a_bulk_download_as_one_zip(find: Find, tmp_path: Path, layout: str) -> None:
    bulk = tmp_path / "submissions.zip"
    with zipfile.ZipFile(bulk, "w") as packed:
        for student in ("1102444016", "1102444017"):
            if layout == "archives":
                packed.writestr(zipfile.ZipInfo(f"{student}.tar.gz", (2026, 11, 2, 10, 0, 0)), archive())
            else:
                for name in ALL:
                    packed.writestr(zipfile.ZipInfo(f"{student}/{name}", (2026, 11, 2, 10, 0, 0)), b"{}")
        packed.writestr("../../outside.tar.gz", archive())
    gathered = find(bulk)
    assert set(found(gathered).values()) == {"1102444016", "1102444017"}
    assert all(Path(hand_in.path).is_relative_to(tmp_path / "unpacked") for hand_in in gathered.hand_ins)
    packed_at = time.mktime((2026, 11, 2, 10, 0, 0, 0, 0, -1))
    assert {hand_in.modified for hand_in in gathered.hand_ins} == {packed_at}
    assert gathered.ignored == ["outside.tar.gz (its path leads out of the archive)"]
    assert not (tmp_path.parent / "outside.tar.gz").exists()


def test_a_students_own_zip_is_one_submission(find: Find, tmp_path: Path) -> None:
    own = tmp_path / "1102444016.zip"
    with zipfile.ZipFile(own, "w") as packed:
        for name in ALL:
            packed.writestr(name, b"{}")
    assert found(find(own)) == {"1102444016.zip": "1102444016"}


def test_what_is_named_twice_is_graded_once(find: Find, tmp_path: Path) -> None:
    subs = write(tmp_path / "subs", "1102444016.tar.gz")
    assert len(find(subs, subs / "1102444016.tar.gz").hand_ins) == 1


def test_results_among_the_submissions_are_none(find: Find, tmp_path: Path) -> None:
    subs = write(tmp_path / "subs", "1102444016.tar.gz", "results/1102444017.tar.gz")
    assert list(found(find(subs, without=subs / "results"))) == ["1102444016.tar.gz"]


def test_nothing_there_is_said(find: Find, tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match=r"no submission is in it; name a folder with archives"):
        find(write(tmp_path / "subs", "readme.txt"))
    with pytest.raises(IntakeError, match=r"does not exist"):
        find(tmp_path / "nowhere")
