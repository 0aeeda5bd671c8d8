"""CollectSubmission.sh, as students run it: complete or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "CollectSubmission.sh"
PART1, PART2, WEIGHTS = "Assignment2-1_Transformer_from_scratch.ipynb", "Assignment2-2_Vit.ipynb", "vit.pth"
TOOLS = ("bash", "cat", "grep", "gzip", "mv", "rm", "tail", "tar", "tr", "wc")
ARCHIVE = "1102444016.tar.gz"


def notebook(*, outputs: bool = True, code: bool = True) -> str:
    output = {"output_type": "stream", "name": "stdout", "text": ["정확도 90.00%\n"]}
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": ["print(1)"], "outputs": []}
    cells: list[dict[str, object]] = [{"cell_type": "markdown", "metadata": {}, "source": ["# 과제"]}]
    if code:
        cells.append({**cell, "outputs": [output] if outputs else []})
    book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, ensure_ascii=False, indent=1) + "\n"


@pytest.fixture(params=["plain", "과제 2 (1)"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A complete hand-in, in a folder whose name has neither or both of spaces and Korean."""
    path = tmp_path / request.param
    path.mkdir()
    shutil.copy(SCRIPT, path)
    (path / PART1).write_text(notebook(), encoding="utf-8")
    (path / PART2).write_text(notebook(), encoding="utf-8")
    (path / WEIGHTS).write_bytes(b"weights")
    return path


def bin_folder(folder: Path, **tools: str) -> Path:
    """A PATH of the few tools that the script may use, without a Python; some replaced by scripts."""
    path = folder.parent / "bin"
    path.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, f"this test needs {name}"
        (path / name).symlink_to(found)
    for name, body in tools.items():
        (path / name).unlink(missing_ok=True)
        (path / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
        (path / name).chmod(0o755)
    return path


def collect(folder: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PATH": str(path)} if path else {})
    bash = shutil.which("bash")
    assert bash
    return subprocess.run(
        [bash, "./CollectSubmission.sh", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def refused(folder: Path, *arguments: str, path: Path | None = None, code: int = 1) -> str:
    """Run it, expecting a refusal that leaves the folder as it was; what it said."""
    before = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
    done = collect(folder, *arguments, path=path)
    assert done.returncode == code, done.stderr
    assert {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()} == before
    assert done.stdout == ""
    return done.stderr


def packed(folder: Path) -> dict[str, bytes]:
    with tarfile.open(folder / ARCHIVE, "r:gz") as tar:
        return {info.name: tar.extractfile(info).read() for info in tar if info.isreg()}  # type: ignore[union-attr]


def test_is_executable_and_has_unix_line_ends() -> None:
    assert os.access(SCRIPT, os.X_OK)
    assert b"\r" not in SCRIPT.read_bytes()


def test_packs_exactly_the_three_files_flat(folder: Path) -> None:
    (folder / "imgs").mkdir()
    (folder / "Practice.ipynb").write_text(notebook())
    (folder / f"._{PART1}").write_bytes(b"junk")
    done = collect(folder, "1102444016")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{ARCHIVE} is complete" in done.stdout
    assert packed(folder) == {name: (folder / name).read_bytes() for name in (PART1, PART2, WEIGHTS)}
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))


def test_packs_names_with_spaces_and_other_letters(folder: Path) -> None:
    (folder / PART2).rename(folder / "Assignment2-2_Vit 최종 (1).ipynb")
    (folder / WEIGHTS).rename(folder / "my vit.pth")
    assert collect(folder, "1102444016").returncode == 0
    assert set(packed(folder)) == {PART1, "Assignment2-2_Vit 최종 (1).ipynb", "my vit.pth"}


def test_packs_what_a_link_points_to(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / "elsewhere")
    (folder / WEIGHTS).symlink_to(folder.parent / "elsewhere")
    assert collect(folder, "1102444016").returncode == 0
    assert packed(folder)[WEIGHTS] == b"weights"


@pytest.mark.parametrize("arguments", [(), ("",), ("1", "2"), ("--hlep",), ("--force",)])
def test_says_usage(folder: Path, arguments: tuple[str, ...]) -> None:
    assert "Usage: ./CollectSubmission.sh" in refused(folder, *arguments, code=2)


@pytest.mark.parametrize("argument", ["-h", "--help"])
def test_help_is_no_error(folder: Path, argument: str) -> None:
    done = collect(folder, argument)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: ./CollectSubmission.sh" in done.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes everything")
def test_names_what_cannot_be_read_or_written(folder: Path) -> None:
    for name in (PART1, WEIGHTS):
        (folder / name).chmod(0)
    folder.chmod(0o500)
    try:
        done = collect(folder, "1102444016")
    finally:
        folder.chmod(0o700)
    assert done.returncode == 1
    assert done.stderr.count("cannot be read") == 2
    assert "is empty" not in done.stderr
    assert done.stderr.count("This folder cannot be written to") == 1


@pytest.mark.parametrize("student_id", ["../x", "a b", "a/b", "홍길동", "é", "a.b", "$(touch x)", "a;b", "a\nb"])
def test_refuses_an_id_with_other_letters(folder: Path, student_id: str) -> None:
    said = refused(folder, student_id, code=2)
    assert "letters, digits, - and _" in said


@pytest.mark.parametrize("student_id", ["1102444016", "kim_chulsoo", "A-1"])
def test_takes_other_ids(folder: Path, student_id: str) -> None:
    assert collect(folder, student_id).returncode == 0
    assert (folder / f"{student_id}.tar.gz").exists()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        (PART1, "the notebook of part 1 (Transformer from scratch)"),
        (PART2, "the notebook of part 2 (Vision Transformer)"),
        (WEIGHTS, "the .pth with the trained weights"),
    ],
)
def test_names_a_missing_file(folder: Path, name: str, what: str) -> None:
    (folder / name).unlink()
    said = refused(folder, "1102444016")
    assert f"{what} is missing" in said
    assert said.count("PROBLEM") == 1


