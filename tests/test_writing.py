"""A course of one's own: `grade.py new`, the document's path through it, and the example that comes along."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

from grader.cli import main

DOCUMENT = ROOT / "docs/writing-an-assignment.md"
STEP = re.compile(r"(?:<!-- (file|append|cell): (\S+) -->\n)?^```(console|python|toml)\n(.*?)^```$", re.M | re.S)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def run(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command of the document; its exit code and what it printed."""
    words = shlex.split(command)
    if words[:2] == ["python", "grade.py"]:
        more = ["--jobs", "1"] if words[2] == "verify" else []
        return main([*words[2:], *more]), capsys.readouterr().out
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def follow(kind: str, folder: Path, target: str, text: str) -> None:
    """Do with a block of the document what a reader does with it."""
    path = folder / target
    if kind == "file":
        path.write_text(text, encoding="utf-8")
    elif kind == "append":
        path.write_text(path.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")
    else:
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(text.rstrip("\n")))
        nbformat.write(notebook, path)


def test_the_documents_path_leads_to_a_verified_assignment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    steps = STEP.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert [kind for kind, *_ in steps if kind] == ["cell", "append", "file", "file", "file"]
    for kind, target, _, text in steps:
        if kind:
            follow(kind, tmp_path / "softmax", target, text)
            continue
        for shown in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, *expected = shown.rstrip("\n").split("\n")
            code, printed = run(command, capsys)
            lines = [" ".join(line.split()) for line in printed.split("\n")]
            assert [line for line in expected if " ".join(line.split()) not in lines] == [], printed
            assert code == ("missing" in shown), command  # a hand-in that nobody has written loses points


def test_the_example_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--assignment", str(ROOT / "examples/mlp"), "--jobs", "2"]) == 0, capsys.readouterr().out


def test_a_new_folder_may_be_empty_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["new", "empty"]) == 0
    assert 'id = "empty"' in (tmp_path / "empty/assignment.toml").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("mine")
    before = files_of(tmp_path)
    capsys.readouterr()
    for path in ("empty", "file", "file/below", ""):
        assert main(["new", path]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert files_of(tmp_path) == before


def test_a_folder_that_cannot_be_finished_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    assert main(["new", str(tmp_path / "made")]) == 2
    assert files_of(tmp_path) == []