@pytest.mark.parametrize(
    ("name", "second"), [(PART1, "Assignment2-1_old.ipynb"), (PART2, "Assignment2-2 copy.ipynb"), (WEIGHTS, "old.pth")]
)
def test_names_both_of_two_files(folder: Path, name: str, second: str) -> None:
    shutil.copy(folder / name, folder / second)
    said = refused(folder, "1102444016")
    assert name in said
    assert second in said
    assert "here are 2" in said


def test_names_everything_at_once(folder: Path) -> None:
    for name in (PART1, PART2, WEIGHTS):
        (folder / name).write_bytes(b"")
    said = refused(folder, "1102444016")
    assert said.count("is empty") == 3


@pytest.mark.parametrize(
    "content",
    ['{"cells": [', "hello", "[]", "{}", '{"cells": 3}', '{"cells": [3]}', "[" * 100_000, notebook(code=False)],
)
def test_names_an_invalid_notebook(folder: Path, content: str) -> None:
    (folder / PART2).write_text(content)
    said = refused(folder, "1102444016")
    assert PART2 in said
    assert "not a valid notebook" in said or "no code cell" in said


def test_refuses_cleared_outputs_unless_forced(folder: Path) -> None:
    (folder / PART1).write_text(notebook(outputs=False))
    assert f"{PART1}: its outputs were cleared" in refused(folder, "1102444016")
    done = collect(folder, "--force", "1102444016")
    assert done.returncode == 0
    assert f"{PART1}: its outputs were cleared" in done.stderr
    assert len(packed(folder)) == 3


def test_force_forces_nothing_else(folder: Path) -> None:
    (folder / PART1).write_text("{")
    assert "not a valid notebook" in refused(folder, "--force", "1102444016")


def test_names_weights_over_the_limit(folder: Path) -> None:
    with (folder / WEIGHTS).open("wb") as file:
        file.truncate(100 * 1024 * 1024 + 1)  # a hole: no disk is used, and nothing reads it
    assert "more than the 100 MB allowed" in collect(folder, "1102444016").stderr
    assert not (folder / ARCHIVE).exists()


class TestWithoutPython:
    def test_packs_and_says_that_it_looked_only_roughly(self, folder: Path) -> None:
        done = collect(folder, "1102444016", path=bin_folder(folder))
        assert done.returncode == 0, done.stderr
        assert "no Python was found" in done.stderr
        assert len(packed(folder)) == 3

    @pytest.mark.parametrize("content", ["hello", notebook()[:-40], "{}"])
    def test_still_names_an_invalid_notebook(self, folder: Path, content: str) -> None:
        (folder / PART2).write_text(content)
        assert "not a valid notebook" in refused(folder, "1102444016", path=bin_folder(folder))

    def test_still_names_cleared_outputs(self, folder: Path) -> None:
        (folder / PART1).write_text(notebook(outputs=False))
        assert "outputs were cleared" in refused(folder, "1102444016", path=bin_folder(folder))

    def test_takes_the_python_that_runs(self, folder: Path) -> None:
        """On Windows python3 may be a stub that only prints where to buy it."""
        path = bin_folder(folder, python3="echo shop; exit 9", python=f'exec "{sys.executable}" "$@"')
        done = collect(folder, "1102444016", path=path)
        assert (done.returncode, done.stderr) == (0, "")


class TestAnArchiveThatIsThere:
    @pytest.fixture
    def old(self, folder: Path) -> Path:
        (folder / ARCHIVE).write_bytes(b"old")
        return folder

    def test_is_replaced_by_a_complete_one(self, old: Path) -> None:
        assert collect(old, "1102444016").returncode == 0
        assert len(packed(old)) == 3

    def test_stays_when_a_file_is_missing(self, old: Path) -> None:
        (old / WEIGHTS).unlink()
        refused(old, "1102444016")

    @pytest.mark.parametrize(
        "tar",
        [
            "exit 1",
            "printf half; exit 1",
            "printf half",  # says that all is well
            f'case $1 in -t*) echo one; echo two;; *) exec {shutil.which("tar")} "$@";; esac',
        ],
    )
    def test_stays_when_tar_fails(self, old: Path, tar: str) -> None:
        said = refused(old, "1102444016", path=bin_folder(old, tar=tar))
        assert f"{ARCHIVE} is as it was before" in said

    def test_stays_when_it_is_interrupted(self, old: Path) -> None:
        path = bin_folder(old, tar="printf half; touch ../started; exec sleep 5")
        for name in ("sleep", "touch"):
            (path / name).symlink_to(str(shutil.which(name)))
        before = sorted(entry.name for entry in old.iterdir())
        running = subprocess.Popen(
            [str(shutil.which("bash")), "./CollectSubmission.sh", "1102444016"],
            cwd=old,
            env=os.environ | {"PATH": str(path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # a shell that started the tests in the background made them ignore Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 30
        while not (old.parent / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGINT)  # as Ctrl-C does
        assert running.wait(timeout=30) == 130
        assert sorted(entry.name for entry in old.iterdir()) == before
        assert (old / ARCHIVE).read_bytes() == b"old"


def test_a_folder_that_has_the_archives_name_is_left_alone(folder: Path) -> None:
    (folder / ARCHIVE).mkdir()
    done = collect(folder, "1102444016")
    assert done.returncode == 1
    assert f"{ARCHIVE} is a folder here" in done.stderr
    assert list((folder / ARCHIVE).iterdir()) == []
